"""What the settings of a context cost and save: the defaults come from this table.

    python benchmarks/settings.py MODEL.gguf [--rounds N]

Varies threads, batch size, flash attention and the type of the KV cache, one at a time, and times
one pass over so many new tokens behind the 201 of a question's start. The settings take turns in
each round. Then loads the file mapped and not mapped. Writes benchmarks/results/settings.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import machine  # noqa: E402

from edgeguard.session.cpu import physical_cores  # noqa: E402

START = 201  # tokens before a prompt's text
SIZES = (3, 100, 200, 1000)
F16, Q8_0 = 1, 8  # ggml_type
RESULTS = ROOT / "benchmarks" / "results" / "settings.md"


@dataclass(frozen=True)
class Setting:
    name: str
    threads: int
    n_batch: int = 512
    flash: int = 1
    kv_type: int = F16


def settings() -> list[Setting]:
    cores = physical_cores()
    return [
        Setting("default", cores),
        *(
            Setting(f"{n} thread{'s' if n > 1 else ''}", n)
            for n in sorted({1, cores * 2} - {cores})
        ),
        *(Setting(f"batches of {n}", cores, n_batch=n) for n in (64, 128, 256)),
        Setting("no flash attention", cores, flash=0),
        Setting("KV cache in q8_0", cores, kv_type=Q8_0),
    ]


def _resident() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith("VmRSS")) * 1024 / 1e6


def _context(lib: Any, model: Any, setting: Setting) -> Any:
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_seq_max, params.n_outputs_max = 2048, 1, 1
    params.n_batch = params.n_ubatch = setting.n_batch
    params.n_threads = params.n_threads_batch = setting.threads
    params.flash_attn_type, params.no_perf = setting.flash, True
    params.type_k = params.type_v = setting.kv_type
    return lib.llama_init_from_model(model, params)


def _decode(lib: Any, context: Any, number: int, behind: int, n_batch: int) -> float:
    lib.llama_memory_seq_rm(lib.llama_get_memory(context), 0, behind, -1)
    start = time.perf_counter()
    for first in range(0, number, n_batch):
        part = min(n_batch, number - first)
        ids = (lib.llama_token * part)(*(1000 + 7 * (first + i) for i in range(part)))
        assert lib.llama_decode(context, lib.llama_batch_get_one(ids, part)) == 0
    return time.perf_counter() - start


def _times(path: Path, rounds: int, out: Any) -> None:
    from edgeguard.session.library import lib, load_model
    from edgeguard.session.stop_flag import StopFlag

    model, _ = load_model(path, "cpu", flag=StopFlag())
    rows = []
    for setting in settings():
        before = _resident()
        context = _context(lib, model, setting)
        _decode(lib, context, START, 0, setting.n_batch)
        _decode(lib, context, max(SIZES), START, setting.n_batch)
        rows.append((setting, context, _resident() - before, [list[float]() for _ in SIZES]))
    for _ in range(rounds):
        for setting, context, _memory, columns in rows:
            for number, column in zip(SIZES, columns):
                column.append(_decode(lib, context, number, START, setting.n_batch))
    out.put(
        [
            (setting.name, memory, [statistics.median(column) for column in columns])
            for setting, _context_, memory, columns in rows
        ]
    )


def _load(path: Path, mode: str, out: Any) -> None:
    from edgeguard.session.library import lib, start_library

    start_library()
    params = lib.llama_model_default_params()
    params.load_mode = getattr(lib, f"LLAMA_LOAD_MODE_{mode}")
    start = time.perf_counter()
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    seconds = time.perf_counter() - start
    context = _context(lib, model, settings()[0])
    _decode(lib, context, START, 0, 512)
    out.put((seconds, _resident()))


def in_child(function: Any, *arguments: Any) -> Any:
    """Run in a process of its own, so that memory is this run's alone."""
    spawn = multiprocessing.get_context("spawn")
    out = spawn.Queue()
    child = spawn.Process(target=function, args=(*arguments, out))
    child.start()
    answer = out.get()
    child.join()
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL.gguf")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    options = parser.parse_args()
    where = machine.describe()
    rows = in_child(_times, options.model, options.rounds)
    base = rows[0][2]
    table = ["| setting | " + " | ".join(f"{n} tokens" for n in SIZES) + " | memory |"]
    table.append("|---|" + "---|" * (len(SIZES) + 1))
    for name, memory, times in rows:
        cells = [f"{t * 1000:.0f} ms ({t / b:.2f})" for t, b in zip(times, base)]
        table.append(f"| {name} | " + " | ".join(cells) + f" | {memory:.0f} MB |")
    loads = {mode: in_child(_load, options.model, mode) for mode in ("MMAP", "NONE")}
    text = (
        f"# Settings of a context\n\n{where}. {options.model.name}, medians of {options.rounds} "
        f"rounds; new tokens behind {START} others, in brackets against the default "
        f"({physical_cores()} threads, batches of 512, flash attention, KV cache in f16); memory "
        "of a context of 2,048 tokens. `python benchmarks/settings.py` makes this file.\n\n"
        + "\n".join(table)
        + "\n\n| file | load | memory after the start |\n|---|---|---|\n"
        + "".join(
            f"| {name} | {loads[mode][0]:.2f} s | {loads[mode][1]:.0f} MB |\n"
            for mode, name in (("MMAP", "mapped"), ("NONE", "read (ours)"))
        )
    )
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
