"""Parquet, through pyarrow: read in pieces, written at the end from the input and the verdicts.

A Parquet file cannot grow row by row and survive a kill. So while the model works, a list of
verdicts grows instead, one JSON line per row with a digest of what was judged. When the list is
complete, edgeguard.batch.parquet_result writes the result from it and the input. This module judges
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeguard.batch.parquet_parts import Content, Fields, Part, digest_of, parts_of
from edgeguard.batch.parquet_result import write_result
from edgeguard.batch.rows import Place, Row, already, no_field
from edgeguard.conversation.rows import Names, columns_of, has_field
from edgeguard.errors import InputError
from edgeguard.extras import require

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = 1000
"""Rows in memory at a time."""
_BUFFER = 1 << 20
"""Bytes of a column read at a time; otherwise a whole row group would be read."""


class Parquet:
    """Reads and writes the rows of a Parquet file, or of a folder of them."""

    head = tail = b""
    unit = "row"
    notes = ()

    def __init__(self, name: str, names: Names) -> None:
        """Open a file or folder. Raises InputError if it is not Parquet, or has other columns."""
        self.arrow = _pyarrow()
        self.name = name
        self.parts = parts_of(name)
        self.content = Content(name, self.parts)
        files = [self.open(part) for part in self.parts]
        self.first = files[0]
        self._check_alike([file.schema_arrow for file in files])
        self._total = sum(file.metadata.num_rows for file in files)
        self._row = 0
        self.schema = self._with_folders(self.first.schema_arrow)
        self.names = names = names.in_fields(self.schema.names)
        if not all(has_field(self.schema.names, name) for name in names.needed):
            raise no_field(name, names, self.schema.names)
        self._columns = columns_of(names.read, self.schema.names)
        self._check_columns()

    def open(self, part: Part) -> Any:
        """Open a part for reading. Raises InputError."""
        with self.reading():
            whole: dict[str, Any] = {"buffer_size": _BUFFER}
            file = self.arrow.parquet.ParquetFile(part.path, **whole)
            if "parquet-mr" in (file.metadata.created_by or ""):
                # Spark's INT96 covers the years 1 to 9999, more than nanoseconds can.
                whole["coerce_int96_timestamp_unit"] = "us"
                file = self.arrow.parquet.ParquetFile(part.path, **whole)
        return file

    def _check_alike(self, schemas: list[pa.Schema]) -> None:
        for part, schema in zip(self.parts, schemas):
            if not schema.equals(schemas[0]) or part.columns.keys() != self.parts[0].columns.keys():
                raise InputError(
                    f"{part.path} has other columns than {self.parts[0].path}: judge them apart"
                )

    def _with_folders(self, schema: pa.Schema) -> pa.Schema:
        for name in self.parts[0].columns:
            if name not in schema.names:
                schema = schema.append(self.arrow.field(name, self.arrow.string()))
        return schema

    def _check_columns(self) -> None:
        for name in self.names.added:
            if name in self.schema.names:
                raise InputError(f"{self.name}: {already(name)}")
        for name in self._columns:
            if self.schema.names.count(name) > 1:
                raise InputError(f"{self.name} has two columns named {name!r}")
            kind = self.schema.field(name).type
            if name in self.names.texts and not is_text(self.arrow.types, kind):
                raise InputError(f"{self.name}: the column {name!r} is {kind}, not text")

    def done(self) -> tuple[int, int]:
        """How many rows are read, and the total."""
        return self._row, self._total

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from a place on. Raises InputError if the file cannot be read."""
        first = 0
        for part in self.parts:
            file = self.open(part)
            for group in range(file.num_row_groups):
                end = first + file.metadata.row_group(group).num_rows
                if end > start.offset:
                    pieces = self.pieces(file, part, group, self._columns)
                    for number, fields in enumerate(self._fields(pieces), first + 1):
                        if number > start.offset:
                            self._row = number
                            problem = "not UTF-8" if fields is None else ""
                            yield Row(number, Place(number, number), b"", fields, problem)
                first = end

    def _fields(self, pieces: Iterator[pa.RecordBatch]) -> Iterator[Fields]:
        for piece in pieces:
            for row in range(piece.num_rows):
                yield self.fields(piece, row)

    def pieces(
        self, file: Any, part: Part, group: int, columns: list[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """A row group in pieces, with the columns from its folders' names."""
        inside = columns and [name for name in columns if name in file.schema_arrow.names]
        pieces = file.iter_batches(PIECE, row_groups=[group], columns=inside)
        while True:
            with self.reading():
                piece = next(pieces, None)
            if piece is None:
                return
            for name, value in part.columns.items():
                if name not in piece.schema.names and (columns is None or name in columns):
                    column = self.arrow.array([value] * piece.num_rows, self.arrow.string())
                    piece = piece.append_column(name, column)
            yield piece

    def fields(self, piece: pa.RecordBatch, row: int) -> Fields:
        """The named columns of a row; None if a text is not UTF-8."""
        try:
            # Arrow does not check the texts of a file.
            return {name: _plain(piece.column(name)[row].as_py()) for name in self._columns}
        except UnicodeDecodeError:
            return None

    def encode(self, row: Row, verdict: str | None, error: str) -> bytes:
        """A line of the list of verdicts, for ``result`` to read."""
        said = json.dumps(error) if verdict is None else "null"
        return f'[{verdict or "null"}, {said}, "{digest_of(row.fields)}"]\n'.encode()

    def result(self, partial: Path) -> Path:
        """Write the result to a file beside the list of verdicts.

        Raises OutputError; InputError if a row is not the one that was judged.
        """
        out = partial.with_name(f"{partial.name}-parquet")
        try:
            write_result(self, partial, out)
            self.content.check_read()
        except BaseException:
            out.unlink(missing_ok=True)
            raise
        return out

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn an error while reading a file into an InputError that names it."""
        try:
            yield
        except (OSError, self.arrow.ArrowException) as error:
            why = getattr(error, "strerror", None) or "it is damaged, or not a Parquet file"
            if "crypt" in str(error):
                why = "it is encrypted, and edgeguard takes no keys; give it decrypted"
            raise InputError(f"cannot read {self.name}: {why}") from error


def _plain(value: object) -> object:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def is_text(types: Any, kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of texts; ``types`` is pyarrow.types."""
    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(types, f"is_{test}")(kind) for test in (*tests, "null"))


def _pyarrow() -> Any:
    require("parquet", "a Parquet file")
    import pyarrow
    import pyarrow.parquet
    import pyarrow.types

    return pyarrow
