"""What company does to verdicts: how far probabilities and logits move, and that none decides.

    python benchmarks/company.py DATA... [--model NAME] [--stand-in FILE] [--limit N]

DATA are labelled rows as `edgeguard eval` takes them. They are judged alone and together, the
latter with close calls asked alone and without. FILE is a stand-in of full size (stand_in.py):
there, all logits of the first pass are compared. Prints a table and writes it to
benchmarks/results/company.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "speed")]

import machine  # noqa: E402
from cases import CASES  # noqa: E402

from edgeguard import Guard, Verdict, close_call  # noqa: E402
from edgeguard.conversation import read_messages  # noqa: E402
from edgeguard.evaluation.rows import Row, read_rows, sample  # noqa: E402
from edgeguard.protocol.names import MODES  # noqa: E402
from edgeguard.session.interface import Read  # noqa: E402
from edgeguard.session.llama import LlamaSession  # noqa: E402
from edgeguard.session.settings import SEQUENCES, Settings  # noqa: E402
from edgeguard.tokens import QuestionTokenizer  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "company.md"
Verdicts = list[Any]


def judged(guard: Guard, rows: list[Row], *, exact: bool) -> Verdicts:
    """The verdict of each row, or its error."""
    return list(guard.check_many([list(row.messages) for row in rows], exact=exact))


@contextmanager
def without_close_calls() -> Iterator[None]:
    """Let company decide close calls too."""
    before, close_call.CLOSE = close_call.CLOSE, -1.0
    try:
        yield
    finally:
        close_call.CLOSE = before


def answer(verdict: Any) -> object:
    """What must not change."""
    if not isinstance(verdict, Verdict):
        return str(verdict)
    return verdict.severity, verdict.categories, verdict.refusal, verdict.flagged


def changed(alone: Verdicts, together: Verdicts) -> int:
    """How many answers differ."""
    return sum(answer(one) != answer(other) for one, other in zip(alone, together))


def moves(alone: Verdicts, together: Verdicts) -> np.ndarray[Any, Any]:
    """The largest move of a severity's probability, by row."""
    pairs = [(a, b) for a, b in zip(alone, together) if isinstance(a, Verdict)]
    return np.array(
        [
            max(abs(a.probabilities[s] - b.probabilities[s]) for s in a.probabilities)
            for a, b in pairs
        ]
    )


def of_rows(model: str, rows: list[Row]) -> list[tuple[str, str]]:
    """The figures of a model on labelled rows."""
    with Guard(model) as guard:
        alone = judged(guard, rows, exact=True)
        together = judged(guard, rows, exact=False)
        with without_close_calls():
            decided = judged(guard, rows, exact=False)
    moved = moves(alone, decided)
    close = sum(_is_close(one) for one in decided)
    return [
        ("rows", f"{len(rows):,}"),
        ("answers that differ", f"{changed(alone, together):,}"),
        (
            "answers that would differ if company decided close calls",
            f"{changed(alone, decided):,}",
        ),
        ("close calls, asked again alone", f"{close:,} ({close / len(rows):.1%})"),
        ("rows whose probabilities moved", f"{np.mean(moved > 0):.1%}"),
        ("move of a probability, 99 of 100 rows", f"at most {np.quantile(moved, 0.99):.2g}"),
        ("move of a probability, all rows", f"at most {moved.max():.2g}"),
    ]


def _is_close(verdict: Any) -> bool:
    return isinstance(verdict, Verdict) and any(
        close_call.lead(choice) < close_call.CLOSE for choice in verdict.choices
    )


def of_logits(model: Path, threads: int) -> list[tuple[str, str]]:
    """How far the logits of a first pass move, eight questions at a time."""
    session = LlamaSession(model, settings=Settings(threads))
    tokenizer = QuestionTokenizer(session)
    short = [case for case in CASES if case.words <= 100]
    asked = [
        tokenizer.question(read_messages(short[n % len(short)].messages(n)).messages)
        for n in range(SEQUENCES)
    ]
    prefixes = tuple(dict.fromkeys(question.tokens[: question.prefix] for question in asked))
    assert len(prefixes) == len(MODES)
    sequences = session.sequences(prefixes)
    reads = {}
    for question in asked:
        number = sequences.take(len(question.tokens) - question.prefix)
        assert number is not None
        reads[number] = Read(tuple(question.tokens), room=0, prefix=question.prefix)
    together = sequences.compute(reads)
    gaps, sizes = [], []
    for number, read in reads.items():
        alone = session.read(read.tokens, room=0, prefix=read.prefix)
        gaps.append(np.abs(alone - together[number]))
        sizes.append(alone.std())
    gap = np.concatenate(gaps)
    session.close()
    return [
        ("logits of eight first passes", f"{gap.size:,}"),
        ("that moved", f"{np.mean(gap > 0):.1%}"),
        ("move, 99 of 100", f"at most {np.quantile(gap, 0.99):.2g}"),
        ("move, all", f"at most {gap.max():.2g}"),
        ("standard deviation of the logits themselves", f"{np.mean(sizes):.2g}"),
    ]


def table(title: str, lines: list[tuple[str, str]]) -> list[str]:
    return [f"| {title} | |", "|---|---|", *(f"| {name} | {value} |" for name, value in lines), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--stand-in", type=Path)
    parser.add_argument("--limit", type=int, help="rows of a set")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    said = machine.describe()
    rows = read_rows(asked.data)
    rows = rows if asked.limit is None else sample(rows, asked.limit, 0)
    lines = table(f"{asked.model} on labelled rows", of_rows(asked.model, rows))
    command = f"python benchmarks/company.py DATA --model {asked.model}"
    if asked.limit is not None:
        command += f" --limit {asked.limit}"
    if asked.stand_in is not None:
        command += " --stand-in FILE"
        lines += table("a stand-in of full size", of_logits(asked.stand_in, asked.threads))
    text = "\n".join(
        [
            "# What company does to verdicts",
            "",
            f"`{command}`",
            "",
            f"{said}. At most {SEQUENCES} texts share a pass. A call is close if a decision on "
            "the way to the answer, or a policy's, is won by less than "
            f"{close_call.CLOSE:g} of probability.",
            "",
            *lines,
        ]
    )
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
