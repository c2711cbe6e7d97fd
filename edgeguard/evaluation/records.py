"""Keeps verdicts in a file as they come, so that an interrupted run can be resumed.

The first line says which model, policy and rows the file belongs to, and how they were computed;
each further line holds a row's set and id, its labels, and its verdict. It contains no text. A row
whose line was cut is judged again. A file whose first line is not that of a run belongs to somebody
else, and is left unchanged.

This module judges nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any

from edgeguard.errors import InputError, OutputError
from edgeguard.evaluation.judging import Check
from edgeguard.evaluation.rows import Row
from edgeguard.outputs import write_new
from edgeguard.policy import Policy, content_of
from edgeguard.verdict import ModelId, Verdict

Key = tuple[str, str]

_HEADER = 1 << 16
"""The most bytes of a first line; that of some other file may never end."""
_ALWAYS = {"model", "policy", "n_ctx", "data_sha256"}
"""The keys that every first line has had in all versions."""


def header(
    model: ModelId,
    policy: Policy,
    n_ctx: int,
    data_sha256: str,
    computing: Mapping[str, str],
) -> dict[str, Any]:
    """What a file of records belongs to; it cannot be used for anything else.

    A saved policy can be changed under the same name, so its content is kept too. ``computing`` is
    everything else that the last digits depend on, by its name for people.
    """
    # As it will be read again: JSON turns tuples into lists.
    rules = json.loads(json.dumps(content_of(policy)))
    return {
        "model": asdict(model),
        "policy": {"name": policy.name, **rules},
        "n_ctx": n_ctx,
        "data_sha256": data_sha256,
        **computing,
    }


@contextmanager
def recorded(file: str, belongs_to: dict[str, Any], check: Check) -> Iterator[Check]:
    """A check that takes a row's verdict from the file, or judges it and adds it to the file.

    Raises InputError if the file is of another run or not a file of records, and OutputError if
    it cannot be read or written, for example on a full disk.
    """
    path = Path(file)
    with _translated(path):
        if os.path.lexists(path):
            known, size = _read(path, belongs_to)
        else:
            write_new(file, json.dumps(belongs_to) + "\n")
            known, size = {}, path.stat().st_size
        opened = path.open("r+b", buffering=0)  # unbuffered, so that closing writes nothing
    with opened:
        with _translated(path):
            opened.truncate(size)
            opened.seek(size)

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


def _read(path: Path, belongs_to: dict[str, Any]) -> tuple[dict[Key, Verdict], int]:
    """The verdicts in a file, and its size without a line that was cut. Writes nothing."""
    foreign = InputError(f"{path} is not a file of records; name a new one")
    if not path.is_file():
        raise foreign
    with path.open("rb") as file:
        first = _object(file.readline(_HEADER))
        if first is None or not belongs_to.keys() >= first.keys() >= _ALWAYS:
            raise foreign
        other = [name for name, value in belongs_to.items() if first.get(name) != value]
        if other:
            raise InputError(_different(path, other[0], first.get(other[0]), belongs_to[other[0]]))
        known, size = {}, file.tell()
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                one = json.loads(line)
                known[one["set"], one["id"]] = Verdict.from_dict(one["verdict"])
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise foreign from error
            size += len(line)
    return known, size


def _object(line: bytes) -> dict[str, Any] | None:
    """A complete line as an object; None if it is not one."""
    try:
        found = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _different(path: Path, name: str, was: object, now: object) -> str:
    values = ""
    if isinstance(was, (str, int)) and name != "data_sha256":
        values = f": it was {str(was)[:60]}, and is {str(now)[:60]}"
    return (
        f"{path} belongs to a run with another {name.removeprefix('the ')}{values}; name a new file"
    )


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
