"""list, show, verify, path, rm: the models on this machine, from the command line."""

from __future__ import annotations

import importlib.resources
import json
import os
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from checkpoints import write_checkpoint
from command_line import CommandLine
from fake_models import CONTENT, install_fake
from fake_nano import write_nano
from gguf_files import foreign

from edgeguard.commands import rm
from edgeguard.convert import convert
from edgeguard.store import checksum, paths
from edgeguard.store.manifest import MANIFEST
from edgeguard.store.store import installed


@pytest.fixture
def edgeguard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


@pytest.fixture(autouse=True)
def nano(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built-in model that is small, whatever the checkout has."""
    path = write_nano(tmp_path / "package")
    monkeypatch.setattr(importlib.resources, "files", lambda _package: path.parent)
    return path


def _gguf(nano: Path) -> None:
    install_fake(content=nano)


def test_list_of_nothing_has_nano(edgeguard: CommandLine) -> None:
    ended = edgeguard("list")
    assert ended.code == 0
    assert ended.err == ""
    header, *lines = ended.out.splitlines()
    assert header.split() == ["NAME", "TYPE", "SIZE", "SHA256"]
    assert [line.split()[:3] for line in lines] == [
        ["nano", "q8_0", "0.0"],
        ["nano-stream", "q8_0", "0.0"],
    ]


def test_list_marks_the_default(edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake(kind="q4_k_m")
    install_fake(kind="q8_0")
    lines = edgeguard("ls").out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("*")] == ["*"]
    assert "gen-0.6b-q4_k_m" in lines[1]
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    marked = [line for line in edgeguard("list").out.splitlines() if line.startswith("*")]
    assert [line.split()[1] for line in marked] == ["nano"]


def test_list_as_json(edgeguard: CommandLine) -> None:
    model = install_fake()
    rows = [json.loads(line) for line in edgeguard("list", "--json").out.splitlines()]
    assert rows[0] == {
        "name": "gen-0.6b-q4_k_m",
        "type": "q4_k_m",
        "size": len(CONTENT),
        "sha256": model.described.sha256,
        "default": True,
        "problem": None,
    }
    assert [row["name"] for row in rows[1:]] == ["nano", "nano-stream"]


def test_list_shows_damage_and_goes_on(edgeguard: CommandLine) -> None:
    install_fake().path.write_bytes(b"")
    (install_fake(kind="q8_0").folder / MANIFEST).write_text("{")
    ended = edgeguard("list")
    assert ended.code == 0
    assert ended.out.count("damaged") == 2
    assert "edgeguard rm gen-0.6b-q4_k_m" in ended.err
    assert "nano" in ended.out


def test_show(edgeguard: CommandLine, nano: Path) -> None:
    _gguf(nano)
    ended = edgeguard("show", "gen-0.6b")
    assert ended.code == 0
    for line in (
        "name: gen-0.6b-q4_k_m",
        "repo: somebody/something",
        f"sources.config.json: {'1' * 64}",
        "general.architecture: qwen3",
    ):
        assert line in ended.out.splitlines()
    facts = json.loads(edgeguard("show", "--json", "gen-0.6b").out)
    assert facts["metadata"]["general.name"] == "nano"
    assert facts["path"] == str(installed()[0].path)


def test_show_of_a_file_and_of_nano(edgeguard: CommandLine, nano: Path) -> None:
    for name in (str(nano), "nano"):
        facts = json.loads(edgeguard("show", name, "--json").out)
        assert facts["type"] == "q8_0"
        assert len(facts["sha256"]) == 64
        assert "repo" not in facts


def test_show_writes_no_escape_sequence(edgeguard: CommandLine, tmp_path: Path) -> None:
    import gguf

    path = tmp_path / "hostile.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_string("general.name", "\x1b]0;owned\x07\nname: trusted")
    writer.add_float32("a.b", float("nan"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    ended = edgeguard("show", str(path))
    assert "\x1b" not in ended.out
    assert "\nname: trusted" not in ended.out
    json.loads(edgeguard("show", str(path), "--json").out, parse_constant=pytest.fail)


def test_show_of_what_is_no_model(edgeguard: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"nonsense")
    ended = edgeguard("show", str(tmp_path / "x.gguf"))
    assert (ended.code, ended.out) == (2, "")
    assert "is no GGUF file" in ended.err


def test_verify_all(edgeguard: CommandLine) -> None:
    install_fake()
    ended = edgeguard("verify")
    assert (ended.code, ended.out) == (0, "gen-0.6b-q4_k_m: OK\nnano: OK\nnano-stream: OK\n")


def test_verify_reads_the_file_even_if_its_times_fit(edgeguard: CommandLine) -> None:
    model = install_fake()
    install_fake(kind="q8_0")
    status = model.path.stat()
    model.path.write_bytes(CONTENT[::-1])
    os.utime(model.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ended = edgeguard("verify")
    assert ended.code == 2
    assert "gen-0.6b-q4_k_m: FAILED: " in ended.out
    assert "gen-0.6b-q8_0: OK" in ended.out
    assert edgeguard("verify", "gen-0.6b-q8_0").code == 0
    assert edgeguard("verify", "gen-0.6b").code == 2


def test_verify_nano(edgeguard: CommandLine, nano: Path) -> None:
    assert edgeguard("verify", "nano").out == "nano: OK\n"
    nano.write_bytes(nano.read_bytes()[::-1])
    assert edgeguard("verify", "nano").code == 2
    nano.with_name("nano.gguf.sha256").unlink()
    assert edgeguard("verify", "nano").code == 2


def test_verify_of_a_file(edgeguard: CommandLine, tmp_path: Path, nano: Path) -> None:
    folder = tmp_path / "files"
    small: dict[str, Any] = {"hidden": 64, "ffn": 128, "heads": 2, "kv_heads": 1, "head_dim": 32}
    write_checkpoint(folder / "checkpoint", **small)
    ours, theirs, hole = folder / "ours.gguf", folder / "theirs.gguf", folder / "hole.gguf"
    data = convert(folder / "checkpoint", ours, type="q8_0", trust_template=True).path.read_bytes()
    theirs.write_bytes(foreign(data))
    hole.write_bytes(data[:-20_000] + bytes(20_000))
    ended = edgeguard("verify", str(ours))
    assert (ended.code, ended.out) == (0, f"{ours}: OK (its content is what its own digest says)\n")
    ended = edgeguard("verify", str(theirs))
    assert ended.code == 0 and "carries no digest" in ended.out
    hole_said = f"{hole}: FAILED: {hole} is damaged: its content is not what its own digest says"
    ended = edgeguard("verify", str(hole))
    assert ended.code == 2 and ended.out.startswith(hole_said)
    ended = edgeguard("verify", str(nano))
    assert ended.code == 0 and "it is a built-in model" in ended.out
    assert edgeguard("verify", str(folder)).code == 2
    assert edgeguard("verify", str(folder / "none.gguf")).code == 2


def test_what_was_changed_with_its_old_time_is_seen_everywhere(
    edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksum, "_SETTLED_SECONDS", 0.0)
    model = install_fake()
    assert edgeguard("list").err == ""
    status = model.path.stat()
    model.path.write_bytes(CONTENT[::-1])
    os.utime(model.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ended = edgeguard("list")
    assert "damaged" in ended.out and "its sha256 is not the recorded one" in ended.err
    for command in (["show", "gen-0.6b"], ["check", "--model", "gen-0.6b", "Hello"]):
        ended = edgeguard(*command)
        assert ended.code == 2 and "gen-0.6b-q4_k_m is damaged" in ended.err


def test_a_built_in_model_that_was_changed(edgeguard: CommandLine, nano: Path) -> None:
    nano.write_bytes(nano.read_bytes()[:-1] + b"x")
    for command in (["list"], ["check", "--model", "nano", "Hello"]):
        assert "is not what was released; install edgeguard again" in edgeguard(*command).err


def test_verify_of_nothing(edgeguard: CommandLine) -> None:
    ended = edgeguard("verify", "gen-99b")
    assert (ended.code, ended.out) == (2, "")
    assert "no model is named 'gen-99b'" in ended.err


def test_path(edgeguard: CommandLine, nano: Path) -> None:
    assert edgeguard("path").out == f"{paths.models_folder()}\n"
    assert edgeguard("path", "nano").out == f"{nano}\n"
    assert edgeguard("path", "gen-0.6b").code == 2
    model = install_fake()
    assert edgeguard("path", "gen-0.6b").out == f"{model.path}\n"


def test_rm_needs_a_terminal_or_yes(edgeguard: CommandLine) -> None:
    install_fake()
    ended = edgeguard("rm", "gen-0.6b")
    assert ended.code == 2
    assert "edgeguard rm --yes gen-0.6b-q4_k_m" in ended.err
    assert len(installed()) == 1
    assert edgeguard("rm", "-y", "gen-0.6b").code == 0
    assert installed() == ()


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 2)])
def test_rm_asks(
    edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int
) -> None:
    install_fake()
    asked: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return answer

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", confirm)
    assert edgeguard("rm", "gen-0.6b").code == code
    assert asked == ["Remove gen-0.6b-q4_k_m (0 MB)?"]
    assert len(installed()) == (0 if answer else 1)
    assert rm.command.name == "rm"


def test_rm_of_several_types_asks_which(edgeguard: CommandLine) -> None:
    install_fake(kind="q4_k_m")
    install_fake(kind="q8_0")
    ended = edgeguard("rm", "-y", "gen-0.6b")
    assert ended.code == 2
    assert "name one: gen-0.6b-q4_k_m, gen-0.6b-q8_0" in ended.err
    assert len(installed()) == 2


@pytest.mark.parametrize("name", ["nano", "nano-stream", "x", "..", "../up", "/etc", ".lock", ""])
def test_rm_refuses(edgeguard: CommandLine, nano: Path, name: str) -> None:
    install_fake()
    ended = edgeguard("rm", "-y", "--", name)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert nano.exists()
    assert len(installed()) == 1


def test_rm_takes_a_damaged_model(edgeguard: CommandLine) -> None:
    model = install_fake()
    (model.folder / MANIFEST).write_text("{")
    assert edgeguard("rm", "-y", "gen-0.6b-q4_k_m").code == 0
    assert installed() == ()


@pytest.mark.usefixtures("no_home")
def test_pull_errors_are_one_line(edgeguard: CommandLine) -> None:
    for arguments in (("nano",), ("nano-stream",), ("gen-99b",), ("--type", "q9")):
        ended = edgeguard("pull", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert len(ended.err.splitlines()) == 1
    assert not paths.home().exists()
