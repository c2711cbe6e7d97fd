"""Several processes that learn one model together: each has its own batches, all the same weights.

    torchrun --nproc-per-node 2 FILE …

Small matrices leave the second of two threads waiting; a process has all of its core. Alone, a
process learns as without this module.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

Group = TypeVar("Group")


def join() -> None:
    """Meet the other processes, where torchrun has started this one."""
    if world() > 1:
        dist.init_process_group("gloo")


def rank() -> int:
    """This process's number."""
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """How many processes learn."""
    return int(os.environ.get("WORLD_SIZE", 1))


def alike(groups: list[Group], cost: Callable[[Group], int], rng: random.Random) -> list[Group]:
    """The groups in random order, but those of one step cost about the same: nobody waits long."""
    if world() == 1:
        return groups
    ordered = sorted(groups, key=cost)
    steps = [ordered[at : at + world()] for at in range(0, len(ordered), world())]
    steps = [step for step in steps if len(step) == world()]
    rng.shuffle(steps)
    return [group for step in steps for group in step]


def mean_gradients(model: nn.Module) -> None:
    """Replace each gradient by the mean over all processes."""
    if world() == 1:
        return
    parts = [p for p in model.parameters() if p.requires_grad]
    for p in parts:
        if p.grad is None:  # a batch without the teacher's vectors
            p.grad = torch.zeros_like(p)
    flat = torch.cat([p.grad.flatten() for p in parts if p.grad is not None])
    dist.all_reduce(flat)
    flat /= world()
    for p, part in zip(parts, flat.split([p.numel() for p in parts])):
        p.grad = part.view_as(p)
