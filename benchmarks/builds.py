"""Two builds of llama.cpp against each other: the time of a check with one, by that with the other.

    python benchmarks/builds.py WHEEL [OTHER] [--model nano] [--pairs 60] [--threads 1]

WHEEL and OTHER are wheels of llama-cpp-python, or folders with the libraries; without OTHER it is
the build that is installed. Both are loaded, each in a process of its own, and asked the same text
in turn, so that whatever else the machine does falls on both. What is compared is processor time,
which the neighbours change little, a pair at a time; the figure is the median of the pairs' ratios,
with the quartiles beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import machine

WORDS = (
    "river",
    "bread",
    "garden",
    "letter",
    "window",
    "music",
    "winter",
    "table",
    "story",
    "boat",
)
LENGTHS = (20, 200, 600)
"""Words of a text; each is a token or two."""


def main() -> None:
    """Compare, and print a row of a table for each length of text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("builds", type=Path, nargs="*")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.model, asked.threads)
        return
    if not 1 <= len(asked.builds) <= 2:
        parser.error("name one build or two")
    print(f"{machine.describe()}; {asked.model}, {asked.threads} thread(s), {asked.pairs} pairs\n")
    with tempfile.TemporaryDirectory() as folder:
        first = library_folder(asked.builds[0], Path(folder) / "first")
        rest = asked.builds[1:]
        other = library_folder(rest[0], Path(folder) / "other") if rest else None
        with worker(first, asked) as one, worker(other, asked) as two:
            print(f"first: {one.says['variant'] or 'one processor'}, {one.says['features']}")
            print(f"other: {two.says['variant'] or 'one processor'}, {two.says['features']}\n")
            print("| words | first, ms | other, ms | first / other | quartiles |")
            print("|---|---|---|---|---|")
            for words in LENGTHS:
                print(row(one, two, words, asked.pairs), flush=True)


def row(one: Worker, two: Worker, words: int, pairs: int) -> str:
    """One length of text; the first pairs warm up."""
    times: list[tuple[float, float]] = []
    for number in range(pairs + 3):
        text = " ".join(WORDS[(number + place * place) % len(WORDS)] for place in range(words))
        if number % 2:
            other, first = two.seconds(text), one.seconds(text)
        else:
            first, other = one.seconds(text), two.seconds(text)
        times.append((first, other))
    times = times[3:]
    low, middle, high = statistics.quantiles([first / other for first, other in times], n=4)
    first_ms, other_ms = (f"{statistics.median(column) * 1000:.1f}" for column in zip(*times))
    return f"| {words} | {first_ms} | {other_ms} | {middle:.3f} | {low:.3f} to {high:.3f} |"


def library_folder(build: Path, folder: Path) -> Path:
    """Where the libraries lie; a wheel is unpacked."""
    if build.is_dir():
        return build
    with zipfile.ZipFile(build) as archive:
        archive.extractall(folder)
    return folder / "llama_cpp" / "lib"


class Worker:
    """A process with one of the builds."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.says: dict[str, str] = self._read()

    def seconds(self, text: str) -> float:
        """The processor time that a check of the text takes."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        return float(self._read()["seconds"])

    def _read(self) -> dict[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a build does not work; see above")
        answer: dict[str, str] = json.loads(line)
        return answer


@contextmanager
def worker(folder: Path | None, asked: argparse.Namespace) -> Iterator[Worker]:
    """Start a process; it ends with the block."""
    command = [sys.executable, __file__, "--work", "yes", "--model", asked.model]
    environment = dict(os.environ, EDGEGUARD_ALLOW_RANDOM_WEIGHTS="1")
    if folder is not None:
        environment["LLAMA_CPP_LIB_PATH"] = str(folder.resolve())
    process = subprocess.Popen(
        [*command, "--threads", str(asked.threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        process.communicate()


def work(model: str, threads: int) -> None:
    """The process's side: a text in, the processor time of its check out."""
    from edgeguard import Guard
    from edgeguard.session.library import library_info

    with Guard(model, threads=threads, allow_random_weights=True) as guard:
        info = library_info()
        print(json.dumps({"variant": info.variant, "features": info.system_info}), flush=True)
        for line in sys.stdin:
            started = time.process_time()
            guard.check(json.loads(line))
            print(json.dumps({"seconds": time.process_time() - started}), flush=True)


if __name__ == "__main__":
    main()
