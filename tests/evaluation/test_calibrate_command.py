"""`edgeguard calibrate` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import CommandLine
from labelled import HARMFUL, HARMLESS, row, write_rows

from edgeguard.protocol.names import CATEGORIES
from edgeguard.store import find_policy, saved_policies


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Twenty harmless and twelve harmful rows."""
    rows = [row(f"s-{n}", f"{HARMLESS[n % 8]} {n}", "Safe") for n in range(20)]
    rows += [row(f"h-{n}", f"{HARMFUL[n % 4]} {n}", "Unsafe") for n in range(12)]
    return write_rows(tmp_path / "many.jsonl", rows)


def _calibrate(edgeguard: CommandLine, *argv: str):  # type: ignore[no-untyped-def]
    return edgeguard("calibrate", "--model", "nano", *argv)


def test_a_policy_is_saved_and_taken(edgeguard: CommandLine, many: Path) -> None:
    ended = _calibrate(edgeguard, str(many), "--false-alarms", "0.1", "--save", "mine")
    assert ended.code == 0
    policy = find_policy("mine")
    assert policy.calibration is not None
    assert policy.calibration.false_alarms <= 2
    assert (policy.calibration.harmless, policy.calibration.harmful) == (20, 12)
    assert policy.calibration.model == "nano q8_0"
    assert "P(Unsafe) + P(Controversial) ≥ " in ended.out
    assert "With 95 % confidence, at most " in ended.out
    assert "use it with --policy mine" in ended.out
    judged = edgeguard("eval", "--model", "nano", "--policy", "mine", "--json", "-", str(many))
    flags = json.loads(judged.out)["groups"][-1]["policies"]["mine"]
    assert flags["false_alarms"] == policy.calibration.false_alarms
    assert flags["hits"] == policy.calibration.hits


def test_recall_and_the_loose_base(edgeguard: CommandLine, many: Path) -> None:
    argv = ("--recall", "0.9", "--base", "loose", "--save", "mine")
    ended = _calibrate(edgeguard, str(many), *argv)
    assert ended.code == 0
    policy = find_policy("mine")
    assert policy.harmful == ("Unsafe",)
    assert policy.calibration is not None and policy.calibration.hits >= 11
    assert "at least " in ended.out and "of harmful texts" in ended.out


def test_repeats_are_folded_and_said(edgeguard: CommandLine, many: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in many.read_text().splitlines()]
    copies = [{**one, "id": f"{one['id']}-{n}"} for one in rows for n in range(4)]
    # One text labelled both ways, and one whose label nobody knows.
    copies += [{**rows[0], "id": "both", "label": "Unsafe", "categories": []}]
    copies += [{**rows[1], "id": "none", "label": "unknown"}]
    argv = ("--false-alarms", "0.1", "--save")
    once = _calibrate(edgeguard, str(many), *argv, "once")
    again = _calibrate(edgeguard, str(write_rows(tmp_path / "a.jsonl", copies)), *argv, "again")
    assert (once.code, again.code) == (0, 0), again.err
    assert "129 rows hold 32 different texts: each counts once." in again.out
    assert "Labelled both ways, and counted in both classes: 1 of them." in again.out
    assert "1 rows are left out" in again.out
    assert "different texts" not in once.out
    promises = [
        next(line for line in ended.out.splitlines() if line.startswith("With 95 %"))
        for ended in (once, again)
    ]
    assert promises[0].split(" of harmless")[0] == promises[1].split(" of harmless")[0]
    found = find_policy("again").calibration
    assert found is not None and (found.harmless, found.harmful) == (20, 13)


def test_a_bound_by_group_is_wider_and_says_so(
    edgeguard: CommandLine, many: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in many.read_text().splitlines()]
    rows = [{**one, "template": f"t{n // 4}"} for n, one in enumerate(rows)]
    path = str(write_rows(tmp_path / "a.jsonl", rows))
    argv = ("--false-alarms", "0.1", "--save")
    alone = _calibrate(edgeguard, path, *argv, "alone")
    grouped = _calibrate(edgeguard, path, *argv, "grouped", "--group", "template")
    assert "The 8 groups by template are what is taken as independent." in grouped.out
    bounds = [float(ended.out.split("at most ")[1].split(" %")[0]) for ended in (alone, grouped)]
    assert bounds[0] + 5 < bounds[1] < 100


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--save", "mine"], "one of --false-alarms and --recall"),
        (
            ["--save", "mine", "--recall", "0.9", "--false-alarms", "0.1"],
            "one of --false-alarms and --recall",
        ),
        (["--recall", "0.9"], "--save"),
        (["--recall", "0.9", "--save", "../mine"], "cannot be a policy's name"),
        (["--recall", "0.9", "--save", "strict"], "is an official policy"),
        (["--recall", "0.99", "--save", "mine"], "12 harmful rows, too few"),
        (["--recall", "95", "--save", "mine"], "between 0 and 1"),
        (["--recall", "much", "--save", "mine"], "much"),
        (["--recall", "0.9", "--save", "mine", "--model", "absent"], "no model is named"),
        (["--recall", "0.9", "--save", "mine", "absent.jsonl"], "cannot read absent.jsonl"),
    ],
)
def test_what_cannot_be_calibrated_saves_nothing(
    edgeguard: CommandLine, many: Path, argv: list[str], said: str
) -> None:
    ended = _calibrate(edgeguard, str(many), *argv)
    assert ended.code == 2
    assert said in ended.err
    assert saved_policies() == ()


def test_a_policy_that_is_there_is_not_overwritten(edgeguard: CommandLine, many: Path) -> None:
    assert _calibrate(edgeguard, str(many), "--recall", "0.9", "--save", "mine").code == 0
    before = find_policy("mine")
    again = _calibrate(edgeguard, str(many), "--recall", "0.5", "--save", "mine")
    assert again.code == 2
    assert "there is a policy mine already" in again.err
    assert find_policy("mine") == before


def test_a_row_that_cannot_be_judged_saves_nothing(edgeguard: CommandLine, many: Path) -> None:
    long = row("long", "a garden " * 40_000, "Safe")
    with many.open("a") as file:
        file.write(json.dumps(long) + "\n")
    argv = ("--n-ctx", "512", "--recall", "0.9", "--save", "mine")
    ended = _calibrate(edgeguard, str(many), *argv)
    assert ended.code == 2
    assert "many long: " in ended.err
    assert "no policy is saved" in ended.err
    assert saved_policies() == ()


def test_thresholds_by_category_where_the_rows_suffice(
    edgeguard: CommandLine, many: Path, tmp_path: Path
) -> None:
    argv = ("--false-alarms", "0.1", "--by-category", "--save", "mine")
    ended = _calibrate(edgeguard, str(many), *argv)
    assert ended.code == 0, ended.err
    policy = find_policy("mine")
    ((category, threshold),) = policy.categories
    assert category == "Violent" and 0 < threshold <= 1  # type: ignore[operator]
    assert policy.calibration is not None and policy.threshold is not None
    assert "Copyright Violation: left to the threshold above (0 harmful rows" in ended.out
    assert "All of it together, on the rows that it was found on: recall " in ended.out
    rows = [json.loads(line) for line in many.read_text().splitlines()]
    written = tmp_path / "judged.jsonl"
    many.write_text("".join(json.dumps({"text": r["messages"][0]["content"]}) + "\n" for r in rows))
    judged = edgeguard(
        *("batch", str(many), "--out", str(written), "--model", "nano", "--policy", "mine")
    )
    assert judged.code == 0, judged.err
    verdicts = [json.loads(line)["verdict"] for line in written.read_text().splitlines()]
    for verdict in verdicts:
        assert verdict["category_probabilities"].keys() == set(CATEGORIES)
        assert verdict["flagged"] is (verdict["reason"] != "")
    assert sum(verdict["flagged"] for verdict in verdicts[:20]) <= 4  # two rules of 0.1 each
    assert any("categories.Violent >= " in verdict["reason"] for verdict in verdicts)
