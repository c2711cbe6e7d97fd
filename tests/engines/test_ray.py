"""Ray Data, started on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="needs Ray; see scripts/test-engines")

from engine_rows import (  # noqa: E402
    TALK,
    Dying,
    Threads,
    check_repeated,
    expected,
    in_order,
    repeated,
    table,
)

from edgeguard.scale import Judge  # noqa: E402

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two processors for the judges, and two for the other steps."""
    ray.init(
        num_cpus=4, object_store_memory=300 << 20, include_dashboard=False, log_to_driver=False
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def judged(rows: Any, judge: type = Judge, model: str = "nano", **how: Any) -> Any:
    options = {"batch_size": 8, "batch_format": "pyarrow", "num_cpus": 1, **how}
    options.setdefault("compute", ray.data.ActorPoolStrategy(size=2))
    arguments = options.pop("arguments", {})
    return rows.map_batches(
        judge, fn_constructor_args=(model,), fn_constructor_kwargs=arguments, **options
    )


@pytest.mark.parametrize("batch_format", ["default", "pyarrow"])
@pytest.mark.parametrize(("blocks", "batch_size"), [(1, 40), (5, 7), (13, 3)])
def test_every_row_is_that_of_check_many(blocks: int, batch_size: int, batch_format: str) -> None:
    rows = table(40)
    data = ray.data.from_arrow(rows).repartition(blocks)
    found = judged(data, batch_size=batch_size, batch_format=batch_format).take_all()
    assert in_order(found) == expected(rows)


def test_all_blocks_have_one_schema(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    judged(ray.data.from_arrow(table(40)).repartition(8), batch_size=2).write_parquet(
        str(tmp_path / "out")
    )
    schemas = [pq.read_schema(file) for file in (tmp_path / "out").rglob("*.parquet")]
    assert len(schemas) > 1
    assert all(schema.equals(schemas[0]) for schema in schemas)


def test_conversations() -> None:
    for batch_format in ("default", "pyarrow"):
        data = ray.data.from_items([{"messages": TALK}] * 3)
        found = judged(data, batch_format=batch_format).take_all()
        assert [row["verdict"]["refusal"] for row in found] == ["Yes"] * 3


def test_a_killed_actor_loses_nothing(tmp_path: Path) -> None:
    rows, die = table(40), tmp_path / "die"
    die.touch()
    data = ray.data.from_arrow(rows).repartition(4).materialize()
    found = judged(data, Dying, arguments={"die": str(die)}, batch_size=4).take_all()
    assert not die.exists(), "nobody was killed"
    assert in_order(found) == expected(rows)


def test_what_ends_the_job() -> None:
    data = ray.data.from_arrow(table(4))
    with pytest.raises(Exception, match="no model is named 'absent'"):
        judged(data, model="absent").materialize()
    with pytest.raises(Exception, match="has no field 'prompt'"):
        judged(data, arguments={"text_field": "prompt"}).materialize()


def test_threads_are_the_cpus_of_the_actor() -> None:
    pool = ray.data.ActorPoolStrategy(size=1)
    data = ray.data.from_arrow(table(4))
    found = judged(data, Threads, num_cpus=2, compute=pool, batch_size=None).take_all()
    assert {row["threads"] for row in found} == {2}


@pytest.mark.slow
def test_a_hundred_thousand_rows() -> None:
    data = ray.data.from_arrow(repeated(100_000, 500)).repartition(20).materialize()
    found = judged(data, batch_size=5000, arguments={"cache": "memory"}).iter_rows()
    check_repeated(found, 100_000, 500)
