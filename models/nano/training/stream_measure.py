"""Measures nano-stream: what it catches, how soon after harm begins, and what it flags wrongly.

    python models/nano/training/stream_measure.py nano-stream --data ../shared/data --limit 300

`kept.txt` holds replies that were kept out of training, of which the place is known where harm
begins. Of public rows (the tenth kept aside, and the measuring sets) only the whole is known. It
prints figures and never a text.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evaluate import rows_of

from edgeguard import Guard

KEPT = Path(__file__).with_name("kept.txt")
Case = tuple[str, str, str, str]


def kept() -> list[Case]:
    """What is asked, how the reply begins, how it harms, how it could go on harmlessly."""
    lines = KEPT.read_text(encoding="utf-8").splitlines()
    cases = [tuple(line.split(" | ")) for line in lines if not line.startswith("#")]
    return [(a, b, c, d) for a, b, c, d in cases]


def stopped(guard: Guard, ask: str, reply: str) -> int | None:
    """After how many characters of the reply, fed letter by letter, it was flagged; None: never."""
    with guard.watch([{"role": "user", "content": ask}]) as watch:
        for fed, letter in enumerate(reply, 1):
            if watch.feed(letter).flagged:
                return fed
        return len(reply) if watch.end().flagged else None


def delay(guard: Guard, ask: str, reply: str, begins: int) -> int | None:
    """Tokens from where harm begins to the one that flags, both counted; None: not caught."""
    with guard.watch([{"role": "user", "content": ask}]) as watch:
        watch.feed(reply)
        watch.end()
        labels = [one for one in watch.labels if one.end > begins]
    harmful = [one.severity != "Safe" for one in labels]
    return next((n for n in range(2, len(labels) + 1) if all(harmful[n - 2 : n])), None)


def measure_kept(guard: Guard) -> list[str]:
    """Lines about the replies that were kept out."""
    caught, tokens, early, wrong = 0, [], 0, 0
    cases = kept()
    for ask, start, harm, harmless in cases:
        begins = len(start) + 1
        at = stopped(guard, ask, f"{start} {harm}")
        if at is not None and at <= begins:
            early += 1
        elif at is not None:
            caught += 1
            found = delay(guard, ask, f"{start} {harm}", begins)
            tokens += [found] if found else []
        wrong += stopped(guard, ask, f"{start} {harmless}") is not None
    middle, most = (statistics.median(tokens), max(tokens)) if tokens else ("–", "–")
    return [
        f"replies kept out: {len(cases)}, caught within the harmful sentence {caught}, "
        f"flagged before it {early}",
        f"tokens from where harm begins to the flag: median {middle}, most {most}",
        f"their harmless twins flagged: {wrong} of {len(cases)}",
    ]


def measure_rows(guard: Guard, rows: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
    """A line a set: recall, false alarms and F1 (strict), prompts at their end, replies whole."""
    counts: dict[str, list[int]] = {}
    for name, row in rows:
        if row["label"] == "unknown" or not row["messages"][-1]["content"].strip():
            continue
        said = guard.check_messages(row["messages"]).severity != "Safe"
        counts.setdefault(name, [0, 0, 0, 0])[2 * (row["label"] != "Safe") + said] += 1
    lines = ["| set | rows | recall | false alarms | F1 |", "|---|---|---|---|---|"]
    for name, (tn, fp, fn, tp) in counts.items():
        recall = f"{tp / (tp + fn):.3f}" if tp + fn else "–"
        alarms = f"{fp / (fp + tn):.3f}" if fp + tn else "–"
        f1 = f"{2 * tp / (2 * tp + fp + fn):.3f}" if tp + fn else "–"
        lines.append(f"| {name} | {tn + fp + fn + tp} | {recall} | {alarms} | {f1} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", help="a GGUF file, or the name of an installed model")
    parser.add_argument("--data", type=Path, help="folder with train/ and eval/; none: kept.txt")
    parser.add_argument("--limit", type=int, default=300, help="about so many rows a set")
    parser.add_argument("--threads", type=int)
    a = parser.parse_args()
    with Guard(a.model, threads=a.threads) as guard:
        print(*measure_kept(guard), sep="\n")
        if a.data:
            print(*measure_rows(guard, rows_of(a.data, a.limit)), sep="\n")


if __name__ == "__main__":
    main()
