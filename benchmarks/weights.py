"""Weights rearranged for the processor, and plain ones in the file's pages: which compute faster.

    python benchmarks/weights.py MODEL.gguf [--rounds N] [--threads N]

MODEL (a stand-in of full size, benchmarks/stand_in.py, then edgeguard convert) is loaded in both
ways in one process. In each round both compute, in turn, one pass over so many new tokens behind
the start that all questions share, and short texts of eight sequences in one pass.
Results: benchmarks/results/weights.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import machine

from edgeguard.session.cpu import physical_cores
from edgeguard.session.interface import Extend, Read
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings

START = 201  # tokens before a prompt's text
SIZES = (3, 30, 100, 300, 1000)
SEQUENCES, SHORT = 8, 30
OUT = Path(__file__).resolve().parent / "results" / "weights.md"


def tokens(number: int, seed: int) -> tuple[int, ...]:
    return tuple(1000 + (7 * seed + 13 * n) % 17000 for n in range(number))


def alone(session: LlamaSession, number: int, seed: int) -> float:
    """Seconds of the passes over so many new tokens."""
    start = tokens(START, 0)
    session.read([*start, seed + 1], room=0, prefix=START)
    began = time.perf_counter()
    session.read([*start, *tokens(number, seed + 2)], room=0, prefix=START)
    return time.perf_counter() - began


def together(session: LlamaSession, seed: int) -> float:
    """Seconds of one pass over several sequences."""
    start = tokens(START, 0)
    sequences = session.sequences((start,))
    reads: dict[int, Read | Extend] = {}
    for n in range(SEQUENCES):
        number = sequences.take(SHORT)
        assert number is not None
        reads[number] = Read((*start, *tokens(SHORT, seed + n)), room=0, prefix=START)
    began = time.perf_counter()
    sequences.compute(reads)
    took = time.perf_counter() - began
    for number in reads:
        sequences.give(number)
    return took


def measured(session: LlamaSession, round_: int) -> list[float]:
    return [*(alone(session, size, 100 * round_) for size in SIZES), together(session, round_)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=physical_cores())
    asked = parser.parse_args()
    where = machine.describe()
    settings = Settings(asked.threads)
    sessions = [
        LlamaSession(asked.model, settings=settings, mapped_weights=mapped)
        for mapped in (False, True)
    ]
    times: list[list[list[float]]] = [[], []]
    for round_ in range(-1, asked.rounds):  # the first one makes the contexts
        for n in (0, 1) if round_ % 2 else (1, 0):
            times[n].append(measured(sessions[n], round_ + 1))
    OUT.write_text(page(asked.model, where, times, asked.threads), encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


def page(model: Path, where: str, times: list[list[list[float]]], threads: int) -> str:
    names = [f"{size:,} tokens" for size in SIZES] + [f"{SEQUENCES} × {SHORT} tokens together"]
    lines = [
        "# Rearranged weights and plain ones",
        "",
        f"`python benchmarks/weights.py`: {model.name}, {threads} threads, "
        f"{len(times[0]) - 1} rounds; {where}. New tokens behind {START} others; medians, and the "
        "median of the ratios of each round, with the least and the greatest.",
        "",
        "| pass | rearranged | plain | rearranged ÷ plain |",
        "|---|---|---|---|",
    ]
    for n, name in enumerate(names):
        pairs = [(one[n], other[n]) for one, other in zip(*times)][1:]
        ratios = sorted(one / other for one, other in pairs)
        one, other = (1000 * statistics.median(column) for column in zip(*pairs))
        lines.append(
            f"| {name} | {one:.0f} ms | {other:.0f} ms | {statistics.median(ratios):.2f} "
            f"[{ratios[0]:.2f}–{ratios[-1]:.2f}] |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
