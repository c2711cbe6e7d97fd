"""What is asked: prompts and responses of three lengths, and the answers everybody must give.

The texts are made of everyday words and differ in every round, so that no cache can know more of
them than the start that all questions share. The weights are random, so the answer is given
beforehand: each contestant's logits are pushed towards it, and all write the same tokens.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.names import CATEGORIES, REFUSALS, SAFE, UNSAFE, Mode

_WORDS = tuple(
    "garden window bread river letter morning paper bridge music kitchen winter apple train "  # noqa: SIM905
    "market yellow quiet river summer carpet lemon walk read write paint cook plant travel learn"
    "".split()
)


@dataclass(frozen=True)
class Case:
    """One kind of question with its answer; ``words`` is the length of the judged text."""

    name: str
    mode: Mode
    words: int
    answer: Answer

    def messages(self, number: int) -> list[dict[str, str]]:
        """The conversation of one round."""
        text = _text(self.words, f"{self.name} {number}")
        if self.mode == "prompt":
            return [{"role": "user", "content": text}]
        prompt = _text(10, f"prompt of {self.name} {number}")
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]

    @property
    def answer_text(self) -> str:
        """The answer in the model's own format."""
        return write(self.answer)


def _text(words: int, seed: str) -> str:
    chance = random.Random(seed)
    return " ".join(chance.choice(_WORDS) for _ in range(words))


_SAFE = Answer(SAFE, (), None)
_FLAGGED = Answer(UNSAFE, (CATEGORIES[0],), None)
_REFUSED = Answer(SAFE, (), REFUSALS[0])

CASES = (
    *(Case(f"prompt of {n} words, Safe", "prompt", n, _SAFE) for n in (10, 100, 1000)),
    *(Case(f"prompt of {n} words, Unsafe", "prompt", n, _FLAGGED) for n in (10, 100, 1000)),
    *(Case(f"response of {n} words, refusal", "response", n, _REFUSED) for n in (10, 100, 1000)),
)
