"""The fake model of these tests: unsafe is what says so, in the category that it names."""

from __future__ import annotations

import re


def scripted(question: str) -> str:
    """The answer to a question: `unsafe (PII)` is unsafe for PII, and `unsafe` is Violent."""
    conversation = question.partition("<BEGIN CONVERSATION>")[2].partition("<END CONVERSATION>")[0]
    answer = "Safety: Safe\nCategories: None"
    if found := re.search(r"unsafe(?: \(([^)]+)\))?", conversation):
        answer = f"Safety: Unsafe\nCategories: {found[1] or 'Violent'}"
    is_response = "ASSISTANT: " in conversation.rpartition("USER: ")[2]
    return f"{answer}\nRefusal: No" if is_response else answer
