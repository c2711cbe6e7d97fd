"""Judges labelled rows with a guard: each row ends as judged or as failed, and none is lost.

This module measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edgeguard.console import Progress
from edgeguard.errors import EdgeguardError
from edgeguard.evaluation.rows import Row
from edgeguard.self_test import check_only_row
from edgeguard.verdict import Verdict

Check = Callable[[Row], Verdict]


@dataclass(frozen=True)
class Judged:
    """A row with its verdict; ``tokens``: a Qwen3Guard-Stream's labels of a response's tokens."""

    row: Row
    verdict: Verdict
    tokens: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Failed:
    """A row that could not be judged, by its set and id, and the reason."""

    set: str
    id: str
    error: str


@dataclass(frozen=True)
class Outcome:
    """Every row of the data, judged or failed."""

    judged: tuple[Judged, ...]
    failed: tuple[Failed, ...]


def judge(
    rows: Sequence[Row],
    check: Check,
    self_test: Callable[[], None],
    progress: Progress | None = None,
) -> Outcome:
    """Judge the rows in their order. An error that concerns one row does not stop the rest.

    ``self_test`` raises if the model is broken, and not only the row.
    """
    judged: list[Judged] = []
    failed: list[Failed] = []
    for number, row in enumerate(rows, 1):
        try:
            judged.append(Judged(row, check(row)))
        except EdgeguardError as error:
            check_only_row(error, self_test)
            failed.append(Failed(row.set, row.id, str(error)))
        if progress is not None:
            progress(number, len(rows))
    return Outcome(tuple(judged), tuple(failed))


def labelled(judged: Iterable[Judged]) -> list[Judged]:
    """The rows with a known severity."""
    return [one for one in judged if one.row.label is not None]
