"""The names of the Qwen3Guard-Gen protocol: modes, severities, categories, refusal.

All other modules take the names from here, so that each is spelled only once. The order is that of
the official question text. Source: Qwen3Guard Technical Report (arXiv:2510.14276), section 2, and
the model card.

This module does not know how a question or an answer is written.
"""

from __future__ import annotations

from typing import Literal

PROTOCOL = "qwen3guard-gen"
"""Name of the protocol, written into the metadata of converted files."""

Mode = Literal["prompt", "response"]
"""What is judged: the last user message, or the last assistant message."""

Severity = Literal["Safe", "Unsafe", "Controversial"]
Refusal = Literal["Yes", "No"]

MODES: tuple[Mode, ...] = ("prompt", "response")
SAFE: Severity = "Safe"
UNSAFE: Severity = "Unsafe"
CONTROVERSIAL: Severity = "Controversial"

SEVERITIES: tuple[Severity, ...] = (SAFE, UNSAFE, CONTROVERSIAL)
"""In the order in which the question offers them."""

SEVERITY_RANK: dict[Severity, int] = {SAFE: 0, CONTROVERSIAL: 1, UNSAFE: 2}
"""How bad each severity is; the worst of several windows counts."""

REFUSALS: tuple[Refusal, ...] = ("Yes", "No")
NO_CATEGORY = "None"

JAILBREAK = "Jailbreak"
CATEGORIES: tuple[str, ...] = (
    "Violent",
    "Non-violent Illegal Acts",
    "Sexual Content or Sexual Acts",
    "PII",
    "Suicide & Self-Harm",
    "Unethical Acts",
    "Politically Sensitive Topics",
    "Copyright Violation",
    JAILBREAK,
)


def categories(mode: Mode) -> tuple[str, ...]:
    """The categories that can be named in a mode: Jailbreak exists for prompts only."""
    return CATEGORIES if mode == "prompt" else CATEGORIES[:-1]
