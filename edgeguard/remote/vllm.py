"""How vLLM is asked: /v1/completions, with the question as token ids, for one token.

``logprob_token_ids`` has it give the log probabilities of just those tokens (its pull request
43463, of July 2026). A server that does not know that field passes over it, and gives those of the
likeliest, at most as many as its --max-logprobs says. Either list names tokens by their ids
(``return_tokens_as_token_ids``). Temperature and the rest are set so that they change nothing where
a server is told to give processed log probabilities.

Source: vllm/entrypoints/openai/completion/protocol.py, as of November 2026. No text is judged here.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeguard.remote.connection import Request
from edgeguard.remote.next_token import NextToken, next_token
from edgeguard.remote.server import at, check_count, entries, missing

KIND = "vllm"
TOPS = (200, 20)
"""How many of the likeliest tokens are asked for; vLLM gives 20 unless it is started otherwise."""
_ID = "token_id:"
_NEUTRAL = {
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
}


class Vllm:
    """vLLM, and the model that it serves."""

    kind = KIND

    def __init__(self, model: str, top: int = TOPS[-1]) -> None:
        self._model = model
        self._top = top

    def tokenize(self, text: str) -> Request:
        """The server's own tokens of a text."""
        body = {"model": self._model, "prompt": text, "add_special_tokens": False}
        return Request("/tokenize", body)

    def asks(self, tokens: Sequence[int], wanted: Sequence[int]) -> list[Request]:
        """One request."""
        body = {
            "model": self._model,
            "prompt": list(tokens),
            "max_tokens": 1,
            "logprobs": self._top,
            "logprob_token_ids": list(wanted),
            "return_tokens_as_token_ids": True,
            **_NEUTRAL,
        }
        return [Request("/v1/completions", body)]

    def read(self, answer: object, tokens: Sequence[int]) -> NextToken:
        """The log probabilities of the first token after the question."""
        check_count(at(answer, "usage", "prompt_tokens"), tokens)
        listed = at(answer, "choices", 0, "logprobs", "top_logprobs", 0)
        if not isinstance(listed, dict):
            raise missing("top_logprobs")
        # The token that was chosen is one of the list, or stands beside it: then it is the last.
        return next_token(
            [(_token(name), value) for name, value in listed.items()],
            is_top=len(entries(answer, "choices")) == 1 and len(listed) >= self._top,
        )


def _token(name: str) -> int | str:
    """The id in ``token_id:151645``; what is no id stays what it is, and is refused later."""
    number = name.removeprefix(_ID)
    return int(number) if name.startswith(_ID) and number.isdecimal() else name
