"""What `edgeguard batch` costs beside the model: processor time a row, and memory.

    python benchmarks/batch.py [--rows N]

Runs nano in a bare loop over Guard.check and through batch, and batch alone with a fake model that
answers at once. Prints a table and writes it to benchmarks/results/batch.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks")]

import machine  # noqa: E402

from edgeguard import Guard  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "batch.md"
CHILD = ROOT / "tests" / "batch_in_child.py"
NANO = [sys.executable, "-m", "edgeguard", "batch", "--model", "nano", "--threads", "1"]
KINDS = ("jsonl", "csv", "parquet")


def write(path: Path, rows: int) -> Path:
    """An input of distinct short texts, in the format of its name."""
    texts = [f"How do I get from station {number} to the museum?" for number in range(rows)]
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"text": texts}), path, row_group_size=rows)
    elif path.suffix == ".csv":
        path.write_text("text\n" + "".join(f"{text}\n" for text in texts), encoding="utf-8")
    else:
        lines = (json.dumps({"text": text}) + "\n" for text in texts)
        path.write_text("".join(lines), encoding="utf-8")
    return path


def seconds_of(command: list[str], path: Path) -> tuple[float, int]:
    """Processor seconds of a run; the last number on its stderr, the fake model's peak in KiB."""
    out = path.with_name(f"out{path.suffix}")
    started = _used()
    done = subprocess.run(
        [*command, str(path), "--out", str(out)], capture_output=True, text=True, check=True
    )
    seconds = _used() - started
    out.unlink()
    last = done.stderr.split()[-1:] or ["0"]
    return seconds, int(last[0]) if last[0].isdigit() else 0


def _used() -> float:
    """Processor seconds of the children that have ended: another load does not change them much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bare_loop(rows: int) -> float:
    """Milliseconds of one Guard.check, over all the texts."""
    with Guard("nano", threads=1) as guard:
        guard.check("Hello")
        started = time.process_time()
        for number in range(rows):
            guard.check(f"How do I get from station {number} to the museum?")
        return (time.process_time() - started) / rows * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000, help="texts that nano judges")
    rows = parser.parse_args().rows
    described = machine.describe()
    small, large = 100_000, 300_000
    lines = ["| what | processor time a row | peak memory |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "in.jsonl", rows)
        started, _ = seconds_of(NANO, write(Path(folder) / "one.jsonl", 1))
        lines.append(f"| nano, a bare loop over `Guard.check` | {bare_loop(rows):.2f} ms | |")
        whole, _ = seconds_of(NANO, path)
        each = (whole - started) / (rows - 1) * 1000
        lines.append(f"| nano, `edgeguard batch` on JSONL | {each:.2f} ms | |")
        for kind in KINDS:
            child = [sys.executable, str(CHILD), "batch"]
            few, few_kib = seconds_of(child, write(Path(folder) / f"in.{kind}", small))
            many, many_kib = seconds_of(child, write(Path(folder) / f"in.{kind}", large))
            lines.append(
                f"| `batch` alone on {kind}, a fake model | "
                f"{(many - few) / (large - small) * 1000:.3f} ms | {few_kib / 1024:.0f} MiB with "
                f"{small:,} rows, {many_kib / 1024:.0f} MiB with {large:,} |"
            )
    text = (
        "# What `edgeguard batch` costs beside the model\n\n"
        f"{described}. {rows:,} distinct texts for nano; `python benchmarks/batch.py` makes this "
        "file.\n\n" + "\n".join(lines) + "\n"
    )
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
