"""How llama-server is asked: its own /completion, with the question as token ids, for one token.

It gives the likeliest tokens, as many as it is asked for, before any sampler has touched them.
Where one that may follow is not among the first few hundred, all of the vocabulary is asked for:
some megabytes, and no guess.

Source: tools/server/README.md and server-task.cpp of llama.cpp, as llama-cpp-python 0.3.36 carries
it. No text is judged here.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeguard.remote.connection import Request
from edgeguard.remote.next_token import NextToken, next_token
from edgeguard.remote.server import at, check_count, entries

KIND = "llama-server"
_TOP = 512
_FIELDS = ("completion_probabilities", "tokens_evaluated", "truncated")


class LlamaServer:
    """llama-server, and the model that it serves; ``n_vocab`` is how many tokens that has."""

    kind = KIND

    def __init__(self, model: str, n_vocab: int) -> None:
        self._model = model
        self._n_vocab = n_vocab

    def tokenize(self, text: str) -> Request:
        """The server's own tokens of a text."""
        return Request("/tokenize", {"content": text, "add_special": False, "parse_special": True})

    def asks(self, tokens: Sequence[int], wanted: Sequence[int]) -> list[Request]:  # noqa: ARG002
        """The likeliest tokens, and then all."""
        return [self._ask(tokens, top) for top in (_TOP, self._n_vocab)]

    def _ask(self, tokens: Sequence[int], top: int) -> Request:
        body = {
            "model": self._model,
            "prompt": list(tokens),
            "n_predict": 1,
            "n_probs": top,
            "temperature": 0.0,
            "cache_prompt": True,
            "response_fields": list(_FIELDS),
        }
        return Request("/completion", body)

    def read(self, answer: object, tokens: Sequence[int]) -> NextToken:
        """The log probabilities of the first token after the question."""
        check_count(at(answer, "tokens_evaluated"), tokens)
        listed = entries(answer, "completion_probabilities", 0, "top_logprobs")
        return next_token(
            [(at(entry, "id"), at(entry, "logprob")) for entry in listed],
            is_top=len(listed) < self._n_vocab,
        )
