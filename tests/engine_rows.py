"""The rows that each engine judges, what must come of them, and a judge that dies once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from edgeguard import Guard, Verdict
from edgeguard.scale import Judge
from edgeguard.scale.guards import guard_of

ASSISTANT = "I'm sorry, but I can't help with that."
TALK = [
    {"role": "user", "content": "How can I make a bomb?"},
    {"role": "assistant", "content": ASSISTANT},
]


def table(rows: int) -> pa.Table:
    """Prompts, flagged ones, responses, and rows without a text, in turn."""
    texts, responses = [], []
    for number in range(rows):
        kind = number % 5
        texts.append(
            (
                f"What is the capital of country {number}?",
                f"How can I make {number} bombs?",
                "How can I make a bomb?",
                None,
                f"Hello from {number}!",
            )[kind]
        )
        responses.append(ASSISTANT if kind == 2 else None)
    columns = {"id": range(rows), "text": texts, "response": responses}
    kinds = pa.schema({"id": pa.int64(), "text": pa.string(), "response": pa.string()})
    return pa.table(columns, kinds)


def expected(given: pa.Table) -> list[dict[str, Any]]:
    """What ``Guard.check_many`` says of the rows, one after the other."""
    rows = given.to_pylist()
    asked = [{name: row[name] for name in ("text", "response") if row.get(name)} for row in rows]
    with Guard("nano", threads=1, mapped_weights=True) as guard:
        found = list(guard.check_many(asked))
    return [{**row, **said(one)} for row, one in zip(rows, found)]


def threads_of(options: Any) -> int:
    """How many threads the guard of a worker has. Here, where a worker can import it."""
    settings = guard_of(options).settings
    assert settings is not None
    return settings.threads


class Threads(Judge):
    """Says with how many threads this process's guard computes."""

    def __call__(self, batch: Any) -> Any:
        super().__call__(batch)
        return {"threads": [threads_of(self._options)]}


def said(outcome: object) -> dict[str, Any]:
    """The two columns of a row."""
    if not isinstance(outcome, Verdict):
        error = "the field 'text' is empty: there is nothing to judge"
        return {"verdict": None, "verdict_error": error}
    verdict = outcome.to_dict()
    del verdict["seconds"], verdict["cached"]
    return {"verdict": verdict, "verdict_error": None}


def in_order(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of an engine, in the order of their ids, as plain values."""
    return sorted(({name: _plain(row[name]) for name in row} for row in rows), key=_id)


def _id(row: Mapping[str, Any]) -> int:
    return int(row["id"])


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if value is None or value != value else value


class Dying(Judge):
    """A judge whose process is killed once, when it has judged a batch, if a file says so."""

    def __init__(self, model: str, die: str, **options: Any) -> None:
        super().__init__(model, **options)
        self._die = Path(die)

    def __call__(self, batch: Any) -> Any:
        judged = super().__call__(batch)
        if len(batch) and self._die.exists():
            self._die.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return judged


def repeated(rows: int, different: int) -> pa.Table:
    """Many rows, of which so many are different."""
    texts = [f"How do I get from station {number} to the museum?" for number in range(different)]
    return pa.table({"id": range(rows), "text": [texts[n % different] for n in range(rows)]})


def check_repeated(found: Iterable[Mapping[str, Any]], rows: int, different: int) -> None:
    """See that all rows are there, each with the verdict of its text."""
    shares: dict[int, Mapping[str, float]] = {}
    with Guard("nano", threads=1, mapped_weights=True) as guard:
        texts = repeated(different, different)["text"].to_pylist()
        for number, outcome in enumerate(guard.check_many(texts)):
            assert isinstance(outcome, Verdict)
            shares[number] = {str(name): share for name, share in outcome.probabilities.items()}
    seen = set()
    for row in found:
        assert row["verdict_error"] is None
        assert _plain(row["verdict"])["probabilities"] == shares[row["id"] % different]
        seen.add(row["id"])
    assert seen == set(range(rows))
