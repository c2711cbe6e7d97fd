"""A policy: the base, rules for individual categories, and how refusals are treated.

The base decides about a text whose categories have no rule. ``strict`` and ``loose`` go by the
severity that the model names; a threshold goes by the score, the summed probability of the
severities that count as harmful. A calibrated threshold is valid for one model file only.

This module does not decide what a policy flags (edgeguard.policy.decision does).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgeguard.errors import PolicyError
from edgeguard.policy.rules import RefusalRule, Rule
from edgeguard.protocol.names import CONTROVERSIAL, UNSAFE, Severity

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
"""Names reserved by Windows, in every folder and before any extension."""


@dataclass(frozen=True)
class Calibration:
    """How a saved policy's threshold was found, kept so that it can be assessed later.

    ``target`` is ``false_alarms`` or ``recall`` and ``wanted`` the rate that was asked for.
    ``harmless`` and ``harmful`` count the rows, ``false_alarms`` and ``hits`` those of them that
    the threshold flags. ``data_sha256`` identifies the rows, ``model`` names the model for people.
    """

    target: str
    wanted: float
    harmless: int
    harmful: int
    false_alarms: int
    hits: int
    data_sha256: str
    model: str
    date: str
    edgeguard: str


@dataclass(frozen=True)
class Policy:
    """A name, the severities that count as harmful, perhaps a threshold, and the rules.

    ``categories`` pairs categories with their rules, in the protocol's order; the base decides
    about the others. ``observe``: report what would be flagged, but flag nothing. ``normalise``:
    judge the text without its disguises too. ``model_sha256`` is the file that the threshold was
    calibrated for; with another file the threshold means nothing.
    """

    name: str
    harmful: tuple[Severity, ...]
    threshold: float | None = None
    model_sha256: str | None = None
    calibration: Calibration | None = None
    categories: tuple[tuple[str, Rule], ...] = ()
    refusal: RefusalRule = "ignore"
    observe: bool = False
    normalise: bool = False

    def score(self, probabilities: Mapping[Severity, float]) -> float:
        """The probability that the text is harmful: P(Unsafe), or P(Unsafe) + P(Controversial)."""
        return sum(probabilities[severity] for severity in self.harmful)

    @property
    def needs_categories(self) -> bool:
        """Whether it needs the probabilities of categories even for texts that name none."""
        by_probability = any(isinstance(rule, float) for _, rule in self.categories)
        return by_probability or (self.threshold is not None and bool(self.categories))

    @property
    def goes_by_severity(self) -> bool:
        """Whether the severity that the model names is all that decides."""
        return self.threshold is None and not self.categories

    def check_model(self, sha256: str, name: str) -> None:
        """Raises PolicyError if this policy was calibrated for another model file."""
        if self.model_sha256 is None or self.model_sha256 == sha256:
            return
        made_for = "" if self.calibration is None else f" ({self.calibration.model})"
        raise PolicyError(
            f"policy {self.name} was calibrated for the model file {self.model_sha256[:12]}…"
            f"{made_for}, and {name} is {sha256[:12] or 'no file'}…; a threshold means nothing on "
            "another file: use that model, or calibrate a policy for this one with "
            "edgeguard calibrate"
        )


STRICT = Policy("strict", (UNSAFE, CONTROVERSIAL))
LOOSE = Policy("loose", (UNSAFE,))
OFFICIAL: dict[str, Policy] = {policy.name: policy for policy in (STRICT, LOOSE)}
"""strict flags Unsafe and Controversial, loose flags Unsafe only (report, section 3.3)."""


def content_of(policy: Policy) -> dict[str, Any]:
    """Everything that affects a decision, as plain values; the calibration is left out."""
    content = asdict(policy)
    del content["name"], content["calibration"]
    return content


def is_policy_name(text: str) -> bool:
    """Whether a policy may be saved under that name: a plain file name on every system."""
    return (
        _NAME.fullmatch(text) is not None
        and ".." not in text
        and not text.endswith((".", ".toml"))
        and _DEVICES.fullmatch(text) is None
        and text not in OFFICIAL
    )
