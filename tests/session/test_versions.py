"""Every field that is set on a structure of llama.cpp is one that it has: ctypes loses others."""

from __future__ import annotations

import re
from types import SimpleNamespace

import llama_cpp.llama_cpp as lib
import pytest
from conftest import ROOT

from edgeguard.session.versions import bound_rows, library_version, read_whole

STRUCTURES = {
    "edgeguard/session/library.py": lib.llama_model_params,
    "edgeguard/session/passes.py": lib.llama_context_params,
    "convert/finishing.py": lib.llama_model_params,
}


def _fields(structure: type) -> set[str]:
    return {name for name, *_ in structure._fields_}  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", STRUCTURES)
def test_the_version_that_is_installed_has_the_fields(module: str) -> None:
    code = (ROOT / module).read_text(encoding="utf-8")
    used = set(re.findall(r"\bparams\.(\w+)\b(?=[^=\n]*=[^=])", code))
    assert used
    assert used <= _fields(STRUCTURES[module])


def test_no_other_module_makes_structures() -> None:
    modules = [*(ROOT / "edgeguard").rglob("*.py"), *(ROOT / "convert").rglob("*.py")]
    makers = {
        path.relative_to(ROOT).as_posix()
        for path in modules
        if "_default_params()" in path.read_text(encoding="utf-8")
    }
    assert makers == {*STRUCTURES, "convert/quantizer.py"}


def test_what_is_set_here_has_an_effect() -> None:
    params = lib.llama_model_default_params()
    before = {name: getattr(params, name) for name in _fields(type(params))}
    read_whole(lib, params)
    changed = {n for n, was in before.items() if getattr(params, n) != was and "callback" not in n}
    assert changed & {"load_mode", "use_mmap"}


def test_a_version_without_the_fields_is_not_given_them() -> None:
    old = SimpleNamespace(_fields_=[("nthread", None)], use_mmap=True)
    bound_rows(old, 1)
    assert not hasattr(old, "max_buf_size")
    read_whole(SimpleNamespace(), old)
    assert old.use_mmap is False
    assert library_version(SimpleNamespace()) == ""
    new = SimpleNamespace(_fields_=[("max_buf_size", None)])
    bound_rows(new, 7)
    assert new.max_buf_size == 7
