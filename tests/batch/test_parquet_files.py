"""Parquet as others write it: what it is besides its values comes back, and folders are read."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgeguard.batch.formats import open_input
from edgeguard.batch.parquet_result import _GROUP_BYTES
from edgeguard.batch.rows import START
from edgeguard.conversation.rows import Names
from edgeguard.errors import InputError

TEXTS = ["a kettle", "tea", "milk", "a cup", "bread", "jam"]
NAMES = Names()


def judged(path: Path, names: Names = NAMES) -> tuple[list[Any], pq.ParquetFile]:
    """The rows of an input, and its result with an error for each."""
    partial = path.with_name("partial")
    with open_input(str(path), "parquet", names) as form:
        form.content.measure(form.content.seen)
        rows = list(form.rows(START))
        partial.write_bytes(b"".join(form.encode(row, None, f"why {row.number}") for row in rows))
        result = pq.ParquetFile(form.result(partial))
    return rows, result


def codecs(file: pq.ParquetFile) -> list[list[str]]:
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    return [[g.column(index).compression for index in range(g.num_columns)] for g in groups]


def groups(file: pq.ParquetFile) -> list[int]:
    return [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_every_codec_gets_its_result(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": TEXTS, "x": range(6)}), path, compression=codec)
    rows, result = judged(path)
    assert [row.fields["text"] for row in rows] == TEXTS
    assert {*codecs(result)[0]} == {*codecs(pq.ParquetFile(path))[0]}
    assert result.read()["verdict_error"].to_pylist() == [f"why {n}" for n in range(1, 7)]


def test_columns_keep_their_own_codec(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    table = pa.table(
        {
            "a.b": TEXTS,
            "text": TEXTS,
            "many": [[1, None]] * 6,
            "deep": [{"x": [{"y": 1}], "z": "a"}] * 6,
            "map": pa.array([[("k", 1)]] * 6, pa.map_(pa.string(), pa.int32())),
        }
    )
    chosen = dict(zip(table.column_names, ["GZIP", "NONE", "ZSTD"]))
    for nested in (True, False):  # the names of a list's items, new and old
        pq.write_table(table, path, compression=chosen, use_compliant_nested_type=nested)
        _, result = judged(path)
        before = codecs(pq.ParquetFile(path))[0]
        assert {"GZIP", "UNCOMPRESSED"} <= {*before}
        assert codecs(result)[0][: len(before)] == before
        assert {*codecs(result)[0][len(before) :]} == {"GZIP"}
        assert result.read().select(table.column_names).equals(table)


def test_row_groups_versions_and_sorting_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    table = pa.table({"text": TEXTS, "x": range(6)})
    by = [pq.SortingColumn(1, descending=True)]
    for version in ("1.0", "2.4", "2.6"):
        with pq.ParquetWriter(path, table.schema, version=version, sorting_columns=by) as writer:
            for start, size in ((0, 3), (3, 1), (4, 2)):
                writer.write_table(table.slice(start, size))
        _, result = judged(path)
        assert groups(result) == [3, 1, 2]
        assert result.metadata.format_version == pq.ParquetFile(path).metadata.format_version
        found = [result.metadata.row_group(number).sorting_columns for number in range(3)]
        assert found == [tuple(by)] * 3
    pq.write_table(table, path)
    assert judged(path)[1].metadata.row_group(0).sorting_columns == ()


def test_a_row_group_too_large_for_the_memory_is_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _GROUP_BYTES > 1 << 20
    monkeypatch.setattr("edgeguard.batch.parquet_result._GROUP_BYTES", 100_000)
    path = tmp_path / "in.parquet"
    table = pa.table({"text": [f"text {number} " + "x" * 100 for number in range(2500)]})
    pq.write_table(table, path, row_group_size=2400)
    _, result = judged(path)
    assert groups(result) == [1000, 1000, 400, 100]
    assert result.read().select(["text"]).equals(table)


@pytest.mark.parametrize("version", ["1.0", "2.6"])
@pytest.mark.parametrize("int96", [True, False])
def test_types_values_and_metadata_are_kept(tmp_path: Path, version: str, int96: bool) -> None:
    day = dt.date(2020, 1, 1)
    columns: dict[str, Any] = {
        "text": pa.array(TEXTS, pa.large_string()),
        "ns": pa.array([10**18 + 7000] * 6, pa.timestamp("ns")),
        "us": pa.array([10**15 + 7] * 6, pa.timestamp("us", "Europe/Paris")),
        "u32": pa.array([2**32 - 1] * 6, pa.uint32()),
        "half": pa.array([1.5] * 6, pa.float32()),
        "money": pa.array([decimal.Decimal("1.10")] * 6, pa.decimal128(10, 2)),
        "day": [day] * 6,
        "nothing": pa.array([None] * 6, pa.null()),
        "kind": pa.array(["a", "b"] * 3).dictionary_encode(),
        "bytes": [b"\xff", b"", None] * 2,
    }
    fields = [
        pa.field(name, pa.array(column).type, metadata={"of": name} if name == "day" else None)
        for name, column in columns.items()
    ]
    fields[3] = fields[3].with_nullable(False)
    kept = {b"made by": b"us", b"bytes": b"\xff", b"pandas": b"{}"}
    spark = {b"org.apache.spark.sql.parquet.row.metadata": b"{}"}
    schema = pa.schema(fields, metadata={**kept, **spark})
    path = tmp_path / "in.parquet"
    table = pa.table(columns, schema=schema)
    pq.write_table(table, path, version=version, use_deprecated_int96_timestamps=int96)
    _, result = judged(path)
    source = pq.ParquetFile(path)
    before, after = source.read(), result.read()
    assert after.select(before.column_names).equals(before)
    for name in before.column_names:
        was, now = before.schema.field(name), after.schema.field(name)
        assert (now.type, now.nullable, now.metadata) == (was.type, was.nullable, was.metadata)
    leaves = [(leaf.physical_type, str(leaf.logical_type)) for leaf in _leaves(source)]
    assert [(leaf.physical_type, str(leaf.logical_type)) for leaf in _leaves(result)][
        : len(leaves)
    ] == leaves
    assert ("INT96" in {leaf[0] for leaf in leaves}) is int96
    # Spark would not see the added columns if its own list of them were kept.
    assert after.schema.metadata == kept


def _leaves(file: pq.ParquetFile) -> list[Any]:
    return [file.schema.column(index) for index in range(len(file.schema.names))]


def test_sparks_int96_has_more_years_than_nanoseconds_have(tmp_path: Path) -> None:
    moments = [dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), None] * 2
    table = pa.table({"text": TEXTS, "at": pa.array(moments, pa.timestamp("us"))})
    path = tmp_path / "in.parquet"
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    content = path.read_bytes()
    by = b"parquet-cpp-arrow version"
    assert content.count(by) == 1
    path.write_bytes(content.replace(by, b"parquet-mr simulated....."))
    _, result = judged(path)
    again = pq.ParquetFile(path.with_name("partial-parquet"), coerce_int96_timestamp_unit="us")
    assert again.read()["at"].to_pylist() == moments
    assert result.schema.column(1).physical_type == "INT96"


def test_text_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        texts = pa.array([b"a kettle", "tü".encode(), b"\xff", None], kind)
        try:
            pq.write_table(pa.table({"text": texts}), path)
        except pa.ArrowNotImplementedError:  # the oldest pyarrow that we take writes no views
            assert kind == pa.binary_view()
            continue
        rows, result = judged(path)
        assert [row.fields and row.fields["text"] for row in rows] == ["a kettle", "tü", None, None]
        assert [row.problem for row in rows] == ["", "", "not UTF-8", ""]
        assert result.read()["text"].to_pylist() == texts.to_pylist()


def test_messages_as_json(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    messages = [{"role": "user", "content": "tea"}]
    pq.write_table(pa.table({"m": [json.dumps(messages)]}), path)
    rows, _ = judged(path, Names(messages="m"))
    assert rows[0].fields == {"m": json.dumps(messages)}


def test_a_folder_of_parts_as_spark_writes_it(tmp_path: Path) -> None:
    folder = tmp_path / "in.parquet"
    folder.mkdir()
    for number, texts in ((10, TEXTS[:1]), (2, TEXTS[1:4]), (0, TEXTS[4:])):
        pq.write_table(pa.table({"text": texts}), folder / f"part-{number:05}-x.snappy.parquet")
    for hidden in ("_SUCCESS", "._SUCCESS.crc", ".part-00000.parquet.crc", "_metadata.parquet"):
        (folder / hidden).write_bytes(b"nothing")
    (folder / "_delta_log").mkdir()
    (folder / "_delta_log" / "x.parquet").write_bytes(b"nothing")
    (folder / "notes.txt").write_text("no part")
    rows, result = judged(folder)
    order = [*TEXTS[4:], *TEXTS[1:4], *TEXTS[:1]]
    assert [row.fields["text"] for row in rows] == order
    assert result.read()["text"].to_pylist() == order
    assert groups(result) == [2, 3, 1]
    with open_input(str(folder), "parquet", NAMES) as form:
        assert list(form.rows(rows[2].after)) == rows[3:]


def test_folders_that_are_columns(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for lang, day, text in (
        ("de", "1", "tee"),
        ("en", "2", "tea"),
        ("__HIVE_DEFAULT_PARTITION__", "1%2F3", "?"),
    ):
        part = folder / f"lang={lang}" / f"day={day}"
        part.mkdir(parents=True)
        pq.write_table(pa.table({"text": [text, text]}), part / "0.parquet")
    rows, result = judged(folder)
    assert [row.fields["text"] for row in rows] == ["?", "?", "tee", "tee", "tea", "tea"]
    assert result.schema_arrow.names == ["text", "lang", "day", "verdict", "verdict_error"]
    assert result.read()["lang"].to_pylist() == [None, None, "de", "de", "en", "en"]
    assert result.read()["day"].to_pylist()[::2] == ["1/3", "1", "2"]


def test_folders_that_will_not_do(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(InputError, match="no Parquet file in the folder"):
        judged(folder)
    pq.write_table(pa.table({"text": TEXTS}), folder / "1.parquet")
    pq.write_table(pa.table({"text": TEXTS, "x": TEXTS}), folder / "2.parquet")
    with pytest.raises(InputError, match=r"2\.parquet has other columns than .*1\.parquet"):
        judged(folder)
    (folder / "2.parquet").unlink()
    (folder / "_temporary").mkdir()
    with pytest.raises(InputError, match="is being written"):
        judged(folder)


def test_a_part_that_changes(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        pq.write_table(pa.table({"text": TEXTS}), folder / f"{number}.parquet")
    partial = tmp_path / "partial"
    with open_input(str(folder), "parquet", NAMES) as form:
        form.content.measure(form.content.seen)
        rows = list(form.rows(START))
        partial.write_bytes(b"".join(form.encode(row, None, "why") for row in rows))
        pq.write_table(pa.table({"text": TEXTS[::-1]}), folder / "1.parquet")
        with pytest.raises(InputError, match="was changed while it was read"):
            form.result(partial)
    assert not (tmp_path / "partial-parquet").exists()


@pytest.mark.parametrize("footer", [True, False])
def test_an_encrypted_file_is_said_to_be_one(tmp_path: Path, footer: bool) -> None:
    encryption = pytest.importorskip("pyarrow.parquet.encryption")

    class Keys(encryption.KmsClient):  # type: ignore[misc, name-defined]
        """Keeps its keys in the open."""

        def wrap_key(self, key: bytes, _name: str) -> str:
            return key.hex()

        def unwrap_key(self, key: str, _name: str) -> bytes:
            return bytes.fromhex(key)

    how = encryption.EncryptionConfiguration(
        footer_key="f", column_keys={"c": ["text"]}, plaintext_footer=not footer
    )
    factory = encryption.CryptoFactory(lambda _: Keys())
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), how)
    table, path = pa.table({"text": TEXTS}), tmp_path / "in.parquet"
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(InputError, match="it is encrypted, and edgeguard takes no keys"):
        judged(path)
