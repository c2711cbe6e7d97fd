"""Verdicts kept in a file as they are given, so that a run that was cut goes on.

The first line says which model, policy and rows the file belongs to, and how they were computed;
each further line holds a row's set and id, what is true of it, and its verdict. No text is in it. A
line that was cut in the middle is judged again. A file is looked at before it is written: where its
first line is not that of a run, it is somebody else's, and stays as it is.

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
"""Bytes of a first line; that of another file may have no end."""
_ALWAYS = {"model", "policy", "n_ctx", "data_sha256"}
"""What every first line has had since there are records."""


def header(
    model: ModelId,
    policy: Policy,
    n_ctx: int,
    data_sha256: str,
    computing: Mapping[str, str],
) -> dict[str, Any]:
    """What a file of records belongs to; verdicts of anything else are not its.

    A saved policy's name may come to stand for other rules, so what it says is kept too.
    ``computing`` is what else the last digits depend on, by what it is to a person.
    """
    # As it will be read again: what is a tuple here is a list there.
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
    """A check that takes a row's verdict from the file, or judges and adds it to the file.

    Raises InputError where the file is of another run or is no file of records, and OutputError
    where it cannot be read or written, a full disk for instance.
    """
    path = Path(file)
    with _translated(path):
        if os.path.lexists(path):
            known, size = _read(path, belongs_to)
        else:
            write_new(file, json.dumps(belongs_to) + "\n")
            known, size = {}, path.stat().st_size
        opened = path.open("r+b", buffering=0)  # nothing is left to be written at close
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
    """A whole line as an object; None where it is none."""
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
