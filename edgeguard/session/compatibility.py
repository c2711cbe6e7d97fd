"""Compares what a model file says of itself with what the protocol needs.

A file with another tokenizer, another architecture or another purpose would still answer, and the
answer would look like a verdict. So every mismatch is an error when the file is loaded. The chat
template in the file is neither used nor trusted: our code writes the question.

This module cannot notice damaged weights; the sha256 of an installed model can.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, NoReturn

from edgeguard.errors import ModelError
from edgeguard.protocol import stream
from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.names import PROTOCOL, SEVERITIES, categories
from edgeguard.protocol.question import CONTROLS
from edgeguard.session.interface import Session
from edgeguard.session.stream_interface import StreamSession

if TYPE_CHECKING:
    from edgeguard.gguf.heads import Weights

_logger = logging.getLogger(__name__)

ARCHITECTURE = "qwen3"
TOKENIZER = ("gpt2", "qwen2")  # tokenizer.ggml.model and tokenizer.ggml.pre
MIN_CONTEXT = 512
_NAME = re.compile(
    r"(?:[\w.-]+/|qwen[ _-])?qwen3[ _-]?guard[ _-]?gen"
    r"(?:[ _.-](?:\d|gguf|i?q\d|b?f16|instruct).*)?",
    re.IGNORECASE | re.ASCII,
)
"""A name of the family, optionally with its owner before it, and a size or type after it."""
_STREAM_NAME = re.compile(r"qwen3[ _-]?guard[ _-]?stream", re.IGNORECASE | re.ASCII)


def check_compatible(session: Session, path: str) -> None:
    """Raise ModelError, naming the file, unless it can be a Qwen3Guard-Gen."""
    _check_form(session, path)
    _check_purpose(session, path)
    _check_vocabulary(session, path)


def check_stream(session: StreamSession, path: str) -> Weights:
    """The heads of a Qwen3Guard-Stream. Raises ModelError, naming the file, if it cannot be one."""
    from edgeguard.gguf import heads

    _check_form(session, path)
    if session.info.protocol != stream.PROTOCOL:
        _refuse(path, f"it was made for {session.info.protocol!r}", "Qwen3Guard-Stream")
    _check_vocabulary(session, path)
    try:
        return heads.read(session.metadata, session.hidden)
    except ValueError as error:
        _refuse(path, str(error), "Qwen3Guard-Stream")


def is_gen_name(name: str) -> bool:
    """Whether a model's name says Qwen3Guard-Gen."""
    return bool(_NAME.fullmatch(name))


def _check_form(session: Session, path: str) -> None:
    info = session.info
    if info.architecture != ARCHITECTURE:
        _refuse(path, f"its architecture is {info.architecture!r}, not {ARCHITECTURE!r}")
    if (info.tokenizer, info.pre_tokenizer) != TOKENIZER:
        found = f"{info.tokenizer}/{info.pre_tokenizer}"
        _refuse(path, f"its tokenizer is {found}, not {'/'.join(TOKENIZER)}")
    if info.n_ctx_train < MIN_CONTEXT:
        _refuse(path, f"its context of {info.n_ctx_train} tokens is under {MIN_CONTEXT}")


def _check_purpose(session: Session, path: str) -> None:
    """Our converter records the protocol; other files can only be judged by their name."""
    info = session.info
    if info.protocol is not None and info.protocol != PROTOCOL:
        _refuse(path, f"it was made for the protocol {info.protocol!r}, not {PROTOCOL!r}")
    if info.protocol is None:
        if _STREAM_NAME.search(info.name):
            _refuse(
                path,
                f"it calls itself {info.name!r}, and holds no heads: other converters leave them "
                "out, and without them it judges nothing",
            )
        if not is_gen_name(info.name):
            _refuse(path, f"it calls itself {info.name!r}, not Qwen3Guard-Gen")
        _logger.info("no protocol recorded in the file; its name says Qwen3Guard-Gen")


def _check_vocabulary(session: Session, path: str) -> None:
    missing = [c.text for c in CONTROLS if session.control_token(c.text) is None]
    if missing:
        _refuse(path, f"its vocabulary lacks {', '.join(missing)}")
    if not session.end_tokens:
        _refuse(path, "its vocabulary has no end-of-generation token")
    for severity in SEVERITIES:
        text = write(Answer(severity, categories("prompt"), "Yes"))
        ids = session.tokenize(text)
        if b"".join(session.token_bytes(token) for token in ids) != text.encode():
            _refuse(path, "its tokenizer does not give a text back")


def _refuse(path: str, why: str, family: str = "Qwen3Guard-Gen") -> NoReturn:
    raise ModelError(
        f"{path} is not a {family} model that can be trusted: {why}; "
        "make one with `edgeguard pull` or `edgeguard convert`"
    )
