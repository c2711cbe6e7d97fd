"""A text without its disguises."""

from __future__ import annotations

from edgeguard.protocol.messages import Message


def normalised(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages without their disguises."""
    return messages
