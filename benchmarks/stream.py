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
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from machine import describe
from stand_in import TOKENIZER, write_stream

from edgeguard.convert import TYPES, convert
from edgeguard.gguf import heads as stored
from edgeguard.session.cpu import usable_cores
from edgeguard.session.hidden_states import HiddenStates
from edgeguard.session.library import lib
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings
from edgeguard.stream.heads import Heads

SIZES = (1, 4, 8, 16, 32)
TAIL = 113
Clock = Callable[[], float]
OUT = Path(__file__).resolve().parent / "results" / "stream.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, metavar="FOLDER")
    parser.add_argument("--types", default="q4_k_m,q8_0")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--depths", default="100,1000,4000,8000")
    parser.add_argument(
        "--busy",
        action="store_true",
        help="One thread, and its processor time instead of wall time: for a busy machine.",
    )
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
        path = options.work / f"stream-{kind}.gguf"
        if not path.exists():
            convert(checkpoint, path, type=kind)
        lines += [f"\n## {kind}, {path.stat().st_size / 1e6:.0f} MB", "", *heading()]
        depths = [int(depth) for depth in options.depths.split(",")]
        for line in rows(path, depths, options.repeat, options.busy):
            print(line, flush=True)
            lines.append(line)
            options.out.write_text(page(machine, lines, options.busy), encoding="utf-8")


def heading() -> list[str]:
    return ["| ms a pass | " + " | ".join(f"k = {k}" for k in SIZES) + " |", "|---" * 6 + "|"]


def rows(path: Path, depths: list[int], repeat: int, busy: bool) -> Iterator[str]:
    """The table of one file, line by line."""
    settings = Settings(threads=1 if busy else usable_cores())
    session = LlamaSession(path, settings=settings, device="cpu")
    clock = time.process_time if busy else time.perf_counter
    ids = np.random.default_rng(0).integers(1000, 50000, max(depths) + max(SIZES)).tolist()
    ways = {
        "as used": session.hidden_states(),
        "whole graph": changed(session),
        "whole graph, flash attention": changed(session, flash=True),
    }
    for depth in depths:
        for name, row in zip(ways, alternately(list(ways.values()), ids, depth, repeat, clock)):
            yield table_row(f"depth {depth:,}, {name}", row)
        asked = [gen(session, ids, depth, k, clock) for k in SIZES]
        yield table_row(f"depth {depth:,}, Gen asked again", asked)
    yield ""
    yield heads_line(session)
    session.close()


def alternately(
    ways: list[HiddenStates], ids: list[int], depth: int, repeat: int, clock: Clock
) -> list[list[float]]:
    """Milliseconds of a pass of each size, for each way; in turns, so that all meet the same."""
    least = [[float("inf")] * len(SIZES) for _ in ways]
    for states in ways:
        states.read(ids[:depth], depth)
    for _ in range(repeat):
        for place, k in enumerate(SIZES):
            for row, states in zip(least, ways):
                states.read(ids[:depth], depth)
                started = clock()
                states.read(ids[: depth + k], depth)
                row[place] = min(row[place], (clock() - started) * 1000)
    return least


def gen(session: LlamaSession, ids: list[int], depth: int, k: int, clock: Clock) -> float:
    """Milliseconds of asking again: k new tokens, the tail of the question, and its logits."""
    tail = list(range(500, 500 + TAIL))
    session.read(ids[:depth] + tail, room=8, suffix=TAIL, exact=False)
    started = clock()
    session.read(ids[: depth + k] + tail, room=8, suffix=TAIL, exact=False)
    return (clock() - started) * 1000


def changed(session: LlamaSession, *, flash: bool = False) -> HiddenStates:
    """The same with what is left out."""
    states = session.hidden_states()
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

        lib.llama_init_from_model = init
        try:
            return super()._new(n_ctx)
        finally:
            lib.llama_init_from_model = original


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


def page(machine: str, lines: list[str], busy: bool) -> str:
    timed = "wall time on the physical cores, the machine at rest"
    if busy:
        timed = "processor time on one thread, since other programs ran on the machine"
    head = [
        "# What a token of a watched response costs",
        "",
        f"Measured by benchmarks/stream.py on: {machine}.",
        f"Random weights of Qwen3Guard-Stream-0.6B's form; {timed};",
        "the least of several passes, in turns. As used: the graph ends at the final norm, no",
        "flash attention. Gen asked again: k new tokens, and the 113 at the end of its question.",
    ]
    return "\n".join([*head, *lines]) + "\n"


if __name__ == "__main__":
    main()
