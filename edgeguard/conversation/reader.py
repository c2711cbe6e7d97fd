"""read_messages: a conversation in any of the public forms, as the question can show it.

Each message is read by its form (edgeguard.conversation.forms); then this module decides what of it
is shown, as the table in docs/conversations.md says. Content that has no place in the official
template is shown in another way, which the table names, or refused if ``strict`` is set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from edgeguard.conversation.containers import contents_of
from edgeguard.conversation.content import content_of
from edgeguard.conversation.forms import AUTO, Form, read_message
from edgeguard.conversation.turn import Speaker, Turn, named
from edgeguard.conversation.value import Conversation, Note
from edgeguard.errors import InputError
from edgeguard.protocol.messages import ROLES, Message, Role, check_text, check_visible
from edgeguard.protocol.visible import has_visible

_THINKING = "its thinking"
_PARTS = "\n"
"""Joins the text parts of a message, as vLLM does for Qwen3, whose template takes strings."""
_STRICT = "the official template has no place for"
_ROLE: dict[Speaker, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
}


@dataclass(frozen=True)
class Reading:
    """The options of ``read_messages``."""

    strict: bool = False
    tool_calls: bool = False
    skip_media: bool = False
    form: str = AUTO

    def __call__(self, messages: object) -> Conversation:
        """A conversation that can be judged. Raises InputError."""
        if isinstance(messages, Conversation):
            return messages
        turns = list(_turns(messages, self.form))
        if not turns:
            raise InputError("there is no message to judge: the conversation is empty")
        if self.strict:
            _check_strict(turns)
        if turns[-1].speaker == "system":
            raise InputError("the last message is a system message: there is nothing to judge")
        shown: list[_Shown] = []
        notes: list[Note] = []
        for turn in turns:
            text, passed = self._shown(turn)
            notes += (Note(turn.place, what) for what in passed)
            if text is not None:
                shown.append(_Shown(turn, text))
        _check_last(turns[-1], shown)
        return _arranged(shown, tuple(notes))

    def _shown(self, turn: Turn) -> tuple[str | None, list[str]]:
        """The text of a message that is shown, if any, and what is skipped."""
        content, texts, passed = turn.content, list(turn.content.texts), []
        if content.media and not self.skip_media:
            raise InputError(
                f"{turn.name} has {content.media[0]}, which cannot be judged: leave it out, or "
                "pass it over with skip_media=True (--skip-media)"
            )
        if self.tool_calls:
            texts = [text for text in texts if text] + list(content.calls)
        elif content.calls:
            passed.append(_counted("a tool call", len(content.calls)))
        passed += (_counted(what, number) for what, number in Counter(content.media).items())
        passed += [_THINKING] if content.thinks else []
        text = _PARTS.join(texts)
        check_text(turn.name, text)
        return (None if passed and not has_visible(text) else text), passed


PLAIN = Reading()


def read_messages(
    messages: object,
    *,
    strict: bool = False,
    tool_calls: bool = False,
    skip_media: bool = False,
    form: str = AUTO,
) -> Conversation:
    """A conversation in any of the forms of docs/conversations.md; its last message is judged.

    strict: refuse what the official template has no place for, instead of showing it otherwise.
    tool_calls: show and judge tool calls, as text; otherwise they are skipped.
    skip_media: skip images, sounds, files and videos; otherwise they are an error.
    form: one of FORMS; ``auto`` recognises each message by its fields.

    ``not_judged`` lists what was skipped. Raises InputError for messages that cannot be read, and
    if the last message has nothing to judge; the error never quotes a text.
    """
    return Reading(strict, tool_calls, skip_media, form)(messages)


@dataclass(frozen=True)
class _Shown:
    """A message, and the part of its text that is shown."""

    turn: Turn
    text: str


def _turns(messages: object, form: str) -> Iterator[Turn]:
    contained = contents_of(messages, form)
    if contained.system is not None:
        yield _system_turn(contained.system)
    for place, message in enumerate(contained.messages):
        yield _turn(place, message, contained.form)


def _system_turn(system: object) -> Turn:
    try:
        value = system.get("parts", system) if isinstance(system, dict) else system
        return Turn(-1, "system", "system", content_of(value))
    except InputError as error:
        raise InputError(f"{named(-1)} {error}") from error


def _turn(place: int, message: object, form: Form | None) -> Turn:
    try:
        return Turn(place, *read_message(message, form))
    except InputError as error:
        raise InputError(f"{named(place)} {error}") from error
    except RecursionError as error:
        raise InputError(f"{named(place)} is nested too deeply") from error


def _check_last(last: Turn, shown: list[_Shown]) -> None:
    """Check that the last message has something to judge. Raises InputError with advice."""
    if shown and shown[-1].turn is last:
        check_visible(shown[-1].text)
        return
    content = last.content
    only = [_counted("a tool call", len(content.calls))] if content.calls else []
    only += [*dict.fromkeys(content.media)] + ([_THINKING] if content.thinks else [])
    option = "; tool_calls=True (--tool-calls) judges calls" if content.calls else ""
    raise InputError(
        f"there is nothing to judge: {last.name} has no text, only {' and '.join(only)}{option}"
    )


def _check_strict(turns: list[Turn]) -> None:
    """Refuse what has no place in the official template. Raises InputError."""
    for number, turn in enumerate(turns):
        content = turn.content
        what = {
            "other roles than system, user and assistant": turn.word not in ROLES,
            "several text parts": len(content.texts) > 1,
            "tool calls": bool(content.calls),
            "images, sounds and files": bool(content.media),
            "thinking": content.thinks,
            "an assistant's message as the first": number == 0 and turn.speaker == "assistant",
            "a system message that is not the first": number > 0 and turn.speaker == "system",
        }
        for words, found in what.items():
            if found:
                raise InputError(f"{turn.name}: {_STRICT} {words}")


def _arranged(shown: list[_Shown], notes: tuple[Note, ...]) -> Conversation:
    """The messages in an order that the official template allows."""
    systems = _leading(shown)
    rest = shown[len(systems) :]
    found: list[tuple[Message, int, Speaker]] = []
    if systems:
        text = "\n\n".join(one.text for one in systems)
        found.append((Message("system", text), systems[0].turn.place, "system"))
    elif rest[0].turn.speaker == "assistant":
        # The template writes USER before the first message, whoever it is from.
        found.append((Message("user", ""), -1, "system"))
    for one in rest:
        role = _ROLE[one.turn.speaker]
        message = Message("user" if role == "system" else role, one.text)
        found.append((message, one.turn.place, one.turn.speaker))
    messages, places, speakers = zip(*found)
    return Conversation(messages, places, speakers, notes)


def _leading(shown: list[_Shown]) -> list[_Shown]:
    """The system messages at the beginning."""
    number = next((n for n, one in enumerate(shown) if one.turn.speaker != "system"), len(shown))
    return shown[:number]


def _counted(what: str, number: int) -> str:
    """``an image``, ``2 images``."""
    return what if number == 1 else f"{number} {what.split(maxsplit=1)[1]}s"
