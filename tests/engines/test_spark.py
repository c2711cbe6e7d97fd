"""Spark, in local mode: its Python workers are processes of their own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="needs PySpark; see scripts/test-engines")
if shutil.which("java") is None:
    pytest.skip("needs a Java, as apt's default-jre-headless", allow_module_level=True)

from engine_rows import (
    TALK,
    Dying,
    check_repeated,
    expected,
    in_order,
    repeated,
    table,
)
from pyspark.sql import SparkSession

from edgeguard.scale import Judge

pytestmark = pytest.mark.engine

MAPS = ["mapInPandas", "mapInArrow"]


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """Two tasks at a time, each of which may fail three times."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "8",
        "spark.driver.memory": "1g",
        "spark.driver.host": "localhost",
    }
    session = SparkSession.builder.master("local[2,4]").config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
    patch.undo()


def judged(data: Any, judge: Judge, how: str) -> Any:
    return getattr(data, how)(judge.batches, judge.spark_schema(data.schema))


def rows_of(data: Any) -> list[dict[str, Any]]:
    return [row.asDict(recursive=True) for row in data.collect()]


@pytest.mark.parametrize("how", MAPS)
@pytest.mark.parametrize("partitions", [1, 3, 8])
def test_every_row_is_that_of_check_many(spark: SparkSession, partitions: int, how: str) -> None:
    rows = table(40)
    data = spark.createDataFrame(rows).repartition(partitions)
    assert in_order(rows_of(judged(data, Judge("nano"), how))) == expected(rows)


def test_what_is_written_can_be_read_and_asked(spark: SparkSession, tmp_path: Path) -> None:
    rows = table(40)
    data = judged(spark.createDataFrame(rows).repartition(4), Judge("nano"), "mapInPandas")
    data.write.parquet(str(tmp_path / "out"))
    again = spark.read.parquet(str(tmp_path / "out"))
    flagged = again.where("verdict.flagged").count()
    assert flagged == sum(
        bool(row["verdict"] and row["verdict"]["flagged"]) for row in expected(rows)
    )


@pytest.mark.parametrize("how", MAPS)
def test_conversations(spark: SparkSession, how: str) -> None:
    messages = "messages array<struct<role: string, content: string>>"
    data = spark.createDataFrame([{"messages": TALK}] * 3, messages)
    found = rows_of(judged(data, Judge("nano"), how))
    assert [row["verdict"]["refusal"] for row in found] == ["Yes"] * 3


@pytest.mark.parametrize("how", MAPS)
def test_a_killed_worker_loses_nothing(spark: SparkSession, how: str, tmp_path: Path) -> None:
    rows, die = table(40), tmp_path / "die"
    die.touch()
    data = spark.createDataFrame(rows).repartition(4)
    found = rows_of(judged(data, Dying("nano", str(die)), how))
    assert not die.exists(), "nobody was killed"
    assert in_order(found) == expected(rows)


def test_what_ends_the_job(spark: SparkSession) -> None:
    data = spark.createDataFrame(table(4))
    with pytest.raises(Exception, match="no model is named 'absent'"):
        judged(data, Judge("absent"), "mapInPandas").collect()
    with pytest.raises(Exception, match="has no field 'prompt'"):
        judged(data, Judge("nano", text_field="prompt"), "mapInArrow").collect()


@pytest.mark.slow
def test_a_hundred_thousand_rows(spark: SparkSession) -> None:
    data = spark.createDataFrame(repeated(100_000, 500)).repartition(10)
    found = judged(data, Judge("nano", cache="memory"), "mapInArrow").toArrow()
    check_repeated(found.to_pylist(), 100_000, 500)
