"""The events of an answer that wait for their verdict: released as far as the text is judged.

Every text in an event counts, whatever its field; they stand one after the other in one transcript,
which is what is judged. This module judges nothing.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgeguard.proxy.sse import Event, event
from edgeguard.proxy.words import Path, Words, words

_REPEATS = (".done", ".created", ".in_progress", ".completed", ".incomplete", ".failed", ".added")
"""Endings of events of the Responses API that say again what was said."""
_CUT = frozenset({"content", "text", "delta"})
"""Fields whose text a client puts together from pieces, so that a piece may become two."""


@dataclass(frozen=True)
class _Waiting:
    event: Event
    start: int
    end: int
    cut: Path | None  # where its only text stands, if it may be cut


class Held:
    """What came and is not released. Places count the characters of the transcript."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._kind: Path = ()
        self._half = False
        self._text = ""

    @property
    def length(self) -> int:
        """How long the transcript is."""
        return len(self._text) + self._half

    @property
    def text(self) -> str:
        """All that came."""
        return self._text

    @property
    def size(self) -> int:
        """How many characters wait."""
        return self.length - self._waiting[0].start if self._waiting else 0

    def add(self, new: Event) -> str:
        """Take an event; what it adds to the transcript."""
        start, added = self.length, ""
        found = list(_texts(new))
        for one in found:
            if _repeats(new) and one.text in self._text:
                continue  # all of it is in the transcript, and waits for its verdict there
            kind = _kind(new, one)
            if self._text and kind != self._kind:
                added += self._put("\n")
            self._kind = kind
            added += self._put(one.text)
        alone = len(found) == 1 and self.length - start == len(found[0].text) == len(added)
        cut = found[0].path if alone and _can_cut(new, found[0]) else None
        self._waiting.append(_Waiting(new, start, self.length, cut))
        return added

    def release(self, safe_to: int) -> Iterator[Event]:
        """The events up to there; one that goes further is cut, if it may be."""
        while self._waiting:
            first = self._waiting[0]
            if first.end <= safe_to:
                self._waiting.popleft()
                yield first.event
                continue
            if first.cut is not None and first.start < safe_to:
                self._waiting.popleft()
                before, after = _cut(first.event, first.cut, safe_to - first.start)
                self._waiting.appendleft(_Waiting(after, safe_to, first.end, first.cut))
                yield before
            return

    def drop(self) -> None:
        """Nothing of it is released any more."""
        self._waiting.clear()

    def _put(self, text: str) -> str:
        """Add to the transcript, which counts a character that comes in two halves once."""
        both = ("\ud83d" if self._half else "") + text
        self._half = "\ud800" <= both[-1] <= "\udbff"
        whole = both[:-1] if self._half else both
        # The halves are joined as edgeguard.watch.pieces joins them; what they are is no matter.
        self._text += whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text


def _texts(new: Event) -> Iterator[Words]:
    value = new.value or {}
    response = value.get("response")
    if isinstance(response, dict):  # the rest of it repeats the request
        value = {"output": response.get("output"), "error": response.get("error")}
    return words({name: inner for name, inner in value.items() if name != "error"})


def _repeats(new: Event) -> bool:
    return str((new.value or {}).get("type", "")).endswith(_REPEATS)


def _kind(new: Event, found: Words) -> Path:
    value = new.value or {}
    places = (value.get(name) for name in ("index", "output_index", "content_index"))
    return (*found.path, *(place for place in places if isinstance(place, int)))


def _can_cut(new: Event, found: Words) -> bool:
    name = found.path[-1]
    whole = new.value or {}
    choices = whole.get("choices")
    if isinstance(choices, list) and any(
        not isinstance(choice, dict) or choice.get("finish_reason") for choice in choices
    ):
        return False
    parts = {part for part in found.path if isinstance(part, str)}
    return (
        name in _CUT
        and not parts & {"tool_calls", "function_call", "function"}
        and "usage" not in {k for k, v in whole.items() if v}
        and not any("\ud800" <= letter <= "\udfff" for letter in found.text)
        and (isinstance(choices, list) or str(whole.get("type")).endswith("delta"))
    )


def _cut(old: Event, path: Path, at: int) -> tuple[Event, Event]:
    """Two events out of one, which together say what it says."""
    pieces = []
    for piece in (slice(None, at), slice(at, None)):
        value: Any = copy.deepcopy(old.value)
        inner = value
        for part in path[:-1]:
            inner.pop("logprobs", None) if isinstance(inner, dict) else None
            inner = inner[part] if isinstance(inner, dict) else _numbered(inner, part)
        inner.pop("logprobs", None)
        inner[path[-1]] = inner[path[-1]][piece]
        pieces.append(event(value, old.name))
    return pieces[0], pieces[1]


def _numbered(entries: list[Any], number: str | int) -> Any:
    for place, entry in enumerate(entries):
        if (entry.get("index", place) if isinstance(entry, dict) else place) == number:
            return entry
    raise KeyError(number)
