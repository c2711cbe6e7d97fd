"""Averages the weights of two checkpoints, a standard way to steady the end of training.

    python models/nano/training/average.py FIRST SECOND OUT [--share 0.5]

OUT is a copy of SECOND with the mean of both weights, SECOND's by its share. It trains and measures
nothing.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name in ("first", "second", "out"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("--share", type=float, default=0.5, help="of SECOND")
    a = parser.parse_args()
    first, second = load_file(a.first / WEIGHTS), load_file(a.second / WEIGHTS)
    mean = {name: torch.lerp(first[name].float(), second[name].float(), a.share) for name in second}
    shutil.copytree(a.second, a.out)
    weights = {name: tensor.to(torch.bfloat16) for name, tensor in mean.items()}
    save_file(weights, a.out / WEIGHTS, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
