"""Dask: data frames whose partitions are judged by the workers of a cluster on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

dd = pytest.importorskip("dask.dataframe", reason="needs Dask; see scripts/test-engines")
distributed = pytest.importorskip("distributed", reason="needs Dask; see scripts/test-engines")

import pyarrow as pa  # noqa: E402
from engine_rows import (  # noqa: E402
    TALK,
    Dying,
    check_repeated,
    expected,
    in_order,
    repeated,
    table,
    threads_of,
)

from edgeguard import InputError, ModelNotFoundError  # noqa: E402
from edgeguard.scale import Judge  # noqa: E402

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """Two workers, processes of a thread each."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def judged(data: Any, judge: Judge) -> Any:
    return data.map_partitions(judge, meta=judge(data._meta))


def frame(rows: pa.Table, partitions: int) -> Any:
    return dd.from_pandas(rows.to_pandas(), npartitions=partitions)


@pytest.mark.parametrize("partitions", [1, 3, 10])
def test_every_row_is_that_of_check_many(partitions: int) -> None:
    rows = table(40)
    found = judged(frame(rows, partitions), Judge("nano")).compute()
    assert in_order(found.to_dict("records")) == expected(rows)


def test_what_is_written_has_one_schema(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows, judge = table(20), Judge("nano")
    data = judged(frame(rows, 4), judge)
    schema = pa.schema([*rows.schema, *judge.fields])
    data.to_parquet(str(tmp_path / "out"), write_index=False, schema=schema)
    files = sorted((tmp_path / "out").glob("*.parquet"))
    assert len(files) == 4
    assert all(pq.read_schema(file).remove_metadata() == schema for file in files)
    assert in_order(pq.read_table(tmp_path / "out").to_pylist()) == expected(rows)


def test_conversations() -> None:
    import dask
    import pandas as pd

    with dask.config.set({"dataframe.convert-string": False}):  # else lists become their repr
        data = dd.from_pandas(pd.DataFrame({"messages": [TALK] * 3}), npartitions=1)
        found = judged(data, Judge("nano")).compute()
    assert [row["refusal"] for row in found["verdict"]] == ["Yes"] * 3


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    rows, die = table(40), tmp_path / "die"
    die.touch()
    judge = Dying("nano", str(die))
    found = frame(rows, 6).map_partitions(judge, meta=Judge()(frame(rows, 6)._meta)).compute()
    assert not die.exists(), "nobody was killed"
    assert in_order(found.to_dict("records")) == expected(rows)


def test_what_ends_the_job() -> None:
    data = frame(table(4), 1)
    with pytest.raises(ModelNotFoundError, match="no model is named 'absent'"):
        judged(data, Judge("absent")).compute()
    with pytest.raises(InputError, match="has no field 'prompt'"):
        judged(data, Judge("nano", text_field="prompt"))


def test_threads_are_those_of_the_worker(cluster: Any) -> None:
    assert cluster.submit(threads_of, Judge("nano")._options).result(timeout=120) == 1


@pytest.mark.slow
def test_a_hundred_thousand_rows() -> None:
    judge = Judge("nano", cache="memory")
    found = judged(frame(repeated(100_000, 500), 20), judge).compute()
    check_repeated(found.to_dict("records"), 100_000, 500)
