"""Several inputs of one run: one result for each, one summary, each resumed by itself."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pytest
from batch_processes import end_when, run
from command_line import CommandLine

from edgeguard.errors import OutputError

BOMB, CITY = "How can I make a bomb?", "What is the capital of France?"


@pytest.fixture
def edgeguard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command, in this process, with nano, beside a folder of three inputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    monkeypatch.setenv("EDGEGUARD_THREADS", "1")
    _make(Path("in"))
    return CommandLine(capsys, monkeypatch)


def _make(folder: Path, rows: int = 1) -> None:
    folder.mkdir()
    texts = [f"{BOMB} {n}" for n in range(rows)]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "a.jsonl").write_text(lines)
    (folder / "b.csv").write_text("text\n" + "".join(f"{CITY} {n}\n" for n in range(rows)))
    (folder / "c.txt").write_text("".join(f"Hello {n}\n" for n in range(rows)))
    (folder / "README.md").write_text("no input")
    (folder / ".hidden.jsonl").write_text("no input")


RESULTS = ["a.jsonl", "b.csv", "c.jsonl"]


@pytest.mark.parametrize(
    "given",
    [["in"], ["in/a.jsonl", "in/b.csv", "in/c.txt"], ["in/*.[jct]*"], ["in/a*", "in/[bc]*"]],
)
def test_files_folders_and_patterns(edgeguard: CommandLine, given: list[str]) -> None:
    ended = edgeguard("batch", *given, "--out", "out")
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in Path("out").iterdir()) == RESULTS
    assert ended.out.startswith("3 rows: 3 verdicts (0 for repeated texts), 0 errors")
    assert ended.out.splitlines()[-3:] == [f"out/{name}" for name in RESULTS]
    assert json.loads(Path("out/a.jsonl").read_text())["verdict"]["severity"] == "Unsafe"


def test_each_result_is_that_of_its_input_alone(edgeguard: CommandLine) -> None:
    assert edgeguard("batch", "in", "--out", "out").code == 0
    for name, result in zip(("a.jsonl", "b.csv", "c.txt"), RESULTS):
        assert edgeguard("batch", f"in/{name}", "--out", f"alone-{result}").code == 0
        assert Path(f"alone-{result}").read_bytes() == Path(f"out/{result}").read_bytes()


def test_a_row_without_a_verdict_gives_the_exit_code(edgeguard: CommandLine) -> None:
    Path("in/a.jsonl").write_text('{"text": "Hello"}\n{"text": 5}\n')
    ended = edgeguard("batch", "in", "--out", "out")
    assert ended.code == 2
    assert "line 2: the field 'text' is a number" in ended.err
    assert len(Path("out/b.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("given", "out", "said"),
    [
        (["in"], "-", "--out is a folder"),
        (["in"], "in/a.jsonl", "is a file: several inputs need a folder"),
        (["in", "in/a.jsonl"], "out", "named twice"),
        (["in/a.jsonl", "-"], "out", "standard input is one input"),
        (["in/*.xml"], "out", "no file is named"),
        (["in/a.jsonl", "absent.jsonl"], "out", "cannot read absent.jsonl"),
        (["in", "other/a.jsonl"], "out", "would have the result"),
        (["in"], "in", "are the same file"),
        (["empty"], "out", "no file in empty"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(
    edgeguard: CommandLine, given: list[str], out: str, said: str
) -> None:
    for name in ("other", "empty"):
        Path(name).mkdir()
    Path("other/a.jsonl").write_text('{"text": "Hello"}\n')
    ended = edgeguard("batch", *given, "--out", out)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert not Path("out").exists() or not list(Path("out").iterdir())


def test_a_result_that_is_there_is_not_written_over(edgeguard: CommandLine) -> None:
    Path("out").mkdir()
    Path("out/b.csv").write_text("mine")
    for more in ([], ["--resume"]):
        ended = edgeguard("batch", "in", "--out", "out", *more)
        assert ended.code == 2
        assert "out/b.csv exists" in ended.err
        assert Path("out/b.csv").read_text() == "mine"


def test_killed_at_any_moment_until_it_is_done(tmp_path: Path) -> None:
    folder, plain, out = tmp_path / "in", tmp_path / "plain", tmp_path / "out"
    _make(folder, rows=25)
    code, said, err = run(str(folder), "--out", str(plain))
    assert code == 0, err
    summary = said.split(" errors")[0]
    chance = random.Random(7)

    def written() -> int:
        return sum(path.stat().st_size for path in out.glob("*.*") if ".job" not in path.name)

    for _ in range(3):
        due = written() + chance.randrange(1, 12_000)

        def far(due: int = due) -> bool:
            return written() > due

        code, _, err = end_when(far, str(folder), "--out", str(out), "--resume")
        assert code in (-signal.SIGKILL, 0), err
    code, said, err = run(str(folder), "--out", str(out), "--resume")
    if code != 0:  # it was done before the last kill
        assert "exists" in err
    else:
        assert said.startswith(summary)
    assert sorted(path.name for path in out.iterdir()) == RESULTS
    for name in RESULTS:
        assert (out / name).read_bytes() == (plain / name).read_bytes()


def test_what_is_finished_is_held_to_what_it_was_made_of(
    edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeguard.batch.job import to_file
    from edgeguard.commands import batch_runs

    def ends(run_: object, record: object, out: Path, *more: object) -> object:
        if out.name == "b.csv":
            raise OutputError("the disk is full")
        return to_file(run_, record, out, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(batch_runs, "to_file", ends)
    assert edgeguard("batch", "in", "--out", "out").code == 2
    monkeypatch.setattr(batch_runs, "to_file", to_file)
    assert "of an earlier run" in edgeguard("batch", "in", "--out", "out").err
    ended = edgeguard("batch", "in", "--out", "out", "--resume", "--policy", "loose")
    assert ended.code == 2
    assert "a.jsonl was made in another way" in ended.err
    text = Path("in/a.jsonl").read_text()
    Path("in/a.jsonl").write_text(text + text)
    assert (
        "a.jsonl was made in another way"
        in edgeguard("batch", "in", "--out", "out", "--resume").err
    )
    Path("in/a.jsonl").write_text(text)
    ended = edgeguard("batch", "in", "--out", "out", "--resume")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("3 rows: 3 verdicts")
    assert sorted(path.name for path in Path("out").iterdir()) == RESULTS
