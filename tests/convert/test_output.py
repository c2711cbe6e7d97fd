"""The output is whole under its own name, or it is not there, and nothing else is left."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from edgeguard.convert import output
from edgeguard.errors import ConversionError

Usage = namedtuple("Usage", "total used free")


def test_an_existing_file_a_dangling_link_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(ConversionError, match="exists already; remove it, or choose another"):
            output.check(tmp_path / name, tmp_path)
    with pytest.raises(ConversionError, match="is a folder; name a file, such as"):
        output.check(tmp_path, tmp_path)
    with pytest.raises(ConversionError, match=r"there is no folder .*nowhere to put out in"):
        output.check(tmp_path / "nowhere" / "out", tmp_path)


def test_too_little_space_says_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 123_456_789))
    output.check_space(tmp_path / "out", 123_456_789)
    with pytest.raises(ConversionError, match=r"has 0.12 GB free, and the .* needs 1.60 GB"):
        output.check_space(tmp_path / "out", 1_600_000_000)


def test_a_scratch_file_goes_whatever_happens(tmp_path: Path) -> None:
    for kind in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(kind), output.scratch(tmp_path / "out") as path:
            path.write_text("half")
            raise kind
        assert list(tmp_path.iterdir()) == []


def test_publishing_moves_the_file_and_keeps_it(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with output.scratch(target) as path:
        path.write_text("whole")
        assert output.seal(path)[0] == 5
        output.publish(path, target)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert target.read_text() == "whole"


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_name_that_was_taken_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:
        monkeypatch.setattr(os, "link", _refuse(errno.EPERM))
    target = tmp_path / "out"
    with pytest.raises(ConversionError, match="exists already"), output.scratch(target) as path:
        target.write_text("theirs")
        output.publish(path, target)
    assert target.read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _refuse(errno.EOPNOTSUPP))
    with output.scratch(tmp_path / "out") as path:
        path.write_text("whole")
        output.publish(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk of .* is full; free some space, then try again"),
        (errno.EDQUOT, "is full"),
        (errno.EFBIG, "takes no file this large"),
        (errno.EROFS, "cannot be written: Read-only file system; choose another folder"),
        (errno.EACCES, "cannot be written: Permission denied; choose another folder"),
    ],
)
def test_what_the_system_refuses(tmp_path: Path, number: int, said: str) -> None:
    with pytest.raises(ConversionError, match=said), output.translated(tmp_path / "out"):
        _refuse(number)()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files")
def test_an_unwritable_folder() -> None:
    with (
        pytest.raises(ConversionError, match="/proc/self cannot be written"),
        output.scratch(Path("/proc/self/out")),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no open file anyway")
def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    target = tmp_path / "out"
    code = (
        "import os, sys; from pathlib import Path; from edgeguard.convert import output\n"
        "with output.scratch(Path(sys.argv[1])) as path: print(path, flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(target)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        with output.scratch(target) as ours:
            assert theirs.exists() and ours != theirs
        process.kill()
    assert theirs.exists()
    with output.scratch(target):
        assert not theirs.exists()


def _refuse(number: int):  # type: ignore[no-untyped-def]
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse
