"""`edgeguard batch` with nano in processes of its own, to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Ctrl-C as at a terminal, where a test runner may ignore it; and a limit like that of a full disk.
_CHILD = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
if limit := os.environ.get("FILE_SIZE_LIMIT"):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
from edgeguard.cli import main
main()
"""


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
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
