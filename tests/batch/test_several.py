"""Several inputs of one run: one result for each, one summary, each resumed by itself."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_processes import end_when, run, size_of
from command_line import CommandLine
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard.batch.inputs import Inputs, inputs_of, results_of
from edgeguard.errors import InputError, OutputError

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
    "names",
    [["in"], ["in/a.jsonl", "in/b.csv", "in/c.txt"], ["in/*.[jct]*"], ["in/a*", "in/[bc]*"]],
)
def test_files_folders_and_patterns(edgeguard: CommandLine, names: list[str]) -> None:
    ended = edgeguard("batch", *names, "--out", "out")
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
    ("names", "out", "said"),
    [
        (["in"], "-", "--out is a folder"),
        (["in/b.csv", "in/c.txt"], "in/a.jsonl", "is a file: several inputs need a folder"),
        (["in", "in/a.jsonl"], "out", "named twice"),
        (["in/a.jsonl", "-"], "out", "standard input is one input"),
        (["in/*.xml"], "out", "no file is named"),
        (["in/a.jsonl", "absent.jsonl"], "out", "cannot read absent.jsonl"),
        (["in", "other/a.jsonl"], "out", "would have the result"),
        (["in/*.jsonl"], "in", "are the same file"),
        (["in"], "in", "all of in is judged, and the results in in would be part of it"),
        (["in"], "in/out", "the results in in/out would be part of it"),
        (["in/**/*.jsonl"], "in/out", "the results in in/out would be part of it"),
        (["sets/a.parquet", "sets/a.parquet/part.parquet"], "out", "named twice"),
        (["sets"], "out", "sets/b is incomplete"),
        (["sets/**/*.parquet"], "out", "sets/b is incomplete"),
        (["linked"], "out", "linked/in is a link to a folder"),
        (["empty"], "out", "no file in empty"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(
    edgeguard: CommandLine, names: list[str], out: str, said: str
) -> None:
    for name in ("other", "empty", "linked", "sets/a.parquet", "sets/b/_temporary"):
        Path(name).mkdir(parents=True)
    Path("other/a.jsonl").write_text('{"text": "Hello"}\n')
    Path("linked/in").symlink_to(Path("in").resolve())
    for name in ("a.parquet", "b/_temporary"):
        pq.write_table(pa.table({"text": ["Hello"]}), f"sets/{name}/part.parquet")
    ended = edgeguard("batch", *names, "--out", out)
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
        return sum(size_of(path) for path in out.glob("*.*") if ".job" not in path.name)

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


def _below() -> None:
    """Parts of a data set by day, a data set that is one input, and files in a folder below."""
    for folder in ("in/day=1", "in/day=2", "in/whole.parquet/hour=3", "in/logs.csv", "in/_hidden"):
        Path(folder).mkdir(parents=True)
    for name in ("day=1/part", "day=2/part", "whole.parquet/hour=3/part", "_hidden/part"):
        pq.write_table(pa.table({"text": [f"{CITY} {name}"]}), f"in/{name}.parquet")
    Path("in/logs.csv/part.csv").write_text("text\nHello\n")
    Path("in/day=1/_SUCCESS").touch()


LAID_OUT = [
    *RESULTS, "day=1/part.parquet", "day=2/part.parquet", "logs.csv/part.csv", "whole.parquet",
]  # fmt: skip


def _files(folder: str) -> list[str]:
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


@pytest.mark.parametrize("names", [["in"], ["./in/"], ["in/**/*.[jctp]*"]])
def test_results_lie_as_the_inputs_do(edgeguard: CommandLine, names: list[str]) -> None:
    _below()
    ended = edgeguard("batch", *names, "--out", "out")
    assert ended.code == 0, ended.err
    expected = LAID_OUT if "*" not in names[0] else [*LAID_OUT, "_hidden/part.parquet"]
    assert _files("out") == sorted(expected)
    day = pq.read_table("out/day=1/part.parquet", partitioning=None)
    assert day["verdict"].to_pylist()[0]["severity"] == "Safe"
    whole = pq.read_table("out/whole.parquet", partitioning=None)
    assert whole["hour"].to_pylist() == ["3"], "the folders of a data set are columns"
    if names == ["in"]:
        assert "in/README.md: left out, for the name says no format" in ended.err


def test_patterns_take_data_sets_and_leave_folders(edgeguard: CommandLine) -> None:
    _below()
    ended = edgeguard("batch", "in/*ho*", "--out", "out")
    assert ended.code == 0, ended.err
    assert _files("out") == ["whole.parquet"]
    ended = edgeguard("batch", "in/day=*", "--format", "parquet", "--out", "days")
    assert ended.code == 0, ended.err
    assert _files("days") == ["day=1.parquet", "day=2.parquet"]


def test_a_run_over_folders_goes_on_where_it_was(
    edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeguard.batch.job import to_file
    from edgeguard.commands import batch_runs

    _below()
    made: list[str] = []

    def ends(run_: object, record: object, out: Path, *more: object) -> object:
        if out.as_posix() == "out/day=2/part.parquet":
            raise OutputError("the disk is full")
        made.append(out.as_posix())
        return to_file(run_, record, out, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(batch_runs, "to_file", ends)
    assert edgeguard("batch", "in", "--out", "out").code == 2
    assert "out/day=1/part.parquet" in made
    known = json.loads(Path("out/.edgeguard-batch.json").read_text())
    assert set(known) == {name.removeprefix("out/") for name in made}
    monkeypatch.setattr(batch_runs, "to_file", to_file)
    ended = edgeguard("batch", "in", "--out", "out", "--resume")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("7 rows: 7 verdicts")
    assert _files("out") == sorted(LAID_OUT)


NAMES = st.sampled_from(["a.jsonl", "b.csv", "a.txt", "c.csv.gz", "x.md", "_a.csv", ".b.csv"])
PLACES = st.lists(st.sampled_from(["d", "day=1", "e.csv", "s.parquet"]), max_size=3)


@settings(max_examples=60)
@given(st.sets(st.tuples(PLACES.map(tuple), NAMES), min_size=1, max_size=8))
def test_every_file_of_a_folder_is_an_input_is_in_one_or_is_named(
    tmp_path_factory: pytest.TempPathFactory, files: set[tuple[tuple[str, ...], str]]
) -> None:
    root = tmp_path_factory.mktemp("any") / "in"
    for places, name in files:
        file = root.joinpath(*places, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    try:
        inputs = inputs_of([str(root)], None)
    except InputError as error:
        assert "there is no file in" in str(error)
        inputs = Inputs([], [])
    assert inputs is not None
    found = {Path(one.name) for one in inputs.found}
    for places, name in files:
        file = root.joinpath(*places, name)
        is_part = any(one in found and one.suffix == ".parquet" for one in file.parents)
        hidden = name.startswith((".", "_"))
        ways = [file in found, is_part, str(file) in inputs.left_out, hidden and not is_part]
        assert ways.count(True) == 1 or not inputs.found, (file, ways)
    try:
        results = results_of(inputs.found, root.parent / "out")
    except InputError as error:
        assert "would have the result" in str(error)
    else:
        assert len(set(results.values())) == len(inputs.found)
        for name, result in results.items():
            inside = Path(name).parent.relative_to(root)
            assert result.parent == root.parent / "out" / inside
