"""How SGLang is asked: its own /generate, with the question as token ids, for one token.

``token_ids_logprob`` has it give the log probabilities of just the tokens that may follow. Greedy
sampling (temperature 0) has them computed from the logits as they are.

Source: GenerateReqInput in sglang/srt/managers/io_struct.py and add_logprob_to_meta_info in
tokenizer_manager.py of SGLang 0.5.23. No text is judged here.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeguard.remote.connection import Request
from edgeguard.remote.next_token import NextToken, next_token
from edgeguard.remote.server import at, check_count, entries, missing

KIND = "sglang"
_SAMPLING = {"max_new_tokens": 1, "temperature": 0.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0}


class Sglang:
    """SGLang, and the model that it serves."""

    kind = KIND

    def __init__(self, model: str) -> None:
        self._model = model

    def tokenize(self, text: str) -> Request:
        """The server's own tokens of a text."""
        body = {"model": self._model, "prompt": text, "add_special_tokens": False}
        return Request("/tokenize", body)

    def asks(self, tokens: Sequence[int], wanted: Sequence[int]) -> list[Request]:
        """One request."""
        body = {
            "input_ids": list(tokens),
            "sampling_params": _SAMPLING,
            "return_logprob": True,
            "logprob_start_len": -1,
            "token_ids_logprob": list(wanted),
        }
        return [Request("/generate", body)]

    def read(self, answer: object, tokens: Sequence[int]) -> NextToken:
        """The log probabilities of the first token after the question."""
        check_count(at(answer, "meta_info", "prompt_tokens"), tokens)
        listed = entries(answer, "meta_info", "output_token_ids_logprobs", 0)
        return next_token([_pair(entry) for entry in listed], is_top=False)


def _pair(entry: object) -> tuple[object, object]:
    """The id and the log probability in ``[logprob, id, text]``."""
    if not isinstance(entry, list) or len(entry) < 2:
        raise missing("output_token_ids_logprobs")
    return entry[1], entry[0]
