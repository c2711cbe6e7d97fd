"""How many instructions a long text costs, by library: edgeguard beside llama_cpp.Llama.

    python benchmarks/instructions.py MODEL.gguf [--tokens 600]

Times of the same passes differ by some percent from process to process (long_text.py). valgrind
counts instructions instead, which do not depend on what else a machine does: a process with
edgeguard and one with llama_cpp.Llama each load MODEL and compute the same ids with one thread.
Needs valgrind, and takes some minutes with nano (models/nano/nano.gguf).
Results: benchmarks/results/instructions.md.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import machine

OUT = Path(__file__).resolve().parent / "results" / "instructions.md"
OURS, THEIRS = "edgeguard", "llama-cpp-python"
PARTS = {
    "libggml-cpu": "the model's arithmetic (libggml-cpu)",
    "libggml-base": "graphs and quantization (libggml-base)",
    "libllama": "llama.cpp's load, vocabulary and batches (libllama)",
}

CHILD = """
import sys
kind, model, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
ids = [1000 + 13 * n % 17000 for n in range(number)]
if kind == "edgeguard":
    from pathlib import Path
    from edgeguard.session.llama import LlamaSession
    from edgeguard.session.settings import Settings
    LlamaSession(Path(model), settings=Settings(1), n_ctx=2048).read(ids, room=0)
else:
    from llama_cpp import Llama
    Llama(model, n_ctx=2048, n_batch=512, n_threads=1, n_threads_batch=1, flash_attn=True,
          verbose=False).eval(ids)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokens", type=int, default=600)
    asked = parser.parse_args()
    where = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        files = {kind: Path(folder) / kind for kind in (OURS, THEIRS)}
        children = [start(kind, file, asked) for kind, file in files.items()]
        for child in children:
            if child.wait():
                raise SystemExit(f"{child.args!r} ended with {child.returncode}")
        found = {kind: counted(file) for kind, file in files.items()}
    OUT.write_text(page(found, asked, where), encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


def start(kind: str, file: Path, asked: argparse.Namespace) -> subprocess.Popen[bytes]:
    """A process whose instructions valgrind counts into a file."""
    valgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={file}"]
    words = [sys.executable, "-c", CHILD, kind, str(asked.model), str(asked.tokens)]
    return subprocess.Popen([*valgrind, *words], stderr=subprocess.DEVNULL)


def counted(file: Path) -> Counter[str]:
    """Instructions by library, from a file of callgrind's."""
    command = ["callgrind_annotate", "--threshold=100", str(file)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found: Counter[str] = Counter()
    for line in lines:
        match = re.match(r"\s*([\d,]+) \(.*\[(?:.*/)?([^/\]]+)\]", line)
        if match:
            found[match[2].partition(".so")[0]] += int(match[1].replace(",", ""))
    return found


def page(found: dict[str, Counter[str]], asked: argparse.Namespace, where: str) -> str:
    """The table by library."""
    lines = [
        "# Instructions of a long text",
        "",
        f"`python benchmarks/instructions.py`: {asked.model.name}, {asked.tokens} tokens, one "
        f"thread, counted by valgrind; {where}.",
        "",
        f"| instructions | {OURS} | {THEIRS} | ratio |",
        "|---|---|---|---|",
    ]
    for library, name in PARTS.items():
        ours, theirs = found[OURS][library], found[THEIRS][library]
        lines.append(f"| {name} | {ours:,} | {theirs:,} | {ours / theirs:.4f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
