"""Judges the same rows with several model files in turn, each in a process of its own.

All models are loaded at once, and only one computes at a time. Each row is judged by all of them
before the next one, beginning with a different model each time. So anything else that the machine
does slows all of them equally, which makes their times comparable.

This module measures no quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from edgeguard.console import Progress
from edgeguard.errors import InputError
from edgeguard.evaluation.comparison import Run
from edgeguard.evaluation.judging import Failed, Judged
from edgeguard.evaluation.rows import Row
from edgeguard.evaluation.worker import Worker
from edgeguard.store import resolve


def judge_with_all(
    names: Sequence[str], rows: Sequence[Row], options: dict[str, Any], progress: Progress
) -> tuple[list[Run], list[Failed]]:
    """A run for each model over the rows that all of them judged, and the other rows.

    Raises what resolve raises, ModelError if a model cannot be loaded, SessionError if a model's
    process dies, InputError if no row could be judged.
    """
    files = [resolve(name) for name in names]
    labels = _labels([file.full_name for file in files])
    judged: list[list[Judged]] = []
    failed: list[Failed] = []
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, options)) for name in names]
        for number, row in enumerate(rows):
            found = _in_turns(workers, row, number, labels)
            if isinstance(found, Failed):
                failed.append(found)
            else:
                judged.append(found)
            progress(number + 1, len(rows))
        peaks = [worker.peak_memory() for worker in workers]
    if not judged:
        raise InputError(f"no row could be judged; the first: {failed[0].error}")
    runs = [
        Run(
            label=labels[index],
            model=worker.model,
            size=files[index].path.stat().st_size,
            peak_memory=peaks[index],
            judged=tuple(each[index] for each in judged),
        )
        for index, worker in enumerate(workers)
    ]
    return runs, failed


def _in_turns(
    workers: Sequence[Worker], row: Row, number: int, labels: Sequence[str]
) -> list[Judged] | Failed:
    """Their results in the order of the workers, whichever begins."""
    found: dict[int, Judged] = {}
    for turn in range(len(workers)):
        index = (number + turn) % len(workers)
        try:
            found[index] = workers[index].check(row)
        except InputError as error:
            return Failed(row.set, row.id, f"{labels[index]}: {error}")
    return [found[index] for index in range(len(workers))]


def _labels(names: Sequence[str]) -> list[str]:
    """The names, made distinct if two are the same."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[: index + 1].count(name)})"
        for index, name in enumerate(names)
    ]
