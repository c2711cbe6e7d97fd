"""The plain way to an answer: what every fast way is held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import SEVERITIES
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings
from edgeguard.tokens import QuestionTokenizer


class PlainRun:
    """The plain way: a fresh context, every token sampled, llama.cpp's grammar in force."""

    def __init__(self, path: Path) -> None:
        self.session = LlamaSession(path, settings=Settings(threads=1))
        self.tokenizer = QuestionTokenizer(self.session)

    def answer(self, messages: tuple[Message, ...], grammar: str) -> tuple[str, list[float]]:
        """The answer, and the probabilities of the severities in the order of SEVERITIES."""
        question = self.tokenizer.question(messages)
        session = self.session
        session.free_contexts()
        logits = session.read(question.tokens, prefix=0, room=256)
        reading, sampler = session._reading, self._sampler(grammar)
        assert reading is not None
        written, shares = b"", list[float]()
        try:
            while True:
                if written == b"Safety:":
                    shares = self._shares(logits)
                token = int(lib.llama_sampler_sample(sampler, reading.context.handle, -1))
                if token in session.end_tokens:
                    return written.decode(), shares
                written += session.token_bytes(token)
                logits = session.extend([token])
        finally:
            lib.llama_sampler_free(sampler)

    def _sampler(self, grammar: str) -> Any:
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        made = lib.llama_sampler_init_grammar(
            self.session._vocabulary._vocab, grammar.encode(), b"root"
        )
        assert made, "llama.cpp does not read our grammar"
        lib.llama_sampler_chain_add(chain, made)
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
        return chain

    def _shares(self, logits: NDArray[np.float32]) -> list[float]:
        first = [self.session.tokenize(f" {name}")[0] for name in SEVERITIES]
        weights = np.exp(logits[first].astype(np.float64) - logits[first].max())
        return [float(weight) for weight in weights / weights.sum()]
