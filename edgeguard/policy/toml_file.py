"""A policy as TOML, the form in which people write policies and edgeguard saves them.

    base = "strict"                 # or "loose"; or: threshold = 0.3, over = "unsafe"
    refusal = "ignore"              # or "flag", "pass"
    observe = false
    normalise = false
    [categories]
    politics = "ignore"             # or "unsafe", "controversial", "flag", or a probability

Anything that is not exactly a policy is refused with one line: a misread rule would flag nothing.
This module opens no file and decides nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, cast

from edgeguard.errors import PolicyError
from edgeguard.policy.categories import category_named, nearest
from edgeguard.policy.policy import OFFICIAL, Calibration, Policy
from edgeguard.policy.rules import REFUSAL_RULES, RULE_WORDS, RefusalRule, Rule
from edgeguard.protocol.names import CATEGORIES, Severity

MOST = 1 << 16
"""The most bytes of a policy's file."""

_LONGEST = 60
"""The most characters of a user's text that an error quotes."""
_OVER: dict[str, tuple[Severity, ...]] = {
    "+".join(severity.lower() for severity in policy.harmful): policy.harmful
    for policy in OFFICIAL.values()
}
"""The values of `over`: the harmful classes of the official policies."""
_KEYS = (
    *("base", "threshold", "over", "refusal", "observe", "normalise"),
    *("model_sha256", "categories", "calibration"),
)
_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float)}
_TOO_LARGE = f"it has more than {MOST:,} bytes, which no policy needs"


def read_policy(name: str, data: bytes) -> Policy:
    """The policy in a file's content; verdicts call it ``name``.

    Raises PolicyError: one line with what is wrong and what is right.
    """
    try:
        return _policy(name, _table(data))
    except PolicyError as error:
        raise PolicyError(f"policy {name}: {error}") from error


def write_policy(policy: Policy) -> str:
    """The TOML of a policy, which ``read_policy`` reads back unchanged."""
    import tomli_w

    content: dict[str, Any] = {}
    if policy.threshold is None:
        content["base"] = next(n for n, one in OFFICIAL.items() if one.harmful == policy.harmful)
    else:
        over = next(word for word, harmful in _OVER.items() if harmful == policy.harmful)
        content |= {"threshold": policy.threshold, "over": over}
    content |= {
        "refusal": policy.refusal,
        "observe": policy.observe,
        "normalise": policy.normalise,
    }
    if policy.model_sha256 is not None:
        content["model_sha256"] = policy.model_sha256
    content["categories"] = dict(policy.categories)
    if policy.calibration is not None:
        content["calibration"] = asdict(policy.calibration)
    return tomli_w.dumps(content)


def _table(data: bytes) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    if len(data) > MOST:
        raise PolicyError(_TOO_LARGE)
    if data.startswith(b"\xef\xbb\xbf"):
        raise PolicyError("it begins with a byte order mark; save it as UTF-8 without one")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PolicyError("it is not UTF-8; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else _line(error)
        raise PolicyError(f"it is not TOML: {reason}") from error


def _line(error: Exception) -> str:
    """An error's message on one line, cut to a readable length."""
    return "".join(c if c.isprintable() else " " for c in str(error))[:200]


def _policy(name: str, table: Mapping[str, Any]) -> Policy:
    for key in table:
        if key not in _KEYS:
            raise PolicyError(
                f"unknown key {_shown(key)}{nearest(key, _KEYS)}; there are: {', '.join(_KEYS)}"
            )
    harmful, threshold = _base(table)
    return Policy(
        name,
        harmful,
        threshold,
        _sha256(table.get("model_sha256")),
        _calibration(table.get("calibration")),
        categories=_categories(table.get("categories", {})),
        refusal=cast(RefusalRule, _word(table, "refusal", REFUSAL_RULES)),
        observe=_switch(table, "observe"),
        normalise=_switch(table, "normalise"),
    )


def _base(table: Mapping[str, Any]) -> tuple[tuple[Severity, ...], float | None]:
    """The severities that count as harmful, and the threshold if there is one."""
    if "threshold" not in table:
        if "over" in table:
            raise PolicyError("'over' says what a threshold is over, and there is no 'threshold'")
        return OFFICIAL[_word(table, "base", tuple(OFFICIAL))].harmful, None
    if "base" in table:
        raise PolicyError("it has 'base' and 'threshold'; a threshold is a base: keep one of them")
    over = _word(table, "over", tuple(_OVER)) if "over" in table else next(iter(_OVER))
    return _OVER[over], _probability(table["threshold"], "'threshold'")


def _word(table: Mapping[str, Any], key: str, words: tuple[str, ...]) -> str:
    """The word in a key; the first allowed one if the key is absent."""
    value = table.get(key, words[0])
    if not isinstance(value, str) or value not in words:
        said = ", ".join(f'"{word}"' for word in words)
        hint = nearest(value, words) if isinstance(value, str) else ""
        raise PolicyError(f"{key!r} is {_shown(value)}{hint}; it must be one of {said}")
    return value


def _switch(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise PolicyError(f"{key!r} is {_shown(value)}; it must be true or false")
    return value


def _categories(table: object) -> tuple[tuple[str, Rule], ...]:
    if not isinstance(table, dict):
        raise PolicyError(f"'categories' is {_shown(table)}; it must be a table: [categories]")
    rules: dict[str, Rule] = {}
    for key, value in table.items():
        if len(key) > _LONGEST:
            raise PolicyError(f"there is no category {_shown(key)}")
        category = category_named(key)
        if category in rules:
            raise PolicyError(f"the category {category!r} has two rules; keep one of them")
        rules[category] = _rule(key, value)
    return tuple((name, rules[name]) for name in CATEGORIES if name in rules)


def _rule(key: str, value: object) -> Rule:
    if isinstance(value, str) and value in RULE_WORDS:
        return value
    said = ", ".join(f'"{word}"' for word in RULE_WORDS)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _probability(value, f"the rule of {key!r}")
    hint = nearest(value, RULE_WORDS) if isinstance(value, str) else ""
    raise PolicyError(
        f"the rule of {key!r} is {_shown(value)}{hint}; it must be one of {said}, or a probability"
    )


def _probability(value: object, what: str) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= 1:  # type: ignore[operator]
        raise PolicyError(
            f"{what} is {_shown(value)}; a probability is a number above 0, and at most 1"
        )
    return float(cast(float, value))


def _sha256(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef"):
        return value
    raise PolicyError("'model_sha256' is not a sha256: 64 hexadecimal digits in lower case")


def _calibration(table: object) -> Calibration | None:
    if table is None:
        return None
    names = {field.name: str(field.type) for field in fields(Calibration)}
    if not isinstance(table, dict) or set(table) != set(names):
        raise PolicyError(f"'calibration' must be a table of {', '.join(names)}")
    for name, kind in names.items():
        value = table[name]
        if isinstance(value, bool) or not isinstance(value, _KINDS[kind]):
            raise PolicyError(f"'calibration.{name}' is {_shown(value)}; it must be a {kind}")
        if isinstance(value, float) and not math.isfinite(value):
            raise PolicyError(f"'calibration.{name}' is not a finite number")
    return Calibration(**table)


def _shown(value: object) -> str:
    """A value as an error shows it."""
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    try:
        text = repr(value) if isinstance(value, str) else str(value).lower()
    except ValueError:  # an integer with more digits than Python converts
        return "a number with very many digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
