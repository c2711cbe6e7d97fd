"""The forms in which engines hand tables over: rows out of them, and columns onto them.

    a mapping of numpy arrays              Ray Data, unless told otherwise
    a pandas data frame                    Dask, Spark's mapInPandas
    an Arrow table or record batch         Ray Data, Spark's mapInArrow, Daft

What is added in Arrow has one type whatever the rows hold, so that all partitions have one schema;
in pandas it is plain objects, whose type Dask and Spark are told. A mapping becomes an Arrow table:
Ray would guess a type for each block, and fail where a block of Safe rows meets one of others. This
module judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from edgeguard.batch.parquet import is_text
from edgeguard.conversation.row_lists import is_missing
from edgeguard.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Fields = Mapping[str, object] | None
"""The named values of a row; None where a text is not UTF-8."""
_NO_TEXTS = "biufcmM"
"""Numpy's kinds of numbers, of truths and of times."""


class Table(Protocol):
    """A batch of rows of an engine."""

    columns: list[str]
    size: int

    def check_texts(self, name: str) -> None:
        """See that a column can hold texts. Raises InputError."""

    def rows(self, names: Sequence[str]) -> Iterator[Fields]:
        """The named values of each row."""

    def with_columns(self, fields: Sequence[pa.Field], values: Sequence[list[Any]]) -> Any:
        """The table as it was given, and the values beside it; of a mapping, an Arrow table."""


def table_of(batch: Any) -> Table:
    """The table in what an engine has handed over. Raises InputError for anything else."""
    table: Table
    if hasattr(batch, "schema") and hasattr(batch, "append_column"):
        table = _Arrow(batch)
    elif hasattr(batch, "columns") and hasattr(batch, "assign"):
        table = _Pandas(batch)
    elif isinstance(batch, Mapping):
        table = _Arrays(batch)
    else:
        raise InputError(
            f"a batch is {type(batch).__name__}: give a mapping of numpy arrays, a pandas data "
            "frame, or an Arrow table or record batch"
        )
    if len(set(table.columns)) < len(table.columns):
        raise InputError("the table has two columns with one name: give each a name of its own")
    return table


class _Arrow:
    """Of an Arrow table or record batch."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self.columns: list[str] = batch.schema.names
        self.size: int = batch.num_rows

    def check_texts(self, name: str) -> None:
        import pyarrow.types

        kind = self._batch.schema.field(name).type
        if not is_text(pyarrow.types, kind):
            raise _no_texts(name, kind)

    def rows(self, names: Sequence[str]) -> Iterator[Fields]:
        columns = {name: self._batch.column(name) for name in names}
        for number in range(self.size):
            try:
                # Arrow does not look into the texts of a file.
                yield {name: _plain(column[number].as_py()) for name, column in columns.items()}
            except UnicodeDecodeError:
                yield None

    def with_columns(self, fields: Sequence[pa.Field], values: Sequence[list[Any]]) -> Any:
        import pyarrow as pa

        batch = self._batch
        for field, value in zip(fields, values):
            batch = batch.append_column(field, pa.array(value, field.type))
        return batch


class _Columns:
    """Of columns that numpy or pandas made: each can be iterated over, and has a kind."""

    def __init__(self, columns: Mapping[str, Any], size: int) -> None:
        self._columns = columns
        self.columns = list(columns)
        self.size = size

    def check_texts(self, name: str) -> None:
        kind = getattr(self._columns[name], "dtype", None)
        # A partition without any text in that column has it as numbers that are missing.
        if getattr(kind, "kind", "O") in _NO_TEXTS and not all(
            is_missing(value) for value in self._columns[name]
        ):
            raise _no_texts(name, kind)

    def rows(self, names: Sequence[str]) -> Iterator[Fields]:
        for values in zip(*(self._columns[name] for name in names)):
            try:
                yield {name: _plain(value) for name, value in zip(names, values)}
            except UnicodeDecodeError:
                yield None


class _Pandas(_Columns):
    """Of a data frame."""

    def __init__(self, frame: Any) -> None:
        names = [str(name) for name in frame.columns]
        super().__init__({str(name): frame[name] for name in frame.columns}, len(frame))
        self.columns = names
        self._frame = frame

    def with_columns(self, fields: Sequence[pa.Field], values: Sequence[list[Any]]) -> Any:
        import pandas as pd

        # Arrow's nested types in pandas are not read again from Parquet, nor known to Spark.
        index = self._frame.index
        added = {
            field.name: pd.Series(value, index=index, dtype=object)
            for field, value in zip(fields, values)
        }
        return self._frame.assign(**added)


class _Arrays(_Columns):
    """Of a mapping of arrays."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        sizes = {len(array) for array in arrays.values()}
        if len(sizes) > 1:
            raise InputError("the columns of the batch are not equally long")
        super().__init__(arrays, sizes.pop() if sizes else 0)

    def with_columns(self, fields: Sequence[pa.Field], values: Sequence[list[Any]]) -> Any:
        import pyarrow as pa

        columns = {name: _array(name, column) for name, column in self._columns.items()}
        return _Arrow(pa.table(columns)).with_columns(fields, values)


def _array(name: str, column: Any) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(column)
    except pa.ArrowException as error:
        raise InputError(
            f"the column {name!r} cannot be put into an Arrow table ({error.__class__.__name__}): "
            "have the engine hand over Arrow, in Ray Data with batch_format='pyarrow'"
        ) from error


def _no_texts(name: str, kind: object) -> InputError:
    return InputError(f"the column {name!r} is {kind}, not text")


def _plain(value: Any) -> Any:
    """A value without the wrappings of numpy, pandas and Spark; None for a missing one."""
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if hasattr(value, "asDict"):  # a row of Spark, which is a tuple
        value = value.asDict()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if hasattr(value, "tolist"):  # of numpy: an array, or a number
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if is_missing(value) else value
