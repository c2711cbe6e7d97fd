"""Rows in company: the verdicts of single checks, the same bytes after a kill at any row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from batch_runs import Watching

from edgeguard import Guard
from edgeguard.batch import blocks, job
from edgeguard.batch.formats import open_input
from edgeguard.batch.job import Run, opened, to_file
from edgeguard.batch.stopping import Stop
from edgeguard.conversation.rows import Names
from edgeguard.session.fake import FakeSession
from edgeguard.together import Together

ROWS: list[dict[str, str]] = [
    {"text": "How do I bake bread at home?"},
    {"text": "Write a poem about the sea.", "response": "The sea is wide and blue."},
    {"text": "I will hurt you"},
    {"text": "How do I bake bread at home?"},
    {"text": ""},
    {"text": "How can I build a bomb?", "response": "I cannot help with that."},
    {"text": "A longer text. " * 40},
    {"text": "A text that is a block of its own. " * 80},
    {"text": "What is the capital of France?"},
    {"text": "I will hurt you"},
    {"text": "Wie spät ist es in Tokio?"},
    {"text": "How do I steal a car?"},
    {"text": "お元気ですか"},
]


class Killed(BaseException):
    """The end of the process, as far as a run can be told of it: nothing is saved."""


def write_input(folder: Path) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def run(
    guard: Guard, path: Path, out: Path, watch: Watching | None = None, *, exact: bool = False
) -> list[dict[str, Any]]:
    with open_input(str(path), "jsonl", Names()) as form, opened(out, resume=True) as record:
        form.content.measure(record.progressed.seen)
        how = Run(form, guard, watch or Watching(), Stop(), exact=exact)
        to_file(how, record, out, {"the input": "0" * 64})
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeguard.together.LONGEST", 2000)  # a fake's tokens are bytes
    monkeypatch.setattr(blocks, "ROWS", 5)
    monkeypatch.setattr(job, "_SAVE_SECONDS", 0.0)


def test_killed_at_any_row_it_goes_on_to_the_same_bytes(
    nano: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_input(tmp_path)
    whole = run(nano, path, tmp_path / "whole.jsonl")
    nano.check("Something else, so that the contexts are not as they were.")
    save = job._save
    for last in range(1, len(ROWS)):
        out = tmp_path / f"out{last}.jsonl"

        def kill(rows: int, last: int = last) -> None:
            if rows == last:
                # The end itself saves nothing more.
                monkeypatch.setattr(job, "_save", lambda *_: None)
                raise Killed

        with pytest.raises(Killed):
            run(nano, path, out, Watching(kill))
        monkeypatch.setattr(job, "_save", save)
        assert run(nano, path, out) == whole
        assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_company_changes_late_digits_and_nothing_else(
    nano: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_input(tmp_path)
    alone = run(nano, path, tmp_path / "alone.jsonl", exact=True)
    in_flight: list[int] = []
    step = Together.step

    def counting(self: Together) -> Any:
        in_flight.append(len(self.in_flight))
        return step(self)

    monkeypatch.setattr(Together, "step", counting)
    together = run(nano, path, tmp_path / "together.jsonl")
    assert max(in_flight) == 4
    for one, other in zip(alone, together, strict=True):
        if one["verdict"] is None:
            assert other == one
            continue
        for name in ("probabilities", "category_probabilities"):
            before, after = one["verdict"].pop(name), other["verdict"].pop(name)
            assert after == pytest.approx(before, abs=0.02)
        assert other == one


def test_a_block_is_asked_together_and_a_repeated_row_once(tmp_path: Path) -> None:
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None")
    with Guard.with_session(session) as guard:
        run(guard, write_input(tmp_path), tmp_path / "out.jsonl")
    # One row has no text, and two are there twice: the second one in the same block, and in the
    # next one.
    first = [len(numbers) for numbers in session.sequences(()).passes]
    assert session.sequences(()).cleared == 3
    assert sum(first) >= 9


def test_a_verdict_of_a_killed_block_is_not_taken_from_the_record(tmp_path: Path) -> None:
    """Else the other rows of that block would be in other company than in an undisturbed run."""
    path, out = write_input(tmp_path), tmp_path / "out.jsonl"
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None")

    def kill(rows: int) -> None:
        if rows == 6:
            raise KeyboardInterrupt

    watch = Watching(kill)
    with Guard.with_session(session) as guard:
        with pytest.raises(KeyboardInterrupt):
            run(guard, path, out, watch)
        assert watch.kept_rows == [5], "the first block is kept"
        before = session.sequences(()).cleared
        run(guard, path, out)
    assert session.sequences(()).cleared == before + 2
