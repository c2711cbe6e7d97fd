"""llama.cpp's library: loaded, silenced, started, and asked to open a model file.

The one module of the runtime that imports llama_cpp; vocabulary.py and context.py beside it use the
library through `lib` here. Nothing of llama.cpp reaches stdout or stderr: its messages go to
`logging`, and the last error is quoted where one of ours is raised.

It uses the C interface and not `llama_cpp.Llama`: that class keeps an array of n_batch × n_vocab
floats, knows one way to tokenize, and has no say over what stays in the KV cache.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import sys
import threading
import types
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgeguard.errors import CancelledError, ModelError, SessionError
from edgeguard.session import openmp
from edgeguard.session.backends import chosen_variant, load_backends
from edgeguard.session.interface import VocabularyFacts
from edgeguard.session.library_files import library_files, library_folder
from edgeguard.session.memory import LIBRARIES, SPARE, check_room, is_about_memory, not_enough
from edgeguard.session.overrides import leave_out_vocabulary
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.versions import library_version, read_whole


def _load_bindings() -> Any:
    """llama_cpp's bindings alone: its package would load chat formats and jinja2 too.

    A program that imports llama_cpp later gets all of it, as if nothing had been imported here.
    """
    found = None if "llama_cpp" in sys.modules else importlib.util.find_spec("llama_cpp")
    if found is None or found.submodule_search_locations is None:
        from llama_cpp import llama_cpp
    else:
        package = types.ModuleType("llama_cpp")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["llama_cpp"] = package
        try:
            from llama_cpp import llama_cpp
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == "llama_cpp"]:
                del sys.modules[name]
    return llama_cpp


check_room(LIBRARIES, "for the libraries")
try:
    with openmp.patient():
        lib = _load_bindings()
except (ImportError, OSError, RuntimeError) as error:
    raise SessionError(
        f"llama-cpp-python cannot be loaded: {error}; `edgeguard doctor` says which step fails"
    ) from error

__all__ = [
    "LibraryInfo",
    "Progress",
    "last_error",
    "lib",
    "library_identity",
    "library_info",
    "load_model",
    "load_vocabulary",
    "start_library",
    "stops_after",
]

_logger = logging.getLogger(__name__)

# ggml_log_level of ggml.h: 2 info, 3 warning, 4 error. What goes wrong ends in an error of ours
# that quotes it, so none of them is shown unless asked for.
_ERROR = 4
_LEVELS = {3: logging.INFO, _ERROR: logging.INFO}
_EXPECTED = "dummy tokens"
"""What llama.cpp warns of when a vocabulary is left out, as it is told to."""
_errors: list[str] = []
_started = False
_starting = threading.Lock()

Progress = Callable[[float], None]
"""Called with the share of a model file that is loaded, from 0 to 1."""


def _after_fork() -> None:
    global _starting
    _starting = threading.Lock()  # another thread may have held it when this process was made


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True)
class LibraryInfo:
    """What llama.cpp says of itself: its version, the CPU features it uses, what it can offload.

    ``variant`` is the family of processors that it computes for, where the build has several.
    """

    version: str
    system_info: str
    variant: str
    gpu_offload: bool
    max_devices: int
    path: str


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _user_data: object) -> None:
    message = text.decode("utf-8", "replace").strip()
    if level == _ERROR and message:
        _errors.append(message)
        del _errors[:-8]
    if message:
        known = logging.DEBUG if _EXPECTED in message else _LEVELS.get(level, logging.DEBUG)
        _logger.log(known, "llama.cpp: %s", message)


def start_library() -> None:
    """Silence llama.cpp, and start it once a process. Raises SessionError."""
    global _started
    with _starting:
        # Else ggml, when it ends the process, has gdb write 80 lines to standard output first.
        os.environ.setdefault("GGML_NO_BACKTRACE", "1")
        lib.llama_log_set(_log, ctypes.c_void_p(0))
        if not _started:
            load_backends(lib._lib, library_folder())
            lib.llama_backend_init()
            _started = True


def library_info() -> LibraryInfo:
    """Ask the library that is installed."""
    start_library()
    return LibraryInfo(
        version=library_version(lib),
        system_info=lib.llama_print_system_info().decode("utf-8", "replace").strip(),
        variant=chosen_variant(lib._lib),
        gpu_offload=bool(lib.llama_supports_gpu_offload()),
        max_devices=int(lib.llama_max_devices()),
        path=str(library_folder() or ""),
    )


@cache
def library_identity() -> str:
    """What tells one build of llama.cpp from another: version, CPU features, and its files.

    A build keeps its version when only its compiler or its flags change; its files do not keep
    their sizes and times.
    """
    info = library_info()
    return "\n".join([info.version, info.system_info, *library_files()])


def load_model(
    path: Path,
    device: str,
    *,
    flag: StopFlag,
    plain_weights: bool = False,
    mapped_weights: bool = False,
    without_vocabulary: VocabularyFacts | None = None,
    on_progress: Progress | None = None,
) -> tuple[Any, str]:
    """The model of a file, and where its layers are: ``gpu`` or ``cpu``.

    An accelerator that cannot load the model is left alone, with a warning. ``plain_weights``: do
    not rearrange the weights for the processor, nor use its matrix unit (AMX); slower, and safe
    where a build of llama.cpp computes wrong with them. ``mapped_weights``: plain ones that stay in
    the file's pages, which all processes of a machine share. ``without_vocabulary``: leave it out,
    where llama.cpp can; the model then cannot tokenize. Raises ModelError for a file that llama.cpp
    refuses, CancelledError when the flag is set.
    """
    start_library()
    check_room(path.stat().st_size + SPARE, f"for {path}")
    watch = _Watch(flag, on_progress)
    if device == "auto" and lib.llama_supports_gpu_offload():
        model = _try_load(path, watch, -1, plain_weights, mapped_weights, without_vocabulary)
        if model:
            return model, "gpu"
        _logger.warning("the accelerator cannot load the model; it runs on the CPU")
    model = _try_load(path, watch, 0, plain_weights, mapped_weights, without_vocabulary)
    if not model and is_about_memory(last_error()):
        raise not_enough(f"for {path} ({last_error()})")
    if not model:
        raise ModelError(
            f"llama.cpp cannot load {path}: {last_error()}; check the file with "
            "`edgeguard verify`, or fetch it again with `edgeguard pull`"
        )
    return model, "cpu"


def load_vocabulary(path: Path, flag: StopFlag) -> Any:
    """The vocabulary of a file, without its weights; the file is trusted. Raises ModelError."""
    start_library()
    watch = _Watch(flag, None)
    params = lib.llama_model_default_params()
    params.vocab_only = True
    params.progress_callback = watch.callback
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        watch.raise_if_ended()
        raise ModelError(
            f"llama.cpp cannot read the vocabulary in {path}: {last_error()}; fetch the file "
            "again, or install edgeguard again if it belongs to it"
        )
    return model


def stops_after(names: tuple[bytes, ...]) -> Any:
    """A callback for a context that ends each pass after the first tensor that has such a name.

    What follows it in the graph is not computed. None where the library gives no names.
    """
    name_of = _tensor_names()
    if name_of is None:
        return None

    def heard(tensor: int, asks: bool, _data: object) -> bool:
        # Asked beforehand: is it wanted? Asked with it computed: shall the pass go on?
        return asks and bool((name_of(tensor) or b"").startswith(names))

    return lib.ggml_backend_sched_eval_callback(heard)


@cache
def _tensor_names() -> Any:
    """ggml's own function, which llama_cpp does not pass on."""
    folder = library_folder()
    if folder is None:
        return None
    for file in sorted(folder.glob("*ggml-base*")):
        with suppress(OSError, AttributeError):
            function = ctypes.CDLL(os.fspath(file)).ggml_get_name
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_char_p
            return function
    return None


def last_error() -> str:
    """The first of the errors that llama.cpp has logged since a load began: the cause."""
    return _errors[0] if _errors else "it does not say why"


class _Watch:
    """Hears of a load's progress, and ends it where the flag or the caller says so."""

    def __init__(self, flag: StopFlag, report: Progress | None) -> None:
        self._flag = flag
        self._report = report
        self._error: BaseException | None = None
        self.callback = lib.llama_progress_callback(self._heard)

    def _heard(self, share: float, _data: object) -> bool:
        try:
            if self._report is not None:
                self._report(share)
        except BaseException as error:  # out of a callback it would only be printed
            self._error = error
        return self._error is None and not self._flag.is_set

    def raise_if_ended(self) -> None:
        if self._error is not None:
            raise self._error
        if self._flag.is_set:
            raise CancelledError("the load was cancelled")


def _try_load(
    path: Path,
    watch: _Watch,
    gpu_layers: int,
    plain: bool,
    mapped: bool,
    facts: VocabularyFacts | None,
) -> Any:
    _errors.clear()
    params = lib.llama_model_default_params()
    params.n_gpu_layers = gpu_layers
    params.progress_callback = watch.callback
    params.use_extra_bufts = not (plain or mapped)
    if gpu_layers == 0 and not mapped:
        # Mapped, the file stays in memory beside the copy of the weights that llama.cpp rearranges
        # for the CPU: 200 MB more for the 0.6B model at q4_k_m, and no faster.
        read_whole(lib, params)
    kept = leave_out_vocabulary(lib, params, facts) if facts else None
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    del kept
    if not model:
        watch.raise_if_ended()
        if facts:  # not understood, or of another file
            return _try_load(path, watch, gpu_layers, plain, mapped, None)
    return model
