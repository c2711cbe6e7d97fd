"""`edgeguard batch` with nano in processes of its own, to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# What a terminal's shell gives: a background job of a script ignores Ctrl-C.
_CHILD = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from edgeguard.cli import main; main()"
)


def start(*argv: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command; its streams are pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, "batch", *argv],
        env={**os.environ, "EDGEGUARD_MODEL": "nano", "EDGEGUARD_THREADS": "1", **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*argv: str, stdin: str = "", **variables: str) -> tuple[int, str, str]:
    """Run the command to its end: exit code, stdout, stderr."""
    process = start(*argv, **variables)
    out, err = process.communicate(stdin, timeout=3600)
    return process.returncode, out, err


def end_when(
    due: Callable[[], bool], *argv: str, number: int = signal.SIGKILL
) -> tuple[int, str, str]:
    """Start the command and send it a signal as soon as something is so."""
    process = start(*argv)
    while process.poll() is None and not due():
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def size_of(path: Path) -> int:
    """The bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0
