"""Verdicts kept in a file as they are given, so that a run that was cut goes on.

The first line says which model, policy and rows the file belongs to; each further line holds a
row's set and id, what is true of it, and its verdict. No text is in it. A line that was cut in the
middle is judged again.

This module judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any

from edgeguard.errors import InputError, OutputError
from edgeguard.evaluation.judging import Check
from edgeguard.evaluation.rows import Row
from edgeguard.policy import Policy
from edgeguard.protocol.names import SEVERITIES
from edgeguard.verdict import ModelId, Probabilities, Verdict

Key = tuple[str, str]


def header(model: ModelId, policy: Policy, n_ctx: int, data_sha256: str) -> dict[str, Any]:
    """What a file of records belongs to; verdicts of anything else are not its.

    A saved policy's name may come to stand for another threshold, so what it flags is kept too.
    """
    flagged = {"harmful": list(policy.harmful), "threshold": policy.threshold}
    return {
        "model": asdict(model),
        "policy": {"name": policy.name, **flagged},
        "n_ctx": n_ctx,
        "data_sha256": data_sha256,
    }


@contextmanager
def recorded(file: str, belongs_to: dict[str, Any], check: Check) -> Iterator[Check]:
    """A check that takes a row's verdict from the file, or judges and adds it to the file.

    Raises InputError where the file is of another run or is no file of records, and OutputError
    where it cannot be read or written, a full disk for instance.
    """
    path = Path(file)
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a file of records; name a new one")
    with _translated(path):
        opened = path.open("a+b", buffering=0)  # nothing is left to be written at close
    with opened:
        with _translated(path):
            known = _read(opened, path, belongs_to)

        def keep(row: Row) -> Verdict:
            if (row.set, row.id) not in known:
                verdict = check(row)
                with _translated(path):
                    _append(opened, _line(row, verdict))
                known[row.set, row.id] = verdict
            return known[row.set, row.id]

        yield keep


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot use {path}: {error.strerror or error}") from error


def verdict_from(data: dict[str, Any]) -> Verdict:
    """The verdict that ``Verdict.to_dict`` gave."""
    shares = data["probabilities"]
    return Verdict(
        **{
            **data,
            "probabilities": Probabilities(tuple(shares[severity] for severity in SEVERITIES)),
            "categories": tuple(data["categories"]),
            "model": ModelId(**data["model"]),
        }
    )


def _read(file: FileIO, path: Path, belongs_to: dict[str, Any]) -> dict[Key, Verdict]:
    """The verdicts in a file; the header is written where there is none, a cut line removed."""
    file.seek(0)
    lines = file.readlines()
    if lines and not lines[-1].endswith(b"\n"):
        file.truncate(sum(map(len, lines[:-1])))
        lines.pop()
    if not lines:
        _append(file, belongs_to)
        return {}
    try:
        first, *rest = (json.loads(line) for line in lines)
        if not isinstance(first, dict) or set(first) != set(belongs_to):
            raise ValueError("no header")
        known = {(one["set"], one["id"]): verdict_from(one["verdict"]) for one in rest}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not a file of records; name a new one") from error
    other = [name for name, value in belongs_to.items() if first[name] != value]
    if other:
        raise InputError(f"{path} belongs to a run with another {other[0]}; name a new file")
    return known


def _append(file: FileIO, line: dict[str, Any]) -> None:
    rest = json.dumps(line).encode() + b"\n"
    while rest:
        rest = rest[file.write(rest) :]


def _line(row: Row, verdict: Verdict) -> dict[str, Any]:
    return {
        "set": row.set,
        "id": row.id,
        "label": row.label,
        "categories": list(row.categories),
        "refusal": row.refusal,
        "lang": row.lang,
        "verdict": verdict.to_dict(),
    }
