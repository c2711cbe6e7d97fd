"""The parent is killed: the child is gone soon, though another process holds the pipe's end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")

# Starts the child, and a sleeper that inherits both ends of its pipes; says their numbers.
PARENT = """
import os, subprocess, sys, time
reader, writer = os.pipe()
out, into = os.pipe()
for end in (writer, out):
    os.set_inheritable(end, True)
options = ["--parent", str(os.getpid())] if sys.argv[1] == "named" else []
child = subprocess.Popen(
    [sys.executable, "-m", "edgeguard", "stdio", "--model", "nano", "--threads", "1", *options],
    stdin=reader, stdout=into, stderr=subprocess.DEVNULL,
)
sleeper = subprocess.Popen(["sleep", "600"], close_fds=False, stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL)
os.write(writer, b'{"jsonrpc":"2.0","id":1,"method":"check","params":{"text":"%s"}}\\n'
    % (b"A calm sentence of some forty characters. " * 1000))
print(child.pid, sleeper.pid, flush=True)
if sys.argv[1] == "running":
    os.read(out, 1)
    print("running", flush=True)
time.sleep(600)
"""


def orphan(how: str, delay: float) -> None:
    """Kill a parent after so many seconds; its child must go."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, how], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child, sleeper = map(int, parent.stdout.readline().split())
    try:
        if how == "running":
            assert parent.stdout.readline() == "running\n"
        time.sleep(delay)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert is_gone_within(child, 5.0), f"the child outlived its parent, killed after {delay}"
        assert not is_gone_within(sleeper, 0.0)  # the pipe was held to the end
    finally:
        for process in (parent.pid, child, sleeper):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        parent.wait()
        parent.stdout.close()


def is_gone_within(process: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while True:
        if not is_alive(process):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    if Path("/proc/self/stat").exists():
        try:
            return stat.read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("how", "delay"), [("running", 0.0), ("named", 0.0), ("named", 0.3)])
def test_the_child_goes_with_its_parent(how: str, delay: float) -> None:
    orphan(how, delay)


@pytest.mark.slow
def test_100_of_100() -> None:
    chance = random.Random(7)
    for _ in range(100):
        orphan(chance.choice(["running", "named"]), chance.uniform(0, 1.0))
