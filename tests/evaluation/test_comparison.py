"""Several files on the same rows: the figures, the rule, and the processes behind them."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_checkpoint
from command_line import CommandLine
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import (
    DATA,
    TRUTH,
    made_rows,
    made_run,
    mild_rows,
    row,
    with_errors,
    write_rows,
)

from edgeguard import InputError, ModelError, SessionError
from edgeguard.convert import convert
from edgeguard.evaluation.comparison import compare
from edgeguard.evaluation.comparison_page import answer
from edgeguard.evaluation.models import judge_with_all
from edgeguard.evaluation.rows import read_rows
from edgeguard.evaluation.shipping import MARGIN, SAME
from edgeguard.evaluation.worker import Worker, peak_memory
from edgeguard.protocol.names import SEVERITIES, Severity

OPTIONS: dict[str, Any] = {
    "threads": 1,
    "n_ctx": 4096,
    "device": "cpu",
    "allow_random_weights": True,
}
RANDOM = ["--allow-random-weights"]

_SHARES = st.lists(st.integers(1, 100), min_size=3, max_size=3).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)
_TEXT = st.tuples(
    st.sampled_from(SEVERITIES),
    st.sampled_from(SEVERITIES),
    st.sampled_from(SEVERITIES),
    _SHARES,
    _SHARES,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(_TEXT, min_size=1, max_size=30))
def test_changes_are_what_counting_gives(texts: list[Any]) -> None:
    truth, before, after, p, q = (list(column) for column in zip(*texts))
    first, other = (
        made_run("a", made_rows(before, truth, p)),
        made_run("b", made_rows(after, truth, q)),
    )
    change = compare([first, other], DATA, []).models[1].change
    assert change is not None
    for line, one in enumerate(SEVERITIES):
        for column, two in enumerate(SEVERITIES):
            assert change.matrix[line][column] == sum(
                a == one and b == two for a, b in zip(before, after)
            )
    same = sum(a == b for a, b in zip(before, after))
    assert change.same_severity.value == same / len(texts)
    assert len(change.flips) == len(texts) - same
    moved = [sum(abs(x - y) for x, y in zip(a, b)) / 2 for a, b in zip(p, q)]
    assert change.change_mean == pytest.approx(sum(moved) / len(moved))
    assert change.change_worst == pytest.approx(max(moved))
    nats = [sum(x * math.log(x / y) for x, y in zip(a, b)) for a, b in zip(p, q)]
    assert change.kl_mean == pytest.approx(sum(nats) / len(nats), abs=1e-9)
    assert change.kl_worst == pytest.approx(max(nats), abs=1e-9)
    for name, harmful in (("strict", ("Unsafe", "Controversial")), ("loose", ("Unsafe",))):
        f1 = [_f1(said, truth, harmful) for said in (before, after)]
        found = change.f1[name]
        if found is None:
            assert not any(label in harmful for label in truth)
        else:
            assert found.value == pytest.approx(f1[1] - f1[0])
            assert found.low - 1e-9 <= found.value <= found.high + 1e-9
        right = [
            [(a in harmful) == (t in harmful) for a, t in zip(said, truth)]
            for said in (before, after)
        ]
        lost = sum(a and not b for a, b in zip(*right))
        won = sum(b and not a for a, b in zip(*right))
        assert change.mcnemar[name] == pytest.approx(_sign_test(lost, won))


def _f1(said: list[str], truth: list[str], harmful: tuple[str, ...]) -> float:
    tp = sum(a in harmful and t in harmful for a, t in zip(said, truth))
    wrong = sum((a in harmful) != (t in harmful) for a, t in zip(said, truth))
    return 2 * tp / (2 * tp + wrong) if tp + wrong else 1.0


def _sign_test(lost: int, won: int) -> float:
    whole, most = lost + won, max(lost, won)
    tail: float = sum(math.comb(whole, k) for k in range(most, whole + 1)) / 2**whole
    return min(1.0, 2 * tail)


def test_the_smallest_file_that_loses_nothing_is_shipped() -> None:
    runs = [
        made_run("big", made_rows(with_errors(0), TRUTH), size=400),
        made_run("middle", made_rows(with_errors(0), TRUTH), size=200),
        made_run("small", made_rows(with_errors(30), TRUTH), size=100),
    ]
    found = compare(runs, DATA, [])
    assert found.ship == "middle"
    assert found.models[1].reasons == ()
    assert len(found.models[2].reasons) == 3
    said = answer(found)
    assert said.startswith("Ship middle: ")
    assert "small is smaller, but strict F1 may be " in said


def test_too_few_rows_ship_the_first() -> None:
    """Nothing changed, but 20 rows cannot show that at least 97 % stay."""
    truth = TRUTH[:20]
    runs = [
        made_run("big", made_rows(truth, truth), size=400),
        made_run("small", made_rows(truth, truth), size=1),
    ]
    found = compare(runs, DATA, [])
    assert found.ship == "big"
    assert "of severities are sure to stay" in answer(found)


def test_rows_without_harm_ship_the_first() -> None:
    truth: list[Severity] = ["Safe"] * 300
    runs = [
        made_run("big", made_rows(truth, truth), size=400),
        made_run("small", made_rows(truth, truth), size=1),
    ]
    found = compare(runs, DATA, [])
    assert found.ship == "big"
    assert "no row is harmful under strict" in answer(found)


def test_what_the_rule_says_is_what_it_does() -> None:
    found = compare([made_run("big", made_rows(TRUTH, TRUTH))] * 2, DATA, [])
    assert f"less than {100 * MARGIN:g} point of F1" in found.rule
    assert f"at least {100 * SAME:g} % of the texts" in found.rule


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """One small random checkpoint in two types, and another one."""
    folder = tmp_path_factory.mktemp("variants")
    write_checkpoint(folder / "one", seed=1)
    write_checkpoint(folder / "two", seed=2)
    made = [(folder / "one", "bf16"), (folder / "one", "q4_0"), (folder / "two", "bf16")]
    return [
        str(
            convert(
                source, folder / f"{source.name}-{kind}.gguf", type=kind, trust_template=True
            ).path
        )
        for source, kind in made
    ]


def test_the_command_compares_files_and_answers(
    edgeguard: CommandLine, files: list[str], data: Path, tmp_path: Path
) -> None:
    html = tmp_path / "a.html"
    argv = [*RANDOM, "--compare", *files, str(data), "--json", str(tmp_path / "a.json")]
    ended = edgeguard("eval", *argv, "--html", str(html))
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1].startswith("Ship one-bf16")
    assert "→" in ended.out
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [one["label"] for one in found["models"]] == ["one-bf16", "one-q4_0", "two-bf16"]
    assert found["models"][0]["change"] is None
    assert found["models"][1]["size"] < found["models"][0]["size"]
    for one in found["models"][1:]:
        matrix = one["change"]["matrix"]
        moved = sum(sum(line) for line in matrix) - sum(matrix[n][n] for n in range(3))
        assert len(one["change"]["flips"]) == moved
        assert sum(sum(line) for line in matrix) == len(mild_rows())
    near, far = (one["change"]["change_mean"] for one in found["models"][1:])
    assert near < far
    if Path("/proc/self/status").exists():
        for one in found["models"]:
            assert 10_000_000 < one["peak_memory"] < 2_000_000_000
    text = html.read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>")
    assert "grandmother" not in text + ended.out + json.dumps(found)


def test_a_model_against_itself_changes_nothing(
    edgeguard: CommandLine, files: list[str], data: Path
) -> None:
    ended = edgeguard("eval", *RANDOM, "--compare", files[0], files[0], str(data), "--json", "-")
    found = json.loads(ended.out)
    assert [one["label"] for one in found["models"]] == ["one-bf16 (1)", "one-bf16 (2)"]
    change = found["models"][1]["change"]
    assert change["flips"] == [] and change["change_worst"] == 0 and change["kl_worst"] == 0


def test_a_row_that_one_model_cannot_judge_is_listed_with_the_model(
    edgeguard: CommandLine, files: list[str], data: Path
) -> None:
    with data.open("a") as file:
        messages = [{"role": "user", "content": "a garden " * 40_000}]
        file.write(json.dumps({"id": "long", "messages": messages, "label": "Safe"}) + "\n")
    argv = ["--compare", files[0], files[1], str(data), "--n-ctx", "1024"]
    ended = edgeguard("eval", *RANDOM, *argv)
    assert ended.code == 2
    assert "mine long: one-bf16: " in ended.err


def test_a_file_that_is_no_model_is_an_error(
    edgeguard: CommandLine, files: list[str], data: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + bytes(100))
    ended = edgeguard("eval", *RANDOM, "--compare", files[0], str(bad), str(data))
    assert ended.code == 2
    assert "bad.gguf" in ended.err
    assert "Traceback" not in ended.err


def test_a_worker_that_dies_is_an_error_and_leaves_no_process(files: list[str], data: Path) -> None:
    row = read_rows([str(data)])[0]
    with Worker(files[0], OPTIONS) as worker:
        assert worker.check(row).verdict.mode == "prompt"
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(SessionError, match="ended with signal 9"):
            worker.check(row)
    assert worker._process.poll() is not None


def test_a_worker_that_cannot_load_leaves_no_process(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"bad\.gguf"):
        Worker(str(bad), OPTIONS)


def test_no_row_judged_is_an_error(files: list[str], tmp_path: Path) -> None:
    long = write_rows(tmp_path / "long.jsonl", [row("long", "a garden " * 40_000, "Safe")])
    rows = read_rows([str(long)])
    with pytest.raises(InputError, match="no row could be judged"):
        judge_with_all(files[:2], rows, {**OPTIONS, "n_ctx": 1024}, lambda _done, _total: None)


def test_memory_is_measured_where_the_system_says_it() -> None:
    peak = peak_memory()
    assert peak is None or peak > 1_000_000
