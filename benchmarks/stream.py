"""What a token of a watched response costs: beside llama-bench, Gen asked again, and reading anew.

    python benchmarks/stream.py --work DIR [--tokenizer FOLDER] [--types q4_k_m,q8_0]

Writes a checkpoint of Qwen3Guard-Stream-0.6B's exact form with random weights (1.2 GB), converts
it, and times passes of k new tokens behind so many before them, each several times, the fastest
counting, all in one run:

    as used           the graph ends at the final norm, no flash attention
    whole graph       with what is left out, and with flash attention, to show what that saves
    llama-bench       the same passes by llama.cpp's own program: attention's own growth
    Gen asked again   the same weights without the heads: the k tokens and the tail of its question
                      (113 tokens), as its prefix cache lets it
    all read anew     as the shipped code does: everything, for each token

llama-bench is compiled unless LLAMA_TOOLS names a folder that has it (speed/tools.py; it takes some
ten minutes), or left out with --without-llama-bench. The rest takes about 25 minutes on two cores
at rest; results/stream.md says how long it took. ``--busy`` is for a machine that does other work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "speed"))

import tools
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
USED, BENCH = "as used", "llama-bench, whole graph"
Clock = Callable[[], float]
Rows = dict[str, list[float]]
OUT = Path(__file__).resolve().parent / "results" / "stream.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, metavar="FOLDER")
    parser.add_argument("--types", default="q4_k_m,q8_0")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--depths", default="100,1000,4000,8000")
    parser.add_argument("--without-llama-bench", action="store_true")
    parser.add_argument(
        "--busy",
        action="store_true",
        help="One thread, and its processor time instead of wall time: for a busy machine.",
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    started = time.monotonic()
    programs = None if options.without_llama_bench else tools.find_or_build(options.work)
    checkpoint = made(options.work, options.tokenizer)
    depths = [int(depth) for depth in options.depths.split(",")]
    machine, lines = describe(), list[str]()
    for kind in options.types.split(","):
        assert kind in TYPES
        path = options.work / f"stream-{kind}.gguf"
        if not path.exists():
            convert(checkpoint, path, type=kind)
        lines += [f"\n## {kind}, {path.stat().st_size / 1e6:.0f} MB", "", *heading()]
        for line in rows(path, programs, depths, options.repeat, options.busy):
            print(line, flush=True)
            lines.append(line)
            minutes = (time.monotonic() - started) / 60
            options.out.write_text(page(machine, lines, options.busy, minutes), encoding="utf-8")


def made(work: Path, tokenizer: Path) -> Path:
    """The checkpoint, written if it is not there."""
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "stream-checkpoint"
    if not (checkpoint / "model.safetensors").exists():
        write_stream(checkpoint, tokenizer if (tokenizer / "tokenizer.json").is_file() else None)
    return checkpoint


def heading() -> list[str]:
    return ["| ms a pass | " + " | ".join(f"k = {k}" for k in SIZES) + " |", "|---" * 6 + "|"]


def rows(
    path: Path, programs: Path | None, depths: list[int], repeat: int, busy: bool
) -> Iterator[str]:
    """The table of one file, line by line."""
    threads = 1 if busy else usable_cores()
    session = LlamaSession(path, settings=Settings(threads=threads), device="cpu")
    clock = time.process_time if busy else time.perf_counter
    most = min(50_000, session.info.n_vocab)
    ids = np.random.default_rng(0).integers(most // 50, most, max(depths) + max(SIZES)).tolist()
    ways = {
        USED: session.hidden_states(),
        "whole graph": changed(session),
        "whole graph, flash attention": changed(session, flash=True),
    }
    found: dict[int, Rows] = {}
    for depth in depths:
        timed = alternately(list(ways.values()), ids, depth, repeat, clock)
        found[depth] = dict(zip(ways, timed))
        if programs is not None:
            found[depth][BENCH] = bench(programs, path, threads, depth, repeat)
        asked = [gen(session, ids, depth, k, clock) for k in SIZES]
        found[depth]["Gen asked again"] = asked
        found[depth]["all read anew"] = anew(session, ids, depth, clock)
        for name, row in found[depth].items():
            yield table_row(f"depth {depth:,}, {name}", row)
    yield ""
    yield from ratios(found)
    yield heads_line(session)
    session.close()


def ratios(found: dict[int, Rows]) -> Iterator[str]:
    """What holds on another machine: quotients of figures of this run."""
    first, *_, last = found
    if first == last:
        return

    def growth(name: str) -> str:
        more = [found[last][name][place] - found[first][name][place] for place in (0, 3)]
        each = [1000 * ms / (last - first) for ms in more]
        return f"{each[0]:.1f} ms at k = 1 and {each[1]:.1f} at k = 16"

    yield f"From depth {first:,} to {last:,} a pass grows, for each 1,000 tokens before it:"
    yield ""
    for name in (USED, "whole graph", BENCH):
        if name in found[first]:
            yield f"- {name}: {growth(name)}"
    yield ""
    for depth, at in found.items():
        token = at[USED][3] / 16
        alone = at[USED][0] / token
        line = f"- depth {depth:,}, a token of 16 as used is 1; one at a time {alone:.1f}"
        for name in (BENCH, "Gen asked again"):
            if name in at:
                line += f", {name} {at[name][3] / 16 / token:.2f}"
        yield f"{line}, all read anew {at['all read anew'][0] / token:.0f}"
    yield ""


def bench(programs: Path, path: Path, threads: int, depth: int, repeat: int) -> list[float]:
    """Milliseconds of the same passes in llama-bench; by the clock, whatever else runs."""
    sizes = ",".join(map(str, SIZES))
    command = [
        *(str(programs / "llama-bench"), "-m", str(path), "-t", str(threads), "-fa", "off"),
        *("-n", "0", "-p", sizes, "-d", str(depth), "-r", str(repeat), "-o", "json"),
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    least = {one["n_prompt"]: min(one["samples_ns"]) / 1e6 for one in json.loads(done.stdout)}
    return [least[k] for k in SIZES]


def anew(session: LlamaSession, ids: list[int], depth: int, clock: Clock) -> list[float]:
    """Milliseconds for k tokens where each of them has everything read; measured for one."""
    states = session.hidden_states()
    states.read(ids[:8], 8)  # the context is made
    started = clock()
    states.read([*ids[8 : depth + 8], 7], depth)
    took = (clock() - started) * 1000
    states.free()
    return [k * took for k in SIZES]


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


def page(machine: str, lines: list[str], busy: bool, minutes: float) -> str:
    timed = "wall time on the physical cores, the machine at rest"
    if busy:
        timed = "processor time on one thread, since other programs ran on the machine"
    head = [
        "# What a token of a watched response costs",
        "",
        f"Measured by benchmarks/stream.py in {minutes:.0f} minutes on: {machine}.",
        f"Random weights of Qwen3Guard-Stream-0.6B's form; {timed};",
        "the least of several passes, in turns. As used: the graph ends at the final norm, no",
        "flash attention. Gen asked again: k new tokens, and the 113 at the end of its question.",
        "All read anew: as the shipped code does, everything for each token. llama-bench is timed",
        "by the clock, and without flash attention.",
    ]
    return "\n".join([*head, *lines]) + "\n"


if __name__ == "__main__":
    main()
