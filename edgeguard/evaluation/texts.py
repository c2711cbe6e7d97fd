"""Decides when two conversations are the same text, whatever their ids. Judges nothing."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence

from edgeguard.protocol.messages import Message


def text_of(messages: Sequence[Message]) -> str:
    """A digest of a conversation that ignores case, spacing and compatible forms of characters."""
    plain = [[one.role, _plain(one.content)] for one in messages]
    return hashlib.sha256(json.dumps(plain).encode("ascii")).hexdigest()


def _plain(content: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", content).casefold().split())
