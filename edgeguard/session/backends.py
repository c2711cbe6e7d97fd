"""Loads the CPU back end of a llama.cpp that comes with several, one per family of processors.

Such a build (GGML_BACKEND_DL; scripts/wheels makes one) keeps its compute code in separate
libraries, libggml-cpu-NAME, and can do nothing until one of them is loaded, which llama_cpp does
not do. ggml chooses the best one for the processor; this module only asks it to, and reports the
choice. A build for a single processor has its back end built in, and nothing is done.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Any

from edgeguard.errors import SessionError
from edgeguard.session.library_files import backend_files, rebuild_command

_FILE = re.compile(r"(?:lib)?ggml-cpu-(.+)\.(?:so|dylib|dll)")


def load_backends(library: ctypes.CDLL, folder: Path | None) -> None:
    """Load the best back end in a folder, unless the library has one already.

    Raises SessionError if none of them works here.
    """
    count = getattr(library, "ggml_backend_reg_count", None)
    if count is None or folder is None or count():
        return
    library.ggml_backend_load_all_from_path(ctypes.c_char_p(os.fsencode(folder)))
    if not count():
        raise SessionError(_none_fits(folder))


def chosen_variant(library: ctypes.CDLL) -> str:
    """The family of processors that the loaded back end is for; empty if there was no choice."""
    file = _file_of(_features_function(library))
    found = _FILE.fullmatch(Path(os.fsdecode(file)).name)
    return found[1] if found else ""


def _none_fits(folder: Path) -> str:
    names = ", ".join(file.name for file in backend_files(folder)) or "none"
    return (
        f"llama.cpp has no back end that works here: in {folder} there are {names}; install its "
        f"wheel again, or build it for this machine: {rebuild_command()}"
    )


def _features_function(library: ctypes.CDLL) -> int | None:
    """The address of a function of the CPU's back end, whichever library it is in."""
    try:
        by_name, address = (
            library.ggml_backend_reg_by_name,
            library.ggml_backend_reg_get_proc_address,
        )
    except AttributeError:  # Windows does not search the libraries that this one depends on
        return None
    by_name.argtypes, by_name.restype = [ctypes.c_char_p], ctypes.c_void_p
    address.argtypes, address.restype = [ctypes.c_void_p, ctypes.c_char_p], ctypes.c_void_p
    backend = by_name(b"CPU")
    found: int | None = address(backend, b"ggml_backend_get_features") if backend else None
    return found


class _Symbol(ctypes.Structure):
    """Dl_info of dlfcn.h."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def _file_of(address: int | None) -> bytes:
    """The library that an address belongs to; empty if the system cannot say."""
    if address is None or os.name == "nt":
        return b""
    process: Any = ctypes.CDLL(None)
    symbol = _Symbol()
    if not process.dladdr(ctypes.c_void_p(address), ctypes.byref(symbol)):
        return b""
    return symbol.file or b""
