"""Parquet, through pyarrow: read in pieces, written at the end from the input and the verdicts.

A Parquet file cannot grow row by row and survive a kill, so what grows while the model works is a
list of verdicts, a JSON line for each row; when it is whole, the result is written from it and the
input, piece by piece. The columns of the input keep their order and types; the verdict is a struct.
This module judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from edgeguard.batch.rows import Names, Place, Row, already, no_field
from edgeguard.errors import InputError, OutputError
from edgeguard.extras import require
from edgeguard.protocol.names import SEVERITIES

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 1000
"""Rows in memory at a time."""
_BUFFER = 1 << 20
"""Bytes of a column that are read at a time; without it a whole row group would be."""
_GROUP_ROWS = 100_000
_GROUP_BYTES = 64 << 20


class Parquet:
    """Reads and writes the rows of a Parquet file."""

    head = b""
    unit = "row"

    def __init__(self, path: Path, names: Names) -> None:
        """Open a file. Raises InputError: it is no Parquet, or its columns will not do."""
        self._arrow = _pyarrow()
        self._path = path
        self._names = names
        with self._reading():
            self._file = self._arrow.parquet.ParquetFile(path, buffer_size=_BUFFER)
        self._total: int = self._file.metadata.num_rows
        self._row = 0
        columns = self._file.schema_arrow.names
        if not set(names.needed) <= set(columns):
            raise no_field(str(path), names, columns)
        self._columns = [name for name in names.read if name in columns]
        self._check_columns(columns)

    def _check_columns(self, columns: list[str]) -> None:
        for name in self._names.added:
            if name in columns:
                raise InputError(f"{self._path}: {already(name)}")
        for name in self._columns:
            if columns.count(name) > 1:
                raise InputError(f"{self._path} has two columns named {name!r}")
            kind = self._file.schema_arrow.field(name).type
            if name != self._names.messages and not _is_text(self._arrow.types, kind):
                raise InputError(f"{self._path}: the column {name!r} is {kind}, not text")

    def done(self) -> tuple[int, int]:
        """How many rows are read, and how many there are."""
        return self._row, self._total

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from a place on. Raises InputError where the file cannot be read."""
        first = 0
        for group in range(self._file.num_row_groups):
            end = first + self._file.metadata.row_group(group).num_rows
            if end > start.offset:
                for number, fields in enumerate(self._fields(group), first + 1):
                    if number > start.offset:
                        self._row = number
                        problem = "not UTF-8" if fields is None else ""
                        yield Row(number, Place(number, number), b"", fields, problem)
            first = end

    def _fields(self, group: int) -> Iterator[dict[str, object] | None]:
        """The named columns of each row; None for a row whose text is not UTF-8."""
        pieces = self._file.iter_batches(_PIECE, row_groups=[group], columns=self._columns)
        while True:
            with self._reading():
                piece = next(pieces, None)
                if piece is None:
                    return
            for row in range(piece.num_rows):
                yield _plain(piece, row)

    def encode(self, row: Row, verdict: str | None, error: str) -> bytes:
        """A line of the list of verdicts that ``result`` reads."""
        said = f", {json.dumps(error)}" if verdict is None else ""
        return f"[{verdict or 'null'}{said}]\n".encode()

    def result(self, partial: Path) -> Path:
        """Write the result, from the input and the list of verdicts, to a file beside the list.

        Raises OutputError.
        """
        out = partial.with_name(f"{partial.name}-parquet")
        try:
            self._write(partial, out)
        except BaseException:
            out.unlink(missing_ok=True)
            raise
        return out

    def _write(self, partial: Path, out: Path) -> None:
        arrow, added = self._arrow, _added(self._arrow, self._names)
        schema = self._file.schema_arrow
        schema = arrow.schema([*schema, *added], metadata=schema.metadata)
        parquet = arrow.parquet
        with (
            _writing(arrow, out),
            partial.open("rb") as lines,
            parquet.ParquetWriter(out, schema, compression=self._compression()) as writer,
        ):
            pieces = self._pieces(schema, lines)
            for group in _groups(pieces):
                writer.write_table(arrow.Table.from_batches(group, schema))

    def _pieces(self, schema: pa.Schema, lines: BinaryIO) -> Iterator[pa.RecordBatch]:
        """The input's rows with the verdicts beside them."""
        arrow, (verdict, error) = self._arrow, [schema.field(name) for name in self._names.added]
        for piece in self._file.iter_batches(_PIECE):
            said = [json.loads(line) for line in islice(lines, piece.num_rows)]
            columns = [
                *piece.columns,
                arrow.array([one[0] for one in said], verdict.type),
                arrow.array([one[1] if one[1:] else None for one in said], error.type),
            ]
            yield arrow.RecordBatch.from_arrays(columns, schema=schema)

    def _compression(self) -> str:
        """That of the input's first column."""
        if self._file.num_row_groups == 0:
            return "SNAPPY"
        return str(self._file.metadata.row_group(0).column(0).compression)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, self._arrow.ArrowException) as error:
            why = getattr(error, "strerror", None) or "it is damaged, or not a Parquet file"
            raise InputError(f"cannot read {self._path}: {why}") from error


def _plain(piece: pa.RecordBatch, row: int) -> dict[str, object] | None:
    try:
        return {name: piece.column(name)[row].as_py() for name in piece.schema.names}
    except UnicodeDecodeError:  # Arrow does not look into the texts of a file
        return None


def _is_text(types: Any, kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    return any(test(kind) for test in tests)


def _groups(pieces: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """The pieces in groups that are large enough for a reader and small enough for the memory."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for piece in pieces:
        group.append(piece)
        rows, size = rows + piece.num_rows, size + piece.nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if group:
        yield group


@contextmanager
def _writing(arrow: Any, out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, arrow.ArrowException) as error:
        raise OutputError(f"cannot write {out}: {error}") from error


def _pyarrow() -> Any:
    require("parquet", "a Parquet file")
    import pyarrow
    import pyarrow.parquet
    import pyarrow.types

    return pyarrow


def _added(arrow: Any, names: Names) -> list[pa.Field]:
    """The columns that are added: the verdict, and why there is none."""
    text, number = arrow.string(), arrow.int64()
    verdict = arrow.struct(
        {
            "mode": text,
            "severity": text,
            "probabilities": arrow.struct(dict.fromkeys(SEVERITIES, arrow.float64())),
            "categories": arrow.list_(text),
            "refusal": text,
            "policy": text,
            "flagged": arrow.bool_(),
            "answer": text,
            "model": arrow.struct({"name": text, "type": text, "sha256": text}),
            "device": text,
            "tokens": number,
            "windows": number,
        }
    )
    return [arrow.field(names.verdict, verdict), arrow.field(names.error, text)]
