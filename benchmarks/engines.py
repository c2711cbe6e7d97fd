"""Rows a second in each engine beside `edgeguard batch`, and the memory of four processes.

    bash scripts/test-engines --collect-only   # installs the engines, the first time
    build/engines/bin/python benchmarks/engines.py [--rows N] [--rounds N] [--model MODEL.gguf]

Each engine judges the same prompts of ten words with nano, in one and in two worker processes of a
thread each; batch does so with one and two threads. A rate is the rows by which a long job is
longer than a short one, over the seconds by which it is: starting an engine and loading a model
cancel out. Rounds take turns, so each factor is a ratio within one run. MODEL is a stand-in of full
size (benchmarks/stand_in.py), of which four processes are held beside each other, with weights that
they share and with a copy each. Prints tables and writes them to benchmarks/results/engines.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks")]

import machine  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "engines.md"
BATCH = "edgeguard batch"
ENGINES = {"Ray Data": "ray", "Daft": "daft", "Spark": "pyspark", "Dask": "distributed"}
WORKERS = (1, 2)
_BATCH_ROWS = 100
"""Rows that a worker judges at a time: small, so that none of them ends long after the others."""


def write(path: Path, rows: int) -> Path:
    """Prompts of ten words in a Parquet file of several row groups, as engines split it by them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [f"How do I get from station {n} to the old museum?" for n in range(rows)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=_BATCH_ROWS)
    return path


# Each judges a file with so many workers and returns when all verdicts are there


def on_batch(path: Path, workers: int) -> None:
    out = path.with_name("judged.parquet")
    command = [sys.executable, "-m", "edgeguard", "batch", str(path), "--out", str(out)]
    subprocess.run(
        [*command, "--model", "nano", "--threads", str(workers)], check=True, capture_output=True
    )
    out.unlink()


def on_ray(path: Path, workers: int) -> None:
    import ray

    from edgeguard.scale import Judge

    # Two more for the steps before and after the judges.
    ray.init(num_cpus=workers + 2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    data = ray.data.read_parquet(str(path)).repartition(4 * workers).materialize()
    data.map_batches(
        Judge,
        fn_constructor_args=("nano",),
        batch_format="pyarrow",
        batch_size=_BATCH_ROWS,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
    ).materialize()
    ray.shutdown()


def on_daft(path: Path, workers: int) -> None:
    import daft

    from edgeguard.scale import Judge

    judge = Judge("nano", threads=1)

    @daft.cls(use_process=True, max_concurrency=workers)
    class Judged:
        def __init__(self, judge: Judge) -> None:
            self.judge = judge

        @daft.method.batch(  # type: ignore[untyped-decorator, unused-ignore]
            return_dtype=daft.DataType.from_arrow_type(judge.column_type), batch_size=_BATCH_ROWS
        )
        def verdict(self, text: Any) -> Any:
            return self.judge.column(text=text.to_arrow())

    data = daft.read_parquet(str(path))
    data.select(Judged(judge).verdict(data["text"])).collect()


def on_spark(path: Path, workers: int) -> None:
    from pyspark.sql import SparkSession

    from edgeguard.scale import Judge

    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(_BATCH_ROWS),
    }
    spark = SparkSession.builder.master(f"local[{workers}]").config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    judge = Judge("nano")
    data = spark.read.parquet(str(path)).repartition(4 * workers)
    data.mapInArrow(judge.batches, judge.spark_schema(data.schema)).write.format("noop").mode(
        "overwrite"
    ).save()
    spark.stop()


def on_dask(path: Path, workers: int) -> None:
    import dask.dataframe as dd
    import pandas as pd
    from distributed import Client, LocalCluster

    from edgeguard.scale import Judge

    judge = Judge("nano")
    data = dd.from_pandas(pd.read_parquet(path), npartitions=4 * workers)
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        data.map_partitions(judge, meta=judge(data._meta)).compute()


WAYS: dict[str, Callable[[Path, int], None]] = {
    BATCH: on_batch,
    "Ray Data": on_ray,
    "Daft": on_daft,
    "Spark": on_spark,
    "Dask": on_dask,
}


def seconds_of(way: str, path: Path, workers: int) -> float:
    """Wall time of a job in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--input", str(path)]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--workers", str(workers)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{way} with {workers} workers failed:\n{done.stderr[-3000:]}")
    return time.perf_counter() - started


def rates(
    ways: list[str], rows: int, rounds: int
) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """For each way and number of workers, in each round: rows a second, and seconds to begin."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    few = rows // 5
    with tempfile.TemporaryDirectory() as folder:
        short = write(Path(folder) / "short.parquet", few)
        long = write(Path(folder) / "long.parquet", rows)
        for _ in range(rounds):
            for way in ways:
                for workers in WORKERS:
                    one, other = (seconds_of(way, path, workers) for path in (short, long))
                    rate = (rows - few) / (other - one)
                    found.setdefault((way, workers), []).append((rate, one - few / rate))
                    print(f"{way}, {workers}: {rate:.0f} rows/s", file=sys.stderr, flush=True)
    return found


def rate_table(found: dict[tuple[str, int], list[tuple[float, float]]]) -> Iterator[str]:
    yield (
        "| | 1 worker, rows/s | ÷ batch, 1 thread | 2 workers, rows/s | ÷ batch, 2 threads | "
        "÷ its 1 worker | before the first row |"
    )
    yield "|---|---|---|---|---|---|---|"
    for way in dict.fromkeys(way for way, _ in found):
        one, two = ([rate for rate, _ in found[way, workers]] for workers in WORKERS)
        beside = [[rate for rate, _ in found[BATCH, workers]] for workers in WORKERS]
        begins = statistics.median(seconds for _, seconds in found[way, 1])
        yield (
            f"| {way} | {statistics.median(one):.0f} | {_factor(one, beside[0])} | "
            f"{statistics.median(two):.0f} | {_factor(two, beside[1])} | {_factor(two, one)} | "
            f"{begins:.1f} s |"
        )


def _factor(ours: list[float], theirs: list[float]) -> str:
    return f"{statistics.median(one / other for one, other in zip(ours, theirs)):.2f}"


# Memory

_HELD = """
import sys
from edgeguard.scale import Judge
import pyarrow as pa
judge = Judge(sys.argv[1], threads=1, n_ctx=1024, mapped_weights=sys.argv[2] == "mapped",
              allow_random_weights=True)
judge(pa.table({"text": ["What is the capital of France?"]}))
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(model: str, weights: str) -> Iterator[int]:
    """A process that has judged a row; its id."""
    command = [sys.executable, "-c", _HELD, model, weights]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            if child.stdout.readline().strip() != "ready":
                sys.exit(f"a process for the memory ended:\n{child.stderr.read()[-2000:]}")
            yield child.pid
        finally:
            child.kill()


def memory_of(pid: int) -> dict[str, int]:
    """MB of a process: all that it has in memory, and its share where pages are shared."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {"resident": kib["Rss"] * 1024 // 10**6, "share": kib["Pss"] * 1024 // 10**6}


def memory_table(model: str) -> Iterator[str]:
    size = Path(model).stat().st_size / 1e6
    yield f"| weights of a file of {size:.0f} MB | processes | resident, each | shares, together |"
    yield "|---|---|---|---|"
    for weights, said in (("mapped", "shared pages (Judge)"), ("copied", "a copy each")):
        for number in (1, 4):
            found = list(_memories(model, weights, number))
            each = statistics.median(one["resident"] for one in found)
            together = sum(one["share"] for one in found)
            yield f"| {said} | {number} | {each:.0f} MB | {together:,} MB |"


def _memories(model: str, weights: str, number: int) -> Iterator[dict[str, int]]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        pids = [stack.enter_context(held(model, weights)) for _ in range(number)]
        yield from [memory_of(pid) for pid in pids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", help="a stand-in of full size, for the memory")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        WAYS[asked.way](asked.input, asked.workers)
        return
    if missing := [name for name in ENGINES.values() if importlib.util.find_spec(name) is None]:
        sys.exit(
            f"{', '.join(missing)} cannot be imported: type `bash scripts/test-engines "
            "--collect-only`, then build/engines/bin/python benchmarks/engines.py"
        )
    described = machine.describe()
    found = rates(list(WAYS), asked.rows, asked.rounds)
    command = f"build/engines/bin/python benchmarks/engines.py --rows {asked.rows}"
    lines = [
        "# Rows a second in the engines, and the memory of their processes",
        "",
        f"`{command} --rounds {asked.rounds}{' --model MODEL' if asked.model else ''}`",
        "",
        f"{described}. nano, prompts of ten words, a thread for each worker; medians of "
        f"{asked.rounds} rounds that took turns. A rate is that of the rows by which a job of "
        f"{asked.rows:,} is longer than one of {asked.rows // 5:,}.",
        "",
        *rate_table(found),
    ]
    if asked.model:
        lines += ["", "Memory, after a first verdict, by Linux's smaps_rollup (Rss, Pss):", ""]
        lines += memory_table(asked.model)
    RESULTS.write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
