"""How many cores to compute on: the physical ones that this process may use.

Two threads on one physical core share its arithmetic units, and a thread that waits for a core
stalls all the others. A container's quota of processor time counts as fewer cores: with more
threads than the quota allows, all of them are paused for the rest of each period. This module does
not measure speed.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def usable_cores() -> int:
    """The physical cores that this process may use, within its quota; at least 1."""
    cores, quota = physical_cores(), quota_cores()
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def quota_cores(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> float | None:
    """How many cores' worth of time the control groups of this process allow.

    None without a quota or without control groups. Source: the kernel's cgroup-v2 (cpu.max) and
    cgroup-v1 (cpu.cfs_quota_us) documentation.
    """
    try:
        lines = own.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    quotas = [quota for line in lines for quota in _quotas(root, *line.split(":", 2))]
    return min(quotas, default=None)


def _quotas(root: Path, _number: str, controllers: str, group: str) -> Iterator[float]:
    """The quotas of a control group and its parents, as far as they are visible from here."""
    if controllers and "cpu" not in controllers.split(","):
        return
    tops = [root / controllers, root / "cpu", root] if controllers else [root, root / "unified"]
    for top in tops:
        folder = top / group.strip("/")
        while folder == top or top in folder.parents:
            quota = _quota(folder)
            if quota is not None:
                yield quota
            folder = folder.parent


def _quota(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii")
                for name in ("quota", "period")
            )
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max": no quota
        return None
    return cores if cores > 0 else None


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
