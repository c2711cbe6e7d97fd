"""How Qwen3Guard-Stream is shown a conversation, and what its heads answer.

The model is asked no question: the conversation is written as Qwen3's own chat template writes it,
and two pairs of heads label tokens. The query heads judge the user's last message, at its
``<|im_end|>`` alone; the response heads judge every token of the assistant's answer.

Sources: the model card and the report (arXiv:2510.14276). The order of the labels is that of the
maps in the checkpoint's config.json, which the converter compares with these.

This module knows no tokens and no numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import (
    CATEGORIES,
    CONTROVERSIAL,
    JAILBREAK,
    SAFE,
    UNSAFE,
    Mode,
    Severity,
)
from edgeguard.protocol.question import IM_END, IM_START, THINK_END, THINK_START, Control, Piece

PROTOCOL = "qwen3guard-stream"
"""Name of the protocol, written into the metadata of converted files."""

RISKS: tuple[Severity, ...] = (SAFE, UNSAFE, CONTROVERSIAL)
"""By the index that the risk heads give."""

RESPONSE_CATEGORIES: tuple[str, ...] = tuple(
    # Violent, Sexual, Suicide, Political, PII, Copyright, Non-violent, Unethical
    CATEGORIES[place]
    for place in (0, 2, 4, 6, 3, 7, 1, 5)
)
QUERY_CATEGORIES: tuple[str, ...] = (*RESPONSE_CATEGORIES, JAILBREAK)
"""By the index that the category heads give."""

MAPS: Mapping[str, tuple[str, ...]] = {
    "response_risk_level_map": RISKS,
    "response_category_map": RESPONSE_CATEGORIES,
    "query_risk_level_map": RISKS,
    "query_category_map": QUERY_CATEGORIES,
}
"""The maps in config.json, by their names there."""

ANSWER_START = "\n\n"
"""Precedes an answer's own text; the tokenizer treats both as one text."""

_BEFORE_ANSWER: tuple[Piece, ...] = (IM_START, "assistant\n", THINK_START, "\n\n", THINK_END)
"""An empty think block: the answer's header, which is never judged."""


def categories(mode: Mode) -> tuple[str, ...]:
    """The categories of a side, by their index in its head's output."""
    return QUERY_CATEGORIES if mode == "prompt" else RESPONSE_CATEGORIES


def conversation(messages: tuple[Message, ...]) -> tuple[Piece, ...]:
    """A conversation that ends with the user, up to the ``<|im_end|>`` at which it is judged."""
    pieces: list[Piece] = []
    for message in messages:
        pieces += [IM_START, f"{message.role}\n{message.content}", IM_END, "\n"]
    return tuple(pieces[:-1])


def before_answer() -> tuple[Piece, ...]:
    """The text between a judged conversation and the sequence that ANSWER_START begins."""
    return ("\n", *_BEFORE_ANSWER)


def after_answer() -> tuple[Piece, ...]:
    """The text that ends an answer; the authors' evaluation judges its two tokens as well."""
    return (IM_END, "\n")


def answer_text(text: str) -> str:
    """An answer as the template writes it: without leading line breaks."""
    return text.lstrip("\n")


def render(messages: tuple[Message, ...]) -> str:
    """The whole text, as ``apply_chat_template(..., add_generation_prompt=False)`` returns it."""
    if messages[-1].role == "user":
        pieces = (*conversation(messages), "\n")
    else:
        answer = ANSWER_START + answer_text(messages[-1].content)
        pieces = (*conversation(messages[:-1]), *before_answer(), answer, *after_answer())
    return "".join(piece.text if isinstance(piece, Control) else piece for piece in pieces)
