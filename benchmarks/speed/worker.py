"""One contestant in a process of its own: a line of JSON in, a line of JSON out.

    python benchmarks/speed/worker.py edgeguard|llama-cpp-python|transformers MODEL THREADS

A request names an operation and its arguments; an answer holds seconds and what else was asked.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def memory() -> dict[str, float]:
    """Resident memory of this process in MB (1e6 bytes): now, and at its highest."""
    fields = dict(x.split(":", 1) for x in Path("/proc/self/status").read_text().splitlines())
    sizes = {name: int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM")}
    return {"now": sizes["VmRSS"], "peak": sizes["VmHWM"]}


class Edgeguard:
    """The guard itself; only the choice of the answer is taken from the model."""

    def __init__(self, model: str, threads: int) -> None:
        from edgeguard.conversation import read_messages
        from edgeguard.decoder import Decoder
        from edgeguard.guard import Guard
        from edgeguard.session.llama import LlamaSession
        from edgeguard.session.settings import Settings
        from edgeguard.tokens import QuestionTokenizer

        self._read = read_messages
        self._session = LlamaSession(Path(model), settings=Settings(threads), n_ctx=8192)
        self._steered = Steered(self._session)
        self._guard = Guard.with_session(self._steered, allow_random_weights=True)
        self._tokenizer = QuestionTokenizer(self._session)
        self._room = Decoder(self._session).room

    def tokens(self, messages: list[dict[str, str]], answer: str) -> dict[str, Any]:
        """Token ids of a question and of the answer, for the other contestants."""
        question = self._tokenizer.question(self._read(messages).messages)
        ids = [*self._session.tokenize(answer), self._session.end_tokens[0]]
        return {"question": list(question.tokens), "fixed": question.prefix, "answer": ids}

    def check(self, messages: list[dict[str, str]], answer: str) -> dict[str, Any]:
        self._steered.script = self._session.tokenize(answer)
        start = time.perf_counter()
        verdict = self._guard.check_messages(messages)
        seconds = time.perf_counter() - start
        assert verdict.answer == answer, "the answer was not steered"
        return {"seconds": seconds, "later": self._steered.later}

    def plain(self, text: str) -> dict[str, Any]:
        """A check of what the model itself answers."""
        self._steered.script = None
        start = time.perf_counter()
        self._guard.check(text)
        return {"seconds": time.perf_counter() - start}

    def many(self, number: int, answer: str) -> dict[str, Any]:
        """Checks in a row: medians of the first and the last fifth, memory before and after."""
        times, part = [], number // 5
        for n in range(number):
            messages = [{"role": "user", "content": f"Is {n} an even number, or is it odd?"}]
            times.append(self.check(messages, answer)["seconds"])
            if n == part:
                before = memory()["now"]
        first, last = statistics.median(times[:part]), statistics.median(times[-part:])
        return {"first": first, "last": last, "before": before, "after": memory()["now"]}


class Steered:
    """A session whose logits are pushed towards a scripted answer; everything is computed."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._end = session.control_token("</think>")
        self.script: list[int] | None = None
        self.later: list[int] = []  # tokens of each pass after the first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def read(self, tokens: Sequence[int], **how: Any) -> Any:
        self.later, self._ahead = [], list(how.get("ahead", ()))
        written = len(tokens) - 2 - max(i for i, t in enumerate(tokens) if t == self._end)
        self._written = written
        return self._push(self._session.read(tokens, **how))

    def extend(self, tokens: Sequence[int], *, back: int = 0, **how: Any) -> Any:
        self._written -= back
        if list(tokens) != self._ahead:
            self.later.append(len(tokens))
        self._written += len(tokens)
        return self._push(self._session.extend(tokens, back=back, **how))

    def _push(self, logits: Any) -> Any:
        if self.script is not None:
            script = [*self.script, self._session.end_tokens[0]]
            logits[script[self._written]] += 1e4
        return logits


class LlamaCppPython:
    """`llama_cpp.Llama` with the answer language as a GBNF grammar."""

    def __init__(self, model: str, threads: int) -> None:
        from llama_cpp import Llama

        self._llama = Llama(
            model, n_ctx=2048, n_batch=512, n_threads=threads, flash_attn=True, verbose=False
        )

    def check(
        self, question: list[int], answer: list[int], grammar: str, reuse: bool
    ) -> dict[str, Any]:
        from llama_cpp.llama_grammar import LlamaGrammar

        parsed = LlamaGrammar.from_string(grammar, verbose=False)
        if not reuse:
            self._llama.reset()  # type: ignore[no-untyped-call]
        start = time.perf_counter()
        self._llama.create_completion(
            question,
            max_tokens=len(answer),
            temperature=0.0,
            grammar=parsed,
            logit_bias={str(token): 100.0 for token in answer},  # type: ignore[misc]
        )
        return {"seconds": time.perf_counter() - start}


class Transformers:
    """The model card's recipe: generate, greedy, in float32."""

    def __init__(self, model: str, threads: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        self._torch = torch
        self._model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)

    def check(self, question: list[int], answer: list[int]) -> dict[str, Any]:
        ids = self._torch.tensor([question])
        number = len(answer)
        start = time.perf_counter()
        with self._torch.inference_mode():
            self._model.generate(
                ids,
                attention_mask=self._torch.ones_like(ids),
                max_new_tokens=number,
                min_new_tokens=number,
                do_sample=False,
            )
        return {"seconds": time.perf_counter() - start}


CONTESTANTS = {
    "edgeguard": Edgeguard,
    "llama-cpp-python": LlamaCppPython,
    "transformers": Transformers,
}


def main() -> None:
    kind, model, threads = sys.argv[1:]
    out, sys.stdout = sys.stdout, sys.stderr
    contestant = CONTESTANTS[kind](model, int(threads))
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        operation = request.pop("operation")
        answer = memory() if operation == "memory" else getattr(contestant, operation)(**request)
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
