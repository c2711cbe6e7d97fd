"""What a token of a watched response costs, beside Qwen3Guard-Gen asked again at intervals.

    python benchmarks/stream.py --work DIR [--tokenizer FOLDER] [--types q4_k_m,q8_0]

Writes a checkpoint of Qwen3Guard-Stream-0.6B's exact form with random weights (1.2 GB), converts
it, and times passes of k new tokens behind so many before them, each several times, the fastest
counting. The whole graph and flash attention are timed too, to show what leaving them out saves.
Gen has the same weights, without the heads, and pays for the k tokens and the tail of its question
(113 tokens), as its prefix cache lets it. Results: benchmarks/results/stream.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import describe
from stand_in import TOKENIZER, write_stream

from edgeguard.convert import TYPES, convert
from edgeguard.gguf import heads as stored
from edgeguard.session import hidden_states
from edgeguard.session.cpu import usable_cores
from edgeguard.session.hidden_states import HiddenStates
from edgeguard.session.library import lib
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings
from edgeguard.stream.heads import Heads

DEPTHS = (100, 1000, 4000, 8000)
SIZES = (1, 4, 8, 16, 32)
TAIL = 113
OUT = Path(__file__).resolve().parent / "results" / "stream.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, metavar="FOLDER")
    parser.add_argument("--types", default="q4_k_m,q8_0")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    found = (options.tokenizer / "tokenizer.json").is_file()
    options.work.mkdir(parents=True, exist_ok=True)
    checkpoint = options.work / "stream-checkpoint"
    if not (checkpoint / "model.safetensors").exists():
        write_stream(checkpoint, options.tokenizer if found else None)
    machine = describe()
    lines: list[str] = []
    for kind in options.types.split(","):
        assert kind in TYPES
        lines += of_type(checkpoint, options.work / f"stream-{kind}.gguf", kind, options.repeat)
    options.out.write_text(page(machine, lines), encoding="utf-8")


def of_type(checkpoint: Path, path: Path, kind: str, repeat: int) -> list[str]:
    """The table of one file."""
    if not path.exists():
        convert(checkpoint, path, type=kind)
    session = LlamaSession(path, settings=Settings(threads=usable_cores()), device="cpu")
    ids = np.random.default_rng(0).integers(1000, 50000, max(DEPTHS) + max(SIZES)).tolist()
    lines = [f"\n## {kind}, {path.stat().st_size / 1e6:.0f} MB", ""]
    lines += ["| ms a pass | " + " | ".join(f"k = {k}" for k in SIZES) + " |"]
    lines += ["|---|" + "---|" * len(SIZES)]
    ways: list[tuple[str, Callable[[], HiddenStates]]] = [
        ("as used", session.hidden_states),
        ("whole graph", lambda: changed(session, whole=True)),
        ("whole graph, flash attention", lambda: changed(session, whole=True, flash=True)),
    ]
    for depth in DEPTHS:
        rows = alternately([make for _, make in ways], ids, depth, repeat)
        for (name, _), row in zip(ways, rows):
            lines.append(table_row(f"depth {depth:,}, {name}", row))
            print(lines[-1], flush=True)
    for depth in DEPTHS:
        row = [gen(session, ids, depth, k, repeat) for k in SIZES]
        lines.append(table_row(f"depth {depth:,}, Gen asked again", row))
        print(lines[-1], flush=True)
    lines += ["", heads_line(session)]
    session.close()
    return lines


def alternately(
    makes: list[Callable[[], HiddenStates]], ids: list[int], depth: int, repeat: int
) -> list[list[float]]:
    """Milliseconds of a pass of each size, for each way; in turns, so that all meet the same."""
    ways = [make() for make in makes]
    least = [[float("inf")] * len(SIZES) for _ in ways]
    for states in ways:
        states.read(ids[:depth], depth)
    for _ in range(repeat):
        for place, k in enumerate(SIZES):
            for row, states in zip(least, ways):
                states.read(ids[:depth], depth)
                started = time.perf_counter()
                states.read(ids[: depth + k], depth)
                row[place] = min(row[place], (time.perf_counter() - started) * 1000)
    for states in ways:
        states.free()
    return least


def gen(session: LlamaSession, ids: list[int], depth: int, k: int, repeat: int) -> float:
    """Milliseconds of asking again: k new tokens, the tail of the question, and its logits."""
    tail = list(range(500, 500 + TAIL))
    times = []
    for turn in range(repeat):
        session.read(ids[:depth] + tail, room=8, exact=False)
        started = time.perf_counter()
        session.read(ids[: depth + k] + tail, room=8, suffix=TAIL, exact=False)
        if turn or repeat == 1:
            times.append(time.perf_counter() - started)
        if depth >= 4000 and turn:
            break
    session.free_contexts()
    return min(times) * 1000


def changed(session: LlamaSession, *, whole: bool, flash: bool = False) -> HiddenStates:
    """The same with what is left out."""
    states = session.hidden_states()
    if whole:
        states._ends = None
    if flash:
        states.__class__ = _FlashStates
    return states


class _FlashStates(HiddenStates):
    def _new(self, n_ctx: int) -> object:
        original = lib.llama_init_from_model

        def init(model: object, params: object) -> object:
            params.flash_attn_type = 1  # type: ignore[attr-defined]
            return original(model, params)

        hidden_states.lib.llama_init_from_model = init
        try:
            return super()._new(n_ctx)
        finally:
            hidden_states.lib.llama_init_from_model = original


def heads_line(session: LlamaSession) -> str:
    """What the heads cost."""
    started = time.perf_counter()
    weights = stored.read(session.metadata, session.hidden)
    loaded = (time.perf_counter() - started) * 1000
    heads, times = Heads(weights), []
    states = np.random.default_rng(1).normal(size=(32, session.hidden)).astype(np.float32)
    for _ in range(20):
        started = time.perf_counter()
        heads.labels(states, "response")
        times.append(time.perf_counter() - started)
    each = statistics.median(times) * 1000 / 32
    return f"Heads: read out of the file in {loaded:.0f} ms; {each:.3f} ms a token."


def table_row(name: str, times: list[float]) -> str:
    return f"| {name} | " + " | ".join(f"{ms:.0f}" for ms in times) + " |"


def page(machine: str, lines: list[str]) -> str:
    head = [
        "# What a token of a watched response costs",
        "",
        f"Measured by benchmarks/stream.py on: {machine}.",
        "Random weights of Qwen3Guard-Stream-0.6B's form; the fastest of several passes, in turns.",
        "As used: the graph ends at the final norm, no flash attention. Other programs ran on the",
        "machine meanwhile, so only differences of a half and more mean anything.",
    ]
    return "\n".join([*head, *lines]) + "\n"


if __name__ == "__main__":
    main()
