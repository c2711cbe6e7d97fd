"""Describes the processor and its features, enough to tell two kinds apart.

A build of llama.cpp that works on one kind can end the process on another. This module counts no
cores (edgeguard.session.cpu does).
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

_FIELDS = frozenset(
    # x86
    {"vendor_id", "cpu family", "model", "model name", "stepping", "flags"}
    # ARM, RISC-V
    | {"CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"}
    | {"isa", "uarch"}
)
"""The lines of Linux's /proc/cpuinfo that are the same for every core and at any time."""


@cache
def processor() -> str:
    """The kind of processor, with its features if the system lists them; one line each."""
    if sys.platform == "darwin":
        return f"{platform.machine()}\n{_sysctl('machdep.cpu.brand_string')}"
    if sys.platform == "win32":
        return f"{platform.machine()}\n{os.environ.get('PROCESSOR_IDENTIFIER', '')}"
    return f"{platform.machine()}\n{_cpuinfo(Path('/proc/cpuinfo'))}"


def processor_flags(text: str | None = None) -> frozenset[str]:
    """The names of its features, as Linux lists them; empty if the system does not."""
    lines = (processor() if text is None else text).splitlines()
    wanted = "flags" if platform.machine() == "x86_64" else "Features"
    fields = (line.partition(":") for line in lines)
    return frozenset(
        flag for name, _, value in fields if name.strip() == wanted for flag in value.split()
    )


def _cpuinfo(path: Path) -> str:
    """Every distinct relevant line: on ARM, fast and slow cores differ."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    kept = (line for line in lines if line.partition(":")[0].strip() in _FIELDS)
    return "\n".join(sorted(set(kept)))


def _sysctl(name: str) -> str:
    command = ["/usr/sbin/sysctl", "-n", name]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=5, text=True)
    except (OSError, subprocess.SubprocessError):
        return platform.processor()
    return done.stdout.strip()
