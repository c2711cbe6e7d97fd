"""Replies with a label for every token, and prompts with one at their end, for nano-stream.

Where the harm of a reply begins is known where the reply was made here: harmless sentences, then a
harmful one. Of a public row only the whole is known, so its first part teaches nothing. Tokens
shortly behind the place where harm begins teach nothing either: a word or two say little.

It knows no model. Labels are indexes of the heads (edgeguard.protocol.stream).
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass, replace

import synthetic
import wrapped
from data import Encoder, Item, draw
from train import varied

from edgeguard.protocol.messages import Message, mode_of
from edgeguard.protocol.question import Control
from edgeguard.protocol.stream import (
    ANSWER_START,
    QUERY_CATEGORIES,
    RESPONSE_CATEGORIES,
    RISKS,
    after_answer,
    before_answer,
    conversation,
)

UNKNOWN = -100
SURE = 60
"""Characters behind the beginning of harm from which a token is called harmful at the latest."""
WHOLE = ("gptfuzz_replies", "diasafety")
"""Public sets of replies: where in them harm begins is not known."""


@dataclass(frozen=True)
class Labelled:
    """Token ids of a conversation, and for each the labels to learn; UNKNOWN where there is none.

    Of a prompt, the last token has labels alone; of a reply, its tokens and the two that end it.
    """

    mode: str
    ids: list[int]
    risks: list[int]
    categories: list[int]
    item: Item


@dataclass(frozen=True)
class Reply:
    """A reply whose characters from ``begins`` to ``ends`` have the item's label."""

    item: Item
    begins: int
    ends: int


def label(encoder: Encoder, item: Item, begins: int = 0, ends: int | None = None) -> Labelled:
    """The ids of an item as Qwen3Guard-Stream reads it, with the labels of its tokens."""
    mode = mode_of(item.messages)
    names = QUERY_CATEGORIES if mode == "prompt" else RESPONSE_CATEGORIES
    known = [names.index(c) for c in item.categories if c in names]
    risk = RISKS.index(item.severity)  # type: ignore[arg-type]
    category = known[0] if known and risk else UNKNOWN
    if mode == "prompt":
        ids = _ids(encoder, conversation(item.messages))
        blank = [UNKNOWN] * (len(ids) - 1)
        return Labelled(mode, ids, [*blank, risk], [*blank, category], item)
    ids = _ids(encoder, (*conversation(item.messages[:-1]), *before_answer()))
    answer = unicodedata.normalize("NFC", item.text.lstrip("\n"))
    run = encoder.tk_plain.encode(ANSWER_START + answer, add_special_tokens=False)
    after = _ids(encoder, after_answer())
    shift = len(ANSWER_START)
    last = len(answer) if ends is None else ends
    size = last - begins
    sure = begins + (min(SURE, size * 0.5) if item.source not in WHOLE else size * 0.4)
    risks = [UNKNOWN] * len(ids)
    for _, end in run.offsets:
        end -= shift
        if end <= 0:
            risks.append(UNKNOWN)
        elif risk == 0 or end <= begins:
            risks.append(0)
        elif end < sure or end > last:
            risks.append(UNKNOWN)
        else:
            risks.append(risk)
    risks += [risk if last == len(answer) else UNKNOWN] * len(after)
    categories = [category if r > 0 else UNKNOWN for r in risks]
    return Labelled(mode, [*ids, *run.ids, *after], risks, categories, item)


def _ids(encoder: Encoder, pieces: tuple[str | Control, ...]) -> list[int]:
    found: list[int] = []
    for piece in pieces:
        if isinstance(piece, Control):
            found.append(encoder.special[piece.text])
        else:
            found += encoder.tk_plain.encode(
                unicodedata.normalize("NFC", piece), add_special_tokens=False
            ).ids
    return found


def placed(item: Item, rng: random.Random) -> Reply:
    """The reply as it is, or between harmless sentences."""
    text = item.text
    kind = rng.random()
    if item.source in WHOLE or kind < 0.4:
        return Reply(item, 0, len(text))
    start = " ".join(_sentence(rng) for _ in range(rng.choice((1, 1, 2, 3)))) + " "
    end = " " + _sentence(rng) if kind > 0.85 else ""
    turns = (*item.messages[:-1], Message("assistant", start + text + end))
    return Reply(replace(item, messages=turns), len(start), len(start) + len(text))


def _sentence(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.6:
        return synthetic.reply(rng, "helpful")
    if kind < 0.8:
        return wrapped.quiet(rng, 2)[1].text
    return synthetic.dressed(rng.choice(synthetic.BENIGN["ask"]), rng)


def one_pass(
    training: list[Item], encoder: Encoder, rng: random.Random, size: float = 1.0
) -> list[Labelled]:
    """A pass: two thirds replies, in any of the ways they are made, one third prompts."""
    rows = [varied(i, rng) for i in _replies(training, rng, size)]
    out = []
    for row in rows:
        reply = placed(row, rng)
        out.append(label(encoder, reply.item, reply.begins, reply.ends))
    out += [label(encoder, varied(i, rng)) for i in _prompts(training, rng, size)]
    rng.shuffle(out)
    return out


def _replies(training: list[Item], rng: random.Random, size: float) -> list[Item]:
    public = [i for i in training if i.source in WHOLE]
    known = rng.sample(public, min(len(public), int(6000 * size)))
    made = [
        *synthetic.replies(rng, int(5000 * size)),
        *synthetic.chat(rng, int(2000 * size)),
        *synthetic.spoken(rng, training, int(2500 * size)),
        *wrapped.answers(rng, training, int(2500 * size)),
        *wrapped.quiet(rng, int(3000 * size)),
    ]
    for item in synthetic.foreign(rng, int(3000 * size)):
        if len(item.messages) == 1 and "Jailbreak" not in item.categories:
            ask = Message("user", synthetic.harmless(rng))
            item = replace(item, messages=(ask, Message("assistant", item.text)), refusal="No")
        made.append(item)
    return [i for i in [*known, *made] if mode_of(i.messages) == "response"]


def _prompts(training: list[Item], rng: random.Random, size: float) -> list[Item]:
    public = [i for i in draw(training, rng) if len(i.messages) == 1]
    return [
        *rng.sample(public, int(5000 * size)),
        *synthetic.prompts(rng, int(4000 * size)),
        *synthetic.foreign(rng, int(1500 * size)),
        *wrapped.wrapped(rng, training, int(1000 * size)),
        *wrapped.everyday(rng, int(800 * size)),
    ]
