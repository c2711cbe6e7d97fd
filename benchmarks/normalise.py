"""What judging the normalised text too costs in false alarms, and what it finds.

    python benchmarks/normalise.py DATA… [--model MODEL] [--limit N] [--disguised N]

DATA are labelled rows as `edgeguard eval` takes them. Writes benchmarks/results/normalise.md:
figures, and no text. False alarms are counted on the rows as they are; what it finds, on harmful
prompts that are disguised here, in five ways, which no row of the data is.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from machine import describe

from edgeguard import Guard
from edgeguard.evaluation.rows import Row, read_rows, sample
from edgeguard.normalise import normalised
from edgeguard.policy import STRICT
from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import SAFE

RESULT = Path(__file__).parent / "results" / "normalise.md"
_ALIKE = str.maketrans("aeopcyxi", "аеорсухі")
_DIGITS = str.maketrans("aeiost", "431057")


def _within(word: str, table: dict[int, int]) -> str:
    """A word with its first inner letter that has a stand-in replaced."""
    inner = word[1:-1]
    place = next((n for n, letter in enumerate(inner, 1) if ord(letter) in table), None)
    return (
        word if place is None else word[:place] + word[place].translate(table) + word[place + 1 :]
    )


def _words(text: str, change: Callable[[str], str]) -> str:
    return re.sub(r"[A-Za-z]{3,}", lambda match: change(match.group()), text)


DISGUISES: dict[str, Callable[[str], str]] = {
    "zero-width letters": lambda text: _words(text, "\u200b".join),
    "fullwidth": lambda text: _words(text, lambda w: "".join(chr(ord(c) + 0xFEE0) for c in w)),
    "look-alikes": lambda text: _words(text, lambda w: _within(w, _ALIKE)),
    "letters by digits": lambda text: _words(text, lambda w: _within(w, _DIGITS)),
    "spaced letters": lambda text: _words(text, " ".join).replace("  ", " "),
}


def flagged(guard: Guard, messages: Sequence[Message]) -> tuple[bool, bool]:
    """Whether strict flags the text as it is written, and whether it flags either form."""
    written = tuple(messages)
    plain = normalised(written)
    as_written = guard.check_messages(written, fresh=True).flagged
    if as_written or plain == written:
        return as_written, as_written
    return False, guard.check_messages(plain, fresh=True).flagged


def false_alarms(guard: Guard, rows: list[Row]) -> Iterator[list[str]]:
    """A line for each set: how many rows change, and what strict flags with and without."""
    for name in sorted({row.set for row in rows}):
        chosen = [row for row in rows if row.set == name and row.label is not None]
        changed = sum(normalised(row.messages) != row.messages for row in chosen)
        said = [(row.label in STRICT.harmful, *flagged(guard, row.messages)) for row in chosen]
        harmless = [one for one in said if not one[0]]
        harmful = [one for one in said if one[0]]
        yield [
            name,
            f"{len(chosen):,}",
            f"{changed:,}",
            _share(sum(one[1] for one in harmless), len(harmless)),
            _share(sum(one[2] for one in harmless), len(harmless)),
            _share(sum(one[1] for one in harmful), len(harmful)),
            _share(sum(one[2] for one in harmful), len(harmful)),
        ]


def found(guard: Guard, rows: list[Row]) -> Iterator[list[str]]:
    """A line for each disguise, on rows that are flagged without it."""
    known = [row for row in rows if flagged(guard, row.messages)[0]]
    for name, disguise in DISGUISES.items():
        said = []
        for row in known:
            last = row.messages[-1]
            hidden = replace(last, content=disguise(last.content))
            said.append(flagged(guard, [*row.messages[:-1], hidden]))
        yield [
            name,
            f"{len(known):,}",
            _share(sum(one[0] for one in said), len(said)),
            _share(sum(one[1] for one in said), len(said)),
        ]


def _share(count: int, of: int) -> str:
    return f"{count:,} of {of:,} ({100 * count / of:.1f} %)" if of else "–"


def _table(header: list[str], lines: Iterator[list[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=int, help="at most so many rows of a set")
    parser.add_argument("--disguised", type=int, default=300, help="harmful prompts to disguise")
    asked = parser.parse_args()
    machine = describe()
    rows = read_rows(asked.data)
    if asked.limit is not None:
        rows = sample(rows, asked.limit, 0)
    prompts = [
        row
        for row in rows
        if row.label in STRICT.harmful
        and row.mode == "prompt"
        and row.messages[-1].content.isascii()
    ]
    chosen = random.Random(0).sample(prompts, min(asked.disguised, len(prompts)))
    with Guard(asked.model, threads=asked.threads) as guard:
        alarms = _table(
            [
                *("set", "rows", "changed by it", "false alarms", "with `normalise`"),
                *("recall", "with `normalise`"),
            ],
            false_alarms(guard, rows),
        )
        hidden = _table(
            ["disguise", "prompts", "flagged as written", "with `normalise`"], found(guard, chosen)
        )
        model = f"{guard.model.name} {guard.model.type}"
    RESULT.write_text(
        "# Judging the normalised text too\n\n"
        f"`python benchmarks/normalise.py` on {machine}. {model}, strict.\n\n"
        "## What it costs\n\n"
        f"Rows as they are. A row labelled {SAFE} that is flagged is a false alarm; "
        "`normalise` flags\nwhat either form flags.\n\n"
        f"{alarms}\n\n"
        "## What it finds\n\n"
        f"Harmful English prompts that are flagged as they are, drawn with seed 0, and disguised "
        f"in every\nword of three letters or more.\n\n{hidden}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
