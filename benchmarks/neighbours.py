"""What a check takes alone, and beside other programs that use the processor.

    python benchmarks/neighbours.py [MODEL…] [--library LABEL=FOLDER…]

Writes benchmarks/results/neighbours.md. llama.cpp's threads wait for each other at some hundred
barriers a pass; how long they spin there before they sleep is what differs between the rows.
A library is a folder with another build of the package llama_cpp, such as one without OpenMP.
MODEL is nano unless told; a stand-in of full size is made by benchmarks/stand_in.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import describe

from edgeguard.session.openmp import SPIN_COUNT

RESULT = Path(__file__).parent / "results" / "neighbours.md"
SPINS = (300_000, 10_000, SPIN_COUNT, 0)
"""libgomp's own default first."""
BUSY = "while True: pass"
SITUATIONS = ("alone", "one busy neighbour", "two busy neighbours", "two guards at once")
ROUNDS = 3


def work(model: str, seconds: float) -> None:
    """The child's side: check for some seconds, and print what each check took."""
    from edgeguard import Guard

    times: list[float] = []
    with Guard(model, allow_random_weights=True) as guard:
        for number in range(3):
            guard.check(f"Is {number} a good number?")
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(times) < 3:
            started = time.perf_counter()
            guard.check(f"Is {len(times)} an even number, or is it odd, and why is that so?")
            times.append(time.perf_counter() - started)
    print(json.dumps(times))


@contextmanager
def neighbours(number: int) -> Iterator[None]:
    """So many processes that do nothing but use a core each."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(number)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measure(model: str, seconds: float, variables: dict[str, str], situation: str) -> float:
    """The median seconds of a check."""
    guards = 2 if situation == SITUATIONS[3] else 1
    command = [sys.executable, __file__, "--work", model, "--seconds", str(seconds)]
    environment = {**os.environ, **variables}
    with neighbours(SITUATIONS.index(situation) if guards == 1 else 0):
        running = [
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
            for _ in range(guards)
        ]
        outputs = [process.communicate()[0] for process in running]
    found: float = statistics.median(time for output in outputs for time in json.loads(output))
    return found


def contestants(libraries: list[str]) -> dict[str, dict[str, str]]:
    """A label for each row, and the variables that make it."""
    rows = {f"OpenMP, spin count {spin:,}": {"GOMP_SPINCOUNT": str(spin)} for spin in SPINS}
    for library in libraries:
        label, _, folder = library.partition("=")
        rows[label] = {"PYTHONPATH": folder}
    return rows


def table(model: str, seconds: float, rows: dict[str, dict[str, str]]) -> Iterator[str]:
    """A row for each contestant; they take turns, so that a machine that slows down slows all."""
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for situation in SITUATIONS:
            for label, variables in rows.items():
                one = measure(model, seconds, variables, situation)
                found.setdefault((label, situation), []).append(one)
                print(f"{Path(model).stem}, {label}, {situation}: {one:.3f} s", file=sys.stderr)
    yield f"\n## {Path(model).stem}\n"
    yield "| | " + " | ".join(SITUATIONS) + " |"
    yield "|---|" + "---|" * len(SITUATIONS)
    for label in rows:
        times = (f"{statistics.median(found[label, situation]):.3f} s" for situation in SITUATIONS)
        yield f"| {label} | " + " | ".join(times) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["nano"])
    parser.add_argument("--library", action="append", default=[], metavar="LABEL=FOLDER")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.work, options.seconds)
    rows = contestants(options.library)
    lines = [
        "# A check beside other programs\n",
        f"`python benchmarks/neighbours.py` on {describe()}.\nMedian seconds of a check.",
        f"edgeguard sets a spin count of {SPIN_COUNT:,}, unless a variable of OpenMP is set.",
    ]
    for model in options.models:
        lines += table(model, options.seconds, rows)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
