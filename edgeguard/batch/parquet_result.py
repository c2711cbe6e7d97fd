"""The result of a Parquet input: its columns unchanged, and the verdict as a struct beside them.

Columns keep their order, types, metadata and compression, row groups their boundaries; the file
keeps its version and its sort order. A row group too large for the memory is written as several.
This module judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from edgeguard.batch.parquet_parts import Fields, Part, digest_of
from edgeguard.batch.unchanged import changed
from edgeguard.conversation.rows import Names
from edgeguard.errors import OutputError
from edgeguard.protocol.names import CATEGORIES, SEVERITIES

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_BYTES = 128 << 20
_SPARK = b"org.apache.spark.sql.parquet.row.metadata"
"""Spark's own list of the columns. It is dropped, or Spark would not see the added ones."""


class Columns(Protocol):
    """An open Parquet input."""

    arrow: Any
    name: str
    names: Names
    parts: tuple[Part, ...]
    first: Any
    schema: Any

    def open(self, part: Part) -> Any:
        """Open a part for reading."""

    def pieces(self, file: Any, part: Part, group: int) -> Iterator[pa.RecordBatch]:
        """A row group in pieces."""

    def fields(self, piece: pa.RecordBatch, row: int) -> Fields:
        """The fields of a row that were judged."""


def write_result(form: Columns, partial: Path, out: Path) -> None:
    """Write the result from the input and the list of verdicts in ``partial``.

    Raises OutputError; InputError if a row is not the one that was judged.
    """
    arrow = form.arrow
    kept = {k: v for k, v in (form.schema.metadata or {}).items() if k != _SPARK}
    schema = arrow.schema([*form.schema, *added(arrow, form.names)], metadata=kept)
    with _writing(arrow, out), partial.open("rb") as lines:
        options = _options(form, schema)
        with arrow.parquet.ParquetWriter(out, schema, **options) as writer:
            for group in _groups(form, schema, lines):
                table = arrow.Table.from_batches(group, schema)
                writer.write_table(table, row_group_size=max(table.num_rows, 1))


def _groups(form: Columns, schema: pa.Schema, lines: BinaryIO) -> Iterator[list[pa.RecordBatch]]:
    """The rows with their verdicts, in the input's row groups."""
    for part in form.parts:
        file = form.open(part)
        for number in range(file.num_row_groups):
            group: list[pa.RecordBatch] = []
            for piece in form.pieces(file, part, number):
                group.append(_judged(form, schema, piece, lines))
                if sum(map(_bytes, group)) >= _GROUP_BYTES:
                    yield group
                    group = []
            if group:
                yield group


def _bytes(rows: pa.RecordBatch) -> int:
    """The size of rows in memory, or an upper bound where pyarrow cannot tell it of views."""
    try:
        return int(rows.nbytes)
    except TypeError:  # pyarrow.ArrowTypeError, until 22
        return int(rows.get_total_buffer_size())


def _judged(
    form: Columns, schema: pa.Schema, piece: pa.RecordBatch, lines: BinaryIO
) -> pa.RecordBatch:
    """Rows with their verdicts. Raises InputError if the verdicts are for other rows."""
    said = [json.loads(line) for line in islice(lines, piece.num_rows)]
    digests = [digest_of(form.fields(piece, row)) for row in range(piece.num_rows)]
    if digests != [one[2] for one in said]:
        raise changed(form.name)
    verdict, error = (schema.field(name) for name in form.names.added)
    columns = [
        *piece.columns,
        form.arrow.array([one[0] for one in said], verdict.type),
        form.arrow.array([one[1] for one in said], error.type),
    ]
    return form.arrow.RecordBatch.from_arrays(columns, schema=schema)


def _options(form: Columns, schema: pa.Schema) -> dict[str, Any]:
    """How the input was written, as far as its metadata say and pyarrow supports it."""
    metadata = form.first.metadata
    leaves = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    times = [leaf for leaf in leaves if leaf.logical_type.type == "TIMESTAMP"]
    options: dict[str, Any] = {
        "version": metadata.format_version,
        "compression": _compression(form, schema),
        # one setting for all columns of a file
        "use_deprecated_int96_timestamps": not times
        and any(leaf.physical_type == "INT96" for leaf in leaves),
    }
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    sorting = {tuple(group.sorting_columns) for group in groups}
    if len(sorting) == 1 and any(sorting):
        options["sorting_columns"] = list(sorting.pop())
    return options


def _compression(form: Columns, schema: pa.Schema) -> dict[str, str]:
    """The codec of each column, by its path in the result; added columns get the first one's."""
    metadata = form.first.metadata
    codecs = ["SNAPPY"]
    if metadata.num_row_groups:
        group = metadata.row_group(0)
        codecs = [group.column(index).compression for index in range(group.num_columns)]
    paths = _paths(form.arrow, schema)
    codecs += codecs[:1] * (len(paths) - len(codecs))
    names = {"UNCOMPRESSED": "NONE", "LZ4_RAW": "LZ4"}
    return {path: names.get(codec, codec) for path, codec in zip(paths, codecs)}


def _paths(arrow: Any, schema: pa.Schema) -> list[str]:
    """The paths of a schema's leaves, as in a Parquet file."""
    file = arrow.BufferOutputStream()
    arrow.parquet.write_table(schema.empty_table(), file)
    leaves = arrow.parquet.ParquetFile(arrow.BufferReader(file.getvalue())).schema
    return [leaves.column(index).path for index in range(len(leaves.names))]


@contextmanager
def _writing(arrow: Any, out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, arrow.ArrowException) as error:
        raise OutputError(f"cannot write {out}: {error}") from error


def added(arrow: Any, names: Names) -> list[pa.Field]:
    """The added columns: the verdict, and the reason for having none."""
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
            "reason": text,
            "observed": arrow.bool_(),
            "form": text,
            "category_probabilities": arrow.struct(dict.fromkeys(CATEGORIES, arrow.float64())),
            "message": number,
            "not_judged": arrow.list_(text),
        }
    )
    return [arrow.field(names.verdict, verdict), arrow.field(names.error, text)]
