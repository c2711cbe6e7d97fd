"""ChatML: ``<|im_start|>role``, a line break, the text, ``<|im_end|>``, as programs log prompts.

ChatML has no escaping: marks inside a text cannot be told from real ones, so such a text is read as
several messages. A last ``<|im_start|>assistant`` with nothing after it asks for an answer and is
not a message. Text outside the marks is an error.
"""

from __future__ import annotations

import re

from edgeguard.errors import InputError

START, END = "<|im_start|>", "<|im_end|>"
_AFTER = re.compile(r"(?:\s|<\|endoftext\|>)*")


def is_chatml(text: str) -> bool:
    """Whether a text begins like ChatML."""
    return text.lstrip().startswith(START)


def messages_of(text: str) -> list[object]:
    """The messages, with ``role`` and ``content``. Raises InputError for any other text."""
    if not is_chatml(text):
        raise InputError(f"the text is not ChatML: it does not begin with {START}")
    found: list[object] = []
    pieces = text.lstrip().split(START)[1:]
    for number, piece in enumerate(pieces, 1):
        head, line, body = piece.partition("\n")
        content, end, after = body.partition(END)
        if END in head or (not end and number < len(pieces)) or not _AFTER.fullmatch(after):
            raise InputError(f"the text is not ChatML: message {number} does not end where it must")
        asks = number == len(pieces) > 1 and not end and not content.strip()
        if not asks:
            role = head.split(maxsplit=1)
            found.append({"role": role[0] if line and role else None, "content": content})
    return found
