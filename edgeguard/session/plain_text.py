"""Keeps a text plain where llama.cpp would read parts of it as special tokens.

`llama_tokenize` with parse_special = false ignores control tokens, but still turns the text of a
token of type USER_DEFINED (`<think>`, `<tool_call>`, … in Qwen3's vocabulary) into its one id. So a
text that contains such a word is tokenized in parts, cut inside the word. The cut comes after the
word's last letter: the pre-tokenizer always ends a run of letters there, so the ids are those of
the whole text under a tokenizer without added tokens.

This module does not tokenize.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise


class PlainText:
    """Cuts texts so that none of the given words is ever passed on whole."""

    def __init__(self, words: Iterable[str]) -> None:
        ordered = sorted({word for word in words if len(word) > 1}, key=len, reverse=True)
        # The lookahead also finds overlapping words; of words with the same start, the longest.
        pattern = "|".join(re.escape(word) for word in ordered)
        self._words = re.compile(f"(?=({pattern}))") if ordered else None

    def parts(self, text: str) -> list[str]:
        """The text in order, in as few parts as needed; joined, they are the text again."""
        if self._words is None:
            return [text]
        cuts = sorted({match.start() + _inside(match[1]) for match in self._words.finditer(text)})
        edges = [0, *cuts, len(text)]
        return [text[start:end] for start, end in pairwise(edges)]


def _inside(word: str) -> int:
    """Where to cut a word: after its last letter if something follows it, else after its first."""
    for position in range(len(word) - 1, 0, -1):
        if word[position - 1].isalpha() and not word[position].isalpha():
            return position
    return 1
