"""How many cores to compute on: the physical ones that this process may use.

Two threads on one physical core share its arithmetic units, and a thread that waits for a core it
cannot have stalls all the others. This module does not measure speed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def physical_cores() -> int:
    """The physical cores that this process may use; at least 1.

    Linux: /sys/devices/system/cpu/cpu*/topology, within the affinity mask. macOS: the performance
    cores (sysctl hw.perflevel0.physicalcpu). Elsewhere: half of the logical ones, as llama.cpp
    assumes.
    """
    if sys.platform == "darwin":
        return _macos_cores() or _half()
    if hasattr(os, "sched_getaffinity"):
        return _linux_cores(Path("/sys/devices/system/cpu")) or len(os.sched_getaffinity(0))
    return _half()


def _linux_cores(folder: Path) -> int:
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = folder / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        try:
            cores.add(siblings.read_text(encoding="ascii").strip())
        except (OSError, UnicodeDecodeError):
            return 0
    return len(cores)


def _macos_cores() -> int:
    try:
        out = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "hw.perflevel0.physicalcpu"],
            capture_output=True,
            check=True,
            timeout=5,
        )
        return int(out.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _half() -> int:
    return max(1, (os.cpu_count() or 2) // 2)
