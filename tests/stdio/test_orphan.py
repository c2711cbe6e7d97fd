"""The parent ends in any way: nothing that it started stays, though the pipe is held elsewhere.

All that comes of a parent has its mark in the environment, and is found by that: the child, the
child's own children, and a sleeper that inherited both ends of the pipes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")

MARK = "TEST_ORPHAN"
# Starts children as it is told, and a sleeper that inherits all ends of their pipes. Then it does
# what it reads, a word a line.
PARENT = """
import os, subprocess, sys, time
how, children = sys.argv[1], int(sys.argv[2])
ends = []
for _ in range(children):
    reader, writer = os.pipe()
    out, into = os.pipe()
    for end in (writer, out):
        os.set_inheritable(end, True)
    command = [sys.executable, "-m", "edgeguard", "stdio", "--model", "nano", "--threads", "1"]
    if how != "unnamed":
        command += ["--parent", str(os.getpid())]
    if how == "launched":
        command = ["sh", "-c", f'"$@" <&{reader} &', "sh", *command]
        subprocess.run(command, stdout=into, stderr=subprocess.DEVNULL, pass_fds=[reader])
    else:
        subprocess.Popen(command, stdin=reader, stdout=into, stderr=subprocess.DEVNULL)
    os.close(reader), os.close(into)
    ends.append((writer, out))
sleeper = subprocess.Popen(["sleep", "600"], close_fds=False, stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL)
LONG = b"A calm sentence of some forty characters. " * 4000

def send(method, text=None):
    params = b'{"text":"%s"}' % text if text else b"{}"
    line = b'{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}\\n' % (method, params)
    for writer, _ in ends:
        os.write(writer, line)

def answers():
    for _, out in ends:
        line = b""
        while not line.endswith(b"\\n") or b'"id"' not in line:
            line = os.read(out, 1) if line.endswith(b"\\n") else line + os.read(out, 1)

print(sleeper.pid, flush=True)
for word in sys.stdin:
    word = word.strip()
    if word == "load":
        send(b"initialize"), answers()
    elif word == "ask":
        send(b"policies"), answers()
    elif word == "busy":
        send(b"check", LONG)
    elif word == "deaf":
        for _, out in ends:
            os.close(out)
    elif word == "silent":
        for writer, _ in ends:
            os.close(writer)
    elif word == "exit":
        sys.exit(0)
    print("did", word, flush=True)
"""


class Parent:
    """A parent, what it started, and the sleeper that holds the pipes."""

    def __init__(self, how: str, children: int = 1) -> None:
        self.mark = uuid.uuid4().hex
        self._process = subprocess.Popen(
            [sys.executable, "-c", PARENT, how, str(children)],
            env={**os.environ, MARK: self.mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.sleeper = int(self._process.stdout.readline())

    def does(self, *words: str) -> None:
        """Have it do something, and wait until it has."""
        assert self._process.stdin is not None and self._process.stdout is not None
        for word in words:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
            if word != "exit":
                assert self._process.stdout.readline() == f"did {word}\n"

    def gets(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def is_gone(self) -> None:
        """Wait until it has ended."""
        self._process.wait(20)

    def left(self) -> list[int]:
        """The processes that came of it and live, but for the sleeper."""
        mine = {self._process.pid, self.sleeper}
        return [number for number in marked(self.mark) if number not in mine]

    def leaves_nothing_within(self, seconds: float) -> bool:
        """Whether all that it started is gone by then, while the pipes are still held."""
        end = time.monotonic() + seconds
        while self.left():
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
        return self.sleeper in marked(self.mark)

    def clear(self) -> None:
        """End all of it."""
        for number in {*marked(self.mark), self._process.pid}:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


@contextmanager
def parent(how: str = "named", children: int = 1) -> Iterator[Parent]:
    started = Parent(how, children)
    try:
        yield started
    finally:
        started.clear()


def marked(mark: str) -> set[int]:
    """The processes with that mark that are alive."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                has_it = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if has_it and state != "Z":
                    found.add(int(folder.name))
    return found


def orphan(how: str, busy: bool, delay: float) -> None:
    """Kill a parent after so many seconds; its child must go.

    One whose parent is not named must have begun: a parent that ends before it looks is unknown.
    """
    with parent(how) as mother:
        mother.does(*(["load", "busy"] if busy else ["ask"] if how == "unnamed" else []))
        time.sleep(delay)
        mother.gets(signal.SIGKILL)
        mother.is_gone()
        # One that is still being started sees it once it has begun, which a busy machine delays.
        seconds = 5.0 if busy or how == "unnamed" else 30.0
        assert mother.leaves_nothing_within(seconds), f"killed after {delay}: {mother.left()}"


@pytest.mark.parametrize(("how", "busy", "delay"), [("unnamed", True, 0.0), ("named", False, 0.0)])
def test_the_child_goes_with_its_parent(how: str, busy: bool, delay: float) -> None:
    orphan(how, busy, delay)


@pytest.mark.parametrize("end", ["exit", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_a_parent_ends_while_its_child_is_busy(end: str) -> None:
    with parent("unnamed") as mother:
        mother.does("load", "busy")
        mother.does("exit") if end == "exit" else mother.gets(signal.Signals[end])
        mother.is_gone()
        assert mother.leaves_nothing_within(5.0)


def test_a_parent_that_is_stopped_is_not_gone() -> None:
    with parent() as mother:
        mother.does("ask")
        mother.gets(signal.SIGSTOP)
        time.sleep(1.0)
        assert mother.left()
        mother.gets(signal.SIGCONT)
        mother.does("ask", "load")
        mother.gets(signal.SIGKILL)
        mother.is_gone()
        assert mother.leaves_nothing_within(5.0)


def test_a_launcher_may_leave_before_the_parent_that_is_named() -> None:
    with parent("launched") as mother:
        mother.does("load")
        time.sleep(0.6)
        mother.does("ask")
        mother.gets(signal.SIGKILL)
        mother.is_gone()
        assert mother.leaves_nothing_within(5.0)


def test_a_child_that_nobody_hears_ends_with_its_next_answer() -> None:
    """The sleeper must not hear it either: so there is none in this test."""
    child = subprocess.Popen(
        [sys.executable, "-m", "edgeguard", "stdio", "--model", "nano"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None and child.stdout is not None
    child.stdout.close()
    child.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"policies"}\n')
    child.stdin.flush()
    assert child.wait(20) == 0
    child.stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["silent", "deaf"])
def test_a_pipe_is_closed_before_the_parent_is_killed(closed: str) -> None:
    with parent() as mother:
        mother.does("load", "busy", closed)
        mother.gets(signal.SIGKILL)
        mother.is_gone()
        assert mother.leaves_nothing_within(5.0)


@pytest.mark.slow
def test_ten_children_at_once() -> None:
    with parent(children=10) as mother:
        mother.does("load", "busy")
        assert len(mother.left()) == 10
        mother.gets(signal.SIGKILL)
        mother.is_gone()
        assert mother.leaves_nothing_within(10.0)


@pytest.mark.slow
def test_100_of_100() -> None:
    """From the first instant on: while it starts, tries llama.cpp, loads, and judges."""
    chance = random.Random(7)
    for _ in range(100):
        orphan(chance.choice(["unnamed", "named"]), chance.random() < 0.5, chance.uniform(0, 1.0))
