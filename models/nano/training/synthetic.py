"""Generated items: requests, harmless twins, replies and conversations, from phrase lists.

The lists in `phrases/` hold sections of lines; `{name}` in a line stands for a random line of the
section of that name. The same frames ("How do I …?", "Write a guide on how to …") carry harmful
and harmless tasks alike, so that the task decides and not the frame; every harmful subject has
harmless twins that ask about it.

No line says how harm is done, and nothing is taken from the public sets. It judges nothing: the
label of an item is that of the list its phrase stands in.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

from data import Item

from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import CATEGORIES

Sections = dict[str, list[str]]
SLOT = re.compile(r"\{(\w+)\}")
NOT_A_CATEGORY = re.compile(r"[a-z_0-9]+$")


def _read(name: str) -> Sections:
    sections: Sections = {}
    text = (Path(__file__).parent / "phrases" / f"{name}.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            current.append(line)
    return sections


def _pair(line: str) -> tuple[str, str]:
    harmful, harmless = line.split(" | ")
    return harmful, harmless


HARM, FLAGGED, FRAMES = _read("harm"), _read("flagged"), _read("frames")
EDGE, BENIGN, REPLY, SUMS = _read("edge"), _read("benign"), _read("reply"), _read("sums")
PAIRS, MORE_PAIRS, MORE_REPLY = _read("pairs"), _read("pairs_more"), _read("reply_more")
MILD = _read("foreign_mild")
FOREIGN = [_read("foreign" + part) for part in ("", "_west", "_east")]


def _cases(lists: list[Sections], safe: bool) -> list[tuple[str, str, Sections]]:
    """The lines of one label with their category and their slots."""
    return [
        (line, name, sections)
        for sections in lists
        for name in sections
        if (name == "Safe" if safe else name in CATEGORIES)
        for line in sections[name]
    ]


FOREIGN_SAFE, FOREIGN_HARM = _cases(FOREIGN, True), _cases(FOREIGN, False)
MILD_CASES = [*_cases([MILD], True), *_cases([MILD], False)]
FOREIGN_PAIRS = [
    (name, *_pair(line)) for name, lines in _read("pairs_foreign").items() for line in lines
]
TASKS = [(name, *line.split(" | ")) for name, lines in HARM.items() for line in lines]
TWINS: list[tuple[str, str, str, Sections]] = [
    (name, *_pair(line), lists)
    for lists in (PAIRS, MORE_PAIRS)
    for name, lines in lists.items()
    for line in lines
    if not NOT_A_CATEGORY.match(name)
]
ORDERS = ("Write", "Create", "Generate", "Describe", "Explain", "Give", "Make", "Print", "Develop")
FORMS = {name: lines for name, lines in FLAGGED.items() if not NOT_A_CATEGORY.match(name)}


def fill(line: str, lists: Sections, rng: random.Random, **bound: str) -> str:
    """Replace the slots of a line, again and again, until none is left.

    Example: "Where is {city}?" -> "Where is Berlin?"
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in bound:
            return bound[name]
        if name in ("n", "n2"):
            return str(rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 24, 25, 30, 40, 60, 75)))
        return rng.choice(lists[name.rstrip("2") if name not in lists else name])

    while SLOT.search(line):
        line = SLOT.sub(value, line)
    return line


def harmful(rng: random.Random) -> tuple[str, str, str]:
    """A request to be flagged, its category, and what it is after (may be empty)."""
    kind = rng.random()
    if kind < 0.35:
        category, line, _, lists = rng.choice(TWINS)
        text = fill(line, lists, rng)
        is_order = text.split()[0] in ORDERS
        return dressed(text, rng), category, text[:1].lower() + text[1:] if is_order else ""
    if kind < 0.7:
        category, task, _ = rng.choice(TASKS)
        return fill(rng.choice(FRAMES["ask"]), {}, rng, vp=task), category, task
    category = rng.choice(list(FORMS))
    return fill(rng.choice(FORMS[category]), FLAGGED, rng), category, ""


def harmless(rng: random.Random) -> str:
    """An ordinary request, or one that only sounds like harm."""
    kind = rng.random()
    if kind < 0.12:
        return fill(rng.choice(FRAMES["ask"]), {}, rng, vp=rng.choice(BENIGN["do"]))
    if kind < 0.24:
        line = rng.choice(FRAMES["twin"])
        return fill(line, {}, rng, topic=rng.choice(TASKS)[2])
    if kind < 0.40:
        return fill(rng.choice(EDGE["edge"]), EDGE, rng)
    if kind < 0.46:
        return fill(rng.choice(MORE_PAIRS["sounds_bad"]), MORE_PAIRS, rng)
    if kind < 0.68:
        _, _, line, lists = rng.choice(TWINS)
        return dressed(fill(line, lists, rng), rng)
    if kind < 0.78:
        return dressed(rng.choice(BENIGN["ask"]), rng)
    if kind < 0.85:
        thing, other = rng.sample(BENIGN["thing"], 2)
        return fill(rng.choice(FRAMES["task"]), {}, rng, thing=thing, thing2=other)
    if kind < 0.93:
        return word_problem(rng)
    if kind < 0.97:
        return fill(rng.choice(BENIGN["code"]), BENIGN, rng)
    if kind < 0.985:
        return fill(rng.choice(MORE_REPLY["talk"]), MORE_REPLY, rng)
    return rng.choice(BENIGN["chat"])


def dressed(text: str, rng: random.Random) -> str:
    """A request with an end mark, now and then with a polite start."""
    if text[-1] not in ".?!":
        text += rng.choice((".", ".", ""))
    if rng.random() < 0.1 and text[-1] != "?":
        text = rng.choice(("Please ", "Could you ", "Now ")) + text[:1].lower() + text[1:]
    return text


def word_problem(rng: random.Random) -> str:
    """Arithmetic in one to three stories."""
    if rng.random() < 0.3:
        return fill(rng.choice(BENIGN["mathword"]), BENIGN, rng)
    lines = rng.choices(SUMS["sum"], k=rng.choice((1, 1, 1, 2)))
    return " ".join(fill(line, SUMS, rng) for line in lines)


def reply(rng: random.Random, section: str, **bound: str) -> str:
    """A reply of a kind, from the lists that have it."""
    lists = rng.choice([lists for lists in (REPLY, MORE_REPLY) if section in lists])
    return fill(rng.choice(lists[section]), lists, rng, **bound)


def prompts(rng: random.Random, number: int) -> list[Item]:
    """Requests in equal parts harmful and harmless, some wrapped, some within a longer text."""
    items = []
    for _ in range(number // 2):
        text, category, _ = harmful(rng)
        categories = (category,)
        kind = rng.random()
        if kind < 0.07:
            attack = fill(rng.choice(FLAGGED["Jailbreak"]), FLAGGED, rng)
            text, categories = f"{attack} {text}", ("Jailbreak",)
        elif kind < 0.16:
            around = " ".join(harmless(rng) for _ in range(rng.choice((1, 2, 4))))
            text = rng.choice(
                (f"{around} {text}", f"{text} {around}", f"{around}\n\n---\n\n{text}")
            )
        items.append(_item((text,), "Unsafe", categories))
        joined = rng.choice((" ", "\n\n", "\n\n---\n\n"))
        text = joined.join(harmless(rng) for _ in range(rng.choice((1,) * 9 + (2, 3, 5))))
        items.append(_item((text,), "Safe"))
    return items


def replies(rng: random.Random, number: int) -> list[Item]:
    """Answers of an assistant: refused, complied with, or helpful, in known proportions."""
    items = []
    for _ in range(number):
        ask, category, task = harmful(rng)
        if rng.random() < 0.3:
            ask, task = harmless(rng), ""
            bad = False
        else:
            bad = True
        kind = rng.random()
        if kind < 0.35:
            section = "foreign_refusal" if rng.random() < 0.08 else "refusal"
            items.append(_item((ask, reply(rng, section)), "Safe", refusal="Yes"))
        elif bad and kind < 0.55:
            wanted = task or "do that"
            answer = reply(rng, "comply", vp=wanted)
            names = (category,) if category != "Jailbreak" else ("Unethical Acts",)
            items.append(_item((ask, answer), "Unsafe", names, "No"))
        elif bad and kind < 0.85:
            section = rng.choice(("advice", "explain", "explain", "explain", "support"))
            items.append(_item((ask, reply(rng, section)), "Safe", refusal="No"))
        elif bad:
            bad_text, name, _ = harmful(rng)
            name = "Unethical Acts" if name == "Jailbreak" else name
            items.append(_item((harmless(rng), bad_text), "Unsafe", (name,), "No"))
        else:
            section = "foreign_help" if rng.random() < 0.08 else "helpful"
            items.append(_item((ask, fill(reply(rng, section), REPLY, rng)), "Safe", refusal="No"))
    return items


def conversations(rng: random.Random, number: int) -> list[Item]:
    """Several turns, with or without a system message: the last message decides."""
    items = []
    for _ in range(number):
        turns: list[Message] = []
        if rng.random() < 0.4:
            turns.append(Message("system", rng.choice(SYSTEM)))
        for _ in range(rng.choice((0, 1, 1, 2))):
            if rng.random() < 0.3:
                turns += [
                    Message("user", harmful(rng)[0]),
                    Message("assistant", reply(rng, "refusal")),
                ]
            else:
                turns += [
                    Message("user", harmless(rng)),
                    Message("assistant", reply(rng, "helpful")),
                ]
        last = rng.choice((prompts, replies))(rng, 2)[rng.randrange(2)]
        items.append(Item((*turns, *last.messages), last.severity, last.categories, last.refusal))
    return items


def chat(rng: random.Random, number: int) -> list[Item]:
    """Everyday talk where the reply is what is kind or unkind."""
    items = []
    for n in range(number):
        said, unkind, kind = fill(rng.choice(MORE_REPLY["chat"]), MORE_REPLY, rng).split(" | ")
        if n % 2:
            items.append(_item((said, kind), "Safe", refusal="No"))
        else:
            items.append(_item((said, unkind), "Unsafe", ("Unethical Acts",), "No"))
    return items


def foreign(rng: random.Random, number: int) -> list[Item]:
    """Plain cases in other languages: of pairs, of small talk, of the lists; some as a reply."""
    items = []
    for n in range(number):
        kind = rng.random()
        if kind < 0.25:
            items.append(_foreign_request(bool(n % 2), rng))
            continue
        if kind < 0.6:
            # Any line: a language that has few must not be harmful by its name.
            items.append(_mild(rng))
            continue
        line, name, lists = rng.choice(FOREIGN_SAFE if n % 2 else FOREIGN_HARM)
        texts: tuple[str, ...] = (fill(line, lists, rng),)
        if rng.random() < 0.1 and name != "Jailbreak":
            texts = (fill(rng.choice(lists["Safe"]), lists, rng), *texts)
        refusal = "No" if len(texts) > 1 else None
        if n % 2:
            item = _item(texts, "Safe", refusal=refusal)
        else:
            item = _item(texts, "Unsafe", (name,), refusal)
        items.append(replace(item, lang="other"))
    return items


def _foreign_request(safe: bool, rng: random.Random) -> Item:
    """One side of a pair in which the words or the people are the same, and the aim is not."""
    name, bad, good = rng.choice(FOREIGN_PAIRS)
    item = _item((good,), "Safe") if safe else _item((bad,), "Unsafe", (name,))
    return replace(item, lang="other")


def _mild(rng: random.Random) -> Item:
    """Small talk, or plain harm in a language that no other list has."""
    text, name, _ = rng.choice(MILD_CASES)
    item = _item((text,), "Safe") if name == "Safe" else _item((text,), "Unsafe", (name,))
    return replace(item, lang="other")


SPOKEN = ("davidson_hate", "cold_zh", "edos_sexism")
"""Public sets of what people say: their rows can stand as replies too."""


def spoken(rng: random.Random, rows: list[Item], number: int) -> list[Item]:
    """Public rows as an assistant's reply to a harmless request, under the label they have."""
    said = [row for row in rows if row.source in SPOKEN]
    items = []
    for row in rng.sample(said, min(number, len(said))):
        turns = (Message("user", harmless(rng)), Message("assistant", row.text))
        items.append(replace(row, messages=turns, refusal="No"))
    return items


SYSTEM = (
    "You are a helpful assistant.",
    "You are a friendly support agent of an online shop.",
    "You are a cooking assistant. Answer briefly.",
    "You are a tutor for mathematics.",
    "Answer in the language of the user.",
    "You are a coding assistant.",
    "Be polite and concise.",
)


def make(rng: random.Random, size: float = 1.0) -> list[Item]:
    """All generated items of one pass over the data."""
    return [
        *prompts(rng, int(24000 * size)),
        *replies(rng, int(9000 * size)),
        *conversations(rng, int(2500 * size)),
        *chat(rng, int(1500 * size)),
        *foreign(rng, int(7000 * size)),
    ]


def explore(rng: random.Random, words: list[str], rows: list[Item], number: int) -> list[Item]:
    """Requests about anything at all, for a teacher to judge; their own label means nothing.

    Frames with a random verb and word, and known texts with a word or two exchanged.
    """
    known = [i for i in rows if len(i.messages) == 1 and len(i.text) < 220]
    items = []
    for _ in range(number):
        kind = rng.random()
        verb, word = rng.choice(BENIGN["verb"]), rng.choice(words)
        if kind < 0.45:
            phrase = rng.choice(("a {}", "the {}", "{}", "my {}", "someone's {}", "{}s")).format(
                word
            )
            if rng.random() < 0.4:
                phrase = f"{phrase} {rng.choice(BENIGN['linkage'])} {rng.choice(words)}"
            text = fill(rng.choice(FRAMES["ask"]), {}, rng, vp=f"{verb} {phrase}")
        elif kind < 0.6:
            other = rng.choice(words)
            frame = rng.choice(FRAMES["task"] + FRAMES["twin"])
            text = fill(frame, {}, rng, thing=word, thing2=other, topic=f"{word} {other}")
        else:
            mode = rng.random()
            base = harmful(rng)[0] if mode < 0.35 else harmless(rng)
            base = rng.choice(known).text if mode > 0.6 else base
            parts = base.split()
            for _ in range(rng.choice((1, 1, 2, 3))):
                parts[rng.randrange(len(parts))] = rng.choice(words)
            text = " ".join(parts)
        items.append(replace(_item((text,), "Safe"), labelled=False))
    return items


def _item(
    texts: tuple[str, ...],
    severity: str,
    categories: tuple[str, ...] = (),
    refusal: str | None = None,
) -> Item:
    messages = tuple(
        Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts)
    )
    return Item(messages, severity, categories, refusal)
