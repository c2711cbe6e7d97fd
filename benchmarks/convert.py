"""Time and memory of a full-size conversion, beside llama.cpp's converter where there is one.

    python benchmarks/convert.py [--checkpoint DIR] [--repeat N]

Without --checkpoint a stand-in of full size is written first (see stand_in.py). The reference runs
where REFERENCE_CONVERTER and REFERENCE_PYTHON name it (see tests/reference.py). Prints a
table and writes it to benchmarks/results/convert.md. Runs alternate, and medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

import machine  # noqa: E402
import reference  # noqa: E402
import stand_in  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "convert.md"
TYPES = ("bf16", "f16", "q8_0", "q4_k_m")


@dataclass(frozen=True)
class Run:
    seconds: float
    peak_mb: float  # resident, file pages included
    own_mb: float  # resident, without pages of files
    size_mb: float


def measure(command: list[str], out: Path) -> Run:
    """Run a command that writes `out`, and look at its memory fifty times a second."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks = [0.0, 0.0]
    watcher = threading.Thread(target=_watch, args=(process, peaks))
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - start
    watcher.join()
    assert code == 0, command
    size = out.stat().st_size / 1e6
    out.unlink()
    return Run(seconds, peaks[0], peaks[1], size)


def _watch(process: subprocess.Popen[bytes], peaks: list[float]) -> None:
    while process.poll() is None:
        found = [_memory(pid) for pid in _family(process.pid)]
        peaks[0] = max(peaks[0], sum(rss for rss, _ in found))
        peaks[1] = max(peaks[1], sum(own for _, own in found))
        time.sleep(0.02)


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(int(child) for child in children)]


def _memory(pid: int) -> tuple[float, float]:
    """Resident megabytes of a process, and those of them that are no pages of files."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    sizes = dict(line.split(":", 1) for line in lines)
    if "VmRSS" not in sizes:
        return 0.0, 0.0
    return int(sizes["VmRSS"].split()[0]) / 1e3, int(sizes["RssAnon"].split()[0]) / 1e3


def compare(checkpoint: Path, folder: Path, repeat: int) -> str:
    lines = [
        "| type | edgeguard | reference | time | edgeguard memory | reference memory | file |",
        "|---|---|---|---|---|---|---|",
    ]
    for file_type in TYPES:
        ours, theirs = _runs(checkpoint, folder, file_type, repeat)
        lines.append(_row(file_type, ours, theirs))
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def _runs(
    checkpoint: Path, folder: Path, file_type: str, repeat: int
) -> tuple[list[Run], list[Run]]:
    out = folder / "out.gguf"
    ours = ["-m", "edgeguard", "convert", str(checkpoint), "--type", file_type, "--out", str(out)]
    start = reference.command() if file_type in reference.WRITTEN else None
    mine: list[Run] = []
    theirs: list[Run] = []
    for _ in range(repeat):
        mine.append(measure([sys.executable, *ours], out))
        if start is not None:
            arguments = ["--outtype", file_type, "--outfile", str(out)]
            theirs.append(measure([*start, str(checkpoint), *arguments], out))
    return mine, theirs


def _row(file_type: str, ours: list[Run], theirs: list[Run]) -> str:
    cells = [file_type, _seconds(ours), _seconds(theirs) if theirs else "-"]
    if theirs:
        ratio = _median(ours, "seconds") / _median(theirs, "seconds")
        cells.append(f"{ratio:.2f} of the reference's")
    else:
        cells.append("-")
    cells += [_memory_cell(ours), _memory_cell(theirs) if theirs else "-"]
    sizes = f"{_median(ours, 'size_mb'):.0f} MB"
    if theirs:
        sizes += f" (reference {_median(theirs, 'size_mb'):.0f} MB)"
    return "| " + " | ".join([*cells, sizes]) + " |"


def _seconds(runs: list[Run]) -> str:
    return f"{_median(runs, 'seconds'):.1f} s"


def _memory_cell(runs: list[Run]) -> str:
    return f"{_median(runs, 'own_mb'):.0f} MB (with file pages {_median(runs, 'peak_mb'):.0f} MB)"


def _median(runs: list[Run], field: str) -> float:
    found: float = statistics.median(getattr(run, field) for run in runs)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, metavar="DIR")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = stand_in.TOKENIZER if stand_in.TOKENIZER.is_dir() else None
        checkpoint = options.checkpoint or stand_in.write(folder / "checkpoint", tokenizer)
        where = machine.describe()
        table = compare(checkpoint, folder, options.repeat)
    text = (
        "# Conversion of a checkpoint of full size\n\n"
        f"{where}. Medians of {options.repeat} alternating runs; `python benchmarks/convert.py`"
        f" makes this file.\n\n{table}\n\n"
        "Memory is the peak of all processes together, sampled. The reference is llama.cpp's "
        "convert_hf_to_gguf.py; it stores the tied embedding a second time, where the checkpoint "
        "does, and edgeguard does not.\n"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
