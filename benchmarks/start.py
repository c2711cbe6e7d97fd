"""From the start of a process to its first verdict, by parts, and the memory on the way.

    python benchmarks/start.py --model FILE [--rounds 5]

Both kinds of start are measured: weights rearranged for the processor, as a server has them, and
plain ones mapped from the file, as `edgeguard check` of a short text takes them where that pays.
Beside them stands the whole command `edgeguard check`, cold, against a check that is warm.

FILE is a model, such as a stand-in of full size (benchmarks/stand_in.py, then edgeguard convert).
The first start on a machine reads the whole file for its sha256, tries llama.cpp in a child, and
computes the start of the question; later ones remember all three. Each start is a process of its
own, the first with an empty EDGEGUARD_HOME; of the later ones the fastest of each part counts.
Seconds of processor time stand beside them, since a busy machine lengthens the others.
Results: benchmarks/results/start.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe

OUT = Path(__file__).resolve().parent / "results" / "start.md"

# Times the steps of Guard(...) from outside, as a program meets them.
CHILD = """
import json, resource, sys, time
began = float(sys.argv[2])
parts, memory = {}, {}

def used():
    own = resource.getrusage(resource.RUSAGE_SELF)
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime

def resident(name):
    pages = int(open("/proc/self/statm").read().split()[1])
    memory[name] = pages * resource.getpagesize() / 1e6

last = [began, 0.0]

def part(name):
    now = time.time(), used()
    before = parts.get(name, [0.0, 0.0])
    parts[name] = [before[0] + now[0] - last[0], before[1] + now[1] - last[1]]
    last[:] = now

def timed(module, name, label, rest):
    function = getattr(module, name)
    def wrapper(*argv, **more):
        if "second verdict" in parts:  # a load after that is part of what is measured there
            return function(*argv, **more)
        part(rest)
        try:
            return function(*argv, **more)
        finally:
            part(label)
    setattr(module, name, wrapper)

part("Python starts")
import edgeguard, edgeguard.guard
from edgeguard import Guard
part("import edgeguard")
import edgeguard.session.llama
part("import llama_cpp, numpy")
timed(edgeguard.guard, "prepare", "sha256 of the file", "the rest")
timed(edgeguard.guard, "tried", "a child tries llama.cpp", "the rest")
timed(edgeguard.session.llama, "load_model", "weights", "the rest")

# Whatever pays here: it is measured.
edgeguard.loading._is_faster_plain = lambda _path, _sha256, one_shot: one_shot
guard = Guard(sys.argv[1], allow_random_weights=True, one_shot=sys.argv[3] == "plain")
part("the rest")
resident("loaded")
guard.check("What is the capital of France?")
part("first verdict, with the start of the question")
guard.check("What is the capital of Spain?")
part("second verdict")
resident("after two verdicts")
guard.unload()
part("unload")
resident("after unload")
guard.check("What is the capital of Italy?")
part("verdict after unload, with the load")
print(json.dumps({"parts": parts, "memory": memory}))
"""
KINDS = {"rearranged": "rearranged weights", "plain": "plain weights, mapped"}
TEXT = "What is the capital of France?"
AFTER = ("second verdict", "unload", "verdict after unload, with the load")
Times = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    machine = describe()
    model, rounds = options.model.resolve(), max(1, options.rounds)
    with tempfile.TemporaryDirectory() as home:
        first = {kind: start(model, f"{home}/{kind}", kind) for kind in KINDS}
        later: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        command: list[float] = []
        for _ in range(rounds):  # in turn, so that a slow moment slows all of them
            for kind in KINDS:
                later[kind].append(start(model, f"{home}/{kind}", kind))
            command.append(whole_command(model, f"{home}/command"))
    OUT.write_text(page(options.model, machine, first, later, command), encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


def start(model: Path, home: str, kind: str) -> dict[str, Any]:
    """What one process measured."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(model), repr(time.time()), kind],
        env={**os.environ, "EDGEGUARD_HOME": home},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def whole_command(model: Path, home: str) -> float:
    """Seconds from the start of `edgeguard check` to its end; the first one prepares the rest."""
    words = ["check", "--allow-random-weights", "--model", str(model), TEXT]
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "edgeguard", *words],
        env={**os.environ, "EDGEGUARD_HOME": home},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - began


def page(
    model: Path,
    machine: str,
    first: dict[str, dict[str, Any]],
    later: dict[str, list[dict[str, Any]]],
    command: list[float],
) -> str:
    fast: dict[str, Times] = {
        kind: {
            name: [min(each["parts"][name][i] for each in runs) for i in range(2)]
            for name in first[kind]["parts"]
        }
        for kind, runs in later.items()
    }
    lines = [
        "# From the start of a process to its first verdict",
        "",
        f"`python benchmarks/start.py --model …`: {model.stat().st_size / 1e6:.0f} MB, {machine}.",
        f"Of {len(command)} later starts of each kind, in turn, the fastest of each part. Seconds,",
        "and seconds of processor time.",
    ]
    for kind, title in KINDS.items():
        lines += ["", f"## {title.capitalize()}", "", *table(first[kind], fast[kind])]
        lines += ["", "| memory (resident) | MB |", "|---|---|"]
        memory = later[kind][-1]["memory"]
        lines += [f"| {name} | {value:.0f} |" for name, value in memory.items()]
    warm = min(fast[kind]["second verdict"][0] for kind in KINDS)
    cold = min(command)
    lines += [
        "",
        "## `edgeguard check`, a process of its own",
        "",
        f"{cold:.2f} s from start to end, {cold - warm:.2f} s more than a warm check of "
        f"{warm:.2f} s.",
    ]
    return "\n".join(lines) + "\n"


def table(first: dict[str, Any], fast: Times) -> list[str]:
    before = [name for name in fast if name not in AFTER]
    return [
        "| | first start on a machine | processor | later starts | processor |",
        "|---|---|---|---|---|",
        *(row(name, first["parts"][name], fast[name]) for name in before),
        row("**to the first verdict**", total(first["parts"]), total(fast)),
        *(row(name, first["parts"][name], fast[name]) for name in AFTER),
    ]


def total(parts: Times) -> list[float]:
    return [sum(parts[name][i] for name in parts if name not in AFTER) for i in range(2)]


def row(name: str, first: list[float], later: list[float]) -> str:
    values = [f"{value:.2f}" for value in (*first, *later)]
    return f"| {name} | {' | '.join(values)} |"


if __name__ == "__main__":
    main()
