"""What is installed on this machine, and what is wrong with it.

Nothing here requires that llama_cpp, numpy or huggingface_hub can be imported: people ask for a
diagnosis when they cannot. Anything that cannot be found out is a problem in the result, never an
exception.

This module prints nothing; edgeguard.commands.doctor does.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from edgeguard.arguments import DEVICES, N_CTX
from edgeguard.diagnosis import environment, fit, native
from edgeguard.diagnosis.native import Library
from edgeguard.diagnosis.problems import Problem, of_error
from edgeguard.errors import EdgeguardError
from edgeguard.guard import Guard
from edgeguard.loading import Options, prepare
from edgeguard.session.cpu import physical_cores
from edgeguard.session.processor import processor_flags
from edgeguard.store.model_file import built_in, resolve, server_address
from edgeguard.store.paths import home
from edgeguard.store.registry import BUILT_IN, BUILT_INS
from edgeguard.store.store import installed
from edgeguard.store.versions import MISSING, version_of
from edgeguard.trial import try_out

PACKAGES = ("edgeguard", "llama-cpp-python", "gguf", "huggingface-hub", "numpy", "click")
_FOR_CHECK = ("llama-cpp-python", "numpy")


@dataclass(frozen=True)
class Machine:
    """The computer: system, processor, usable cores, and memory in bytes."""

    system: str
    processor: str
    python: str
    logical_cores: int
    physical_cores: int
    memory: int | None


@dataclass(frozen=True)
class Folder:
    """A folder edgeguard uses: its purpose, path, free bytes, and whether it can be written."""

    use: str
    path: str
    free: int
    writable: bool


@dataclass(frozen=True)
class Model:
    """A model on this machine, and what is wrong with it, if anything."""

    name: str
    problem: str | None


@dataclass(frozen=True)
class Tried:
    """A trial of llama.cpp: with which model and weights, and how many seconds it took."""

    model: str
    seconds: float
    plain_weights: bool


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found out."""

    versions: dict[str, str]
    machine: Machine
    library: Library | None
    tried: Tried | None
    folders: tuple[Folder, ...]
    models: tuple[Model, ...]
    default_model: str | None
    environment: dict[str, str]
    problems: tuple[Problem, ...]


def diagnose(cli: click.Group) -> Diagnosis:
    """Look at everything. Problems that stop a check from running come first.

    ``cli`` is the whole command, whose options know their variables.
    """
    found: list[Problem] = []
    versions = {package: version_of(package) for package in PACKAGES}
    machine, library = _machine(found), _library(versions, found)
    folders, models, default = _folders(found), _models(found), _default(found)
    tried = _try(default, found) if library is not None else None
    if library is not None and default is not None and server_address(default):
        _ask_server(default, found)
    found += environment.problems(cli)
    found.sort(key=lambda problem: not problem.stops)
    return Diagnosis(
        versions=versions,
        machine=machine,
        library=library,
        tried=tried,
        folders=folders,
        models=models,
        default_model=default,
        environment=environment.effective(),
        problems=tuple(dict.fromkeys(found)),
    )


def _machine(found: list[Problem]) -> Machine:
    if sys.maxsize < 2**32:
        what = "this Python is a 32-bit program, which llama-cpp-python has no wheels for"
        todo = "install a 64-bit system (on a Raspberry Pi: the 64-bit Raspberry Pi OS)"
        found.append(Problem(what, todo, stops=True))
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=platform.machine(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        logical_cores=os.cpu_count() or 1,
        physical_cores=physical_cores(),
        memory=_memory(),
    )


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _library(versions: dict[str, str], found: list[Problem]) -> Library | None:
    missing = [name for name, version in versions.items() if version == MISSING]
    for name in missing:
        todo = native.INSTALL if name == "llama-cpp-python" else f"pip install {name}"
        found.append(Problem(f"the package {name} is not installed", todo, name in _FOR_CHECK))
    found += _untested()
    if any(name in missing for name in _FOR_CHECK):
        return None
    seen = native.look()
    if isinstance(seen, Problem):
        found.append(seen)
        return None
    found += fit.problems(seen, processor_flags())
    return seen


def _untested() -> Iterator[Problem]:
    """The packages whose version is outside the range that edgeguard is tested with."""
    try:
        from packaging.requirements import Requirement  # comes with huggingface-hub

        needs = [Requirement(line) for line in importlib.metadata.requires("edgeguard") or ()]
    except (ImportError, importlib.metadata.PackageNotFoundError):
        return
    for need in needs:
        version = version_of(need.name)
        if version != MISSING and not need.specifier.contains(version, prereleases=True):
            what = f"{need.name} {version} is installed, edgeguard is tested with {need.specifier}"
            yield Problem(what, f'pip install "{need.name}{need.specifier}"', stops=False)


def _folders(found: list[Problem]) -> tuple[Folder, ...]:
    places: list[tuple[str, Callable[[], Path], str]] = [
        ("models", home, "EDGEGUARD_HOME"),
        ("downloads", _downloads, "HF_HOME"),
    ]
    folders = []
    for use, where, variable in places:
        try:
            folders.append(_folder(use, where()))
        except (EdgeguardError, ImportError, OSError) as error:
            found.append(Problem(f"no folder for {use} ({error})", f"set {variable}", stops=False))
            continue
        if not folders[-1].writable:
            todo = f"mend its permissions, or set {variable} to another folder, before a pull"
            what = f"{folders[-1].path} cannot be written"
            found.append(Problem(what, todo, stops=False))
    return tuple(folders)


def _downloads() -> Path:
    from edgeguard.store.hub_cache import cache_folder

    return cache_folder()


def _folder(use: str, path: Path) -> Folder:
    there = next(place for place in (path, *path.parents) if place.exists())
    writable = there.is_dir() and os.access(there, os.W_OK)
    return Folder(use, str(path), shutil.disk_usage(there).free, writable)


def _models(found: list[Problem]) -> tuple[Model, ...]:
    checks: list[tuple[str, Callable[[], object]]] = [
        (name, partial(built_in, name)) for name in BUILT_INS
    ]
    try:
        checks += [(model.full_name, model.check) for model in installed()]
    except EdgeguardError as error:
        found.append(of_error(error, stops=True))
    return tuple(Model(name, _complaint(check, found)) for name, check in checks)


def _complaint(check: Callable[[], object], found: list[Problem]) -> str | None:
    try:
        check()
    except EdgeguardError as error:
        found.append(of_error(error, stops=False))
        return str(error)
    return None


def _try(default: str | None, found: list[Problem]) -> Tried | None:
    """Run the trial of llama.cpp (edgeguard.trial) now, with the model that is used."""
    started = time.perf_counter()
    try:
        file = resolve(default if default and not server_address(default) else BUILT_IN)
        outcome = try_out(prepare(file, Options(None, N_CTX, DEVICES[0], False)))
    except EdgeguardError as error:
        found.append(of_error(error, stops=True))
        return None
    if outcome.failure:
        what, _, todo = outcome.failure.partition("; ")
        found.append(Problem(what, todo or "nothing needs to be done", stops=False))
    return Tried(file.full_name, round(time.perf_counter() - started, 2), outcome.plain_weights)


def _ask_server(url: str, found: list[Problem]) -> None:
    """Whether a guard can be made on the server that is the default model."""
    try:
        Guard(url).close()
    except EdgeguardError as error:
        found.append(of_error(error, stops=True))


def _default(found: list[Problem]) -> str | None:
    try:
        return server_address() or resolve().full_name
    except EdgeguardError as error:
        found.append(of_error(error, stops=True))
        return None
