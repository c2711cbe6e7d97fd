"""From what a person writes after --model to a file on this machine.

Nothing is downloaded here, and no other model than the named one is ever used instead: a guard that
silently judges with another model is worse than one that fails.

This module does not open the model's file.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from edgeguard.errors import ModelError, ModelNotFoundError
from edgeguard.store import registry
from edgeguard.store.manifest import MANIFEST
from edgeguard.store.preferred import preferred
from edgeguard.store.store import Installed, candidates, installed, open_folder

MODEL_VARIABLE = "EDGEGUARD_MODEL"
_TRY_NANO = 'edgeguard check --model nano "…"'


@dataclass(frozen=True)
class ModelFile:
    """A model's file, and what is known of it without opening it.

    ``type`` is None if only the file itself can tell, ``sha256`` if it is not recorded;
    ``edgeguard.store.file_sha256`` computes it.
    """

    path: Path
    name: str
    type: str | None
    sha256: str | None
    built_in: bool

    @property
    def full_name(self) -> str:
        """The name of this file, which no other type of the same model has."""
        return f"{self.name}-{self.type}" if self.type else self.name


def server_address(model: str | os.PathLike[str] | None = None) -> str | None:
    """The URL of a server, where that is what the name is; None means EDGEGUARD_MODEL."""
    named = os.environ.get(MODEL_VARIABLE) if model is None else model
    is_url = isinstance(named, str) and named.lower().startswith(("http://", "https://"))
    return named if isinstance(named, str) and is_url else None


def resolve(model: str | os.PathLike[str] | None = None) -> ModelFile:
    """The file that a name or a path means; None means EDGEGUARD_MODEL, else the default model.

    A known name is a name even if the working folder contains a file of that name. Anything else
    that has a path separator, ends in .gguf or exists as a file is a path.

    Raises ModelNotFoundError if there is no such model, ModelError if the installed file has
    changed since, StoreError if the models folder or the file cannot be read.
    """
    if model is None:
        model = os.environ.get(MODEL_VARIABLE) or registry.DEFAULT_MODEL
    if server_address(model) is not None:
        raise ModelNotFoundError(
            "the model is a server's, which has no file here: this needs a model's name or file; "
            "check, batch, eval, serve and the library take the address of a server"
        )
    if not isinstance(model, str):
        return _from_path(os.fspath(model))
    if model in registry.BUILT_INS:
        return built_in(model)
    found = candidates(model)
    if found:
        return _from_store(_choose(model, found))
    if _looks_like_path(model):
        return _from_path(model)
    raise not_found(model)


def types_of(model: str | os.PathLike[str] | None = None) -> tuple[ModelFile, ...]:
    """All installed types of a model that is named without a type; empty for a file or full name.

    Raises ModelError, StoreError as ``resolve`` does.
    """
    name = model or os.environ.get(MODEL_VARIABLE) or registry.DEFAULT_MODEL
    found = candidates(name) if isinstance(name, str) else ()
    return tuple(_from_store(one) for one in found if one.full_name != name)


def built_in(name: str = registry.BUILT_IN) -> ModelFile:
    """A model inside the package. Raises ModelNotFoundError if the package was built without it."""
    package = registry.BUILT_INS[name].package
    try:
        path = Path(str(importlib.resources.files(package) / f"{name}.gguf"))
    except ModuleNotFoundError as error:
        raise _left_out(f"the package {package} is missing") from error
    if not path.is_file():
        raise _left_out(f"{path} is missing")
    return ModelFile(path, name, None, None, built_in=True)


def not_found(name: str) -> ModelNotFoundError:
    """The error for an unknown name: which models exist, and what to type next."""
    have = installed()
    if not have and name in registry.names():
        return ModelNotFoundError(
            f"{name} is not installed; type `{_pull(name)}` to fetch it, or `{_TRY_NANO}` to try "
            "the built-in model"
        )
    release, kind = _split(name)
    if release is not None:
        return ModelNotFoundError(
            f"{name} is not installed (installed: {_listed(have)}); {_pull(release, kind)}"
        )
    known = [*registry.names(), *registry.BUILT_INS, *(model.full_name for model in have)]
    close = get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {close[0]}?" if close else "a file is named by its path, ./x.gguf"
    return ModelNotFoundError(f"no model is named {name!r}; installed: {_listed(have)}; {hint}")


def _from_store(found: Installed) -> ModelFile:
    found.check()
    manifest = found.described
    return ModelFile(found.path, manifest.name, manifest.type, manifest.sha256, built_in=False)


def _choose(name: str, found: tuple[Installed, ...]) -> Installed:
    """One type of a model: the only one, the one found by `edgeguard tune`, or the default."""
    if len(found) == 1:
        return found[0]
    for wanted in (preferred(name), f"{name}-{registry.DEFAULT_TYPE}"):
        for model in found:
            if model.full_name == wanted:
                return model
    raise ModelNotFoundError(f"{name} is installed in several types; name one: {_listed(found)}")


def _from_path(text: str) -> ModelFile:
    try:
        path = Path(text).expanduser().absolute()
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelNotFoundError(f"{text!r} cannot be a path ({error}); check the name") from error
    if is_folder and (path / MANIFEST).exists():
        return _from_store(open_folder(path))
    if is_folder:
        raise ModelError(f"{path} is a folder, not a GGUF file; edgeguard convert {path} makes one")
    if not is_file:
        raise ModelNotFoundError(f"there is no file {path}; installed: {_listed(installed())}")
    # A verdict is UTF-8, but a file's name may not be.
    name = os.fsencode(path.stem).decode("utf-8", "backslashreplace")
    return ModelFile(path, name, None, None, built_in=False)


def _looks_like_path(text: str) -> bool:
    separators = tuple(separator for separator in (os.sep, os.altsep) if separator)
    if text.lower().endswith(".gguf") or text.startswith("~") or any(s in text for s in separators):
        return True
    try:
        return text != "" and Path(text).exists()
    except (OSError, ValueError):
        return False


def _split(name: str) -> tuple[str | None, str | None]:
    """A release's name and the type after it, if the text starts with one."""
    for release in registry.names():
        if name == release:
            return release, None
        if name.startswith(f"{release}-"):
            return release, name[len(release) + 1 :]
    return None, None


def _pull(name: str, kind: str | None = None) -> str:
    """The command that fetches a model, in its shortest form."""
    words = ["edgeguard pull"]
    if name != registry.DEFAULT_MODEL:
        words.append(name)
    if kind is not None:
        words.append(f"--type {kind}")
    return " ".join(words)


def _listed(models: Iterable[Installed]) -> str:
    return ", ".join(model.full_name for model in models) or (
        f"none but the built-in {' and '.join(registry.BUILT_INS)}"
    )


def _left_out(reason: str) -> ModelNotFoundError:
    return ModelNotFoundError(f"the built-in model is not here ({reason}); install edgeguard again")
