"""The table and the picture of a comparison."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

OURS = "edgeguard"
FLOOR = "llama-bench, the floor"
FLOOR_ALL = "llama-bench, later passes"
SERVER_CACHE = "llama-server, grammar, prompt cache"
SERVER = "llama-server, grammar"
PYTHON_REUSE = "llama-cpp-python, grammar, prefix match"
PYTHON = "llama-cpp-python, grammar"
TRANSFORMERS = "transformers, float32"
_COLOURS = ("black", "tab:orange", "#1f4e79", "#2e75b6", "#7fa9d0", "#a9c6e3", "#c8c8c8")
PEERS = (SERVER_CACHE, PYTHON_REUSE, SERVER, PYTHON, TRANSFORMERS)


def write(result: dict[str, Any], folder: Path) -> None:
    """Write compare.md and compare.png, and print the table."""
    text = _text(result)
    (folder / "compare.md").write_text(text, encoding="utf-8")
    print(text)
    _picture(result, folder / "compare.png")


def _text(result: dict[str, Any]) -> str:
    median = statistics.median
    process, talk, many = result["process"], result["conversation"], result["many"]
    extra = [
        (
            "cold `edgeguard check`, whole process, minus a warm check",
            f"{median(process['cold']) - median(process['warm']):.2f} s "
            f"({_spread(process['cold'])} s against {_spread(process['warm'])} s)",
        ),
        (
            "peak memory of `edgeguard check`, minus the file",
            f"{process['peak'] - result['file']:.0f} MB ({process['peak']:.0f} MB in all)",
        ),
        (
            "tenth turn of a conversation against the first, same new text",
            f"{_ratio(talk['tenth'], talk['first'])} (the floor itself: "
            f"{_ratio(talk['floor_tenth'], talk['floor_first'])})",
        ),
        (
            "500 checks in a row: time of the last hundred against the first",
            f"{many['last'] / many['first']:.2f}; memory {many['after'] - many['before']:+.1f} MB",
        ),
    ]
    peaks = ", ".join(f"{name} {size:.0f} MB" for name, size in result["memory"].items())
    return "\n".join(
        [
            "# Speed beside the peers",
            "",
            f"{result['machine']}. Medians of {result['rounds']} rounds in one run, lowest and "
            "highest in brackets; each contestant writes the same tokens. Q4_K_M, a stand-in of "
            "full size with random weights. `python benchmarks/compare.py` makes this file.",
            "",
            *_table(result["times"]),
            "",
            "Ratios are medians of the ratios within a round. The floor is llama-bench computing "
            "the same uncached tokens at the same depth with flash attention. An Unsafe prompt "
            "needs two more passes, of four tokens and of one, to name its category and to end; "
            "with them, the floor is what llama-bench takes for those too. A Safe response's "
            "refusal is read ahead in its first pass.",
            "",
            "Of a text of 1,000 words every contestant computes the same 1,100 tokens, which is "
            "nearly all of its time: there, ratios near 1 are all that is left, and one process "
            "differs from the next by as much.",
            "",
            "| figure | measured |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in extra),
            "",
            f"Where the memory of a check goes: {_parts(result)}.",
            "",
            f"Peak memory of the whole run, both modes and up to 1,400 tokens: {peaks}.",
            "",
        ]
    )


def _parts(result: dict[str, Any]) -> str:
    sizes, steps, before = result["parts"], [], 0.0
    for name, size in sizes.items():
        steps.append(f"{name} {size - before:.0f} MB")
        before = size
    return ", ".join(steps) + f" (the file has {result['file']:.0f} MB)"


def _table(times: dict[str, dict[str, list[float]]]) -> list[str]:
    lines = [
        "| check | edgeguard | against the floor | with its later passes | "
        + " | ".join(f"{p} ÷ ours" for p in PEERS)
        + " |",
        "|---|---|---|---|" + "---|" * len(PEERS),
    ]
    for name, row in times.items():
        whole = [first + later for first, later in zip(row[FLOOR], row[FLOOR_ALL])]
        cells = [f"{_spread(row[OURS])} s", _ratio(row[OURS], row[FLOOR])]
        cells.append(_ratio(row[OURS], whole) if any(row[FLOOR_ALL]) else "–")
        cells += [_ratio(row[peer], row[OURS]) for peer in PEERS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _ratio(above: list[float], below: list[float]) -> str:
    ratios = sorted(a / b for a, b in zip(above, below))
    return f"{statistics.median(ratios):.2f} [{ratios[0]:.2f}–{ratios[-1]:.2f}]"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}–{max(values):.2f}]"


def _picture(result: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = {name: row for name, row in result["times"].items() if "Unsafe" not in name}
    names = (FLOOR, OURS, *PEERS)
    figure, axes = plt.subplots(figsize=(9, 1.3 * len(shown) + 1.5), layout="constrained")
    height = 0.8 / len(names)
    for n, contestant in enumerate(names):
        values = [statistics.median(row[contestant]) for row in shown.values()]
        places = [place + n * height for place in range(len(shown))]
        axes.barh(places, values, height * 0.9, label=contestant, color=_COLOURS[n])
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(shown))], list(shown))
    axes.set_xscale("log")
    axes.set_xlabel("seconds a check, logarithmic; shorter is better")
    axes.invert_yaxis()
    figure.legend(fontsize=8, loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=110)
