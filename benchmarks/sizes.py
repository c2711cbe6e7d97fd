"""The larger models, from a checkpoint in several files to a verdict: time, memory, disk.

    python benchmarks/sizes.py [--sizes 0.6b 4b 8b] [--type q4_k_m]

For each size a stand-in with random weights is written, converted, loaded in a process of its own
and asked; then all of it is removed. 8B needs 40 GB of disk for a while and 7 GB of memory. The
memory of a conversion is what is resident without pages of files, that of a check what is resident
at most. Results: benchmarks/results/sizes.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import machine  # noqa: E402
import stand_in  # noqa: E402

import convert  # noqa: E402

OUT = ROOT / "benchmarks" / "results" / "sizes.md"
CHILD = """
import json, resource, sys, time
from edgeguard import Guard
began = time.perf_counter()
guard = Guard(sys.argv[1], allow_random_weights=True)
loaded = time.perf_counter() - began
short, long = "Where is the city of Paris, and who lives there?", "river and hill " * 330
guard.check("What is bread?")  # the start of the question
times = []
for text in (short, long):
    began = time.perf_counter()
    guard.check(text)
    times.append(time.perf_counter() - began)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(json.dumps({"loaded": loaded, "times": times, "peak": peak}))
"""
HEAD = (
    "| size | checkpoint | file | converted in | memory for it | loaded in | 10 words "
    "| 1,000 words | memory to judge |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=stand_in.SIZES, default=list(stand_in.SIZES))
    parser.add_argument("--type", default="q4_k_m")
    options = parser.parse_args()
    where, rows = machine.describe(), []
    for size in options.sizes:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            rows.append(row(size, options.type, Path(folder)))
        print(rows[-1], file=sys.stderr)
    lines = [
        "# The sizes of the model",
        "",
        f"`python benchmarks/sizes.py`: {options.type}, {where}.",
        "Random weights of the published shapes; times are those of real ones.",
        "",
        HEAD,
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


def row(size: str, kind: str, folder: Path) -> str:
    tokenizer = stand_in.TOKENIZER if stand_in.TOKENIZER.is_dir() else None
    checkpoint = stand_in.write(folder / "checkpoint", tokenizer, size)
    shards = list(checkpoint.glob("*.safetensors"))
    weights = sum(file.stat().st_size for file in shards) / 1e9
    model = folder / "model.gguf"
    seconds, memory = converted(checkpoint, kind, model)
    shutil.rmtree(checkpoint)
    found = judged(model, folder / "home")
    short, long = found["times"]
    return (
        f"| {size} | {weights:.1f} GB in {len(shards)} | {model.stat().st_size / 1e9:.2f} GB "
        f"| {seconds:.0f} s | {memory:.0f} MB | {found['loaded']:.1f} s | {short:.2f} s "
        f"| {long:.1f} s | {found['peak']:.0f} MB |"
    )


def converted(checkpoint: Path, kind: str, model: Path) -> tuple[float, float]:
    """Seconds, and the peak of the memory of all processes without pages of files."""
    words = ["convert", str(checkpoint), "--type", kind, "--out", str(model)]
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "edgeguard", *words], stdout=sys.stderr)
    peaks = [0.0, 0.0]
    watcher = threading.Thread(target=convert._watch, args=(process, peaks))
    watcher.start()
    code = process.wait()
    watcher.join()
    if code:
        raise SystemExit(f"the conversion ended with {code}")
    return time.perf_counter() - began, peaks[1]


def judged(model: Path, home: Path) -> dict[str, Any]:
    """The first process tries llama.cpp out; what the second one measures counts."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(model)],
            env={**os.environ, "EDGEGUARD_HOME": str(home)},
            stdout=subprocess.PIPE,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
