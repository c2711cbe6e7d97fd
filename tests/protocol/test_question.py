"""The question text equals the published rendering, and bad conversations are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeguard.errors import InputError
from edgeguard.protocol.messages import parse_messages
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
    assert render(parse_messages(messages)) == golden


def test_every_role_is_labelled_as_the_template_labels_it() -> None:
    messages = parse_messages(
        [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "A"},
            {"role": "assistant", "content": "B"},
            {"role": "user", "content": "C"},
            {"role": "user", "content": "D"},
        ]
    )
    assert conversation(messages) == "USER: S\n\nA\n\nASSISTANT: B\n\nUSER: C\n\nUSER: D"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "no message"),
        ("text", "must be a list"),
        ({"role": "user"}, "must be a list"),
        (["text"], "message 1 is not an object"),
        ([{"role": "tool", "content": "x"}], "known roles"),
        ([{"role": ["user"], "content": "x"}], "known roles"),
        ([{"role": "user"}], "NoneType"),
        ([{"role": "user", "content": [{"type": "text"}]}], "list"),
        ([{"role": "user", "content": "x"}, {"role": "user", "content": 3}], "message 2"),
        ([{"role": "assistant", "content": "x"}], "starts with"),
        ([USER, {"role": "system", "content": "x"}], "only the first"),
        ([{"role": "system", "content": "x"}], "last message is a system message"),
        ([{"role": "user", "content": "ab\ud83d"}], "U\\+D83D at character 2"),
    ],
)
def test_what_cannot_be_judged_is_an_error_that_says_why(messages: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_messages(messages)  # type: ignore[arg-type]


def test_an_error_never_quotes_the_content() -> None:
    with pytest.raises(InputError) as caught:
        parse_messages([{"role": "user", "content": "a secret \udc00"}])
    assert "secret" not in str(caught.value)
