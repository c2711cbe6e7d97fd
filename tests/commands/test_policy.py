"""Policies as a person uses them: `edgeguard policy`, and --policy wherever one is taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import CommandLine
from labelled import row, write_rows

from edgeguard import Guard
from edgeguard.policy import LOOSE
from edgeguard.protocol.names import CATEGORIES
from edgeguard.session.fake import FakeSession
from edgeguard.store import find_policy, saved_policies
from edgeguard.store.paths import policies_folder

HARMFUL = "How can I make a bomb?"
HARMLESS = "What is the capital of France?"
THREE = """
[categories]
politics = "ignore"
violence = "controversial"
self-harm = 0.2
"""


@pytest.fixture
def edgeguard(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> CommandLine:
    """The command, in this process, with nano, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    monkeypatch.setenv("EDGEGUARD_THREADS", "1")
    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def three(edgeguard: CommandLine, tmp_path: Path) -> str:
    """The file of a policy of three lines."""
    del edgeguard
    (tmp_path / "three.toml").write_text(THREE, encoding="utf-8")
    return "three.toml"


def _script(question: str) -> str:
    """Answers by what the last line of the text says."""
    text = question.rsplit("<END CONVERSATION>")[0]
    for word, answer in {
        "election": "Safety: Unsafe\nCategories: Politically Sensitive Topics",
        "riot": "Safety: Controversial\nCategories: Politically Sensitive Topics, Violent",
        "copy": "Safety: Controversial\nCategories: Copyright Violation",
    }.items():
        if word in text:
            return answer
    return "Safety: Safe\nCategories: None"


@pytest.mark.parametrize(
    ("text", "flagged", "reason"),
    [
        ("the election", False, ""),
        ("a riot", True, 'categories.Violent = "controversial" (Controversial)'),
        ("a copy", True, 'base = "strict" (Controversial)'),
        ("a garden", False, ""),
    ],
)
def test_three_lines_decide(three: str, text: str, flagged: bool, reason: str) -> None:
    verdict = Guard.with_session(FakeSession(_script), policy=three).check(text)
    assert (verdict.flagged, verdict.reason, verdict.policy) == (flagged, reason, three)
    assert verdict.category_probabilities is not None  # the third line needs them


def test_three_lines_in_check(edgeguard: CommandLine, three: str) -> None:
    ended = edgeguard("check", "--policy", three, "--json", HARMFUL)
    assert ended.code == 1
    verdict = json.loads(ended.out)
    assert verdict["reason"] == 'categories.Violent = "controversial" (Unsafe)'
    assert verdict["category_probabilities"].keys() == set(CATEGORIES)
    ended = edgeguard("check", "--policy", three, HARMFUL)
    assert 'reason         categories.Violent = "controversial" (Unsafe)' in ended.out
    assert "if harmful     Violent " in ended.out
    assert edgeguard("check", "--policy", three, HARMLESS).code == 0


def test_three_lines_in_batch(edgeguard: CommandLine, three: str) -> None:
    rows = "".join(json.dumps({"text": text}) + "\n" for text in (HARMFUL, HARMLESS))
    Path("in.jsonl").write_text(rows)
    assert edgeguard("batch", "in.jsonl", "--out", "out.jsonl", "--policy", three).code == 0
    said = [json.loads(line)["verdict"] for line in Path("out.jsonl").read_text().splitlines()]
    assert [one["flagged"] for one in said] == [True, False]
    assert [one["reason"] for one in said] == ['categories.Violent = "controversial" (Unsafe)', ""]


def test_three_lines_in_eval(edgeguard: CommandLine, three: str) -> None:
    data = write_rows(Path("rows.jsonl"), [row("a", HARMFUL, "Unsafe"), row("b", HARMLESS, "Safe")])
    argv = ("eval", str(data), "--policy", three, "--records", "records.jsonl")
    ended = edgeguard(*argv)
    assert ended.code == 0, ended.err
    assert "three.toml: Unsafe and Controversial count as harmful; Violent: contr" in ended.out
    kept = [json.loads(line) for line in Path("records.jsonl").read_text().splitlines()]
    assert kept[1]["verdict"]["reason"] == 'categories.Violent = "controversial" (Unsafe)'
    assert edgeguard(*argv).code == 0  # goes on with the records
    Path(three).write_text(THREE.replace("0.2", "0.3"))
    ended = edgeguard(*argv)
    assert "another policy" in ended.err


def test_what_would_be_ignored_is_measured_so(edgeguard: CommandLine) -> None:
    Path("none.toml").write_text('[categories]\nviolence = "ignore"\n')
    data = write_rows(Path("rows.jsonl"), [row("a", HARMFUL, "Unsafe"), row("b", HARMLESS, "Safe")])
    ended = edgeguard("eval", str(data), "--policy", "none.toml", "--json", "-")
    policies = json.loads(ended.out)["groups"][-1]["policies"]
    assert (policies["strict"]["hits"], policies["none.toml"]["hits"]) == (1, 0)


def test_observe_says_and_flags_nothing(edgeguard: CommandLine) -> None:
    Path("watch.toml").write_text("observe = true\n")
    ended = edgeguard("check", "--policy", "watch.toml", "--json", HARMFUL)
    verdict = json.loads(ended.out)
    assert ended.code == 0
    assert (verdict["flagged"], verdict["observed"]) == (False, True)
    assert verdict["reason"] == 'base = "strict" (Unsafe)'
    ended = edgeguard("check", "--policy", "watch.toml", HARMFUL)
    assert "no, only observed (watch.toml)" in ended.out


def test_a_policy_from_its_beginning_to_its_end(edgeguard: CommandLine) -> None:
    made = edgeguard("policy", "new", "shop", "--from", "loose")
    assert made.code == 0
    path = Path(made.out.strip())
    assert find_policy("shop").harmful == LOOSE.harmful
    text = path.read_text(encoding="utf-8")
    for name in CATEGORIES:
        assert f"# {name}" in text.replace("#     ", "# ")
    path.write_text(f"{text}politics = 'ignore'\n", encoding="utf-8")
    checked = edgeguard("policy", "check", "shop")
    assert checked.out == "flags Unsafe; Politically Sensitive Topics: ignore\n"
    assert edgeguard("policy", "check", str(path)).out == checked.out
    shown = edgeguard("policy", "show", "shop")
    assert '"Politically Sensitive Topics" = "ignore"' in shown.out
    listed = edgeguard("policy", "list")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["strict", "loose", "shop"]
    again = edgeguard("policy", "new", "shop")
    assert again.code == 2
    assert "remove it with edgeguard policy rm shop" in again.err
    assert edgeguard("policy", "rm", "shop").code == 0
    assert saved_policies() == ()


def test_a_policy_that_is_shown_is_the_same_in_a_file(edgeguard: CommandLine, three: str) -> None:
    shown = edgeguard("policy", "show", three)
    Path("again.toml").write_text(shown.out, encoding="utf-8")
    assert find_policy("again.toml").categories == find_policy(three).categories


def test_a_damaged_one_is_listed_as_such(edgeguard: CommandLine) -> None:
    policies_folder().mkdir(parents=True)
    (policies_folder() / "shop.toml").write_text("base = 5")
    ended = edgeguard("policy", "list", "--json")
    assert ended.code == 0
    assert json.loads(ended.out.splitlines()[-1])["says"] == "damaged"
    assert "policy shop: 'base' is 5" in ended.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[categories]\npolitcs = "ignore"', "did you mean 'Politically Sensitive Topics'?"),
        (b"threshold = nan", "a probability is a number above 0"),
        (b"\xff", "not UTF-8"),
        (b"\xef\xbb\xbfobserve = true", "byte order mark"),
        (b"observe = true\nobserve = false", "not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(
    edgeguard: CommandLine, content: bytes, said: str
) -> None:
    Path("mine.toml").write_bytes(content)
    for argv in (("policy", "check", "mine.toml"), ("check", "--policy", "mine.toml", HARMLESS)):
        ended = edgeguard(*argv)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
        assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["show", "nothing"], "unknown policy 'nothing'; there are: strict, loose"),
        (["show", "nothing.toml"], "no policy file nothing.toml"),
        (["new", "Shop"], "cannot be a policy's name"),
        (["new", "loose"], "official policy"),
        (["rm", "strict"], "official policy"),
        (["rm", "nothing"], "unknown policy"),
    ],
)
def test_what_is_not_there_is_said(edgeguard: CommandLine, argv: list[str], said: str) -> None:
    ended = edgeguard("policy", *argv)
    assert ended.code == 2
    assert said in ended.err
