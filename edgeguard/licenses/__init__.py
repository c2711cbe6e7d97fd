"""The licences of everything that a program containing edgeguard would ship.

The texts come from the installed packages themselves: edgeguard's requirements and theirs, or in a
frozen program all packages in it that kept their metadata. For code that a package contains without
its licence text, the text is kept here, with its source: llama.cpp inside llama-cpp-python. This
module judges no licence.
"""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import PurePath

_WORDS = ("license", "licence", "copying", "notice", "authors")


@dataclass(frozen=True)
class Licensed:
    """A part: its name and version, its licence in a few words, and the licence texts."""

    name: str
    version: str
    license: str
    texts: tuple[str, ...]


def licenses() -> tuple[Licensed, ...]:
    """Each part, edgeguard first. The texts of a part are empty if none are found."""
    return (
        _package("edgeguard"),
        *(_package(name) for name in sorted(_names() - {"edgeguard"})),
        _llama_cpp(),
        _python(),
    )


def _names() -> set[str]:
    """The packages to list; in a frozen program all that it contains, also edgeguard's extras."""
    if not getattr(sys, "frozen", False):
        return _requirements("edgeguard")
    from packaging.utils import canonicalize_name

    return {canonicalize_name(each.name) for each in metadata.distributions() if _is_in(each)}


def _is_in(package: metadata.Distribution) -> bool:
    """Whether the package's modules are there too: its metadata alone is not shipped code."""
    tops = {PurePath(file).parts[0].partition(".")[0] for file in package.files or ()}
    return any(top.isidentifier() and find_spec(top) is not None for top in tops)


def _package(name: str) -> Licensed:
    found = metadata.distribution(name)
    about = found.metadata
    said = about.get_all("License-Expression") or about.get_all("License") or [_classified(found)]
    return Licensed(name, found.version, said[0].strip().splitlines()[0], tuple(_texts(found)))


def _classified(found: metadata.Distribution) -> str:
    kinds = found.metadata.get_all("Classifier") or []
    named = [kind.rpartition(" :: ")[2] for kind in kinds if kind.startswith("License ::")]
    return ", ".join(named) or "see the text"


def _texts(found: metadata.Distribution) -> Iterator[str]:
    """The licence files in a package's metadata."""
    for file in found.files or ():
        # In an editable install of a clone, they are beside the metadata.
        inside = len(file.parts) == 1 or file.parts[0].endswith(".dist-info")
        if inside and any(word in PurePath(file).name.lower() for word in _WORDS):
            try:
                yield file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue  # listed by the package, but missing in the frozen program


def _requirements(name: str) -> set[str]:
    """A package and everything it requires here, without its extras."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = canonicalize_name(waiting.pop())
        if each in found:
            continue
        try:
            lines = metadata.requires(each) or []
        except metadata.PackageNotFoundError:
            continue  # the program was frozen without it
        found.add(each)
        needs = map(Requirement, lines)
        waiting += [r.name for r in needs if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def _llama_cpp() -> Licensed:
    text = importlib.resources.files(__name__).joinpath("llama.cpp.txt").read_text("utf-8")
    return Licensed("llama.cpp", "in llama-cpp-python", "MIT", (text,))


def _python() -> Licensed:
    version = sys.version.partition(" ")[0]
    return Licensed("Python", version, "PSF-2.0; https://docs.python.org/3/license.html", ())
