"""edgeguard's speed and memory beside its peers, on the same files, in one run.

    python benchmarks/compare.py [--checkpoint DIR] [--rounds N] [--out DIR]

Contestants: edgeguard; llama-bench, which computes the tokens that no cache can know and is the
floor; llama-server with grammar, with and without its prompt cache; llama-cpp-python with
grammar, with and without its prefix match; transformers in float32 as the model card shows. All are
started once and asked in turn; the order rotates; each writes the same tokens. Without
--checkpoint a stand-in of full size is written first (stand_in.py). LLAMA_TOOLS may name a folder
with llama-server and llama-bench; else they are compiled (speed/tools.py). Needs the dependency
group `bench`. Writes compare.md, compare.json and compare.png.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "speed"), str(ROOT / "tests")]

import machine  # noqa: E402
import report  # noqa: E402
import stand_in  # noqa: E402
import tools  # noqa: E402
from cases import CASES, Case  # noqa: E402
from contestants import Asked, Server, Worker, floor  # noqa: E402

from edgeguard.convert import convert  # noqa: E402
from edgeguard.protocol.grammar import gbnf  # noqa: E402
from edgeguard.session.cpu import physical_cores  # noqa: E402

PATIENCE = 2
"""transformers is asked in so many rounds only: it is slow, and steady."""


class Field:
    """All contestants, started; ``ways`` maps a name to a function that times one check."""

    def __init__(self, checkpoint: Path, model: Path, programs: Path, log: Path) -> None:
        self.threads = physical_cores()
        self.model, self.bench = model, programs / "llama-bench"
        self.ours = Worker("edgeguard", model, self.threads)
        self.fresh = Worker("llama-cpp-python", model, self.threads)
        self.reusing = Worker("llama-cpp-python", model, self.threads)
        self.transformers = Worker("transformers", checkpoint, self.threads)
        server = programs / "llama-server"
        self.caching = Server(server, model, self.threads, log.with_suffix(".1"))
        self.forgetful = Server(server, model, self.threads, log.with_suffix(".2"))
        self._passes: list[int] = []
        self.ways: dict[str, Callable[[Asked], float]] = {
            report.OURS: self._ours,
            report.FLOOR: lambda a: self._floor(a.uncached, a.fixed),
            report.FLOOR_ALL: self._later,
            report.SERVER_CACHE: lambda a: self.caching.check(a, cache=True),
            report.SERVER: lambda a: self.forgetful.check(a, cache=False),
            report.PYTHON_REUSE: lambda a: self._python(self.reusing, a, True),
            report.PYTHON: lambda a: self._python(self.fresh, a, False),
            report.TRANSFORMERS: self._transformers,
        }

    def asked(self, case: Case, number: int) -> Asked:
        messages = case.messages(number)
        ids = self.ours.ask("tokens", messages=messages, answer=case.answer_text)
        return Asked(messages, case.answer_text, grammar=gbnf(case.mode), **ids)

    def memory(self) -> dict[str, float]:
        return {
            report.OURS: self.ours.ask("memory")["peak"],
            report.SERVER_CACHE: self.caching.memory(),
            report.PYTHON_REUSE: self.reusing.ask("memory")["peak"],
            report.TRANSFORMERS: self.transformers.ask("memory")["peak"],
        }

    def close(self) -> None:
        for worker in (self.ours, self.fresh, self.reusing, self.transformers):
            worker.close()
        self.caching.close()
        self.forgetful.close()

    def _ours(self, asked: Asked) -> float:
        answer = self.ours.ask("check", messages=asked.messages, answer=asked.text)
        self._passes = answer["later"]
        return float(answer["seconds"])

    def _floor(self, tokens: int, depth: int) -> float:
        return floor(self.bench, self.model, self.threads, tokens, depth)

    def _later(self, asked: Asked) -> float:
        """What the passes after the first cost llama-bench."""
        return sum(self._floor(tokens, len(asked.question)) for tokens in self._passes)

    def _python(self, worker: Worker, asked: Asked, reuse: bool) -> float:
        how = {"question": asked.question, "answer": asked.answer, "grammar": asked.grammar}
        return float(worker.ask("check", reuse=reuse, **how)["seconds"])

    def _transformers(self, asked: Asked) -> float:
        how = {"question": asked.question, "answer": asked.answer}
        return float(self.transformers.ask("check", **how)["seconds"])


def run_case(field: Field, case: Case, rounds: int) -> dict[str, list[float]]:
    """Seconds of every contestant in every round; round 0 warms up and does not count."""
    times: dict[str, list[float]] = {name: [] for name in field.ways}
    for number in range(rounds + 1):
        asked = field.asked(case, number)
        names = [n for n in field.ways if n != report.TRANSFORMERS or number <= PATIENCE]
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if number == 0 and name in (report.FLOOR, report.FLOOR_ALL, report.TRANSFORMERS):
                continue
            seconds = field.ways[name](asked)
            if number:
                times[name].append(seconds)
        print(f"{case.name}: round {number} of {rounds}", file=sys.stderr)
    return times


def cold(model: Path, rounds: int) -> dict[str, Any]:
    """A whole `edgeguard check` process beside a warm check of the same text."""
    worker = Worker("edgeguard", model, physical_cores())
    text = "What would be a good name for a small boat on the river?"
    command = [sys.executable, "-m", "edgeguard", "check", "--model", str(model), text]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "EDGEGUARD_HOME": home}
        cold_times, warm_times, peaks = [], [], []
        for number in range(rounds + 1):
            start = time.perf_counter()
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            _, _, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            warm = worker.ask("plain", text=text)["seconds"]
            if number:  # the first one computes the start and the file's sha256
                cold_times.append(seconds)
                warm_times.append(warm)
                peaks.append(usage.ru_maxrss * 1024 / 1e6)
    worker.close()
    return {"cold": cold_times, "warm": warm_times, "peak": statistics.median(peaks)}


def memory_parts(model: Path) -> dict[str, float]:
    """Resident MB of a process that checks one prompt, step by step."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from worker import memory\n"
        "sizes = {'Python': memory()['now']}\n"
        "from pathlib import Path\nfrom edgeguard.guard import Guard\n"
        "from edgeguard.session.llama import LlamaSession\n"
        "sizes['edgeguard, numpy, llama.cpp'] = memory()['now']\n"
        "session = LlamaSession(Path(sys.argv[1]))\n"
        "sizes['weights and vocabulary'] = memory()['now']\n"
        "Guard.with_session(session).check('Hello there')\n"
        "sizes['KV cache of 512 tokens, buffers, the check'] = memory()['now']\n"
        "import json; print(json.dumps(sizes))\n"
    )
    folder = str(ROOT / "benchmarks" / "speed")
    done = subprocess.run(
        [sys.executable, "-c", code, str(model), folder], capture_output=True, check=True
    )
    sizes: dict[str, float] = json.loads(done.stdout)
    return sizes


def conversation(field: Field, rounds: int) -> dict[str, Any]:
    """The first and the tenth turn of a conversation, with the floor of each."""
    case = next(case for case in CASES if case.mode == "prompt" and case.words == 10)
    turns: list[list[float]] = []
    for number in range(rounds):
        messages: list[dict[str, str]] = []
        times = []
        for turn in range(10):
            new = case.messages(1000 + 10 * number + turn)[0]["content"]
            if turn:
                messages.append({"role": "assistant", "content": "Yes."})
            messages.append({"role": "user", "content": new})
            asked = field.ours.ask("check", messages=messages, answer=case.answer_text)
            times.append(float(asked["seconds"]))
        turns.append(times)
    ids = field.ours.ask("tokens", messages=messages, answer=case.answer_text)
    first = field.asked(case, 1)
    depth = len(ids["question"]) - (len(first.question) - first.fixed)
    floors = [
        (
            field._floor(first.uncached, first.fixed),
            field._floor(first.uncached, depth),
        )
        for _ in range(rounds)
    ]
    return {
        "first": [times[0] for times in turns],
        "tenth": [times[9] for times in turns],
        "floor_first": [pair[0] for pair in floors],
        "floor_tenth": [pair[1] for pair in floors],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--words", type=int, nargs="*", help="only cases of these lengths")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = _run(options, Path(name))
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1) + "\n"
    (options.out / "compare.json").write_text(text, encoding="utf-8")
    report.write(result, options.out)


def _run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    where = machine.describe()
    tokenizer = stand_in.TOKENIZER if stand_in.TOKENIZER.is_dir() else None
    checkpoint = options.checkpoint or stand_in.write(folder / "checkpoint", tokenizer)
    model = convert(checkpoint, folder / "q4_k_m.gguf", type="q4_k_m", trust_template=True).path
    programs = tools.find_or_build(folder)
    field = Field(checkpoint, model, programs, folder / "server")
    cases = [case for case in CASES if not options.words or case.words in options.words]
    try:
        times = {case.name: run_case(field, case, options.rounds) for case in cases}
        result = {
            "machine": where,
            "rounds": options.rounds,
            "file": model.stat().st_size / 1e6,
            "times": times,
            "conversation": conversation(field, options.rounds),
            "many": field.ours.ask("many", number=500, answer=cases[0].answer_text),
            "memory": field.memory(),
        }
    finally:
        field.close()
    parts = memory_parts(model)
    return {**result, "process": cold(model, options.rounds), "parts": parts}


if __name__ == "__main__":
    main()
