"""Generated items whose form must not decide: wrapped requests, long texts, replies.

Each kind has both labels. A wrapper holds harmful and harmless requests alike; a long text is
harmless, or has one harmful part; the same reply stands under a plain and under a wrapped request;
a quiet reply that does harm has a harmless twin.

It builds on the phrase lists and, for what is long and for replies, on rows of the public sets that
may be trained on. It judges nothing: an item has the label of what its deciding part comes from.
"""

from __future__ import annotations

import random
from dataclasses import replace

import odd
from data import Item
from synthetic import (
    _item,
    _read,
    fill,
    foreign,
    harmful,
    harmless,
    prompts,
    replies,
    reply,
    word_problem,
)

from edgeguard.protocol.messages import Message

WRAPPERS, DESKTOP, QUIET = _read("wrappers"), _read("desktop"), _read("quiet")
STORIES = _read("stories")
TASK = "\0"
LONG = "long"
"""The source of items that are not cropped."""


def wrap(text: str, rng: random.Random) -> str:
    """A request in one of the forms that jailbreaks have too."""
    form = fill(rng.choice(WRAPPERS["wrap"]), WRAPPERS, rng, task=TASK).replace("\\n", "\n")
    return form.replace(TASK, text)  # the text may hold braces


def wrapped(rng: random.Random, rows: list[Item], number: int) -> list[Item]:
    """Requests in a form of a jailbreak: harmless ones are Safe, harmful ones a Jailbreak.

    Passages of real jailbreaks stand mostly before harmful requests: with as many harmless ones
    behind them, half of the jailbreaks kept aside were missed.
    """
    asks = [row for row in rows if row.lang == "en" and _is_request(row)]
    wild = [row.text for row in rows if row.source == "inthewild_jailbreak_prompts"]
    good = [row for row in asks if row.severity == "Safe"]
    bad = [row for row in asks if row.severity == "Unsafe"]
    items = []
    for n in range(number):
        public = rng.random() < 0.5
        if n % 2:
            text = rng.choice(good).text if public else _everyday(rng)
        else:
            text = rng.choice(bad).text if public else harmful(rng)[0]
        if wild and rng.random() < (0.05 if n % 2 else 0.3):
            text = f"{_part(rng.choice(wild), rng)}\n\n{text}"
        else:
            text = wrap(text, rng)
            if rng.random() < 0.15:
                text = wrap(text, rng)
        label = ("Safe", ()) if n % 2 else ("Unsafe", ("Jailbreak",))
        items.append(replace(_item((text,), *label), source=LONG))
    return items


def long_texts(rng: random.Random, rows: list[Item], number: int) -> list[Item]:
    """Texts of 400 to 1,700 characters from harmless rows; every third has one harmful part."""
    good = [row.text for row in rows if row.severity == "Safe" and _is_long_part(row)]
    items = []
    for n in range(number):
        size = rng.choice((400, 700, 1100, 1600))
        parts: list[str] = []
        while sum(map(len, parts)) < size:
            parts.append(rng.choice(good) if rng.random() < 0.75 else harmless(rng))
        label: tuple[str, tuple[str, ...]] = ("Safe", ())
        if n % 3 == 0:
            text, category, _ = harmful(rng)
            parts.insert(rng.choice((0, len(parts) // 2, len(parts))), text)
            label = ("Unsafe", (category,))
        text = rng.choice((" ", "\n", "\n\n")).join(part[:700] for part in parts)
        if n % 3 and rng.random() < 0.25:
            turns = _item((harmless(rng), text), *label, "No")
        else:
            turns = _item((text,), *label)
        items.append(replace(turns, source=LONG))
    return items


def answers(rng: random.Random, rows: list[Item], number: int) -> list[Item]:
    """Replies whose request says nothing of them: plain and wrapped requests, mixed replies."""
    known = [row for row in rows if row.source == "gptfuzz_replies"]
    refusals = [row for row in known if row.refusal == "Yes"]
    harm = [row for row in known if row.severity == "Unsafe"]
    asks = [row.text for row in rows if row.lang == "en" and _is_request(row)]
    bad = [r.text for r in rows if r.lang == "en" and _is_request(r) and r.severity == "Unsafe"]
    items = []
    for n in range(number):
        kind = n % 6
        said = _ask(rng, asks)
        if kind == 0:  # a refusal says nothing of the request
            item = _with(rng.choice(refusals), said)
        elif kind == 1:  # harm is harm under any request
            item = _with(rng.choice(harm), said)
        elif kind == 2:
            role = fill(rng.choice(WRAPPERS["refusal_in_role"]), WRAPPERS, rng)
            text = role.replace("\\n", "\n") if rng.random() < 0.4 else reply(rng, "refusal")
            item = _item((wrap(rng.choice(bad), rng), text), "Safe", refusal="Yes")
        elif kind == 3:  # known replies, the request wrapped
            row = rng.choice(known)
            item = _with(row, wrap(row.messages[0].content, rng))
        elif kind == 4:  # generated replies, the request wrapped
            row = rng.choice(replies(rng, 1))
            item = replace(_with(row, wrap(row.messages[0].content, rng)), source=LONG)
        else:  # a harmless text as the answer to anything
            item = _item((said, _everyday_answer(rng)), "Safe", refusal="No")
        items.append(item)
    return items


def quiet(rng: random.Random, number: int) -> list[Item]:
    """Replies that harm without a loud word, and their harmless twins."""
    lines = [(name, line) for name in QUIET for line in QUIET[name] if " | " in line]
    items = []
    for n in range(number):
        name, line = rng.choice(lines)
        ask, bad, good = _bound(line, rng).split(" | ")
        if rng.random() < 0.15:
            ask = wrap(ask, rng)
        elif rng.random() < 0.15:
            ask = harmless(rng)
        if n % 2:
            items.append(_item((ask, good), "Safe", refusal="No"))
        else:
            items.append(_item((ask, bad), "Unsafe", (name,), "No"))
    return items


def everyday(rng: random.Random, number: int) -> list[Item]:
    """What people ask at a computer."""
    return [_item((_everyday(rng),), "Safe") for _ in range(number)]


def told(rng: random.Random, rows: list[Item], number: int) -> list[Item]:
    """Harmless replies: something told, or any harmless text, in every language there is."""
    good = [row.text for row in rows if row.source.startswith("benign_") and len(row.text) < 500]
    items = []
    for _ in range(number):
        kind = rng.random()
        if kind < 0.45:
            lines = [fill(rng.choice(STORIES["story"]), STORIES, rng) for _ in range(4)]
            text = " ".join(lines[: rng.choice((1, 1, 2, 4))])
        elif kind < 0.65:
            text = " ".join(rng.choice(STORIES["foreign"]) for _ in range(rng.choice((1, 1, 2))))
        else:
            text = rng.choice(good)
        asked = fill(rng.choice(STORIES["ask"]), STORIES, rng)
        items.append(
            _item((asked if rng.random() < 0.6 else harmless(rng), text), "Safe", (), "No")
        )
    return items


def sums(rng: random.Random, number: int) -> list[Item]:
    """Word problems of several sentences."""
    lengths = (1, 2, 2, 3)
    return [
        _item((" ".join(word_problem(rng) for _ in range(rng.choice(lengths))),), "Safe")
        for _ in range(number)
    ]


def make(rng: random.Random, rows: list[Item], size: float = 1.0) -> list[Item]:
    """All items of this kind of one pass over the data."""
    return [
        *wrapped(rng, rows, int(3500 * size)),
        *long_texts(rng, rows, int(1200 * size)),
        *answers(rng, rows, int(4000 * size)),
        *quiet(rng, int(2000 * size)),
        *everyday(rng, int(2000 * size)),
        *sums(rng, int(1000 * size)),
        *told(rng, rows, int(3000 * size)),
        *[_wrap_foreign(item, rng) for item in foreign(rng, int(600 * size))],
        *prompts(rng, int(600 * size)),
        *odd.make(rng, int(500 * size)),
    ]


def _wrap_foreign(item: Item, rng: random.Random) -> Item:
    first = item.messages[0]
    turns = (Message(first.role, wrap(first.content, rng)), *item.messages[1:])
    return replace(item, messages=turns, source=LONG)


def _ask(rng: random.Random, asks: list[str]) -> str:
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(asks)
    text = harmful(rng)[0] if rng.random() < 0.5 else harmless(rng)
    return wrap(text, rng) if kind < 0.7 else text


def _everyday(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return fill(rng.choice(DESKTOP["desktop"]), DESKTOP, rng)
    return harmless(rng)


def _everyday_answer(rng: random.Random) -> str:
    return " ".join(reply(rng, "helpful") for _ in range(rng.choice((1, 2, 4))))


def _with(row: Item, ask: str) -> Item:
    """The row's reply under another request."""
    return replace(row, messages=(Message("user", ask), row.messages[-1]))


def _part(text: str, rng: random.Random) -> str:
    """A passage of some hundred characters, from the start or the middle."""
    size = rng.choice((200, 400, 700))
    start = 0 if rng.random() < 0.6 else rng.randrange(max(1, len(text) - size))
    return text[start : start + size]


def _bound(line: str, rng: random.Random) -> str:
    """A line whose slots have one value each, also where the slot begins a sentence."""
    values: dict[str, str] = {}
    for name, lines in QUIET.items():
        if name.islower():
            values[name] = rng.choice(lines)
            values[name.capitalize()] = values[name][:1].upper() + values[name][1:]
    return fill(line, QUIET, rng, **values)


def _is_request(row: Item) -> bool:
    return (
        len(row.messages) == 1
        and row.source in REQUESTS
        and len(row.text) < 300
        and "Jailbreak" not in row.categories
    )


def _is_long_part(row: Item) -> bool:
    if row.source.startswith("benign_"):
        return row.lang == "en" or len(row.text) < 400
    return row.source == "diasafety" and len(row.text) > 120


REQUESTS = (
    "advbench",
    "benign_clinc",
    "benign_mt_bench_vicuna",
    "benign_self_instruct",
    "benign_xquad_questions",
    "catqa",
    "do_not_answer_prompts",
    "forbidden_questions",
    "harmfulqa",
    "purplellama_benign_cyber",
    "strongreject",
)
"""Public sets whose rows ask for something."""
