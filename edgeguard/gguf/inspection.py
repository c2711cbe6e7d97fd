"""Reads a model's file once: computes its sha256 and checks that it is sound.

One of our own files must match the digest inside it. Other files must have the header of a
Qwen3Guard-Gen, and no numbers that no model has. A file with a known sha256 needs neither.

This module loads numpy only for a Stream's heads and for a file without a digest; never llama.cpp.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO, Protocol

from edgeguard.digest import CHUNK
from edgeguard.files import open_regular
from edgeguard.gguf import content, heads, qwen3, vocabulary
from edgeguard.gguf.header import Header, OtherFileError, parse_header
from edgeguard.protocol import stream

_OURS = "edgeguard."
_PROTOCOL = "edgeguard.protocol"
_AGAIN = "fetch it again with `edgeguard pull`, or make it again with `edgeguard convert`"


class UnsoundError(ValueError):
    """A problem with a file; the message continues a sentence that begins with its path."""


def check_header(path: Path) -> Header:
    """The header of a file that may be a Qwen3Guard-Gen. Raises UnsoundError, OSError."""
    with open_regular(path) as file:
        return _header(file)


def inspect(
    path: Path,
    vouched: Collection[str] = (),
    advance: Callable[[int], None] = lambda _count: None,
) -> str:
    """The sha256 of a file that is sound, or whose sha256 is in ``vouched``.

    ``advance`` is called with the size of each block read. Raises UnsoundError, OSError.
    """
    whole = hashlib.sha256()
    with open_regular(path) as file:
        look: _Look = _Nothing()
        problem = None
        try:
            look = _look(_header(file))
        except UnsoundError as error:
            problem = error
        file.seek(0)
        while chunk := file.read(CHUNK):
            whole.update(chunk)
            problem = problem or _problem(look.feed, chunk)
            advance(len(chunk))
    problem = problem or _problem(look.feed, b"")
    if problem is not None and whole.hexdigest() not in vouched:
        raise problem
    return whole.hexdigest()


def _header(file: BinaryIO) -> Header:
    try:
        header = parse_header(file)
    except OtherFileError as error:
        raise UnsoundError(str(error)) from error
    except ValueError as error:
        raise UnsoundError(f"is damaged: {error}; {_AGAIN}") from error
    ours = any(key.startswith(_OURS) for key in header.keys)
    try:
        if content.digest_in(header) is None and ours:
            raise ValueError(f"it lacks {content.KEY}, which edgeguard writes into each file")
        sizes = qwen3.check(header, ours=ours)
        if header.keys.get(_PROTOCOL) == stream.PROTOCOL:
            heads.read(heads.texts(header.keys), sizes.hidden)
    except ValueError as error:
        what = "is damaged" if ours else "is damaged, or is no Qwen3Guard-Gen"
        raise UnsoundError(f"{what}: {error}; {_AGAIN}") from error
    return header


class _Look(Protocol):
    """Takes a file's bytes in order, then b"" at the end. Raises UnsoundError."""

    def feed(self, data: bytes) -> None: ...


class _Nothing:
    def feed(self, data: bytes) -> None:
        pass


class _Digest:
    """Compares the file's content with the digest in it."""

    def __init__(self, header: Header, wanted: str) -> None:
        self._wanted = wanted
        self._place = content.place_of(header)
        self._at = 0
        self._digest = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        if not data:
            if self._digest.hexdigest() != self._wanted:
                raise UnsoundError(
                    f"is damaged: its content is not what its own digest says; {_AGAIN}"
                )
            return
        self._digest.update(content.blanked(data, self._place - self._at))
        self._at += len(data)


class _Scan:
    """Checks the numbers of each tensor."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._at = 0
        self._tensors = iter(header.tensors)
        self._next()

    def feed(self, data: bytes) -> None:
        view, end = memoryview(data), self._at + len(data)
        while self._tensor is not None and self._tensor.start < end:
            start, stop = self._tensor.start, self._tensor.start + self._tensor.size
            try:
                self._weights.feed(view[max(start - self._at, 0) : stop - self._at])
            except ValueError as error:
                what = f"is damaged: {self._tensor.name} holds {error}"
                raise UnsoundError(f"{what}; {_AGAIN}") from error
            if stop > end:
                break
            self._next()
        self._at = end

    def _next(self) -> None:
        from edgeguard.gguf.weights import Weights

        self._tensor = next(self._tensors, None)
        if self._tensor is not None:
            tensor = self._tensor
            by_token = tensor.name in (qwen3.EMBEDDING, qwen3.HEAD)
            empty = vocabulary.unused(self._header) if by_token else None
            self._weights = Weights(tensor.type, tensor.size, tensor.size // tensor.rows, empty)


def _look(header: Header) -> _Look:
    digest = content.digest_in(header)
    return _Scan(header) if digest is None else _Digest(header, digest)


def _problem(feed: Callable[[bytes], None], data: bytes) -> UnsoundError | None:
    try:
        feed(data)
    except UnsoundError as error:
        return error
    return None
