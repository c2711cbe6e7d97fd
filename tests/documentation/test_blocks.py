"""Every block of code in the README and in docs/ runs, or says why it does not."""

from __future__ import annotations

import ast
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from blocks import PROSE, Block, Step, blocks, differs, parses, steps
from command_line import CommandLine
from conftest import ROOT
from served import Served, serving

from edgeguard import Guard

PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
HOST = "//127.0.0.1:8000"
SERVER = f"http:{HOST}"
ENDLESS = [["edgeguard", name] for name in ("serve", "proxy", "stdio", "mcp")]
RUN = ("python", "console")
KNOWN = (*RUN, *PROSE, "json", "toml")
ELSEWHERE = {
    "docs/hosts/": "each needs its host; scripts/test-adapters tries them",
    "docs/scaling.md": "each engine runs its program in scripts/test-engines",
    "docs/proxy.md": "the proxy needs a model behind it; tests/proxy has one",
    "docs/stdio.md": "tests/stdio runs the Python, and holds the lines to the schema",
}
"""Pages whose code is tried elsewhere, and why. They hold no outputs of nano."""


def _blocks(name: str, path: Path) -> list[Block]:
    reasons = [reason for start, reason in ELSEWHERE.items() if name.startswith(start)]
    return [
        replace(block, not_run=block.not_run or reason)
        for reason in (reasons[0] if reasons else None,)
        for block in blocks(path, name)
    ]


BLOCKS = {name: _blocks(name, path) for name, path in PAGES.items()}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server on nano, at whose address the pages' requests arrive."""
    with serving(load=lambda cancel: Guard("nano", threads=1, cancel=cancel)) as found:
        yield found


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the path, with an `edgeguard` that is this one."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "edgeguard"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edgeguard "$@"\n')
    script.chmod(0o755)
    return folder


@pytest.fixture
def edgeguard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


@pytest.mark.parametrize(
    "name", [name for name, found in BLOCKS.items() if any(not each.not_run for each in found)]
)
def test_the_blocks_of_a_page_run(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    edgeguard: CommandLine,
    launcher: Path,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEGUARD_THREADS", "1")
    monkeypatch.setenv("PATH", str(launcher), prepend=os.pathsep)
    for block in BLOCKS[name]:
        parses(block)
        if block.title:
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
        if block.not_run is not None or block.language not in RUN:
            continue
        at = SERVER
        if HOST in block.text:
            at = request.getfixturevalue("served").url
        if block.language == "python":
            python(block, block.text.replace(HOST, at.removeprefix("http:")))
        else:
            for step in steps(block):
                run(block, Step(step.command.replace(SERVER, at), step.output), edgeguard)


def python(block: Block, code: str) -> None:
    exec(compile("\n" * block.line + code, block.page, "exec"), {"__name__": "__main__"})


def run(block: Block, step: Step, edgeguard: CommandLine) -> None:
    words = shlex.split(step.command, comments=True)
    assert words[:2] not in ENDLESS, f"{block}: {words[1]} does not end"
    plain = words[0] == "edgeguard" and not re.search(r"[|<>;&$]", step.command)
    code, printed = in_process(words[1:], edgeguard) if plain else in_shell(step.command)
    told = re.search(r"# ends in (\d+)", step.command)
    expected = (int(told[1]),) if told else (0, 1)
    assert code in expected, f"{block}: {step.command} ended in {code}\n{printed}"
    difference = differs(step.output, printed)
    assert difference is None, f"{block}: {step.command}\n{difference}"


def in_process(words: list[str], edgeguard: CommandLine) -> tuple[int, str]:
    edgeguard.monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a new process
    edgeguard.capsys.readouterr()  # what a block of Python printed
    ended = edgeguard(*words)
    return ended.code, ended.err + ended.out


def in_shell(command: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", PAGES)
def test_every_block_says_what_it_is(name: str) -> None:
    for block in BLOCKS[name]:
        if block.language == "python" and block.not_run not in ELSEWHERE.values():
            compile(block.text, str(block), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if block.not_run is None:
            assert block.language in KNOWN, f"{block} is not run: say why, as `no-run: a reason`"
        else:
            assert len(block.not_run.split()) >= 3, f"{block}: {block.not_run!r} is no reason"


def test_most_blocks_of_python_and_consoles_run() -> None:
    found = [each for page in BLOCKS.values() for each in page if each.language in RUN]
    here = [each for each in found if each.not_run not in ELSEWHERE.values()]
    assert len(here) > 25
    assert sum(each.not_run is None for each in here) > len(here) / 2


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("Safe 97.5%\n", "Safe 97.6%\n", True),
        ("Safe 97.5%\n", "Safe 91.6%\n", False),
        ("Safe 97.5%\n", "Unsafe 97.5%\n", False),
        ("303 tokens in 0.02 s\n", "303 tokens in 1.50 s\n", True),
        ("303 tokens in 0.02 s\n", "304 tokens in 0.02 s\n", False),
        ("Safe\n…\n", "Safe\na\nb\n", True),
        ("…\nSafe\n", "Unsafe\n", False),
        ('{"a": …\n', '{"a": 1}\n', True),
        ("", "anything\n", True),
    ],
)
def test_what_is_printed_is_compared(shown: str, printed: str, same: bool) -> None:
    assert (differs(shown, printed) is None) is same
