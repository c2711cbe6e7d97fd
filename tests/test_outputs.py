"""Results are new files, whole or not there, by the module and by every command that writes one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_line import CommandLine
from labelled import mild_rows, write_rows

from edgeguard.errors import InputError, OutputError
from edgeguard.outputs import check_outputs, publish, write_new


def test_a_name_that_is_taken_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    made, out = tmp_path / "made", tmp_path / "out"
    made.write_text("result")
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists now"):
        publish(made, out)
    assert (made.read_text(), out.read_text()) == ("result", "mine")
    with pytest.raises(OutputError, match="exists now"):
        write_new(str(out), "result")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "out"]


def test_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_new(str(tmp_path / "out"), "result")
    with pytest.raises(OutputError, match="exists now"):
        write_new(str(tmp_path / "out"), "other")
    assert (tmp_path / "out").read_text() == "result"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_new(str(tmp_path / ("x" * 300)), "result")
    with pytest.raises(UnicodeEncodeError):
        write_new(str(tmp_path / "out"), "\ud83d")
    assert list(tmp_path.iterdir()) == []


def test_one_file_by_two_names_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").write_text("mine")
    Path("soft").symlink_to("in")
    Path("hard").hardlink_to("in")
    for out in ("in", "./in", str(tmp_path / "in"), "soft", "hard", "../" + tmp_path.name + "/in"):
        with pytest.raises(InputError, match="IN and --out are the same file"):
            check_outputs({"--out": out}, {"IN": "in"})
        with pytest.raises(InputError, match="IN and --out are the same file"):
            check_outputs({}, {"IN": "in"}, own={"--out": out})
        with pytest.raises(InputError, match=r"exists|two results|the same file"):
            check_outputs({"--a": out}, own={"--b": "in"})
    Path("kept").write_text("records")
    names = {"--out": "new", "--other": None, "--third": "-"}
    check_outputs(names, {"IN": "in"}, own={"--own": "kept"})
    with pytest.raises(InputError, match="is a folder"):
        check_outputs({"--out": ""})


ROWS = "rows.jsonl"
COMMANDS = (
    ["batch", ROWS, "--out", "OUT.jsonl"],
    ["eval", ROWS, "--json", "OUT"],
    ["eval", ROWS, "--html", "OUT"],
    ["eval", ROWS, "--records", "OUT"],
    ["convert", "checkpoint", "--out", "OUT"],
)


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: " ".join(argv))
@pytest.mark.parametrize("kind", ["file", "link", "hard link", "dangling", "pipe"])
def test_no_command_writes_over_what_exists(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    argv: list[str],
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    Path("checkpoint").mkdir()
    write_rows(tmp_path / ROWS, mild_rows())
    Path("mine").write_text("mine")
    out = Path(argv[-1])
    if kind == "file":
        out.write_text("mine")
    elif kind == "pipe":
        os.mkfifo(out)
    elif kind == "hard link":
        out.hardlink_to("mine")
    else:
        out.symlink_to("mine" if kind == "link" else "absent")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    ended = CommandLine(capsys, monkeypatch)(*argv)
    assert ended.code == 2, ended.err
    assert "exists" in ended.err or "is not a file of records" in ended.err
    assert ended.out == ""
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


@pytest.mark.parametrize(
    "argv", [["tune"], ["calibrate", ROWS, "--recall", "0.5", "--save", "mine"]]
)
def test_a_home_that_cannot_be_written_is_said_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    argv: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / ROWS, mild_rows())
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    monkeypatch.setenv("EDGEGUARD_HOME", str(tmp_path))
    for name in ("tuning", "policies"):
        (tmp_path / name).write_text("no folder")

    def judge(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("edgeguard.commands.tune.tune", judge)
    monkeypatch.setattr("edgeguard.commands.calibrate.judge", judge)
    ended = CommandLine(capsys, monkeypatch)(*argv)
    assert ended.code == 2
    assert "cannot be written" in ended.err and "EDGEGUARD_HOME" in ended.err
