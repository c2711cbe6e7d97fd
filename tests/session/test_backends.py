"""A llama.cpp with several back ends: one is loaded where none is, and an error names misfits."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeguard.errors import SessionError
from edgeguard.session.backends import chosen_variant, load_backends
from edgeguard.session.library import lib, library_info, start_library
from edgeguard.session.library_files import backend_files, library_folder


class Library:
    """What load_backends sees of libllama: a count of back ends, and a way to load some."""

    def __init__(self, there: int, found: int = 0) -> None:
        self.there, self._found = there, found
        self.asked: list[bytes] = []

    def ggml_backend_reg_count(self) -> int:
        return self.there

    def ggml_backend_load_all_from_path(self, folder: Any) -> None:
        self.asked.append(folder.value)
        self.there += self._found


def test_a_build_for_one_processor_is_left_alone(tmp_path: Path) -> None:
    library = Library(there=1)
    load_backends(library, tmp_path)  # type: ignore[arg-type]
    assert library.asked == []


def test_a_build_for_many_loads_from_its_own_folder(tmp_path: Path) -> None:
    library = Library(there=0, found=1)
    load_backends(library, tmp_path)  # type: ignore[arg-type]
    load_backends(library, tmp_path)  # type: ignore[arg-type]
    assert library.asked == [os.fsencode(tmp_path)]


def test_where_none_fits_the_error_names_those_that_there_are(tmp_path: Path) -> None:
    for name in ("libggml-cpu-haswell.so", "libggml-cpu-zen4.so", "libggml-base.so"):
        (tmp_path / name).touch()
    with pytest.raises(SessionError, match=r"libggml-cpu-haswell\.so, libggml-cpu-zen4\.so; inst"):
        load_backends(Library(there=0), tmp_path)  # type: ignore[arg-type]


def test_a_library_that_knows_no_back_ends_is_left_alone(tmp_path: Path) -> None:
    load_backends(SimpleNamespace(), tmp_path)  # type: ignore[arg-type]


def test_the_back_end_that_computes_is_named_where_there_is_a_choice() -> None:
    start_library()
    folder = library_folder()
    assert folder is not None
    names = [file.name for file in backend_files(folder)]
    variant = chosen_variant(lib._lib)
    assert library_info().variant == variant
    assert (f"libggml-cpu-{variant}.so" in names) == bool(names)
