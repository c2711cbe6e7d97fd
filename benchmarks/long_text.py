"""Where the time of a long text goes: the passes of llama.cpp, and what is beside them.

    python benchmarks/long_text.py MODEL.gguf [--words 1000] [--rounds 6] [--threads N] [--plain]

Of a long text everybody computes the same tokens with the same library, and hardly anything else is
left. MODEL (a stand-in of full size, benchmarks/stand_in.py) is loaded twice in one process, by
edgeguard and by llama_cpp.Llama with the same settings; both read the same questions in turn,
behind the start that all questions share, and each pass is timed. What an answer needs after its
severity is left out: of random weights it differs from text to text. ``--plain``: edgeguard's are
plain, as `edgeguard tune` chooses where they compute faster.
Results: benchmarks/results/long_text.md, with --plain long_text_plain.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "speed")]

import machine  # noqa: E402
from cases import CASES  # noqa: E402

from edgeguard import Guard  # noqa: E402
from edgeguard.session import context  # noqa: E402
from edgeguard.session.cpu import physical_cores  # noqa: E402

OUT = ROOT / "benchmarks" / "results"
Passes = list[tuple[int, float]]


@contextmanager
def timed(module: Any, name: str, found: Passes) -> Iterator[None]:
    """Note tokens and seconds of each call of a function that computes a pass."""
    function = getattr(module, name)

    def wrapper(context: Any, batch: Any, *more: Any) -> Any:
        began = time.perf_counter()
        code = function(context, batch, *more)
        found.append((int(batch.n_tokens), time.perf_counter() - began))
        return code

    setattr(module, name, wrapper)
    try:
        yield
    finally:
        setattr(module, name, function)


class Loop:
    """llama_cpp.Llama, which keeps the tokens that the last question began with too."""

    def __init__(self, model: str, threads: int) -> None:
        from llama_cpp import Llama

        self._llama = Llama(
            model, n_ctx=2048, n_batch=512, n_threads=threads, flash_attn=True, verbose=False
        )

    def read(self, tokens: list[int]) -> None:
        next(self._llama.generate(tokens))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--words", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--plain", action="store_true", help="plain weights for edgeguard")
    asked = parser.parse_args()
    where = machine.describe()
    guard = Guard(
        asked.model,
        threads=asked.threads,
        allow_random_weights=True,
        mapped_weights=asked.plain,
    )
    loop = Loop(asked.model, asked.threads)
    rows = [compared(guard, loop, asked.words, n) for n in range(-1, asked.rounds)][1:]
    out = OUT / ("long_text_plain.md" if asked.plain else "long_text.md")
    out.write_text(page(rows, asked, where), encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


def compared(guard: Guard, loop: Loop, words: int, number: int) -> tuple[Passes, Passes, float]:
    """Our passes, theirs, and what a check of ours takes beside its passes, in seconds."""
    from llama_cpp import llama_cpp

    messages = replace(CASES[0], words=words).messages(number)
    tokens = list(guard.begin(messages).questions[0].tokens)
    ours, theirs = Passes(), Passes()
    took = 0.0
    for ours_is_next in (number % 2 == 0, number % 2 != 0):
        began = time.perf_counter()
        if ours_is_next:
            with timed(context, "run_pass", ours):
                guard.check_messages(messages, fresh=True)
            took = time.perf_counter() - began
        else:
            with timed(llama_cpp, "llama_decode", theirs):
                loop.read(tokens)
    rest = took - sum(seconds for _, seconds in ours)
    return ours[: len(theirs)], theirs, rest


def page(rows: list[tuple[Passes, Passes, float]], asked: argparse.Namespace, where: str) -> str:
    """The table of all rounds."""
    ours = [sum(seconds for _, seconds in row[0]) for row in rows]
    theirs = [sum(seconds for _, seconds in row[1]) for row in rows]
    ratios = sorted(mine / other for mine, other in zip(ours, theirs))
    first = rows[0][0]
    lines = [
        "# Where the time of a long text goes",
        "",
        f"`python benchmarks/long_text.py{' --plain' if asked.plain else ''}`: "
        f"{Path(asked.model).name}, {asked.words:,} words, {asked.threads} threads, "
        f"{len(rows)} rounds; {where}.",
        "",
        "| pass | tokens | edgeguard | llama-cpp-python |",
        "|---|---|---|---|",
    ]
    for n, (tokens, _) in enumerate(first):
        mine = statistics.median(row[0][n][1] for row in rows)
        other = statistics.median(row[1][n][1] for row in rows)
        lines.append(f"| {n + 1} | {tokens} | {mine:.2f} s | {other:.2f} s |")
    lines += [
        f"| all | {sum(tokens for tokens, _ in first)} | {statistics.median(ours):.2f} s | "
        f"{statistics.median(theirs):.2f} s |",
        "",
        f"edgeguard's passes ÷ llama-cpp-python's: {statistics.median(ratios):.3f} "
        f"[{ratios[0]:.2f}–{ratios[-1]:.2f}]. What a check takes beside its passes (reading the "
        "conversation, tokenizing, deciding): "
        f"{1000 * statistics.median(row[2] for row in rows):.0f} ms.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
