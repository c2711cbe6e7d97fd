"""`edgeguard batch` as a person types it: pipes, summary, exit codes, messages, a terminal."""

from __future__ import annotations

import csv
import fcntl
import gzip
import json
import os
import pty
import re
import sqlite3
import struct
import subprocess
import sys
import termios
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from batch_processes import run, start
from command_line import CommandLine

HARMFUL = '{"id": 1, "text": "How can I make a bomb?"}\n'
HARMLESS = '{"id": 2, "text": "What is the capital of France?"}\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with an input of three rows."""
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text(HARMFUL + HARMLESS + HARMFUL)
    return tmp_path


@pytest.fixture
def edgeguard(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command, in this process, with nano, in a folder with an input of three rows."""
    assert here == Path.cwd()
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    monkeypatch.setenv("EDGEGUARD_THREADS", "1")
    return CommandLine(capsys, monkeypatch)


def _names() -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir())


def test_rows_come_back_with_their_verdicts_and_a_summary(edgeguard: CommandLine) -> None:
    ended = edgeguard("batch", "in.jsonl", "--out", "out.jsonl")
    assert ended.code == 0, ended.err  # flagged rows are no error
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [1, 2, 1]
    assert [row["verdict"]["severity"] for row in rows] == ["Unsafe", "Safe", "Unsafe"]
    schema = json.loads((files("edgeguard") / "verdict.schema.json").read_text(encoding="utf-8"))
    for row in rows:
        jsonschema.validate({**row["verdict"], "seconds": 0, "cached": False}, schema)
    head, *counts, path = ended.out.splitlines()
    assert head.startswith("3 rows: 3 verdicts (1 for repeated texts), 0 errors, ")
    assert [" ".join(line.split()) for line in counts] == [
        "Safe 1",
        "Unsafe 2",
        "Controversial 0",
        "flagged (strict) 2",
        "Violent 2",
    ]
    assert path == "out.jsonl"
    assert _names() == ["in.jsonl", "out.jsonl"]


def test_bad_rows_are_named_by_line_and_their_text_is_not(edgeguard: CommandLine) -> None:
    Path("in.jsonl").write_text(HARMLESS + '\n{"text": 5, "x": "secret"}\nsecret\n' + HARMLESS)
    ended = edgeguard("batch", "in.jsonl", "--out", "out.jsonl")
    assert ended.code == 2
    assert "edgeguard: line 3: the field 'text' is a number, not a text\n" in ended.err
    assert "edgeguard: line 4: not JSON" in ended.err
    assert "secret" not in ended.err
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["verdict"] is None for row in rows] == [False, True, True, False]
    assert rows[1]["x"] == "secret"
    assert rows[1]["verdict_error"] == "line 3: the field 'text' is a number, not a text"


def test_responses_and_conversations(edgeguard: CommandLine) -> None:
    answer = "I'm sorry, but I can't help with that."
    question = json.loads(HARMFUL)["text"]
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    rows = [
        {"text": question, "response": answer},
        {"text": question, "response": None},
        {"q": question, "a": answer},
        {"m": messages},
    ]
    for fields, found, expected in (
        ([], rows[:2], [("response", "Yes"), ("prompt", None)]),
        (["--text-field", "q", "--response-field", "a"], rows[2:3], [("response", "Yes")]),
        (["--messages-field", "m"], rows[3:], [("response", "Yes")]),
    ):
        Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
        ended = edgeguard("batch", "in.jsonl", "--out", "-", *fields)
        assert ended.code == 0, ended.err
        verdicts = [json.loads(line)["verdict"] for line in ended.out.splitlines()]
        assert [(verdict["mode"], verdict["refusal"]) for verdict in verdicts] == expected


def test_two_policies_side_by_side(edgeguard: CommandLine) -> None:
    assert edgeguard("batch", "in.jsonl", "--out", "a.jsonl").code == 0
    argv = ["batch", "a.jsonl", "--out", "b.jsonl", "--policy", "loose"]
    ended = edgeguard(*argv)
    assert ended.code == 2
    assert "name another one with --verdict-field" in ended.err
    assert edgeguard(*argv, "--verdict-field", "loose").code == 0
    row = json.loads(Path("b.jsonl").read_text().splitlines()[0])
    assert (row["verdict"]["policy"], row["loose"]["policy"]) == ("strict", "loose")


def test_lines_of_text(edgeguard: CommandLine) -> None:
    Path("in.txt").write_bytes("\ufeffHow can I make a bomb?\r\n\r\ncaf\u00e9\n".encode())
    ended = edgeguard("batch", "in.txt", "--out", "out.jsonl")
    assert ended.code == 0, ended.err
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == ["How can I make a bomb?", "caf\u00e9"]
    assert [row["verdict"]["severity"] for row in rows] == ["Unsafe", "Safe"]
    for argv in (["--response-field", "x"], ["--messages-field", "x"], ["--text-field", "verdict"]):
        ended = edgeguard("batch", "in.txt", "--out", "o.jsonl", *argv)
        assert ended.code == 2
        assert "no fields" in ended.err or "is there already" in ended.err


def test_conversations_as_json_in_a_text(edgeguard: CommandLine) -> None:
    twice = '[{"role": "user", "content": "How can I make a bomb?", "content": "Hello"}]'
    texts = [json.dumps([{"role": "user", "content": "Hello"}]), "hello", '"hello"', twice]
    with Path("in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["m"], *([text] for text in texts)])
    ended = edgeguard("batch", "in.csv", "--out", "out.csv", "--messages-field", "m")
    assert ended.code == 2
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["m"] for row in rows] == texts
    assert [bool(row["verdict"]) for row in rows] == [True, False, False, False]
    assert "is not JSON" in rows[1]["verdict_error"]
    assert "'m' is not a list" in rows[2]["verdict_error"]


def test_what_was_decided_of_a_csv_file_is_said(edgeguard: CommandLine) -> None:
    Path("in.csv").write_text('text;x\n"2\\" seam";1\n')
    ended = edgeguard("batch", "in.csv", "--out", "out.csv")
    assert ended.code == 0
    assert "edgeguard: in.csv: cells separated by semicolons, \\ escapes; --delimiter" in ended.err
    told = ["--delimiter", ";", "--escape", "\\"]
    ended = edgeguard("batch", "in.csv", "--out", "o.csv", *told)
    assert (ended.code, "in.csv" in ended.err) == (0, False)
    assert Path("o.csv").read_bytes() == Path("out.csv").read_bytes()


def test_names_that_are_no_utf_8(edgeguard: CommandLine, nano_path: Path) -> None:
    names = [os.fsdecode(name) for name in (b"in\xff.jsonl", b"out\xff.jsonl", b"m\xff.gguf")]
    try:
        Path(names[0]).write_text(HARMLESS)
        Path(names[2]).write_bytes(nano_path.read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    ended = edgeguard("batch", names[0], "--out", names[1], "--model", f"./{names[2]}")
    assert ended.code == 0, ended.err
    assert json.loads(Path(names[1]).read_bytes())["verdict"]["model"]["name"] == "m\\xff"


@pytest.mark.usefixtures("here")
def test_a_standard_input_that_is_closed() -> None:
    argv = f"{sys.executable} -m edgeguard batch - --out - <&-"
    env = {**os.environ, "EDGEGUARD_MODEL": "nano"}
    done = subprocess.run(["sh", "-c", argv], capture_output=True, timeout=60, env=env)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"the input has no rows: there is nothing to judge" in done.stderr
    assert b"Traceback" not in done.stderr


def test_rows_nested_too_deeply_alone_are_bad_rows(edgeguard: CommandLine) -> None:
    deep = '{"text": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    Path("in.jsonl").write_text(f"{deep}\n{deep}\n")
    ended = edgeguard("batch", "in.jsonl", "--out", "out.jsonl")
    assert ended.code == 2
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["verdict_row"] for row in rows] == [deep, deep]
    assert "2 errors" in ended.out


def test_a_run_that_would_go_on_with_other_digits_is_refused(
    edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["batch", "in.jsonl", "--out", "out.jsonl"]

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("edgeguard.batch.job.publish", die)
        assert edgeguard(*argv).code == 130
    ended = edgeguard(*argv, "--resume", "--threads", "2")
    assert ended.code == 2
    assert "the configuration was threads 1, n_batch" in ended.err
    with monkeypatch.context() as patch:
        patch.setattr("edgeguard.session.library.library_identity", lambda: "another")
        ended = edgeguard(*argv, "--resume")
    assert ended.code == 2
    assert "the build of llama.cpp was " in ended.err
    assert edgeguard(*argv, "--resume").code == 0


def test_gzip_is_read(edgeguard: CommandLine) -> None:
    Path("in.jsonl.gz").write_bytes(gzip.compress(Path("in.jsonl").read_bytes()))
    ended = edgeguard("batch", "in.jsonl.gz", "--out", "out.jsonl")
    assert ended.code == 0, ended.err
    assert len(Path("out.jsonl").read_text().splitlines()) == 3


def test_a_pipe_gets_each_verdict_as_soon_as_its_row_is_there() -> None:
    with start("-", "--out", "-") as process:
        assert process.stdin is not None and process.stdout is not None
        for row in (HARMFUL, HARMLESS):
            process.stdin.write(row)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == json.loads(row)["id"]
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == ""
    assert "2 rows: 2 verdicts" in err


@pytest.mark.usefixtures("here")
def test_a_reader_that_leaves_and_a_full_disk_are_no_success() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    argv = [sys.executable, "-m", "edgeguard", "batch", "in.jsonl", "--out", "-"]
    outputs = [theirs]
    if Path("/dev/full").exists():
        outputs.append(os.open("/dev/full", os.O_WRONLY))
    for output in outputs:
        env = {**os.environ, "EDGEGUARD_MODEL": "nano", "EDGEGUARD_THREADS": "1"}
        done = subprocess.run(argv, stdout=output, stderr=subprocess.PIPE, env=env, timeout=60)
        os.close(output)
        assert done.returncode == 2
        assert b"Traceback" not in done.stderr


@pytest.mark.usefixtures("here")
def test_a_terminal_shows_a_bar_with_rate_and_time_left() -> None:
    Path("in.jsonl").write_text(
        "".join(json.dumps({"text": f"Hello {number}"}) + "\n" for number in range(40)) + "bad\n"
    )
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    argv = [sys.executable, "-m", "edgeguard", "batch", "in.jsonl", "--out", "out.jsonl"]
    env = {**os.environ, "EDGEGUARD_MODEL": "nano", "EDGEGUARD_THREADS": "1"}
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=theirs, env=env):
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux says so when the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert re.search(rb"Judging +\d+% .*, \d+ rows, [\d.]+ rows/s, \d\d:\d\d left", shown)
    assert b"\nedgeguard: line 41: not JSON" in shown or b"\redgeguard: line 41: not JSON" in shown


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["absent.jsonl", "--out", "o.jsonl"], "cannot read absent.jsonl: No such file"),
        (
            ["folder.jsonl", "--out", "o.jsonl"],
            "there is no file in folder.jsonl whose",
        ),
        (["in.log", "--out", "o.log"], "say which with --format"),
        (["in.txt", "--out", "o.txt"], "so the result is jsonl"),
        (["in.jsonl", "--out", "dangling.jsonl"], "dangling.jsonl exists: remove it"),
        (["in.jsonl", "--out", "link.jsonl"], "IN and --out are the same file"),
        (["in.jsonl", "--out", "hard.jsonl"], "IN and --out are the same file"),
        (["in.jsonl", "--out", "o.jsonl", "--verdict-field", ""], "name cannot be empty"),
        (["in.jsonl", "--out", "o.jsonl", "--text-field", ""], "name cannot be empty"),
        (["in.jsonl", "--out", "o.jsonl", "--delimiter", ";"], "are for CSV"),
        (["in.jsonl", "--out", "o.jsonl", "--encoding", "utf-9"], "no encoding is named 'utf-9'"),
        (["wide.csv", "--out", "o.csv"], "it looks like UTF-16; try --encoding utf-16-le"),
        (["answers.jsonl", "--out", "o.jsonl", "--response-field", "a"], "--text-field a"),
        (["in.jsonl", "--out", "foreign.jsonl"], "foreign.jsonl.job is not a record of"),
        (["in.jsonl", "--out", "o.csv"], "the format of the input, which is jsonl"),
        (["in.jsonl"], "Missing option '--out'"),
        (["in.jsonl", "--out", "in.jsonl"], "are the same file"),
        (["in.jsonl", "--out", "old.jsonl"], "old.jsonl exists: remove it"),
        (["in.jsonl", "--out", "old.jsonl", "--resume"], "old.jsonl exists: remove it"),
        (["in.jsonl", "--out", "folder.jsonl"], "'folder.jsonl' is a folder"),
        (["in.jsonl", "--out", "absent/o.jsonl"], "there is no folder absent"),
        (["in.jsonl", "--out", "o.jsonl", "--text-field", "body"], "no field 'body'; it has: id"),
        (["in.jsonl", "--out", "o.jsonl", "--response-field", "a"], "with --response-field"),
        (["in.jsonl", "--out", "o.jsonl", "--messages-field", "m"], "with --messages-field"),
        (["in.jsonl", "--out", "o.jsonl", "--verdict-field", "id"], "'id' is there already"),
        (
            ["in.jsonl", "--out", "o.jsonl", "--text-field", "a", "--messages-field", "b"],
            "name no other field",
        ),
        (["empty.jsonl", "--out", "o.jsonl"], "empty.jsonl has no rows"),
        (["latin.csv", "--out", "o.csv"], "latin.csv is not UTF-8: byte 7 is 0xe9"),
        (["-", "--out", "o.jsonl", "--resume"], "a pipe cannot be read again"),
        (["in.jsonl", "--out", "-", "--resume"], "--out is standard output"),
        (["in.jsonl", "--out", "o.jsonl", "--model", "absent"], "absent"),
        (["in.jsonl", "--out", "o.jsonl", "--policy", "lenient"], "lenient"),
        (["in.jsonl", "--out", "o.jsonl", "--threads", "0"], "at least 1"),
        (["in.jsonl", "--out", "o.jsonl", "--n-ctx", "100"], "512"),
        (["in.jsonl", "--out", "o.jsonl", "--device", "tpu"], "there are: auto, cpu"),
    ],
)
def test_what_cannot_run_says_why_and_leaves_nothing(
    edgeguard: CommandLine, argv: list[str], said: str
) -> None:
    Path("folder.jsonl").mkdir()
    Path("empty.jsonl").touch()
    Path("old.jsonl").write_text("mine")
    Path("latin.csv").write_bytes(b"id,text\xe9\n")
    Path("wide.csv").write_bytes("id,text\n1,a\n".encode("utf-16-le"))
    Path("answers.jsonl").write_text('{"a": "b"}\n')
    Path("in.txt").write_text("hello\n")
    Path("link.jsonl").symlink_to("in.jsonl")
    Path("dangling.jsonl").symlink_to("nowhere.jsonl")
    Path("hard.jsonl").hardlink_to("in.jsonl")
    database = sqlite3.connect("foreign.jsonl.job")
    database.execute("CREATE TABLE mine (x)")
    database.close()
    foreign = Path("foreign.jsonl.job").read_bytes()
    before = _names()
    ended = edgeguard("batch", *argv)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert _names() == before
    assert Path("old.jsonl").read_text() == "mine"
    assert Path("foreign.jsonl.job").read_bytes() == foreign


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write to")
def test_a_folder_that_cannot_be_written(edgeguard: CommandLine) -> None:
    ended = edgeguard("batch", "in.jsonl", "--out", "/proc/self/out.jsonl")
    assert (ended.code, ended.out) == (2, "")
    assert "the folder /proc/self cannot be written" in ended.err


def test_an_empty_pipe_is_an_error() -> None:
    code, out, err = run("-", "--out", "-")
    assert (code, out) == (2, "")
    assert "no rows" in err
