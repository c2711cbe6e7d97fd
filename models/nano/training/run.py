"""A training that can be killed at any minute: the optimizer, how far it is, and its state on disk.

The same command goes on where it was killed. This module knows neither data nor losses.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import parallel
import torch
from torch import nn

EVERY = 240
"""Seconds between two writings of the state."""


class Run:
    """The model with its optimizer, and how far it is."""

    def __init__(self, model: nn.Module, lr: float, file: Path) -> None:
        """``file`` holds the whole state; where it is there, the run goes on from it."""
        self.model, self.lr, self.file = model, lr, file
        decay = [p for p in model.parameters() if p.dim() > 1]
        rest = [p for p in model.parameters() if p.dim() == 1]
        groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)
        self.step, self.spent = 0, 0.0
        if file.exists():
            self._load()
            if parallel.rank() == 0:
                print(f"goes on at step {self.step}", flush=True)

    def train(
        self,
        loss: Callable[[float], torch.Tensor],
        keep: Callable[[], None],
        *,
        seed: int,
        steps: int,
        minutes: float,
    ) -> None:
        """Learn until the steps or the minutes are over.

        ``loss`` is given the share that is done; ``keep`` writes the checkpoint, every few minutes
        and at the end.
        """
        saved = last = time.time()
        smooth = 0.0
        while (done := max(self.step / steps, self.spent / 60 / minutes)) < 1:
            torch.manual_seed(seed * 1_000_003 + self.step * parallel.world() + parallel.rank())
            found = loss(done)
            self._learn(found, done)
            smooth += (found.item() - smooth) * (0.03 if smooth else 1)
            self.spent, last = self.spent + time.time() - last, time.time()
            if self.step % 20 == 0 and parallel.rank() == 0:
                used = f"{self.spent:.0f}s cpu {time.process_time():.0f}s"
                print(f"step {self.step} loss {smooth:.3f} {used}", flush=True)
            if time.time() - saved > EVERY:
                self._save(keep)
                saved = time.time()
        self._save(keep)

    def _save(self, keep: Callable[[], None]) -> None:
        if parallel.rank():
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent,
        }
        new = self.file.with_name(self.file.name + ".new")
        torch.save(state, new)
        new.rename(self.file)
        keep()

    def _load(self) -> None:
        state: dict[str, Any] = torch.load(self.file)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.spent = state["step"], state["spent"]

    def _learn(self, loss: torch.Tensor, done: float) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        parallel.mean_gradients(self.model)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        rate = self.lr * min(1.0, (self.step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = rate + 1e-5
        self.optimizer.step()
        self.step += 1
