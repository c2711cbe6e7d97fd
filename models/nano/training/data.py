"""The training rows: read, split, balanced and turned into token ids.

`read_rows` takes the public sets under `--data`; `is_held_out` keeps a tenth of them aside for
tuning, by a hash of the row's id; `Encoder` writes an item as the official question and answer.

It does not generate text (see synthetic.py). It opens `eval/` for one thing only: a training item
whose text equals a measured text is dropped (`measured`).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from edgeguard.protocol.messages import Message, mode_of
from edgeguard.protocol.names import CATEGORIES, REFUSALS, SEVERITIES
from edgeguard.protocol.question import conversation, head, tail

if TYPE_CHECKING:
    from torch import Tensor  # evaluate.py needs no torch

AFTER = ("<|im_end|>", "\n", "<|im_start|>", "assistant\n", "<think>", "\n\n", "</think>", "\n\n")


@dataclass(frozen=True)
class Item:
    """One conversation with what is known about it; None means unknown and is not trained on."""

    messages: tuple[Message, ...]
    severity: str
    categories: tuple[str, ...] = ()
    refusal: str | None = None
    source: str = "synthetic"
    lang: str = "en"
    held_out: bool = False
    labelled: bool = True  # False: the severity means nothing, only the teacher's counts

    @property
    def text(self) -> str:
        """The message that is judged."""
        return self.messages[-1].content


# How often a source is drawn, relative to its size: large or noisy sets less, small ones more.
SHARE = {
    "davidson_hate": 0.6,
    "benign_xquad_questions": 0.5,
    "diasafety": 0.8,
    "inthewild_jailbreak_prompts": 0.8,
    "benign_belle_zh": 1.5,
    "benign_self_instruct": 4.0,
    "benign_mt_bench_vicuna": 4.0,
    "benign_humaneval": 2.0,
    "benign_awesome_prompts": 3.0,
    "do_not_answer_prompts": 2.0,
    "forbidden_questions": 2.0,
    "strongreject": 3.0,
    "advbench": 2.0,
    "catqa": 1.5,
    "harmfulqa": 1.5,
    "benign_banking77": 0.5,
    "benign_bbq": 0.4,
    "benign_clinc": 0.3,
    "benign_tldr": 0.5,
    "germeval2018": 0.5,
    "korean_hate": 0.5,
    "told_br": 0.5,
    "toxigen_prompts": 2.0,
}

REFUSING = re.compile(
    r"\b(I'?m sorry|I am sorry|I apologi[sz]e|I can(no|')t|I will not|I won'?t|as an AI|"
    r"not able to|unable to|I must decline)\b",
    re.IGNORECASE,
)
"""How a refusal begins, for the set of replies that names none."""


def is_held_out(row_id: str) -> bool:
    """True for a fixed tenth of all ids."""
    return int(hashlib.sha256(row_id.encode()).hexdigest()[:8], 16) % 10 == 0


def read_rows(folder: Path) -> list[Item]:
    """All rows of `folder` whose severity is known, in file order."""
    items = []
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row["label"] == "unknown":
                    continue
                messages = tuple(Message(m["role"], m["content"]) for m in row["messages"])
                if not messages[-1].content.strip():
                    continue
                response = mode_of(messages) == "response"
                items.append(
                    Item(
                        messages=messages,
                        severity=row["label"],
                        categories=tuple(row["categories"]),
                        refusal=_refusal(row) if response else None,
                        source=row["source"],
                        lang=row["lang"],
                        held_out=is_held_out(row["id"]),
                    )
                )
    held = {item.text.strip().lower() for item in items if item.held_out}
    return [i for i in items if i.held_out or i.text.strip().lower() not in held]


def _refusal(row: dict[str, Any]) -> str | None:
    """Whether a reply refuses; None where nobody knows.

    Replies of chit-chat sets carry no label, and are no refusals. Of those to jailbreaks only the
    harmful ones have one; a harmless one that begins as a refusal does is taken for one.
    """
    if row["refusal"] or row["source"] != "gptfuzz_replies":
        return row["refusal"] or "No"
    return "Yes" if REFUSING.search(row["messages"][-1]["content"][:150]) else None


def measured(folder: Path) -> set[str]:
    """The judged texts of the measuring sets, in the form that `plain` gives."""
    texts = set()
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts |= {plain(json.loads(line)["messages"][-1]["content"]) for line in lines}
    return {text for text in texts if len(text) > 15}


def plain(text: str) -> str:
    """A text without case and end marks, for finding the same text again."""
    return text.strip().lower().rstrip("?.! ")


def draw(
    items: Iterable[Item], rng: random.Random, shares: Mapping[str, float] = SHARE
) -> Iterator[Item]:
    """One pass over the rows, each source thinned or repeated by its share."""
    for item in items:
        share = shares.get(item.source, 1.0)
        for _ in range(int(share) + (rng.random() < share % 1)):
            yield item


def crop(item: Item, rng: random.Random, limit: int) -> Item:
    """Shorten a long judged message to `limit` characters: its start, or any part of it.

    A reply keeps its start, which tells a refusal.
    """
    text = item.text
    if len(text) > limit:
        reply = item.messages[-1].role == "assistant"
        start = 0 if reply or rng.random() < 0.5 else rng.randrange(len(text) - limit + 1)
        text = text[start : start + limit]
    earlier = tuple(Message(m.role, m.content[-400:]) for m in item.messages[:-1])
    return replace(item, messages=(*earlier, Message(item.messages[-1].role, text)))


def noise(text: str, rng: random.Random) -> str:
    """The same text as a hurried typist would send it: case, end mark, a slip or two."""
    kind = rng.random()
    if kind < 0.35:
        text = text.lower() if rng.random() < 0.7 else text[:1].lower() + text[1:]
    elif kind < 0.42:
        text = text.upper() if len(text) < 120 else text
    if rng.random() < 0.4:
        text = text.rstrip("?.!") + rng.choice(["", "", "?", ".", "??", "!", " ?"])
    if rng.random() < 0.15 and len(text) > 12:
        at = rng.randrange(1, len(text) - 2)
        slips = (
            text[:at] + text[at + 1 :],
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            text[:at] + text[at] + text[at:],
        )
        text = rng.choice(slips)
    return text


@dataclass(frozen=True)
class View:
    """What the teacher makes of an item: Safe, Unsafe, Controversial, and its vector (384,)."""

    severity: tuple[float, ...]
    vector: Tensor


@dataclass(frozen=True)
class Encoded:
    """Token ids of an item after the shared start, and where its answer's parts are.

    `body` ends with the empty think block; `answer` begins with "Safety". `tail` of the body's
    last ids are the same for every item of the mode.
    """

    mode: str
    body: list[int]
    answer: list[int]
    severity_at: int
    refusal_at: int | None
    categories_at: tuple[int, int]
    item: Item
    view: View | None = None


class Encoder:
    """Writes items as token ids: the shared start once a mode, the rest an item."""

    def __init__(self, tokenizer: Path) -> None:
        self.tk = Tokenizer.from_file(str(tokenizer))
        spec = json.loads(tokenizer.read_text())
        self.special = {a["content"]: a["id"] for a in spec["added_tokens"]}
        self.tk_plain = _without_added(spec)
        self.after = [i for piece in AFTER for i in self._piece(piece)]
        self.end = self.special["<|im_end|>"]
        self.start = {}
        self.tail_size = {}
        for mode in ("prompt", "response"):
            self.start[mode] = [
                self.special["<|im_start|>"],
                *self._plain("user\n" + head(mode) + "USER:"),
            ]
            self.tail_size[mode] = len(self._plain(tail(mode).lstrip("\n")))
        self.user = self._plain("USER:")
        self.severity_ids = [self._plain(f" {name}")[0] for name in SEVERITIES]
        self.choice_ids = [self._plain(f" {name}")[0] for name in (*CATEGORIES, *REFUSALS)]

    def _plain(self, text: str) -> list[int]:
        return self.tk_plain.encode(text, add_special_tokens=False).ids

    def _piece(self, piece: str) -> list[int]:
        return [self.special[piece]] if piece in self.special else self._plain(piece)

    def encode(
        self, item: Item, rng: random.Random | None = None, view: View | None = None
    ) -> Encoded:
        mode = mode_of(item.messages)
        ids = self._plain(conversation(item.messages) + tail(mode))
        body = ids[len(self.user) :] + self.after
        names = [c for c in item.categories if mode == "prompt" or c != "Jailbreak"]
        if item.severity == "Safe":
            names = ["None"]
        elif rng is not None and len(names) > 1:
            names = [rng.choice(names)]
        first = self._plain(f"Safety: {item.severity}")
        second = self._plain("\nCategories: " + ", ".join(names)) if names else []
        third = (
            self._plain(f"\nRefusal: {item.refusal}") if mode == "response" and item.refusal else []
        )
        answer = first + second + (third if names else [])
        if names:
            answer = [*answer, self.end]
        at = len(first) + len(self._plain("\nCategories:"))
        return Encoded(
            mode=mode,
            body=body,
            answer=answer,
            severity_at=2,
            refusal_at=len(first) + len(second) + len(third) - 1 if third and names else None,
            categories_at=(at, len(first) + len(second)) if names else (0, 0),
            item=item,
            view=view,
        )


def _without_added(spec: dict[str, object]) -> Tokenizer:
    """The same tokenizer without special tokens: what a message writes stays plain text."""
    return Tokenizer.from_str(json.dumps({**spec, "added_tokens": []}))
