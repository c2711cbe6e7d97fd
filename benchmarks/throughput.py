"""Texts a second: each alone, and together in common passes.

    python benchmarks/throughput.py MODEL.gguf [--threads N] [--rows N] [--rounds N]

Prompts of 10 and 100 words and responses of 10, Safe, flagged and mixed (one of five is flagged).
MODEL is a stand-in of full size (benchmarks/stand_in.py): the answers are given beforehand, and
everything is computed. The two ways take turns on the same texts, so each row is a ratio within
one run. Also how far the probabilities of a severity move in company. Prints a table and writes it
to benchmarks/results/throughput.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "speed")]

import machine  # noqa: E402
from cases import CASES, Case  # noqa: E402

from edgeguard import Guard, Verdict  # noqa: E402
from edgeguard.session.interface import Extend, Read  # noqa: E402
from edgeguard.session.llama import LlamaSession  # noqa: E402
from edgeguard.session.sequences import MOST  # noqa: E402
from edgeguard.session.settings import Settings  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "throughput.md"
_BY_NAME = {case.name: case for case in CASES}
WORKLOADS: dict[str, tuple[Case, ...]] = {
    "prompts of 10 words, Safe": (_BY_NAME["prompt of 10 words, Safe"],),
    "prompts of 10 words, flagged": (_BY_NAME["prompt of 10 words, Unsafe"],),
    "prompts of 10 words, one of five flagged": (
        *[_BY_NAME["prompt of 10 words, Safe"]] * 4,
        _BY_NAME["prompt of 10 words, Unsafe"],
    ),
    "prompts of 100 words, Safe": (_BY_NAME["prompt of 100 words, Safe"],),
    "prompts of 100 words, flagged": (_BY_NAME["prompt of 100 words, Unsafe"],),
    "responses of 10 words, refusals": (_BY_NAME["response of 10 words, refusal"],),
}


@dataclass
class _Written:
    """How much of an answer a sequence holds, and which answer it shall be."""

    script: list[int]
    tokens: int


class Steered:
    """A session whose logits are pushed towards the answer scripted for each question."""

    def __init__(self, session: LlamaSession) -> None:
        self._session = session
        self._end = session.control_token("</think>")
        self.scripts: list[list[int]] = []
        self._alone: _Written | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def read(self, tokens: Sequence[int], **how: Any) -> Any:
        self._alone = self.begun(tokens)
        return push(self._session.read(tokens, **how), self._alone)

    def extend(self, tokens: Sequence[int], *, back: int = 0, **how: Any) -> Any:
        assert self._alone is not None
        self._alone.tokens += len(tokens) - back
        return push(self._session.extend(tokens, back=back, **how), self._alone)

    def sequences(self, prefixes: tuple[tuple[int, ...], ...]) -> Any:
        return SteeredSequences(self._session.sequences(prefixes), self)

    def begun(self, tokens: Sequence[int]) -> _Written:
        asked = max(i for i, token in enumerate(tokens) if token == self._end)
        chosen = self.scripts[sum(tokens[:asked]) % len(self.scripts)]
        return _Written([*chosen, self._session.end_tokens[0]], len(tokens) - 2 - asked)


class SteeredSequences:
    """The same of several sequences."""

    def __init__(self, sequences: Any, steered: Steered) -> None:
        self._sequences = sequences
        self._steered = steered
        self._written: dict[int, _Written] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sequences, name)

    def compute(self, asked: Mapping[int, Read | Extend]) -> Any:
        for number, one in asked.items():
            if isinstance(one, Read):
                self._written[number] = self._steered.begun(one.tokens)
            else:
                self._written[number].tokens += len(one.tokens) - one.back
        found = self._sequences.compute(asked)
        return {number: push(logits, self._written[number]) for number, logits in found.items()}


def push(logits: Any, written: _Written) -> Any:
    logits = logits.copy()
    logits[written.script[written.tokens]] += 1e4
    return logits


class Bench:
    """One guard, asked in both ways."""

    def __init__(self, model: Path, threads: int) -> None:
        self._session = LlamaSession(model, settings=Settings(threads))
        self._steered = Steered(self._session)
        self._guard = Guard.with_session(self._steered, allow_random_weights=True)
        self._number = 0

    def compare(
        self, cases: tuple[Case, ...], rows: int, rounds: int
    ) -> tuple[float, float, float]:
        """Rows a second alone, the factor together, and the factor in processor time."""
        self._steered.scripts = [self._session.tokenize(case.answer_text) for case in cases]
        self._seconds(cases, MOST, exact=True)
        self._seconds(cases, MOST, exact=False)  # both are warm
        pairs = []
        for _ in range(rounds):
            self._number += rows
            pairs.append([self._seconds(cases, rows, exact=exact) for exact in (True, False)])
        alone = statistics.median(rows / pair[0][0] for pair in pairs)
        factors = [
            statistics.median(pair[0][kind] / pair[1][kind] for pair in pairs) for kind in (0, 1)
        ]
        return alone, factors[0], factors[1]

    def _seconds(self, cases: tuple[Case, ...], rows: int, *, exact: bool) -> tuple[float, float]:
        texts = [cases[0].messages(self._number + n) for n in range(rows)]
        wall, used = time.perf_counter(), time.process_time()
        found = list(self._guard.check_many(texts, exact=exact))
        assert all(isinstance(one, Verdict) for one in found), found
        return time.perf_counter() - wall, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    said = machine.describe()
    bench = Bench(asked.model, asked.threads)
    lines = [
        "| texts | a second, alone | together, times as fast | in processor time |",
        "|---|---|---|---|",
    ]
    for name, cases in WORKLOADS.items():
        alone, factor, used = bench.compare(cases, asked.rows, asked.rounds)
        lines.append(f"| {name} | {alone:.2f} | {factor:.2f} | {used:.2f} |")
        print(lines[-1], flush=True)
    command = f"python benchmarks/throughput.py {asked.model.name} --threads {asked.threads}"
    RESULTS.write_text(
        "\n".join(
            [
                "# Texts a second, alone and together",
                "",
                f"`{command} --rows {asked.rows} --rounds {asked.rounds}`",
                "",
                f"{said}. At most {MOST} texts share a pass. Each factor is the median of "
                f"{asked.rounds} pairs that took turns in one process.",
                "",
                *lines,
                "",
            ]
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
