"""Saved policies: one JSON file each, in the folder `policies` under EDGEGUARD_HOME.

A file appears whole or not at all. Whatever is not exactly a policy is refused: a threshold that
was read wrong would flag nothing. To remove a policy, remove its file.

This module does not decide what a policy flags.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from edgeguard.errors import InputError, PolicyError, StoreError
from edgeguard.files import replace_text
from edgeguard.policy import OFFICIAL, Calibration, Policy, is_policy_name
from edgeguard.protocol.names import SEVERITIES, Severity
from edgeguard.store.checksum import is_sha256
from edgeguard.store.paths import policies_folder

POLICY_VARIABLE = "EDGEGUARD_POLICY"
_SUFFIX = ".json"
_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float)}


def find_policy(name: str) -> Policy:
    """The policy of that name: ``strict``, ``loose``, or a saved one.

    Raises InputError with the names there are, PolicyError when the file is damaged, StoreError
    when it cannot be read.
    """
    if not isinstance(name, str):
        raise InputError(f"the policy is a {type(name).__name__}; give the name of one")
    if name in OFFICIAL:
        return OFFICIAL[name]
    path = _path(name) if is_policy_name(name) else None
    try:
        text = None if path is None else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = None
    except OSError as error:
        raise _unreadable(name, error) from error
    except UnicodeDecodeError as error:
        raise _damaged(name, "it is not UTF-8") from error
    if text is None:
        known = ", ".join([*OFFICIAL, *saved_policies()])
        raise InputError(f"unknown policy {name!r}; there are: {known}")
    return _parse(name, text)


def saved_policies() -> tuple[str, ...]:
    """The names of the saved policies. Raises StoreError when their folder cannot be read."""
    try:
        names = [path.name.removesuffix(_SUFFIX) for path in policies_folder().glob(f"*{_SUFFIX}")]
    except OSError as error:
        raise _unreadable("the folder of policies", error) from error
    return tuple(sorted(name for name in names if is_policy_name(name)))


def check_new_policy(name: str) -> None:
    """Raises InputError where a policy cannot be saved under that name, or one is already."""
    if name in OFFICIAL:
        raise InputError(f"{name!r} is an official policy; save yours under another name")
    if not is_policy_name(name):
        raise InputError(
            f"{name!r} cannot be a policy's name: use up to 64 of a-z, 0-9, '.', '_' and '-', "
            "and begin with a letter or digit"
        )
    if os.path.lexists(_path(name)):
        raise InputError(
            f"there is a policy {name} already; choose another name, or remove {_path(name)}"
        )


def save_policy(policy: Policy) -> Path:
    """Save a policy under its name, which must be new; return its file.

    Raises InputError for a name that cannot be one, StoreError when it cannot be written.
    """
    check_new_policy(policy.name)
    path = _path(policy.name)
    text = json.dumps(asdict(policy), indent=2, allow_nan=False) + "\n"
    try:
        replace_text(path, text, sync=True)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(
            f"the policy cannot be saved as {path} ({reason}); free space or set EDGEGUARD_HOME "
            "to another folder"
        ) from error
    return path


def _path(name: str) -> Path:
    return policies_folder() / f"{name}{_SUFFIX}"


def _parse(name: str, text: str) -> Policy:
    try:
        data = json.loads(text)
        _expect_fields(Policy, data)
        policy = Policy(
            name=data["name"],
            harmful=_harmful(data["harmful"]),
            threshold=_of_kind(data, "threshold", "float"),
            model_sha256=data["model_sha256"],
            calibration=_calibration(data["calibration"]),
        )
    except (ValueError, RecursionError) as error:
        raise _damaged(name, str(error)) from error
    if policy.name != name:
        raise _damaged(name, f"it describes {policy.name!r}")
    if not is_sha256(policy.model_sha256):
        raise _damaged(name, "'model_sha256' is not a sha256")
    if policy.threshold is None or not 0 < policy.threshold <= 1:
        raise _damaged(name, "'threshold' must be above 0, and at most 1")
    return policy


def _expect_fields(kind: type[Policy] | type[Calibration], data: object) -> None:
    names = {field.name for field in fields(kind)}
    if not isinstance(data, dict) or set(data) != names:
        raise ValueError(f"its fields must be {', '.join(sorted(names))}")


def _calibration(data: Any) -> Calibration:
    _expect_fields(Calibration, data)
    return Calibration(**{f.name: _of_kind(data, f.name, str(f.type)) for f in fields(Calibration)})


def _of_kind(data: Mapping[str, Any], name: str, kind: str) -> Any:
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, _KINDS[kind]):
        raise ValueError(f"{name!r} is not a {kind}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name!r} is not a finite number")
    return value


def _harmful(value: Any) -> tuple[Severity, ...]:
    known = {policy.harmful for policy in OFFICIAL.values()}
    found = tuple(s for s in value if s in SEVERITIES) if isinstance(value, list) else ()
    if found not in known or found != tuple(value):
        raise ValueError("'harmful' is not the harmful class of an official policy")
    return found


def _damaged(name: str, reason: str) -> PolicyError:
    return PolicyError(
        f"policy {name} is damaged ({reason}): {_path(name)}; remove it, and calibrate again"
    )


def _unreadable(what: str, error: OSError) -> StoreError:
    reason = error.strerror or error
    return StoreError(f"{what} cannot be read ({reason}); check {policies_folder()}")
