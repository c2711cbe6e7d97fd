"""A second Python process for work that could harm this one.

The quantizer is native code that can abort and cannot be interrupted; a chat template is code from
a file; llama.cpp may have been built for another processor. In a child process, Ctrl-C works, a
crash becomes an error message, and the memory is freed at the end. The child ends with this
process, however that ends.

In a frozen program ``sys.executable`` is the program itself and not Python. The program is then
started with an environment variable that our hook for PyInstaller (edgeguard/_pyinstaller) looks
for before the program's own code begins. If there is neither Python nor that hook, no child can be
started, and a ChildError says so.

A child module has a function ``main(request, reply)``. This module does not know what it does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from edgeguard.cancellation import Cancellation
from edgeguard.errors import CancelledError

_BOOT = (
    # "-c" puts the current folder first, where any file may be; the parent's path is used instead.
    "import sys; sys.path = [p for p in sys.path if p]; import json; "
    "sys.path = json.loads(sys.argv[1]); "
    "from edgeguard import child_process; child_process.serve(sys.argv[2])"
)

MODULE_VARIABLE = "EDGEGUARD_CHILD_MODULE"
"""In a frozen program's child: the module to serve. Not for users to set."""
HOOKED = "_edgeguard_children"
"""The attribute of ``sys`` that a frozen program sets if it has our hook."""


class ChildError(Exception):
    """The child did not finish: its last words on stderr, or how it ended.

    ``code`` is the exit code as subprocess reports it (negative for a signal); None if the child
    could not be started.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


def run(
    module: str,
    request: Any,
    *,
    timeout: float | None = None,
    cancel: Cancellation | None = None,
) -> Generator[Any, None, None]:
    """Run ``main`` of a module in a child, and yield its replies as they come.

    Requests and replies are JSON. The child ends when the iteration does, for any reason. Raises
    ChildError, TimeoutError after `timeout` seconds, and CancelledError after ``cancel``.
    """
    expired = threading.Event()
    with tempfile.TemporaryFile() as complaints:
        process = _start(module, complaints)
        timer = threading.Timer(timeout or 0, _expire, (process, expired))
        if timeout is not None:
            timer.start()
        try:
            with cancel.heard_by(process.kill) if cancel else nullcontext():
                yield from _replies(process, request)
                ended = process.wait()
            if cancel is not None and cancel.cancelled:
                raise CancelledError("the child process was cancelled")
            if ended != 0 and not expired.is_set():
                raise ChildError(_last_words(complaints, ended), ended)
        finally:
            timer.cancel()
            _stop(process)
        if expired.is_set():
            raise TimeoutError


def serve(module: str) -> None:
    """The child's side: answer one request and leave."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends us
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # keep what native code prints apart from the replies
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_leave_with_parent, daemon=True).start()

    def reply(message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    import_module(module).main(request, reply)
    os._exit(0)  # an ordinary exit would wait for the thread that still reads


def _start(module: str, complaints: BinaryIO) -> subprocess.Popen[bytes]:
    command, variables = _command(module)
    pipe, all_variables = subprocess.PIPE, {**os.environ, **variables}
    try:
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=complaints, env=all_variables
        )
    except OSError as error:
        raise ChildError(f"Python ({sys.executable}) cannot be started: {error}") from error


def _command(module: str) -> tuple[list[str], dict[str, str]]:
    """The command to start, and the variables to set. Raises ChildError if there is no way."""
    if getattr(sys, "frozen", False):
        if not hasattr(sys, HOOKED):
            raise ChildError(
                "this frozen program cannot start a child: freeze it with PyInstaller, which finds "
                "edgeguard's own hook"
            )
        # PyInstaller's onefile programs unpack themselves again for a child unless told otherwise.
        return [sys.executable], {MODULE_VARIABLE: module, "PYINSTALLER_RESET_ENVIRONMENT": "1"}
    if not _is_python(sys.executable):
        raise ChildError(f"the program {sys.executable!r} is no Python that could be started")
    path = json.dumps([entry or str(Path.cwd()) for entry in sys.path])
    return [sys.executable, "-c", _BOOT, path, module], {}


def _is_python(executable: str | None) -> bool:
    """Whether it is a Python interpreter; a program that embeds one would start itself again."""
    return Path(executable or "").name.lower().startswith(("python", "pypy"))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with suppress(BrokenPipeError):  # requests that it never read
            stream.close()


def _replies(process: subprocess.Popen[bytes], request: Any) -> Iterator[Any]:
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError):  # the child died at once; its exit code and stderr say why
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    for line in process.stdout:
        yield json.loads(line)


def _leave_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _expire(process: subprocess.Popen[bytes], expired: threading.Event) -> None:
    expired.set()
    process.kill()


def _last_words(complaints: BinaryIO, code: int) -> str:
    complaints.seek(0)
    lines = complaints.read()[-4000:].decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else f"its process ended with code {code}"
