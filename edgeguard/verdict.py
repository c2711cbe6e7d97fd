"""The verdict: what a check returns, immutable, with its published JSON form.

`verdict.schema.json` beside this module is the schema of `to_json()`; a test compares the two. This
module judges nothing and knows no policy; edgeguard.policy does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgeguard.protocol.names import SEVERITIES, Mode, Refusal, Severity

Form = Literal["as written", "normalised"]
"""Which form of the text a verdict is of; see edgeguard.normalise."""


class Probabilities(Mapping[Severity, float]):
    """The probability of each severity; they sum to 1. Immutable."""

    __slots__ = ("_shares",)
    _shares: tuple[float, ...]

    def __init__(self, shares: tuple[float, ...]) -> None:
        """``shares`` are in the order of SEVERITIES."""
        object.__setattr__(self, "_shares", tuple(shares))

    def __getitem__(self, severity: Severity) -> float:
        try:
            return self._shares[SEVERITIES.index(severity)]
        except ValueError:
            raise KeyError(severity) from None

    def __iter__(self) -> Iterator[Severity]:
        return iter(SEVERITIES)

    def __len__(self) -> int:
        return len(SEVERITIES)

    def __hash__(self) -> int:
        return hash(self._shares)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("probabilities cannot be changed")

    def __reduce__(self) -> tuple[type[Probabilities], tuple[tuple[float, ...]]]:
        return Probabilities, (self._shares,)

    def __repr__(self) -> str:
        return f"Probabilities({dict(self)})"


class CategoryProbabilities(Mapping[str, float]):
    """The probability of each category, given that one is named; they sum to 1. Immutable."""

    __slots__ = ("_shares",)
    _shares: tuple[tuple[str, float], ...]

    def __init__(self, shares: Iterable[tuple[str, float]]) -> None:
        """``shares``: pairs of a category and its probability, in the protocol's order."""
        object.__setattr__(self, "_shares", tuple(shares))

    def __getitem__(self, category: str) -> float:
        for name, share in self._shares:
            if name == category:
                return share
        raise KeyError(category)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._shares)

    def __len__(self) -> int:
        return len(self._shares)

    def __hash__(self) -> int:
        return hash(self._shares)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("probabilities cannot be changed")

    def __reduce__(
        self,
    ) -> tuple[type[CategoryProbabilities], tuple[tuple[tuple[str, float], ...]]]:
        return CategoryProbabilities, (self._shares,)

    def __repr__(self) -> str:
        return f"CategoryProbabilities({dict(self)})"


@dataclass(frozen=True)
class Choice:
    """A token of an answer at which the model had a choice.

    ``place`` is the token's index in the answer, from 0. ``tokens`` are those that the closed
    language allows there, as bytes, each with its softmax over them; the end of an answer is
    ``b""``. A verdict has its choices in order, and none if its answer was put together from
    several windows.
    """

    place: int
    tokens: tuple[tuple[bytes, float], ...]


@dataclass(frozen=True)
class ModelId:
    """Which model answered: its name, quantization type, and the sha256 of its file."""

    name: str
    type: str
    sha256: str


@dataclass(frozen=True)
class Verdict:
    """What the model says of a text, and whether the policy flags it.

    ``probabilities`` are the softmax over the three severities at the token that decides;
    ``refusal`` is None for prompts; ``answer`` is in the model's own format; ``tokens`` counts the
    tokens read, ``windows`` the parts in which a long text was judged (the worst one counts), and
    ``seconds`` is wall time. ``policy`` is the name of the policy and ``flagged`` its decision. The
    built-in policies strict and loose go by the severity. Other policies have rules of their own:
    they may flag a text that the model calls Safe, or pass one that it calls Unsafe.

    ``reason`` is the rule that flagged the text, "" if none did. ``observed`` means that the policy
    only observes, and would have flagged the text for that reason. ``form`` is the form of the text
    that counted: as written, or normalised. ``category_probabilities`` are the probabilities of the
    categories, given that one is named; None if they were not computed. ``cached``: the answer came
    from the cache.

    ``message`` is the index of the judged message in the list that was given; ``not_judged`` lists
    what was skipped in it and in those before, such as ``message 2: an image``.
    """

    mode: Mode
    severity: Severity
    probabilities: Probabilities
    categories: tuple[str, ...]
    refusal: Refusal | None
    policy: str
    flagged: bool
    answer: str
    model: ModelId
    device: str
    tokens: int
    windows: int
    seconds: float
    reason: str = ""
    observed: bool = False
    form: Form = "as written"
    category_probabilities: CategoryProbabilities | None = None
    cached: bool = False
    message: int = 0
    not_judged: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values only, ready for any serialiser; without the choices."""
        fields = (name for name in self.__dataclass_fields__ if name != "choices")
        shares = self.category_probabilities
        return {
            **{name: getattr(self, name) for name in fields},
            "category_probabilities": None if shares is None else dict(shares),
            "probabilities": dict(self.probabilities),
            "categories": list(self.categories),
            "model": asdict(self.model),
            "not_judged": list(self.not_judged),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """The verdict out of ``to_dict``'s result. Raises KeyError, TypeError for anything else."""
        shares, named = data["probabilities"], data["category_probabilities"]
        return cls(
            **{
                **data,
                "probabilities": Probabilities(tuple(shares[severity] for severity in SEVERITIES)),
                "categories": tuple(data["categories"]),
                "not_judged": tuple(data["not_judged"]),
                "category_probabilities": (
                    None if named is None else CategoryProbabilities(named.items())
                ),
                "model": ModelId(**data["model"]),
            }
        )

    def to_json(self) -> str:
        """One line of JSON, as verdict.schema.json describes it."""
        return json.dumps(self.to_dict(), ensure_ascii=False)
