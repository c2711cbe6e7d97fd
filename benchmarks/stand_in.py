"""Write a checkpoint of Qwen3Guard-Gen's exact form with random weights: 0.6B has 1.5 GB.

    python benchmarks/stand_in.py --out DIR [--size 0.6b|4b|8b] [--tokenizer FOLDER]

4B and 8B come in several files, as published, and have 8 and 16 GB.

Speed and memory do not depend on the values of the weights, so it stands in for the real model in
benchmarks and in tests of full size. Its verdicts mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from checkpoints import write_checkpoint  # noqa: E402

TOKENIZER = ROOT.parent / "shared" / "tokenizer"
TEMPLATE = ROOT / "tests" / "convert" / "question.jinja"
CONVERSATION = ROOT / "tests" / "convert" / "conversation.jinja"
SHAPE: dict[str, Any] = {
    "hidden": 1024,
    "layers": 28,
    "heads": 16,
    "kv_heads": 8,
    "head_dim": 128,
    "ffn": 3072,
    "vocab": 151936,
    "vocabulary": 151643,  # tokens of Qwen3's BPE, before the added ones
}

SIZES: dict[str, dict[str, Any]] = {
    # As published: the embeddings of 0.6B and 4B are tied; 0.6B's is stored a second time.
    "0.6b": {**SHAPE, "tied": True, "duplicate_head": True},
    "4b": {
        **SHAPE,
        "hidden": 2560,
        "layers": 36,
        "heads": 32,
        "ffn": 9728,
        "tied": True,
        "shards": 2,
    },
    "8b": {
        **SHAPE,
        "hidden": 4096,
        "layers": 36,
        "heads": 32,
        "ffn": 12288,
        "tied": False,
        "shards": 4,
    },
}


def write_stream(folder: Path, tokenizer: Path | None = None) -> Path:
    """The same of Qwen3Guard-Stream-0.6B (1.2 GB): a context of 8,192, and heads."""
    return write_checkpoint(
        folder,
        **SHAPE,
        context=8192,
        inner=512,
        tokenizer=tokenizer,
        template=CONVERSATION.read_text(encoding="utf-8"),
    )


def write(folder: Path, tokenizer: Path | None = None, size: str = "0.6b") -> Path:
    """Write the checkpoint; without a tokenizer's folder the vocabulary is made up."""
    return write_checkpoint(
        folder,
        **SIZES[size],
        context=32768,
        tokenizer=tokenizer,
        template=TEMPLATE.read_text(encoding="utf-8"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--size", choices=SIZES, default="0.6b")
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, metavar="FOLDER")
    options = parser.parse_args()
    found = (options.tokenizer / "tokenizer.json").is_file()
    if not found:
        print(f"no tokenizer.json in {options.tokenizer}: making one up", file=sys.stderr)
    print(write(options.out, options.tokenizer if found else None, options.size))


if __name__ == "__main__":
    main()
