"""Policies by name or file; saved ones are TOML files in `policies` under EDGEGUARD_HOME.

Files are written atomically. edgeguard.policy defines their content; this module does not decide
what a policy flags.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from edgeguard.errors import InputError, PolicyError, StoreError
from edgeguard.files import read_regular, replace_text
from edgeguard.policy import OFFICIAL, Policy, is_policy_name, read_policy, write_policy
from edgeguard.policy.toml_file import MOST
from edgeguard.store.paths import policies_folder

POLICY_VARIABLE = "EDGEGUARD_POLICY"
SUFFIX = ".toml"
_OLD = ".json"


def find_policy(name: str) -> Policy:
    """The policy of a name (``strict``, ``loose``, a saved one), or of a TOML file.

    A text that ends in .toml or contains a path separator is a file; verdicts call its policy by
    the file's name. Raises InputError, listing the existing names, PolicyError if the file is not a
    policy, StoreError if it cannot be read.
    """
    if not isinstance(name, str):
        raise InputError(f"the policy is a {type(name).__name__}; give the name of one, or a file")
    if name in OFFICIAL:
        return OFFICIAL[name]
    if is_file_name(name):
        return _from_file(Path(name))
    data = _content(_path(name)) if is_policy_name(name) else None
    if data is None:
        raise _unknown(name)
    return read_policy(name, data)


def is_file_name(name: str) -> bool:
    """Whether a text means a file, and not the name of a saved policy."""
    return name.endswith(SUFFIX) or any(sep in name for sep in (os.sep, os.altsep) if sep)


def saved_policies() -> tuple[str, ...]:
    """The names of the saved policies. Raises StoreError if their folder cannot be read."""
    try:
        names = [path.name.removesuffix(SUFFIX) for path in policies_folder().glob(f"*{SUFFIX}")]
    except OSError as error:
        raise _unreadable(f"the folder {policies_folder()}", error) from error
    return tuple(sorted(name for name in names if is_policy_name(name)))


def check_new_policy(name: str) -> None:
    """Raises InputError if the name is not allowed, or a policy of that name exists."""
    path = policy_path(name)
    if os.path.lexists(path):
        raise InputError(
            f"there is a policy {name} already; choose another name, or remove it with "
            f"edgeguard policy rm {name}"
        )


def save_policy(policy: Policy, *, heading: str = "") -> Path:
    """Save a policy under its name, which must be new; return its file.

    ``heading`` becomes comments at the top. Raises InputError for a name that is not allowed,
    StoreError if the file cannot be written.
    """
    check_new_policy(policy.name)
    path = _path(policy.name)
    try:
        replace_text(path, heading + write_policy(policy), sync=True)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(
            f"the policy cannot be saved as {path} ({reason}); free space or set EDGEGUARD_HOME "
            "to another folder"
        ) from error
    return path


def remove_policy(name: str) -> Path:
    """Remove a saved policy; return its file. Raises InputError, StoreError."""
    path = policy_path(name)
    try:
        path.unlink()
    except FileNotFoundError:
        raise _unknown(name) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be removed ({error.strerror or error})") from error
    return path


def policy_path(name: str) -> Path:
    """Where a saved policy is, or would be. Raises InputError for a name that is not allowed."""
    if name in OFFICIAL:
        raise InputError(f"{name!r} is an official policy; save yours under another name")
    if not is_policy_name(name):
        raise InputError(
            f"{name!r} cannot be a policy's name: use up to 64 of a-z, 0-9, '.', '_' and '-', "
            "and begin with a letter or digit"
        )
    return _path(name)


def _path(name: str) -> Path:
    return policies_folder() / f"{name}{SUFFIX}"


def _from_file(path: Path) -> Policy:
    # The suffix distinguishes the policy of a file from official and saved ones.
    if path.suffix != SUFFIX or not path.name.isprintable():
        raise InputError(f"{os.fspath(path)!r} is no policy's file: its name must end in {SUFFIX}")
    data = _content(path)
    if data is None:
        raise InputError(
            f"there is no policy file {path}; write one with edgeguard policy new NAME, or name "
            f"one of: {_known()}"
        )
    return read_policy(path.name, data)


def _content(path: Path) -> bytes | None:
    """The bytes of a policy's file; None if there is none."""
    try:
        return bytes(read_regular(path, MOST))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise PolicyError(f"{path} has more than {MOST:,} bytes, which no policy needs") from (
                error
            )
        raise _unreadable(str(path), error) from error


def _unknown(name: str) -> InputError | PolicyError:
    old = policies_folder() / f"{name}{_OLD}"
    if is_policy_name(name) and old.is_file():
        return PolicyError(
            f"policy {name} is saved in the form of an earlier version ({old}), which is not read "
            f"any more: calibrate again, or write it anew with edgeguard policy new {name}"
        )
    return InputError(f"unknown policy {name!r}; there are: {_known()}")


def _known() -> str:
    return ", ".join([*OFFICIAL, *saved_policies()])


def _unreadable(what: str, error: Exception) -> StoreError:
    reason = getattr(error, "strerror", None) or error
    return StoreError(f"{what} cannot be read ({reason})")
