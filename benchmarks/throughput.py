"""Texts a second: each alone, together in common passes, and by the peers.

    python benchmarks/throughput.py MODEL.gguf [--threads N] [--rows N] [--rounds N]

Prompts of 10, 100 and 1,000 words and responses of 10, Safe, flagged and mixed (one of five is
flagged). MODEL is a stand-in of full size (benchmarks/stand_in.py): the answers are given
beforehand, everything is computed, and all write the same tokens. The contestants take turns on the
same texts, so each ratio is of one run. llama-server has as many slots as texts share a pass here,
is asked so many at a time, and keeps its prompt cache; llama-cpp-python is its own loop, with
grammar and prefix match. LLAMA_TOOLS may name a folder with llama-server; else it is compiled.
Writes throughput.md and throughput.png into benchmarks/results.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "speed")]

import machine  # noqa: E402
import tools  # noqa: E402
from cases import CASES, Case  # noqa: E402
from contestants import Asked, Server, Worker  # noqa: E402
from worker import memory  # noqa: E402

from edgeguard import Guard, Verdict  # noqa: E402
from edgeguard.conversation import read_messages  # noqa: E402
from edgeguard.protocol.grammar import gbnf  # noqa: E402
from edgeguard.session.interface import Extend, Read  # noqa: E402
from edgeguard.session.llama import LlamaSession  # noqa: E402
from edgeguard.session.settings import SEQUENCES, Settings  # noqa: E402
from edgeguard.together import LONGEST  # noqa: E402
from edgeguard.tokens import QuestionTokenizer  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
ALONE, TOGETHER = "alone (--exact)", "together"
SERVER, PYTHON = f"llama-server -np {SEQUENCES}", "llama-cpp-python"
_BY_NAME = {case.name: case for case in CASES}
WORKLOADS: dict[str, tuple[Case, ...]] = {
    "prompts of 10 words, Safe": (_BY_NAME["prompt of 10 words, Safe"],),
    "prompts of 10 words, flagged": (_BY_NAME["prompt of 10 words, Unsafe"],),
    "prompts of 10 words, one of five flagged": (
        *[_BY_NAME["prompt of 10 words, Safe"]] * 4,
        _BY_NAME["prompt of 10 words, Unsafe"],
    ),
    "responses of 10 words, refusals": (_BY_NAME["response of 10 words, refusal"],),
    "prompts of 100 words, Safe": (_BY_NAME["prompt of 100 words, Safe"],),
    "prompts of 100 words, flagged": (_BY_NAME["prompt of 100 words, Unsafe"],),
    "prompts of 1,000 words, Safe": (_BY_NAME["prompt of 1000 words, Safe"],),
    "prompts of 1,000 words, flagged": (_BY_NAME["prompt of 1000 words, Unsafe"],),
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

    def which(self, tokens: Sequence[int]) -> int:
        """Which of the scripts a question gets."""
        asked = max(i for i, token in enumerate(tokens) if token == self._end)
        return sum(tokens[:asked]) % len(self.scripts)

    def begun(self, tokens: Sequence[int]) -> _Written:
        asked = max(i for i, token in enumerate(tokens) if token == self._end)
        chosen = self.scripts[self.which(tokens)]
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


class Field:
    """All contestants, started; ``ways`` maps a name to what judges rows of a workload."""

    def __init__(self, model: Path, threads: int, programs: Path, log: Path) -> None:
        self._session = LlamaSession(model, settings=Settings(threads))
        self._steered = Steered(self._session)
        self._tokenizer = QuestionTokenizer(self._session)
        self._guard = Guard.with_session(self._steered, allow_random_weights=True)
        self._python = Worker("llama-cpp-python", model, threads)
        self._server = Server(programs / "llama-server", model, threads, log, slots=SEQUENCES)
        self._number = 0
        self.ways: dict[str, Callable[[list[Asked]], None]] = {
            ALONE: lambda rows: self._ours(rows, exact=True),
            TOGETHER: lambda rows: self._ours(rows, exact=False),
            SERVER: self._by_server,
            PYTHON: self._by_python,
        }
        self.peaks: dict[str, float] = {}

    def compare(self, cases: tuple[Case, ...], rows: int, rounds: int) -> dict[str, list[float]]:
        """Seconds of each contestant, by round."""
        self._steered.scripts = [self._session.tokenize(case.answer_text) for case in cases]
        seconds: dict[str, list[float]] = {name: [] for name in self.ways}
        for round_ in range(rounds + 1):
            asked = [self._asked(cases) for _ in range(rows if round_ else SEQUENCES)]
            for name in _turned(list(self.ways), round_):
                begun = time.perf_counter()
                self.ways[name](asked)
                if round_:  # the first is to be warm
                    seconds[name].append(time.perf_counter() - begun)
                if name in (ALONE, TOGETHER):
                    self.peaks.setdefault(name, memory()["peak"])
        return seconds

    def memory(self) -> dict[str, float]:
        """Peak memory of each contestant in MB; ours after its first use."""
        peaks = {TOGETHER: memory()["peak"], SERVER: self._server.memory()}
        return {**peaks, PYTHON: self._python.ask("memory")["peak"]}

    def close(self) -> None:
        self._python.close()
        self._server.close()
        self._guard.close()

    def _asked(self, cases: tuple[Case, ...]) -> Asked:
        """The next text; its number decides which of the answers it gets, for all alike."""
        self._number += 1
        messages = cases[0].messages(self._number)
        question = self._tokenizer.question(read_messages(messages).messages)
        case = cases[self._steered.which(question.tokens)]
        ids = [*self._session.tokenize(case.answer_text), self._session.end_tokens[0]]
        tokens = list(question.tokens)
        return Asked(messages, case.answer_text, tokens, question.prefix, ids, gbnf(cases[0].mode))

    def _ours(self, rows: list[Asked], *, exact: bool) -> None:
        found = list(self._guard.check_many([row.messages for row in rows], exact=exact))
        for row, verdict in zip(rows, found):
            assert isinstance(verdict, Verdict), verdict
            assert verdict.answer == row.text, "the answer was not steered"

    def _by_server(self, rows: list[Asked]) -> None:
        with ThreadPoolExecutor(SEQUENCES) as pool:
            list(pool.map(lambda row: self._server.check(row, cache=True), rows))

    def _by_python(self, rows: list[Asked]) -> None:
        for row in rows:
            self._python.ask(
                "check",
                question=row.question,
                answer=row.answer,
                grammar=row.grammar,
                reuse=True,
            )


def _turned(names: list[str], by: int) -> list[str]:
    by %= len(names)
    return names[by:] + names[:by]


def _line(name: str, rows: int, seconds: dict[str, list[float]]) -> str:
    """Rows a second together, and how many times as fast as each of the others that is."""
    best = seconds[TOGETHER]
    rate = statistics.median(rows / one for one in best)
    factors = []
    for other in (ALONE, SERVER, PYTHON):
        ratios = sorted(theirs / ours for theirs, ours in zip(seconds[other], best))
        factors.append(f"{statistics.median(ratios):.2f} [{ratios[0]:.2f}–{ratios[-1]:.2f}]")
    return f"| {name} | {rate:.2f} | {' | '.join(factors)} |"


def picture(found: dict[str, tuple[int, dict[str, list[float]]]], path: Path) -> None:
    """Rows a second of every contestant, beside that of together."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = (TOGETHER, ALONE, SERVER, PYTHON)
    colours = ("black", "tab:gray", "#1f4e79", "#7fa9d0")
    figure, axes = plt.subplots(figsize=(9, 0.8 * len(found) + 1.5), layout="constrained")
    height = 0.8 / len(names)
    for n, contestant in enumerate(names):
        values = [
            statistics.median(
                ours / theirs for ours, theirs in zip(seconds[TOGETHER], seconds[contestant])
            )
            for _, seconds in found.values()
        ]
        places = [place + n * height for place in range(len(found))]
        axes.barh(places, values, height * 0.9, label=contestant, color=colours[n])
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(found))], list(found))
    axes.set_xlabel("rows a second, together = 1; longer is better")
    axes.invert_yaxis()
    figure.legend(fontsize=8, loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=24, help="of 10 words; fewer of longer texts")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    said = machine.describe()
    with tempfile.TemporaryDirectory() as name:
        programs = tools.find_or_build(Path(name))
        field = Field(asked.model, asked.threads, programs, Path(name) / "server.log")
        found: dict[str, tuple[int, dict[str, list[float]]]] = {}
        lines = []
        try:
            for workload, cases in WORKLOADS.items():
                rows = asked.rows if cases[0].words < 1000 else max(2, asked.rows // 4)
                found[workload] = rows, field.compare(cases, rows, asked.rounds)
                lines.append(_line(workload, *found[workload]))
                print(lines[-1], flush=True)
            peaks = field.memory()
        finally:
            field.close()
    peak = ", ".join(
        f"{name} {size:.0f} MB" for name, size in {ALONE: field.peaks[ALONE], **peaks}.items()
    )
    command = f"python benchmarks/throughput.py {asked.model.name} --threads {asked.threads}"
    (RESULTS / "throughput.md").write_text(
        "\n".join(
            [
                "# Texts a second",
                "",
                f"`{command} --rows {asked.rows} --rounds {asked.rounds}`",
                "",
                f"{said}. At most {SEQUENCES} texts share a pass; llama-server has so many slots. "
                f"Times as fast: medians of {asked.rounds} rounds in which the contestants took "
                "turns, lowest and highest in brackets; above 1, `together` is faster. On a CPU a "
                f"question of more than {LONGEST} tokens behind what all share is read alone: "
                "those of responses and of 100 words and more, so there `together` is `alone`.",
                "",
                f"| texts | together, a second | ÷ {ALONE} | ÷ {SERVER} | ÷ {PYTHON} |",
                "|---|---|---|---|---|",
                *lines,
                "",
                f"Peak memory: {peak} (together: of the whole run; llama-server: room for "
                f"{SEQUENCES} texts of 2,048 tokens).",
                "",
            ]
        ),
        encoding="utf-8",
    )
    picture(found, RESULTS / "throughput.png")


if __name__ == "__main__":
    main()
