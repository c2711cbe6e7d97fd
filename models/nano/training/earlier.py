"""What the weights that a stage began with make of an item, so that they are not forgotten.

They judge the kinds of text that they were trained on: English requests of the earlier sources, and
phrases that nobody labelled. Of the rest they know less than the labels do. Known as learning
without forgetting (Li and Hoiem, https://arxiv.org/abs/1606.09282).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from batches import collate
from data import Encoded, Encoder, Item, View
from model import Config, Qwen3
from train import continue_from

from edgeguard.protocol.messages import mode_of
from edgeguard.protocol.names import SEVERITIES


class Earlier:
    """The weights of a checkpoint folder, which stay as they are."""

    def __init__(self, folder: Path, encoder: Encoder, new: tuple[str, ...]) -> None:
        """``new``: sources that came after these weights."""
        self.encoder = encoder
        self.new = {*new, "synthetic", "long"}
        self.model = Qwen3(Config(vocab=encoder.tk.get_vocab_size()))
        continue_from(self.model, encoder, folder)
        self.model.requires_grad_(False)

    def knows(self, item: Item) -> bool:
        """Whether its opinion of an item counts."""
        if not item.labelled:
            return True
        is_request = item.lang == "en" and mode_of(item.messages) == "prompt"
        return is_request and item.source not in self.new

    def recall(self, group: list[Encoded]) -> list[Encoded]:
        """The same items, with its opinion of those that it knows; one without a label takes it."""
        known = [n for n, row in enumerate(group) if self.knows(row.item)]
        out = list(group)
        for n, severity in zip(known, self._severities([group[n] for n in known])):
            item, view = group[n].item, View(tuple(severity), None)
            if item.labelled:
                out[n] = replace(group[n], view=view)
            else:
                label = SEVERITIES[severity.index(max(severity))]
                out[n] = self.encoder.encode(replace(item, severity=label), None, view)
        return out

    @torch.no_grad()
    def _severities(self, rows: list[Encoded]) -> list[list[float]]:
        if not rows:
            return []
        batch = collate(rows, self.encoder, full=False)
        past = self.model.prefix(batch.start, batch.start_positions)
        hidden, _ = self.model(batch.ids, batch.positions, past)
        table = self.model.embed_tokens.weight
        states = hidden[torch.arange(len(rows)), batch.severity_at]
        scores = states @ table[self.encoder.severity_ids].T
        found: list[list[float]] = scores.softmax(-1).tolist()
        return found
