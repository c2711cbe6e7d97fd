"""The generator behind Guard.check_many: rows of any plain kind, one verdict or error for each.

Whatever Python can iterate over would give something: a text its letters, a dictionary its keys, a
data frame its column names, and each of them a Safe. So only what is plainly a list of rows is
taken. This module reads no file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeguard.batch.recent import Recent
from edgeguard.batch.rows import Names, conversation, key_of
from edgeguard.errors import (
    CancelledError,
    ClosedError,
    EdgeguardError,
    InputError,
    ModelError,
    SessionError,
)
from edgeguard.protocol.messages import Message, parse_messages
from edgeguard.verdict import Verdict

if TYPE_CHECKING:
    from edgeguard.guard import CheckRow

_NAMES = Names()
_TAKEN = (
    "give a list of texts, of mappings with 'text' and perhaps 'response', or of conversations; "
    "a data frame with such columns will do too"
)


def check_many(
    rows: Iterable[CheckRow],
    check: Callable[[tuple[Message, ...]], Verdict],
    self_test: Callable[[], None],
) -> Iterator[Verdict | EdgeguardError]:
    """One verdict for each row, or the error that says why there is none; see the guard.

    ``self_test`` raises if the model is broken, and not only the row. Raises InputError at once
    for what is no list of rows.
    """
    return _judged(rows_of(rows), check, self_test)


def _judged(
    rows: Iterable[Any],
    check: Callable[[tuple[Message, ...]], Verdict],
    self_test: Callable[[], None],
) -> Iterator[Verdict | EdgeguardError]:
    recent: Recent[Verdict] = Recent()
    for row in rows:
        try:
            messages = _messages(row)
            key = key_of(messages)
            verdict = recent.get(key)
            if verdict is None:
                verdict = check(messages)
                recent.put(key, verdict)
        except (ClosedError, CancelledError):
            raise
        except EdgeguardError as error:
            if isinstance(error, (SessionError, ModelError)):
                self_test()
            yield error
        else:
            yield verdict


def rows_of(rows: Any) -> Iterable[Any]:
    """The rows of what is plainly a list of them. Raises InputError for everything else."""
    kind = type(rows).__name__
    if isinstance(rows, (str, bytes, bytearray, memoryview)):
        raise InputError(f"rows is a single {kind}, not a list: use check(), or {_TAKEN}")
    if isinstance(rows, Mapping):
        raise InputError(f"rows is a single {kind}, not a list: {_TAKEN}")
    if isinstance(rows, io.IOBase):
        raise InputError(f"rows is an open file: `edgeguard batch` judges files, or {_TAKEN}")
    if hasattr(rows, "to_pylist"):  # an Arrow table or array
        return rows.to_pylist()  # type: ignore[no-any-return]
    if hasattr(rows, "columns") and hasattr(rows, "__getitem__"):
        return _records(rows)
    if hasattr(rows, "tolist") and getattr(rows, "ndim", None) == 1:  # an array, a series
        return rows.tolist()  # type: ignore[no-any-return]
    if hasattr(rows, "column_names") and isinstance(rows, Iterable):  # Hugging Face's datasets
        return rows
    if isinstance(rows, (Sequence, Iterator)) or hasattr(rows, "to_list"):
        return rows.to_list() if hasattr(rows, "to_list") else rows  # type: ignore[no-any-return]
    raise InputError(f"rows is {kind}: {_TAKEN}")


def _records(frame: Any) -> Iterator[dict[str, object]]:
    """The rows of a data frame (pandas, polars), missing values left out."""
    names = [str(name) for name in frame.columns]
    columns = [frame[name] for name in frame.columns]
    for values in zip(*columns):
        yield {name: value for name, value in zip(names, values) if not _is_missing(value)}


def _is_missing(value: object) -> bool:
    """None, NaN, and pandas' NA, which says of itself neither yes nor no."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True
    except ValueError:  # an array: there is something
        return False


def _messages(row: Any) -> tuple[Message, ...]:
    if isinstance(row, str):
        return parse_messages([Message("user", row)])
    if hasattr(row, "_asdict"):  # a named tuple
        row = {name: value for name, value in row._asdict().items() if not _is_missing(value)}
    if isinstance(row, Mapping):
        return parse_messages(conversation(row, _NAMES))
    if isinstance(row, (bytes, bytearray)) or not isinstance(row, Iterable):
        raise InputError(f"a row is {type(row).__name__}: give a text, a mapping or messages")
    return parse_messages(row)
