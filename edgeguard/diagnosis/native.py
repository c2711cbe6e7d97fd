"""Whether llama.cpp's library loads here, what it says of itself, and which step fails if not.

The library is loaded in a child process, because it ends the process on a processor that lacks an
instruction it was built for, the very case to be diagnosed. Nothing here requires that llama_cpp or
numpy can be imported.

This module loads no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeguard.diagnosis.problems import Problem
from edgeguard.session.library_files import rebuild_command

WHEELS = "https://abetlen.github.io/llama-cpp-python/whl/cpu"
INSTALL = f"pip install llama-cpp-python --extra-index-url {WHEELS}"

_ILLEGAL = ("code -4", "code 3221225501")
"""Exit codes after an instruction that the processor lacks: SIGILL; Windows' 0xC000001D."""


@dataclass(frozen=True)
class Library:
    """What llama.cpp says of itself; see edgeguard.session.library.LibraryInfo."""

    version: str
    variant: str
    path: str
    cpu_features: tuple[str, ...]
    accelerators: tuple[str, ...]


def look(ask: Callable[[], dict[str, Any]] | None = None) -> Library | Problem:
    """Load llama.cpp in a child, and return what it says or why it cannot be loaded."""
    answer = (ask or _ask)()
    if "error" in answer:
        return explain(str(answer["error"]))
    features, backends = parse_system_info(str(answer["system_info"]))
    devices = answer.get("devices") or (backends if answer.get("gpu_offload") else ())
    version, variant, path = (str(answer[name]) for name in ("version", "variant", "path"))
    return Library(version, variant, path, features, tuple(devices))


def main(_request: object, reply: Callable[[Any], None]) -> None:
    """The child's side: load llama.cpp, and reply with what it says or why it cannot be loaded."""
    try:
        from edgeguard.session.library import library_info

        info = library_info()
    except Exception as error:
        cause = error.__cause__ or error
        reply({"error": f"{type(cause).__name__}: {cause}"})
        return
    fields = {name: getattr(info, name) for name in ("version", "variant", "path", "system_info")}
    devices = [str(device) for device in getattr(info, "devices", ())]
    reply({**fields, "devices": devices, "gpu_offload": info.gpu_offload})


def explain(error: str) -> Problem:
    """The step that failed, and how to fix it."""
    if "libgomp" in error:
        todo = "install it: apt install libgomp1 (Debian, Ubuntu), dnf install libgomp (Fedora)"
        return Problem(f"llama.cpp needs the system's library libgomp ({error})", todo, stops=True)
    if any(code in error for code in _ILLEGAL):
        what = "llama.cpp was built for a processor with instructions that this one lacks"
        return Problem(what, f"build it here: {rebuild_command()}", stops=True)
    if "no back end" in error:
        what, _, todo = error.removeprefix("SessionError: ").partition("; ")
        return Problem(what, todo, stops=True)
    if "musl" in error or "GLIBC" in error:
        what = f"llama.cpp was built for another C library than this system's ({error})"
        return Problem(what, f"build it here: {rebuild_command()}", stops=True)
    if "not found" in error and "hared library" in error:
        what = f"llama-cpp-python has come without its library ({error})"
        todo = f"unset LLAMA_CPP_LIB_PATH if it is set, or install again: {INSTALL}"
        return Problem(what, todo, stops=True)
    return Problem(
        f"llama.cpp cannot be loaded ({error})", f"build it here: {rebuild_command()}", stops=True
    )


def parse_system_info(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The CPU features and other back ends in the text of llama_print_system_info.

    Example: "MTL : EMBED_LIBRARY = 1 | CPU : AVX2 = 1 | F16C = 0 | " -> (("AVX2",), ("MTL",)).
    """
    features: list[str] = []
    backends: list[str] = []
    for part in text.split("|"):
        name, _, value = part.rpartition("=")
        backend, colon, feature = name.rpartition(":")
        if colon:
            backends.append(backend.strip())
        if value.strip() == "1" and backends[-1:] == ["CPU"]:
            features.append(feature.strip())
    return tuple(features), tuple(name for name in backends if name != "CPU")


def _ask() -> dict[str, Any]:
    from edgeguard import child_process

    answer: dict[str, Any] = {}
    try:
        for part in child_process.run(__name__, {}, timeout=60):
            answer.update(part)
    except (child_process.ChildError, OSError) as error:  # TimeoutError is an OSError
        return {"error": str(error) or "it did not answer within 60 seconds"}
    return answer or {"error": "its process ended without an answer"}
