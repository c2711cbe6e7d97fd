"""Labelled rows: read from JSONL, checked before anything is judged, sampled by a seed.

One row is one JSON object on a line:

    {"id": "a-1", "messages": [{"role": "user", "content": "…"}], "label": "Safe",
     "categories": [], "refusal": null, "lang": "en", "source": "a"}

`messages` and `label` are needed. `label` is a severity, `unknown`, or a word that a map of labels
translates; `categories` are the acceptable ones, and naming any of them is right; `refusal` is
whether a response refuses, null if not known; `source` names the set, else the file does. Further
fields are ignored.

An error names the file and the line, never the text. This module judges nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from edgeguard.conversation import read_messages
from edgeguard.errors import InputError
from edgeguard.evaluation.texts import text_of
from edgeguard.protocol.messages import Message, mode_of
from edgeguard.protocol.names import CATEGORIES, REFUSALS, SEVERITIES, Mode, Refusal, Severity
from edgeguard.strict_json import unique_names

SUFFIXES = (".jsonl", ".jsonl.gz")
UNKNOWN = "unknown"
"""The label of a row with an unknown severity; such a row counts for the refusal alone."""

_LABELS = (*SEVERITIES, UNKNOWN)

NO_LANGUAGE = "und"
"""ISO 639-2's code for an undetermined language, for rows without `lang`."""


@dataclass(frozen=True)
class Row:
    """A conversation and the truth about its last message; ``label`` is None if unknown.

    ``group`` is the value of the --group field: rows that are not independent share it.
    """

    set: str
    id: str
    messages: tuple[Message, ...]
    label: Severity | None
    categories: tuple[str, ...]
    refusal: Refusal | None
    lang: str
    group: str | None = None

    @cached_property
    def text(self) -> str:
        """A digest that is equal for equal texts."""
        return text_of(self.messages)

    @property
    def mode(self) -> Mode:
        """What is judged: a prompt or a response."""
        return mode_of(self.messages)


def is_data(argument: str) -> bool:
    """Whether an argument names data: a folder, or a file with one of SUFFIXES."""
    return argument.lower().endswith(SUFFIXES) or Path(argument).is_dir()


def label_map(text: str | None) -> dict[str, str]:
    """The meaning of a person's own labels, from ``unsafe=Unsafe,0=Safe``. Raises InputError."""
    labels = {}
    for pair in (text or "").split(",") if text is not None else ():
        name, equals, label = pair.rpartition("=")
        if not equals or label not in _LABELS or name in labels:
            raise InputError(
                f"--label-map is a list as unsafe=Unsafe,0=Safe,1=Unsafe, each label once; "
                f"{pair!r} cannot be in it; there are {', '.join(_LABELS)}"
            )
        labels[name] = label
    return labels


def read_rows(
    paths: Iterable[str], group: str | None = None, labels: Mapping[str, str] | None = None
) -> list[Row]:
    """The rows of files, and of the files in folders (but not in subfolders).

    ``group`` is a field that every row must have; rows with the same value belong together.
    ``labels`` translates other labels, by their JSON form.

    Raises InputError, with the file and the line, for anything that is not a labelled row, for two
    rows of one set with the same id, and if there is no row at all.
    """
    rows: list[Row] = []
    seen: set[tuple[str, str]] = set()
    for path in _files(paths):
        for number, row in _read(path, group, labels or {}):
            if (row.set, row.id) in seen:
                raise _bad(path, number, f"the set {row.set!r} has the id {row.id!r} twice")
            seen.add((row.set, row.id))
            rows.append(row)
    if not rows:
        raise InputError("there is no row in the data")
    return rows


def sample(rows: Sequence[Row], limit: int, seed: int) -> list[Row]:
    """At most ``limit`` rows of each set, drawn by the seed, in their order."""
    chosen: list[Row] = []
    for name, group in groupby(sorted(rows, key=_set_of), key=_set_of):
        members = list(group)
        if len(members) > limit:
            drawn = random.Random(f"{seed} {name}").sample(range(len(members)), limit)
            members = [members[index] for index in sorted(drawn)]
        chosen.extend(members)
    return chosen


def digest_of(rows: Iterable[Row]) -> str:
    """The sha256 that identifies rows: their texts and labels, in order."""
    digest = hashlib.sha256()
    for row in rows:
        fields = [row.set, row.id, row.label, row.categories, row.refusal, row.lang]
        messages = [[message.role, message.content] for message in row.messages]
        digest.update(json.dumps([fields, messages]).encode() + b"\n")
    return digest.hexdigest()


def _set_of(row: Row) -> str:
    return row.set


def _files(paths: Iterable[str]) -> Iterator[Path]:
    for text in paths:
        path = Path(text)
        if not path.is_dir():
            if not text.lower().endswith(SUFFIXES):
                raise InputError(f"{path} is not labelled data: name .jsonl or .jsonl.gz files")
            yield path
            continue
        try:
            found = sorted(p for p in path.iterdir() if p.name.lower().endswith(SUFFIXES))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        if not found:
            raise InputError(f"there is no .jsonl or .jsonl.gz file in {path}")
        yield from found


def _read(path: Path, group: str | None, labels: Mapping[str, str]) -> Iterator[tuple[int, Row]]:
    for number, line in _lines(path):
        try:
            data = json.loads(line.decode("utf-8-sig"), object_pairs_hook=unique_names)
            yield number, _parse(path, number, data, group, labels)
        except UnicodeDecodeError as error:
            raise _bad(path, number, f"not UTF-8 at byte {error.start + 1}") from error
        except InputError as error:
            raise _bad(path, number, str(error)) from error
        except (ValueError, RecursionError) as error:
            raise _bad(path, number, f"not JSON: {error}") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    number = 0
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        where = f" after line {number}" if number else ""
        raise InputError(f"cannot read {path}{where}: {reason}") from error


def _parse(path: Path, number: int, data: Any, group: str | None, labels: Mapping[str, str]) -> Row:
    if not isinstance(data, dict):
        raise InputError("not a JSON object")
    if "messages" not in data:
        raise InputError("'messages' is missing")
    messages = data["messages"]
    if not isinstance(messages, list):
        raise InputError("'messages' is not a list")
    return Row(
        set=_text(data, "source") or _stem(path),
        id=_text(data, "id") or f"{_stem(path)}:{number}",
        messages=read_messages(messages, strict=True).messages,
        label=_label(data, labels),
        categories=_categories(data),
        refusal=_one_of(data, "refusal", REFUSALS),
        lang=_text(data, "lang") or NO_LANGUAGE,
        group=None if group is None else _group(data, group),
    )


def _group(data: dict[str, Any], name: str) -> str:
    found = _text(data, name)
    if not found.strip():
        there = ", ".join(field for field in data if field.isidentifier() and len(field) <= 30)
        what = "is empty" if name in data else "is missing"
        raise InputError(f"the field {name!r}, which --group names, {what}; there are: {there}")
    return found


def _label(data: dict[str, Any], labels: Mapping[str, str]) -> Severity | None:
    if "label" not in data:
        raise InputError(f"'label' is missing; it is one of: {', '.join(_LABELS)}")
    label = data["label"]
    written = label if isinstance(label, str) else json.dumps(label)
    label = labels.get(written, label)
    if label not in _LABELS:
        raise InputError(
            f"'label' is none of: {', '.join(_LABELS)}; for other labels there is --label-map"
        )
    return None if label == UNKNOWN else cast("Severity", label)


def _categories(data: dict[str, Any]) -> tuple[str, ...]:
    found = data.get("categories") or []
    if not isinstance(found, list):
        raise InputError("'categories' is not a list")
    for category in found:
        if category not in CATEGORIES:
            raise InputError(f"a category is unknown; there are: {', '.join(CATEGORIES)}")
    return tuple(dict.fromkeys(found))


def _one_of(data: dict[str, Any], name: str, values: tuple[str, ...]) -> Any:
    value = data.get(name)
    if value is not None and value not in values:
        raise InputError(f"{name!r} is none of: {', '.join(values)}")
    return value


def _text(data: dict[str, Any], name: str) -> str:
    """A field of plain text; empty if it is absent."""
    value = data.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InputError(f"{name!r} is not a string")
    text = str(value)
    if not text.isascii() and text != text.encode("utf-8", "replace").decode("utf-8"):
        raise InputError(f"{name!r} is not valid Unicode")
    return text


def _stem(path: Path) -> str:
    name = path.name
    for suffix in reversed(SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)] or name
    return name


def _bad(path: Path, number: int, reason: str) -> InputError:
    return InputError(f"{path}, line {number}: {reason}")
