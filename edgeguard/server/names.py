"""Which model names a request may give.

Clients use the model's name from the place where they got it: Hugging Face, Ollama, LM Studio, a
file. Every name of Qwen3Guard-Gen in the loaded size, or without a size, is accepted; so are the
names given with `--alias`, or any name with `--any-model`. Another size or a Stream model is
refused, because its verdicts would differ. Answers name the model that is served, whatever the
client called it.

This module loads nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIZE = "0.6"
"""Billions of parameters of a model whose name gives none."""
_FAMILY = re.compile(r"qwen[-_ .]?3[-_ .]?guard(?![a-z])")
_SIZES = re.compile(r"(?<![\d.])(\d+(?:[._]\d+)?)b(?![a-z])")
_OTHERS = ("stream", "guardtest", "reranker", "embedding")
_MODERATION = re.compile(r"(?:openai/)?(?:omni|text)-moderation(?:-[\w.-]+)?")


@dataclass(frozen=True)
class Names:
    """The names of one server."""

    aliases: tuple[str, ...] = ()
    any_model: bool = False

    def listed(self, loaded: str) -> tuple[str, ...]:
        """What `/v1/models` shows: the model's own name, the official ones, the aliases."""
        official = f"Qwen3Guard-Gen-{size_of(loaded)}B"
        return tuple(dict.fromkeys((loaded, f"Qwen/{official}", official, *self.aliases)))

    def serve(self, name: str | None, loaded: str, *, moderation: bool = False) -> bool:
        """Whether a request that gives a name is answered by the loaded model.

        ``moderation``: OpenAI's names of moderation models will do too.
        """
        if name is None or self.any_model or _same(name, self.listed(loaded)):
            return True
        return is_guard(name, size_of(loaded)) or (moderation and is_moderation(name))


def is_guard(name: str, size: str = _SIZE) -> bool:
    """Whether a name is one of Qwen3Guard-Gen in a size, or in none."""
    plain = name.strip().lower()
    if not _FAMILY.search(plain) or any(other in plain for other in _OTHERS):
        return False
    return all(found.replace("_", ".") == size for found in _SIZES.findall(plain))


def is_moderation(name: str) -> bool:
    """Whether a name is one of OpenAI's moderation models, of today or of the past."""
    return _MODERATION.fullmatch(name.strip().lower()) is not None


def size_of(loaded: str) -> str:
    """The size in a loaded model's name."""
    found = _SIZES.search(loaded.lower())
    return found[1].replace("_", ".") if found else _SIZE


def _same(name: str, known: tuple[str, ...]) -> bool:
    """Ollama's clients add `:latest` to a name without a tag."""
    return name in known or name.removesuffix(":latest") in known
