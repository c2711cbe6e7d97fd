"""Tells real lists of rows from other iterables.

Iterating over a text gives letters, over a dictionary keys, over a data frame column names, and
each of these would be judged Safe. So only lists, iterators and columns of rows are accepted, and
no iterator that Python makes from a single text or mapping.

This module imports none of the libraries whose frames it knows, and reads no row.
"""

from __future__ import annotations

import array
import io
from collections import UserString
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from edgeguard.errors import InputError

_TAKEN = (
    "give a list of texts, of mappings with 'text' and perhaps 'response', or of conversations; "
    "a data frame with such columns will do too"
)
_SINGLE = (str, UserString, bytes, bytearray, memoryview, array.array)
_NONE: dict[str, str] = {}
_VIEWS: tuple[Any, ...] = (_NONE, _NONE.values(), _NONE.items())
_WHOLES: tuple[Any, ...] = ("a", "é", b"", bytearray(), set(), *_VIEWS)
_PARTS: tuple[type, ...] = (
    *(type(iter(whole)) for whole in _WHOLES),
    *(type(reversed(view)) for view in _VIEWS),
    reversed,  # the iterator of a text; a list's iterator is of another type
)


def rows_of(rows: Any) -> Iterable[Any]:
    """The rows of a list or table. Raises InputError for everything else."""
    kind = type(rows).__name__
    if isinstance(rows, _SINGLE):
        raise InputError(f"rows is a single {kind}, not a list: use check(), or {_TAKEN}")
    if isinstance(rows, Mapping):
        raise InputError(f"rows is a single {kind}, not a list: {_TAKEN}")
    if isinstance(rows, io.IOBase) or hasattr(rows, "readline"):
        raise InputError(f"rows is an open file: `edgeguard batch` judges files, or {_TAKEN}")
    if isinstance(rows, (type, *_PARTS)):
        raise InputError(f"rows is {kind}, not a list: {_TAKEN}")
    try:
        found = _columnar(rows)
    except InputError:
        raise
    except Exception as error:  # a lazy frame: it reads nothing before it is told to
        raise InputError(f"rows is {kind}, which does not give its rows: {_TAKEN}") from error
    if found is None and not isinstance(rows, (Sequence, Iterator)):
        raise InputError(f"rows is {kind}: {_TAKEN}")
    return rows if found is None else found


def is_missing(value: object) -> bool:
    """Whether a value is None, NaN, or pandas' NA, which is neither true nor false."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True
    except ValueError:  # an array is not missing
        return False


def _columnar(rows: Any) -> Iterable[Any] | None:
    """The rows of a table, frame, column or array; None for anything else."""
    if hasattr(rows, "to_pylist"):  # an Arrow table or array
        _check_names(getattr(rows, "column_names", ()))
        return rows.to_pylist()  # type: ignore[no-any-return]
    if hasattr(rows, "columns") and hasattr(rows, "__getitem__"):
        return _records(rows)
    if hasattr(rows, "tolist") and getattr(rows, "ndim", None) == 1:  # an array, a series
        return rows.tolist()  # type: ignore[no-any-return]
    if hasattr(rows, "column_names") and isinstance(rows, Iterable):  # Hugging Face's datasets
        return rows
    return rows.to_list() if hasattr(rows, "to_list") else None


def _records(frame: Any) -> Iterator[dict[str, object]]:
    """The rows of a data frame (pandas, polars), without missing values."""
    names = [str(name) for name in frame.columns]
    _check_names(names)
    cells = [iter(frame[name]) for name in frame.columns]
    return (
        {name: value for name, value in zip(names, values) if not is_missing(value)}
        for values in zip(*cells)
    )


def _check_names(names: Sequence[str]) -> None:
    """Refuse two columns with one name: it would be unclear which one is judged."""
    if len(set(names)) < len(names):
        raise InputError("rows has two columns with one name: give each a name of its own")
