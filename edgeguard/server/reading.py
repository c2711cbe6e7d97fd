"""From the messages of a request to the conversations that the model is asked about.

If one conversation cannot be judged, only that one gets an error, not the whole request. This
module knows no form of a request, and judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeguard.conversation.reader import read_messages
from edgeguard.conversation.value import Conversation
from edgeguard.errors import InputError
from edgeguard.server.http_errors import HttpError, translate
from edgeguard.server.settings import MAX_TEXTS
from edgeguard.worker.job import Text

Options = Mapping[str, object]
"""Keyword options of Guard.begin."""
NO_OPTIONS: Options = {}
Messages = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Reading:
    """How messages are read, and which of them are judged; see Guard.check_turns."""

    strict_messages: bool = False
    tool_calls: bool = False
    skip_media: bool = False
    judge: Literal["last", "exchange", "each"] = "last"


PLAIN = Reading()
WITH_CALLS = Reading(tool_calls=True)
"""Where an answer has no place for what was passed over, nothing is."""


@dataclass(frozen=True)
class Asked:
    """One text of a request: where it stands, and what is judged or why it cannot be."""

    param: str
    text: Text | HttpError


def asked(
    messages: Messages, param: str, options: Options = NO_OPTIONS, reading: Reading = PLAIN
) -> list[Asked]:
    """What is judged of a conversation: its last message, unless ``reading`` says more."""
    try:
        found = _conversations(messages, reading)
    except InputError as error:
        return [Asked(param, translate(error, param))]
    if len(found) > MAX_TEXTS:
        too_many = f"{param}: {len(found)} messages, and at most {MAX_TEXTS} are judged at once"
        return [Asked(param, HttpError(400, too_many, code="invalid_value", param=param))]
    # Alone, a message gets the same bits whoever asked before.
    return [Asked(param, Text(one, {"fresh": len(one.messages) == 1, **options})) for one in found]


def asked_prompt(text: str, param: str, options: Options = NO_OPTIONS) -> list[Asked]:
    """A prompt alone."""
    return asked([{"role": "user", "content": text}], param, options)


def asked_response(
    prompt: str, text: str, param: str, options: Options = NO_OPTIONS
) -> list[Asked]:
    """A response, and the prompt that it answers; "" where that is not known."""
    answer = {"role": "assistant", "content": text}
    return asked([{"role": "user", "content": prompt}, answer], param, options)


def _conversations(messages: Messages, reading: Reading) -> list[Conversation]:
    """Each ends with a message that is judged. Raises InputError."""
    read = read_messages(
        messages,
        strict=reading.strict_messages,
        tool_calls=reading.tool_calls,
        skip_media=reading.skip_media,
    )
    return read.judged(reading.judge)
