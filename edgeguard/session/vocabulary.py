"""The vocabulary of a loaded model: from text to token ids and back.

This module computes nothing and does not know what a question is.
"""

from __future__ import annotations

import ctypes
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

from edgeguard.errors import SessionError
from edgeguard.session.interface import VocabularyFacts
from edgeguard.session.library import lib, load_vocabulary
from edgeguard.session.plain_text import PlainText
from edgeguard.session.stop_flag import StopFlag


class Vocabulary:
    """Tokenizes with llama.cpp; a text is always plain text."""

    def __init__(self, model: Any, facts: VocabularyFacts | None = None) -> None:
        """``facts``: what an earlier load of this file found; wrong ones are found out."""
        self._vocab = lib.llama_model_get_vocab(model)
        self.size = int(lib.llama_vocab_n_tokens(self._vocab))
        special = (self._remembered(facts) if facts else None) or self._special()
        self.special = tuple(sorted(special))
        self.end_tokens = tuple(
            sorted(token for token in special if lib.llama_vocab_is_eog(self._vocab, token))
        )
        self._plain = PlainText(
            self._text(token)
            for token, attributes in special.items()
            if attributes & lib.LLAMA_TOKEN_ATTR_USER_DEFINED
        )

    def tokenize(self, text: str) -> list[int]:
        """The ids of a plain text, special tokens in it spelled out like any other word."""
        return [token for part in self._plain.parts(text) for token in self._ids(part, False)]

    def control_token(self, text: str) -> int | None:
        """The id of a control token by its text; None if the vocabulary has no such token."""
        ids = self._ids(text, True)
        return ids[0] if len(ids) == 1 and self._text(ids[0]) == text else None

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for a control token."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            written = lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if written >= 0:
                return buffer.raw[:written]
            size = -written

    def _ids(self, text: str, special: bool) -> list[int]:
        data = text.encode("utf-8")
        room = len(data) + 8
        buffer = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocab, data, len(data), buffer, room, False, special)
        if count < 0:
            raise SessionError(f"llama.cpp cannot tokenize a text of {len(data)} bytes")
        return list(buffer[:count])

    def _text(self, token: int) -> str:
        return str((lib.llama_vocab_get_text(self._vocab, token) or b"").decode("utf-8", "replace"))

    def _special(self) -> dict[int, int]:
        """The tokens that are no ordinary text, with their attributes.

        Looked for once: the question is asked of each of 150,000 tokens.
        """
        found = list(map(_attributes_of(), repeat(self._vocab), range(self.size)))
        ordinary = lib.LLAMA_TOKEN_ATTR_NORMAL
        special = {token: attr for token, attr in enumerate(found) if attr != ordinary}
        return special | {end: found[end] for end in self._named_ends()}

    def _remembered(self, facts: VocabularyFacts) -> dict[int, int] | None:
        """The same, of tokens found before; None where they cannot be this vocabulary's."""
        if facts.size != self.size or not all(0 <= token < self.size for token in facts.special):
            return None
        found = {token: _attributes_of()(self._vocab, token) for token in facts.special}
        ends = self._named_ends()
        named = all(found[t] != lib.LLAMA_TOKEN_ATTR_NORMAL or t in ends for t in found)
        return found if named and ends <= found.keys() else None

    def _named_ends(self) -> set[int]:
        """The tokens that a file names as the end, whatever it says they are."""
        ends = {lib.llama_vocab_eos(self._vocab), lib.llama_vocab_eot(self._vocab)}
        return {int(end) for end in ends if 0 <= end < self.size}


@cache
def _attributes_of() -> Any:
    """llama_vocab_get_attr, called without letting other threads run: that takes a third less."""
    known = lib.llama_vocab_get_attr
    ask = ctypes.PyDLL(lib._lib._name, handle=lib._lib._handle).llama_vocab_get_attr
    ask.argtypes, ask.restype = known.argtypes, known.restype
    return ask


class LoadedVocabulary(Vocabulary):
    """That of a file of which nothing else is loaded. ``close`` it."""

    def __init__(self, path: Path, flag: StopFlag, facts: VocabularyFacts | None = None) -> None:
        """Raises ModelError for a file that llama.cpp refuses, CancelledError."""
        self._model = load_vocabulary(path, flag)
        super().__init__(self._model, facts)

    def close(self) -> None:
        """Free the memory; calling it again does nothing."""
        model, self._model = self._model, None
        if model is not None:
            lib.llama_model_free(model)
