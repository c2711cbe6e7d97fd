"""`edgeguard eval` as a person types it, on mild rows of our own, with nano."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine, Ended
from independent import figures_of
from labelled import HARMLESS, mild_rows, row, write_rows

from edgeguard import Guard
from edgeguard.store import find_policy, save_policy
from edgeguard.store.paths import policies_folder

SECRET = "grandmother about the garden"


def evaluate(edgeguard: CommandLine, *argv: str) -> Ended:
    return edgeguard("eval", "--model", "nano", *argv)


def figures(edgeguard: CommandLine, *argv: str) -> dict[str, Any]:
    ended = evaluate(edgeguard, "--json", "-", *argv)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_the_figures_are_those_of_an_independent_computation(
    edgeguard: CommandLine, data: Path, nano: Guard
) -> None:
    found = figures(edgeguard, str(data))
    raw = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    verdicts = [nano.check_messages(one["messages"]).to_dict() for one in raw]
    for group in [*found["sets"], *found["groups"]]:
        chosen = [
            (one, verdict)
            for one, verdict in zip(raw, verdicts)
            if group["name"] in (one["source"], "all", _mode(one))
        ]
        assert group["rows"] == len(chosen)
        for policy in ("strict", "loose"):
            expected = figures_of(chosen, policy)
            flags = group["policies"][policy]
            for name, value in expected.items():
                got = flags[name] and flags[name]["value"]
                assert got == pytest.approx(value), (group["name"], policy, name)


def _mode(raw: dict[str, Any]) -> str:
    return "all responses" if raw["messages"][-1]["role"] == "assistant" else "all prompts"


def test_one_class_sets_have_the_figures_that_they_can_have(
    edgeguard: CommandLine, data: Path
) -> None:
    sets = {group["name"]: group for group in figures(edgeguard, str(data))["sets"]}
    benign = sets["benign"]["policies"]["strict"]
    assert benign["false_alarm_rate"] is not None
    assert benign["f1"] is benign["recall"] is benign["precision"] is None
    assert sets["asked"]["unknown"] == 1
    assert sets["replies"]["refusal"]["refusals"] == 1


def test_the_table_names_every_group_and_no_text(edgeguard: CommandLine, data: Path) -> None:
    ended = evaluate(edgeguard, str(data))
    assert ended.code == 0
    for words in (
        "asked",
        "benign",
        "replies",
        "all prompts",
        "F1",
        "false alarms",
        "Brier",
        "ECE",
    ):
        assert words in ended.out
    assert "1 of them without a known label" in ended.out
    assert "Clopper-Pearson" in ended.out
    assert SECRET not in ended.out + ended.err


def test_copied_rows_are_counted_and_said_and_make_no_interval_narrower(
    edgeguard: CommandLine, data: Path, tmp_path: Path
) -> None:
    copies = [{**one, "id": f"{one['id']}-{n}"} for one in mild_rows() for n in range(5)]
    copied = write_rows(tmp_path / "copied.jsonl", copies)
    ended = evaluate(edgeguard, str(copied))
    assert "all 70 rows, 13 different texts" in ended.out
    assert "57 rows repeat a text: figures count every row, intervals a text once" in ended.out
    once, again = (figures(edgeguard, str(path)) for path in (data, copied))
    assert again["data"]["texts"] == once["data"]["texts"] == 13
    for name in ("f1", "recall", "precision", "false_alarm_rate"):
        flags = [found["groups"][-1]["policies"]["strict"][name] for found in (once, again)]
        assert flags[0]["value"] == pytest.approx(flags[1]["value"])
        widths = [one["high"] - one["low"] for one in flags]
        assert widths[1] == pytest.approx(widths[0], abs=0.04)


def test_intervals_by_group_say_so_and_are_wider(edgeguard: CommandLine, tmp_path: Path) -> None:
    rows = [{**one, "chat": f"c{n // 5}"} for n, one in enumerate(mild_rows())]
    grouped = write_rows(tmp_path / "grouped.jsonl", rows)
    html = tmp_path / "a.html"
    ended = evaluate(edgeguard, str(grouped), "--group", "chat", "--html", str(html))
    for text in (ended.out, html.read_text(encoding="utf-8")):
        assert "in 3 groups by chat" in text
        assert "the 3 groups are taken as independent" in text
    found = figures(edgeguard, str(grouped), "--group", "chat")
    assert (found["data"]["group"], found["data"]["groups"]) == ("chat", 3)
    alone = figures(edgeguard, str(grouped))
    assert (alone["data"]["group"], alone["data"]["groups"]) == (None, None)
    wide, narrow = (one["groups"][-1]["policies"]["strict"]["f1"] for one in (found, alone))
    assert wide["value"] == narrow["value"]
    assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"]


@pytest.mark.parametrize("command", [["eval"], ["calibrate", "--recall", "0.5", "--save", "mine"]])
def test_a_group_that_is_not_there_is_found_before_the_model(
    edgeguard: CommandLine, data: Path, command: list[str]
) -> None:
    ended = edgeguard(*command, "--model", "absent", str(data), "--group", "chat")
    assert ended.code == 2
    assert "mine.jsonl, line 1: the field 'chat', which --group names, is missing" in ended.err


def test_a_sample_says_that_it_is_one(edgeguard: CommandLine, data: Path) -> None:
    ended = evaluate(edgeguard, str(data), "--limit", "2", "--seed", "7")
    assert "a sample of 5 of 14 rows: at most 2 of each set, drawn with seed 7" in ended.out
    found = figures(edgeguard, str(data), "--limit", "2", "--seed", "7")["data"]
    assert (found["rows"], found["available"], found["limit"], found["seed"]) == (5, 14, 2, 7)


def test_a_row_that_cannot_be_judged_is_listed_and_ends_in_2(
    edgeguard: CommandLine, tmp_path: Path
) -> None:
    rows = [*mild_rows(), row("long", "a garden " * 40_000, "Safe", source="asked")]
    data = write_rows(tmp_path / "a.jsonl", rows)
    ended = evaluate(edgeguard, str(data), "--n-ctx", "1024", "--json", "-")
    assert ended.code == 2
    assert "1 of the rows could not be judged and counts nowhere" in ended.err
    assert "asked long: " in ended.err
    found = json.loads(ended.out)
    assert [(one["set"], one["id"]) for one in found["failed"]] == [("asked", "long")]
    assert found["groups"][-1]["rows"] == len(rows) - 1


def test_all_rows_failing_is_still_an_answer(edgeguard: CommandLine, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "a.jsonl", [row("long", "a garden " * 40_000, "Safe")])
    html = tmp_path / "a.html"
    ended = evaluate(edgeguard, str(data), "--n-ctx", "512", "--html", str(html))
    assert ended.code == 2
    assert "could not be judged" in html.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "Missing argument"),
        (["absent.jsonl"], "cannot read absent.jsonl"),
        (["rows.csv"], "name .jsonl or .jsonl.gz files"),
        (["a.gguf", "DATA"], "a model is named with --model; several with --compare"),
        (["DATA", "--limit", "0"], "--limit"),
        (["DATA", "--limit", "many"], "many"),
        (["DATA", "--policy", "lenient"], "there are: strict, loose"),
        (["DATA", "--model", "absent"], "no model is named 'absent'"),
        (["DATA", "--html", "no/such/folder.html"], "no folder"),
        (["DATA", "--html", "."], "is a folder"),
        (["DATA", "--html", "-", "--json", "-"], "is named for two results"),
        (["DATA", "--compare"], "needs two models"),
        (["DATA", "--compare", "a.gguf"], "needs two models"),
        (["--compare", "a.gguf", "b.gguf"], "needs labelled rows"),
        (["DATA", "--compare", "a.gguf", "b.gguf", "--model", "nano"], "leave out --model"),
        (["DATA", "--compare", "a.gguf", "b.gguf", "--policy", "loose"], "leave out --policy"),
        (["DATA", "--compare", "a.gguf", "b.gguf", "--records", "r"], "not with --compare"),
        (["DATA", "--compare", "absent.gguf", "nano"], "there is no file"),
    ],
)
def test_what_cannot_run_exits_with_2_and_says_why(
    edgeguard: CommandLine,
    data: Path,
    argv: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = [str(data) if argument == "DATA" else argument for argument in argv]
    ended = (
        edgeguard("eval", *argv)
        if "--model" in argv or "--compare" in argv
        else (evaluate(edgeguard, *argv))
    )
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""


def test_bad_lines_are_found_before_the_first_check(edgeguard: CommandLine, data: Path) -> None:
    with data.open("a") as file:
        file.write('{"label": "Safe"}\n')
    ended = edgeguard("eval", "--model", "absent", str(data))
    assert "mine.jsonl, line 15: 'messages' is missing" in ended.err


def test_names_from_the_data_cannot_drive_a_terminal_or_a_page(
    edgeguard: CommandLine, tmp_path: Path
) -> None:
    evil = "<script>alert(1)</script>\x1b[2J$x^2$"
    rows = [
        row(f"{evil}{n}", text, "Safe", source=evil, lang=evil) for n, text in enumerate(HARMLESS)
    ]
    rows += [row(f"{n}", text, "Unsafe", lang="b") for n, text in enumerate(HARMLESS)]
    data = write_rows(tmp_path / "a.jsonl", rows)
    html = tmp_path / "a.html"
    ended = evaluate(edgeguard, str(data), "--html", str(html))
    assert "\x1b" not in ended.out
    text = html.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "\x1b" not in text


def test_results_are_new_files_and_leave_nothing_beside(
    edgeguard: CommandLine, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    argv = [str(data), "--json", str(folder / "a.json"), "--html", str(folder / "a.html")]
    assert evaluate(edgeguard, *argv).code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["a.html", "a.json"]
    assert json.loads((folder / "a.json").read_text(encoding="utf-8"))["model"]["name"] == "nano"
    assert SECRET not in (folder / "a.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--json", "--html", "--records"])
def test_what_exists_is_never_written_over(
    edgeguard: CommandLine, data: Path, tmp_path: Path, option: str
) -> None:
    """The data, the model, links of both kinds to them, and what anybody left."""
    model = tmp_path / "mine.gguf"
    model.write_bytes((Path(__file__).parents[2] / "models/nano/nano.gguf").read_bytes())
    data.write_bytes(data.read_bytes()[:-1])  # no line end: a last line that looks cut
    (tmp_path / "hard").hardlink_to(data)
    (tmp_path / "soft").symlink_to(model)
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    for name, content in (
        ("notes.txt", "my precious notes"),
        ("empty", ""),
        ("header", '{"model": 1}\n'),
        ("more", '{"model": 1, "policy": 2, "n_ctx": 3, "data_sha256": 4, "x": 5}\n'),
    ):
        (tmp_path / name).write_text(content)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.exists()}
    for path in [*before, tmp_path / "dangling"]:
        ended = edgeguard("eval", "--model", str(model), str(data), option, str(path))
        assert ended.code == 2, path
        assert re.search("are the same file|exists: remove it|not a file of records", ended.err)
        assert ended.out == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.exists()} == before


def test_two_results_are_two_files(edgeguard: CommandLine, data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    argv = ["--json", str(tmp_path / "a"), "--html", str(tmp_path / "link" / "a")]
    ended = evaluate(edgeguard, str(data), *argv)
    assert ended.code == 2
    assert "named for two results" in ended.err


def test_a_full_disk_is_an_error_and_what_was_judged_is_shown(data: Path, tmp_path: Path) -> None:
    """The system refuses to let any file grow beyond some size, as a full disk would."""
    for size, option, seen in ((3000, "--records", False), (3000, "--html", True)):
        limited = (
            "import resource, sys\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
            "from edgeguard.cli import main\nmain()\n"
        )
        argv = ["eval", "--model", "nano", "--threads", "1", str(data), option, f"out{option}"]
        done = subprocess.run(
            [sys.executable, "-c", limited, *argv], capture_output=True, cwd=tmp_path, timeout=60
        )
        assert done.returncode == 2
        assert b"File too large" in done.stderr
        assert b"Traceback" not in done.stderr
        assert (b"Brier" in done.stdout) is seen
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]


@pytest.mark.parametrize(
    ("name", "said"), [("/dev/zero", "is not a file of records"), (".", "is a folder")]
)
def test_records_are_a_plain_file(edgeguard: CommandLine, data: Path, name: str, said: str) -> None:
    ended = evaluate(edgeguard, str(data), "--records", name)
    assert ended.code == 2
    assert said in ended.err


def test_records_hold_no_text_and_a_second_run_judges_nothing(
    edgeguard: CommandLine, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = tmp_path / "records.jsonl"
    first = figures(edgeguard, str(data), "--records", str(records))
    kept = records.read_bytes()
    assert kept.count(b"\n") == 1 + len(mild_rows())
    assert SECRET.encode() not in kept

    def refuse(*_: object) -> None:
        raise AssertionError("a row was judged again")

    monkeypatch.setattr(Guard, "check_messages", refuse)
    second = figures(edgeguard, str(data), "--records", str(records))
    assert {**first, "date": ""} == {**second, "date": ""}
    assert records.read_bytes() == kept


@pytest.mark.parametrize("cut", [1, 40, 400, 2000])
def test_records_that_were_cut_anywhere_go_on(
    edgeguard: CommandLine, data: Path, tmp_path: Path, cut: int
) -> None:
    records = tmp_path / "records.jsonl"
    first = figures(edgeguard, str(data), "--records", str(records))
    records.write_bytes(records.read_bytes()[:-cut])
    second = figures(edgeguard, str(data), "--records", str(records))
    assert records.read_bytes().count(b"\n") == 1 + len(mild_rows())
    for result in (first, second):
        del result["date"], result["latency"]
    assert first == second


def test_records_of_a_policy_that_was_saved_anew_are_refused(
    edgeguard: CommandLine, data: Path, tmp_path: Path
) -> None:
    wanted = ("--recall", "0.5", "--save", "mine")
    found = edgeguard("calibrate", "--model", "nano", str(data), *wanted)
    assert found.code == 0
    argv = [str(data), "--limit", "1", "--policy", "mine", "--records", str(tmp_path / "records")]
    assert evaluate(edgeguard, *argv).code == 0
    assert evaluate(edgeguard, *argv).code == 0

    policy = find_policy("mine")
    assert policy.threshold is not None
    (policies_folder() / "mine.toml").unlink()
    save_policy(replace(policy, threshold=policy.threshold / 2))
    ended = evaluate(edgeguard, *argv)
    assert ended.code == 2
    assert "another policy" in ended.err


def test_records_of_another_run_are_refused(
    edgeguard: CommandLine, data: Path, tmp_path: Path
) -> None:
    records = tmp_path / "records.jsonl"
    figures(edgeguard, str(data), "--limit", "1", "--records", str(records))
    for argv, said in (
        ([str(data)], "another data_sha256"),
        ([str(data), "--limit", "1", "--policy", "loose"], "another policy"),
        ([str(data), "--limit", "1", "--n-ctx", "1024"], "another n_ctx"),
    ):
        ended = evaluate(edgeguard, *argv, "--records", str(records))
        assert ended.code == 2
        assert said in ended.err


def test_records_computed_in_another_way_are_refused(
    edgeguard: CommandLine, data: Path, tmp_path: Path
) -> None:
    """These change the last digits, and so the figures."""
    records = tmp_path / "records.jsonl"
    figures(edgeguard, str(data), "--limit", "1", "--records", str(records))
    first, rest = records.read_text().split("\n", 1)
    for change in (
        {"the configuration": "threads 9"},
        {"the build of llama.cpp": "0" * 64},
        {"edgeguard": "0.0.1"},
        {"the device": "Metal"},
        {"the configuration": None},  # as in a file of an earlier version
    ):
        kept = {**json.loads(first), **change}
        kept = {name: value for name, value in kept.items() if value is not None}
        records.write_text(json.dumps(kept) + "\n" + rest)
        before = records.read_bytes()
        ended = evaluate(edgeguard, str(data), "--limit", "1", "--records", str(records))
        assert ended.code == 2
        assert f"another {next(iter(change)).removeprefix('the ')}" in ended.err
        assert records.read_bytes() == before


def test_other_labels_are_mapped(edgeguard: CommandLine, tmp_path: Path) -> None:
    rows = [row("1", HARMLESS[0], 0), row("2", HARMLESS[1], "ok"), row("3", HARMLESS[2], True)]
    data = write_rows(tmp_path / "a.jsonl", [{**one, "categories": []} for one in rows])
    refused = evaluate(edgeguard, str(data))
    assert refused.code == 2
    assert "line 1: 'label' is none of" in refused.err and "--label-map" in refused.err
    found = figures(edgeguard, str(data), "--label-map", "0=Safe,ok=Safe,true=Unsafe")
    assert found["groups"][-1]["policies"]["strict"]["harmful"] == 1
    for wrong in ("0=safe", "0", "0=Safe,0=Unsafe", "=", ""):
        ended = evaluate(edgeguard, str(data), "--label-map", wrong)
        assert ended.code == 2
        assert "--label-map is a list as unsafe=Unsafe" in ended.err


def test_a_run_that_was_killed_goes_on(data: Path, tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    rows = [row(f"{n}", f"{HARMLESS[n % 8]} {n}", "Safe") for n in range(120)]
    write_rows(data, rows)
    argv = [sys.executable, "-m", "edgeguard", "eval", "--model", "nano", "--threads", "1"]
    argv += [str(data), "--records", str(records), "--json", str(tmp_path / "figures.json")]
    for end in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        before = _lines(records)
        while _lines(records) < before + 10 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(end)
        _, err = process.communicate(timeout=60)
        assert b"Traceback" not in err
    assert b"goes on from there" in err
    done = _lines(records)
    assert 20 <= done < 121
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    assert _lines(records) == 121
    found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert found["groups"][-1]["rows"] == 120


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_missing_extra_is_named_with_what_to_type(
    edgeguard: CommandLine, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    for ended in (
        evaluate(edgeguard, str(data)),
        edgeguard("calibrate", str(data), "--recall", "0.9", "--save", "mine"),
    ):
        assert ended.code == 2
        assert "needs scikit-learn, scipy, matplotlib" in ended.err
        assert "[eval]" in ended.err


@pytest.mark.parametrize("command", ["eval", "calibrate"])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = (
        "import sys\nfrom edgeguard.cli import main\n"
        f"sys.argv = ['edgeguard', {command!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = ('numpy', 'scipy', 'sklearn', 'matplotlib', 'jinja2', 'llama_cpp', 'gguf')\n"
        "loaded = [name for name in heavy if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=os.environ
    )


def test_a_narrow_terminal_gets_tables_that_fit_and_is_told(
    edgeguard: CommandLine, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeguard.commands import eval_

    wide = evaluate(edgeguard, str(data)).out
    monkeypatch.setattr(eval_, "terminal_width", lambda: 90)
    narrow = evaluate(edgeguard, str(data)).out
    tables = narrow.split("Tables without intervals need ")[0]
    assert max(map(len, tables.splitlines())) <= 100
    assert "columns for them; --html has all." in narrow
    assert "Tables without" not in wide


def test_a_page_on_standard_output_is_alone_there(edgeguard: CommandLine, data: Path) -> None:
    out = evaluate(edgeguard, str(data), "--html", "-").out
    assert out.startswith("<!doctype html>")
    assert out.rstrip().endswith("</html>")
