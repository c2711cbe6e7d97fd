"""Whether reading a flagged prompt's category ahead would pay: what it costs, and what it saves.

    python benchmarks/ahead.py MODEL.gguf [--threads N] [--rounds N]

A Safe prompt is decided by one pass. A flagged one takes a second pass, over the rest of the
severity's line up to the category. That could be computed in the first pass for every prompt, as
the start of a refusal is for responses: then every Safe prompt pays for tokens that it does not
need. MODEL is a stand-in of full size (stand_in.py). Prints, and writes to
benchmarks/results/ahead.md, the share of flagged prompts from which on it would pay.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "speed")]

import machine  # noqa: E402
from cases import CASES  # noqa: E402

from edgeguard.conversation import read_messages  # noqa: E402
from edgeguard.protocol.answer import parse  # noqa: E402
from edgeguard.session.llama import LlamaSession  # noqa: E402
from edgeguard.session.settings import Settings  # noqa: E402
from edgeguard.tokens import Question, QuestionTokenizer  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "ahead.md"
ROOM = 64


def seconds(session: LlamaSession, question: Question, ahead: tuple[int, ...]) -> float:
    """The first pass, with tokens computed ahead or without."""
    start = time.perf_counter()
    session.read(question.tokens, room=ROOM, prefix=question.prefix, ahead=ahead)
    return time.perf_counter() - start


def measure(session: LlamaSession, words: int, rounds: int) -> tuple[float, float, float]:
    """Medians of a first pass, of one that reads ahead, and of the second pass."""
    case = next(c for c in CASES if (c.mode, c.words) == ("prompt", words) and "Unsafe" in c.name)
    parse(case.mode, case.answer_text)
    line = session.tokenize(case.answer_text)
    opening = session.tokenize("Safety:")
    upto = session.tokenize(case.answer_text.partition("Categories:")[0] + "Categories:")
    assert line[: len(upto)] == upto
    ahead = tuple(upto[len(opening) :])
    tokenizer = QuestionTokenizer(session)
    times: list[list[float]] = [[], [], []]
    for number in range(rounds + 1):
        question = tokenizer.question(read_messages(case.messages(number)).messages)
        asked = Question(
            question.mode, (*question.tokens, *opening), question.prefix, question.suffix
        )
        for column, taken in ((0, ()), (1, ahead)):
            found = seconds(session, asked, taken)
            if column == 0:
                start = time.perf_counter()
                session.extend(ahead)
                second = time.perf_counter() - start
            if number:  # the first is to be warm
                times[column].append(found)
        if number:
            times[2].append(second)
    first, with_ahead, later = map(statistics.median, times)
    return first, with_ahead, later


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    said = machine.describe()
    session = LlamaSession(asked.model, settings=Settings(asked.threads))
    lines = [
        "| prompts of | first pass | with the category's line ahead | second pass "
        "| pays from so many flagged |",
        "|---|---|---|---|---|",
    ]
    for words in (10, 100):
        first, ahead, later = measure(session, words, asked.rounds)
        share = (ahead - first) / later
        lines.append(
            f"| {words} words | {1000 * first:.0f} ms | {1000 * ahead:.0f} ms "
            f"| {1000 * later:.0f} ms | {share:.0%} |"
        )
    session.close()
    text = "\n".join(
        [
            "# Reading the category ahead",
            "",
            f"`python benchmarks/ahead.py {asked.model.name} --threads {asked.threads}`",
            "",
            f"{said}. Medians of {asked.rounds} rounds in turn.",
            "",
            *lines,
            "",
        ]
    )
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
