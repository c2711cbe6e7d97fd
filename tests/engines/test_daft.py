"""Daft, on its native runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

daft = pytest.importorskip("daft", reason="needs Daft; see scripts/test-engines")

from engine_rows import (  # noqa: E402
    TALK,
    Dying,
    check_repeated,
    expected,
    in_order,
    repeated,
    table,
)

from edgeguard.scale import Judge  # noqa: E402

pytestmark = pytest.mark.engine


def judged(data: Any, judge: Judge, *names: str, batch_size: int = 8, processes: int = 2) -> Any:
    """The frame with its verdicts: a class of Daft around a judge."""

    @daft.cls(use_process=True, max_concurrency=processes)
    class Judged:
        def __init__(self, judge: Judge) -> None:
            self.judge = judge

        @daft.method.batch(
            return_dtype=daft.DataType.from_arrow_type(judge.column_type),
            unnest=True,
            batch_size=batch_size,
        )
        def verdict(self, *columns: daft.Series) -> Any:
            given = {name: one.to_arrow() for name, one in zip(names, columns)}
            return self.judge.column(**given)

    return data.select("*", Judged(judge).verdict(*(data[name] for name in names)))


@pytest.mark.parametrize(("batch_size", "processes"), [(40, 1), (7, 2), (3, 2)])
def test_every_row_is_that_of_check_many(batch_size: int, processes: int) -> None:
    rows = table(40)
    judge = Judge("nano", threads=1)
    found = judged(
        daft.from_arrow(rows), judge, "text", "response", batch_size=batch_size, processes=processes
    )
    assert in_order(found.to_pylist()) == expected(rows)


def test_all_files_have_one_schema(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    judge = Judge("nano", threads=1)
    judged(daft.from_arrow(table(20)), judge, "text").write_parquet(str(tmp_path / "out"))
    schemas = [pq.read_schema(file) for file in (tmp_path / "out").rglob("*.parquet")]
    assert schemas
    for schema in schemas:
        inside = {field.name for field in schema.field("verdict").type}
        assert inside == {field.name for field in judge.fields[0].type}


def test_conversations() -> None:
    data = daft.from_pylist([{"messages": TALK}] * 3)
    found = judged(data, Judge("nano", threads=1), "messages").to_pylist()
    assert [row["verdict"]["refusal"] for row in found] == ["Yes"] * 3


def test_a_killed_process_ends_the_job_and_the_next_one_is_whole(tmp_path: Path) -> None:
    """Daft starts no process anew: the job fails aloud, and its result is not there."""
    rows, die = table(40), tmp_path / "die"
    judge = Dying("nano", str(die), threads=1)
    die.touch()
    with pytest.raises(Exception, match="UDF process"):
        judged(daft.from_arrow(rows), judge, "text", "response").collect()
    assert not die.exists(), "nobody was killed"
    found = judged(daft.from_arrow(rows), judge, "text", "response").to_pylist()
    assert in_order(found) == expected(rows)


def test_what_ends_the_job() -> None:
    data = daft.from_arrow(table(4))
    with pytest.raises(Exception, match="no model is named 'absent'"):
        judged(data, Judge("absent"), "text").collect()
    with pytest.raises(Exception, match="has no field 'text'"):
        judged(data, Judge("nano", threads=1), "response").collect()


@pytest.mark.slow
def test_a_hundred_thousand_rows() -> None:
    judge = Judge("nano", threads=1, cache="memory")
    data = daft.from_arrow(repeated(100_000, 500))
    check_repeated(judged(data, judge, "text", batch_size=5000).iter_rows(), 100_000, 500)
