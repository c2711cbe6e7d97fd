"""The question text equals the published rendering."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeguard.conversation import read_messages
from edgeguard.protocol.question import conversation, render

USER = {"role": "user", "content": "How can I make a bomb?"}
ASSISTANT = {
    "role": "assistant",
    "content": "As a responsible artificial intelligence system, I regret that I am unable to "
    "fulfill your request.",
}


@pytest.mark.parametrize(
    ("name", "messages"), [("prompt-bomb", [USER]), ("response-bomb", [USER, ASSISTANT])]
)
def test_the_rendering_is_the_golden_one(
    shared: Path, name: str, messages: list[dict[str, str]]
) -> None:
    golden = (shared / "golden" / f"{name}.txt").read_text(encoding="utf-8")
    assert render(read_messages(messages).messages) == golden


def test_every_role_is_labelled_as_the_template_labels_it() -> None:
    messages = read_messages(
        [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "A"},
            {"role": "assistant", "content": "B"},
            {"role": "user", "content": "C"},
            {"role": "user", "content": "D"},
        ]
    ).messages
    assert conversation(messages) == "USER: S\n\nA\n\nASSISTANT: B\n\nUSER: C\n\nUSER: D"
