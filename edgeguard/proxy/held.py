"""The events of an answer that wait for their verdict: released as far as the text is judged.

Every text in an event counts, whatever its field; all texts are joined into one transcript, which
is what is judged. When a text continues after another one interrupted it, its last words are
repeated in the transcript, so that no fragment is judged without context. This module judges
nothing.
"""

from __future__ import annotations

import copy
import re
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from edgeguard.proxy.sse import Event, event
from edgeguard.proxy.words import Path, Words, are_arguments, unescaped, without_tokens, words

_REPEATS = (".done", ".created", ".in_progress", ".completed", ".incomplete", ".failed", ".added")
"""Endings of the types of Responses API events that repeat earlier text."""
_CUT: frozenset[Path] = frozenset(
    {
        ("choices", 0, "delta", "content"),
        ("choices", 0, "delta", "reasoning_content"),
        ("choices", 0, "delta", "reasoning"),
        ("choices", 0, "text"),
        ("delta", "text"),
        ("delta", "thinking"),
    }
)
"""Texts that clients join from pieces, so that a piece may be cut in two."""
_CUT_DELTAS = ("output_text.delta", "refusal.delta", "reasoning_text.delta", "summary_text.delta")
_PLACES = ("index", "output_index", "content_index", "summary_index")
AGAIN = 200
"""Characters of an interrupted text that are judged again."""
_INCOMPLETE = re.compile(
    r"((?:[^\\]|\\[^u]|\\u[0-9a-fA-F]{4})*)(\\(?:u[0-9a-fA-F]{0,3})?)?", re.DOTALL
)


@dataclass(frozen=True)
class _Waiting:
    event: Event
    start: int
    end: int
    cut: Path | None  # the path of its only text, if that may be cut


class Held:
    """Events that came and are not released. Places count the characters of the transcript.

    ``released`` is the place up to which events were released.
    """

    def __init__(self, said: Collection[str] = ()) -> None:
        """``said``: every string that the client sent, which an answer may repeat."""
        self._said = said
        self._waiting: deque[_Waiting] = deque()
        self._kind: Path = ()
        self._half = False
        self._text = ""
        self._ends: dict[Path, str] = {}  # the last words of each text
        self._pending: dict[Path, str] = {}  # an incomplete escape sequence
        self.released = 0

    @property
    def length(self) -> int:
        """The length of the transcript."""
        return len(self._text) + self._half

    @property
    def text(self) -> str:
        """The whole transcript."""
        return self._text

    @property
    def size(self) -> int:
        """How many characters wait."""
        return self.length - self._waiting[0].start if self._waiting else 0

    def add(self, new: Event) -> str:
        """Add an event; returns what it adds to the transcript."""
        start, added, incomplete = self.length, "", False
        found = list(words(without_tokens(new.value), said=self._said))
        for one in found:
            kind = _kind(new, one)
            text = self._read(new, one, kind)
            incomplete = incomplete or kind in self._pending
            if not text or ((one.protocol or _repeats(new)) and text in self._text):
                continue  # the transcript has it already, where it waits for its verdict
            added += self._goes_on(kind) + self._put(text)
            self._ends[kind] = (self._ends.get(kind, "") + _joined(text))[-AGAIN:]
        alone = len(found) == 1 and self.length - start == len(found[0].text) == len(added)
        cut = found[0].path if alone and _can_cut(new, found[0]) else None
        self._waiting.append(_Waiting(new, start, self.length + incomplete, cut))
        return added

    def end(self) -> str:
        """End the answer; returns what that adds to the transcript."""
        pending, self._pending = self._pending, {}
        return "".join(self._goes_on(kind) + self._put(text) for kind, text in pending.items())

    def release(self, safe_to: int) -> Iterator[Event]:
        """The events up to there; one that extends beyond is cut, if it may be."""
        while self._waiting:
            first = self._waiting[0]
            if first.end <= safe_to:
                self._waiting.popleft()
                self.released = max(self.released, first.end)
                yield first.event
                continue
            if first.cut is not None and first.start < safe_to:
                self._waiting.popleft()
                before, after = _cut(first.event, first.cut, safe_to - first.start)
                self._waiting.appendleft(_Waiting(after, safe_to, first.end, first.cut))
                self.released = safe_to
                yield before
            return

    def drop(self) -> None:
        """Drop all held events."""
        self._waiting.clear()

    def _read(self, new: Event, found: Words, kind: Path) -> str:
        """A text as its reader sees it: without the escapes in the arguments of a tool call."""
        if not are_arguments(found, (new.value or {}).get("type")):
            return found.text
        text = self._pending.pop(kind, "") + found.text
        parts = _INCOMPLETE.fullmatch(text)
        if parts is None:
            return text  # not JSON
        if parts[2]:
            self._pending[kind] = parts[2]
        return unescaped(parts[1])

    def _goes_on(self, kind: Path) -> str:
        """What precedes a text of this kind, if the previous text was of another."""
        is_other, self._kind = bool(self._text) and kind != self._kind, kind
        return self._put(f"\n{self._ends.get(kind, '')}") if is_other else ""

    def _put(self, text: str) -> str:
        """Add to the transcript; a character that comes in two halves counts once."""
        both = ("\ud83d" if self._half else "") + text
        self._half = "\ud800" <= both[-1] <= "\udbff"
        # Halves are joined as in edgeguard.watch.pieces; any high half gives the same length.
        self._text += _joined(both[:-1] if self._half else both)
        return text


def _joined(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _repeats(new: Event) -> bool:
    return str((new.value or {}).get("type", "")).endswith(_REPEATS)


def _kind(new: Event, found: Words) -> Path:
    value = new.value or {}
    places = [place for name in _PLACES if isinstance(place := value.get(name), int)]
    return (*found.path, str(value.get("type", "")), *places)


def _can_cut(new: Event, found: Words) -> bool:
    value: Any = new.value or {}
    if any("\ud800" <= letter <= "\udfff" for letter in found.text) or value.get("usage"):
        return False
    if found.path == ("delta",):
        return str(value.get("type")).endswith(_CUT_DELTAS)
    if found.path[0] == "choices":
        choices = value["choices"]
        return len(choices) == 1 and not choices[0].get("finish_reason") and found.path in _CUT
    return found.path in _CUT


def _cut(old: Event, path: Path, at: int) -> tuple[Event, Event]:
    """Split an event into two that together say the same."""
    pieces = []
    for piece in (slice(None, at), slice(at, None)):
        value: Any = copy.deepcopy(old.value)
        inner = value
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = inner[path[-1]][piece]
        bare: Any = without_tokens(value)  # those of the whole piece
        pieces.append(event(bare, old.name))
    return pieces[0], pieces[1]
