"""An optional cache of the model's answers, by digest, in memory or in a SQLite file.

It keeps the answer to one question and not the policy's decision, which is made anew each time; so
no entry depends on an earlier policy. The digest covers the question's token ids and everything
that the numbers depend on: model file, device, settings, builds. No text is stored.

A damaged entry counts as absent, and so does a file that breaks during use. A file that is not a
cache is an error and is left unchanged. This module judges nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeguard._version import __version__
from edgeguard.decoder import Decoded
from edgeguard.errors import InputError
from edgeguard.protocol.answer import Answer
from edgeguard.protocol.names import Mode, categories
from edgeguard.session.settings import Settings
from edgeguard.tokens import Question
from edgeguard.verdict import Choice, ModelId

if TYPE_CHECKING:
    from edgeguard.answer_files import Answers

_logger = logging.getLogger(__name__)

IN_MEMORY = "memory"
_FORM = 2
"""The version of the entries; with a new number, old ones are not used."""


@dataclass(frozen=True)
class CacheInfo:
    """``hits`` and ``misses`` count this guard's questions; ``size`` counts the answers stored."""

    hits: int
    misses: int
    size: int


class AnswerCache:
    """Answers that were given before. May be shared by threads."""

    def __init__(self, kept: Answers) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._identity = b""
        self._hits = self._misses = 0

    def belongs_to(self, model: ModelId, device: str, settings: Settings | None) -> None:
        """Set what computes the answers: model, device, settings. Others' answers are not used."""
        parts = [_FORM, __version__, model.sha256, device, repr(settings), _library(settings)]
        self._identity = json.dumps(parts).encode()

    def find(self, question: Question, *, fresh: bool, categories: bool) -> Decoded | None:
        """The remembered answer to a question; None if there is none."""
        exact = self._key(question, exact=True)
        key = exact if fresh else self._key(question, exact=False)
        with self._lock:
            for one in dict.fromkeys((exact, key)):
                known = _read(question.mode, one, self._kept.get(one))
                if known is not None and (known.category_probabilities or not categories):
                    self._hits += 1
                    return known
            self._misses += 1
        return None

    def keep(self, question: Question, decoded: Decoded, *, fresh: bool) -> None:
        """Remember an answer; ``fresh``: its bits do not depend on other questions."""
        key = self._key(question, exact=fresh)
        with self._lock:
            self._kept.put(key, _written(key, decoded))

    def info(self) -> CacheInfo:
        """The counts so far."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, self._kept.size())

    def close(self) -> None:
        """Close the file; nothing is remembered after that."""
        with self._lock:
            self._kept.close()

    def _key(self, question: Question, *, exact: bool) -> bytes:
        # Continuing from another question may give other last digits than computing from nothing.
        head = json.dumps([question.mode, exact, len(self._identity)]).encode()
        digest = hashlib.sha256(head + self._identity)
        digest.update(array("q", question.tokens).tobytes())
        return digest.digest()


def open_answers(where: str | os.PathLike[str]) -> AnswerCache:
    """A cache in memory, if ``name`` says so, or in a file. Raises InputError, StoreError."""
    if not isinstance(where, (str, os.PathLike)) or not os.fspath(where):
        raise InputError(f"cache is {where!r}; it must be {IN_MEMORY!r} or the path of a file")
    from edgeguard.answer_files import AnswerFile, AnswerMemory  # loads SQLite

    kept: Answers = AnswerMemory() if where == IN_MEMORY else AnswerFile(Path(where))
    return AnswerCache(kept)


def _library(settings: Settings | None) -> str:
    if settings is None:  # a session other than llama.cpp's
        return ""
    from edgeguard.session.library import library_identity

    return library_identity()


def _written(key: bytes, decoded: Decoded) -> str:
    """The text of an entry: its own digest, and the answer."""
    shares = decoded.category_probabilities
    choices = [
        [one.place, [[token.hex(), share] for token, share in one.tokens]]
        for one in decoded.choices
    ]
    body = json.dumps(
        [
            [decoded.answer.severity, decoded.answer.categories, decoded.answer.refusal],
            decoded.probabilities,
            choices,
            None if shares is None else [share for _, share in shares],
        ]
    )
    return _seal(key, body) + body


def _read(mode: Mode, key: bytes, entry: str | None) -> Decoded | None:
    """The answer in an entry; None if there is none, or it is damaged."""
    if entry is None:
        return None
    seal, body = entry[:64], entry[64:]
    if seal != _seal(key, body):
        _logger.warning("an entry of the cache is damaged; it is made anew")
        return None
    (severity, names, refusal), probabilities, choices, shares = json.loads(body)
    return Decoded(
        Answer(severity, tuple(names), refusal),
        tuple(probabilities),
        tuple(_choice(one) for one in choices),
        None if shares is None else tuple(zip(categories(mode), shares)),
        remembered=True,
    )


def _seal(key: bytes, body: str) -> str:
    return hashlib.sha256(key + body.encode()).hexdigest()


def _choice(values: list[Any]) -> Choice:
    place, tokens = values
    return Choice(place, tuple((bytes.fromhex(token), share) for token, share in tokens))
