"""Which inputs several names mean, and where the result of each goes.

A name is a file, a folder or a pattern. A folder stands for all files below it whose names say
their format; one that ends in .parquet is a data set, and one input. The folder of the results has
the layout of the inputs. What is ambiguous is refused: rows that would be judged twice, two results
with one name, results among the inputs. This module opens no file.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeguard.batch.formats import FormatName, is_known
from edgeguard.batch.source import PIPE
from edgeguard.batch.unchanged import reading
from edgeguard.errors import InputError

_DATA_SETS = (".parquet", ".pq")
_WRITING = "_temporary"
"""What Spark and Hadoop have in a folder while they write it."""


@dataclass(frozen=True)
class Found:
    """An input, and its name from ``below`` on, the folder or the pattern's fixed part.

    ``whole``: everything below that folder is meant.
    """

    name: str
    below: Path
    whole: bool = False

    @property
    def result(self) -> Path:
        """The name of its result in the folder of results."""
        inside = Path(self.name.removesuffix(".gz")).relative_to(self.below)
        if Path(self.name).is_dir() and inside.suffix.lower() not in _DATA_SETS:
            return inside.with_name(f"{inside.name}.parquet")
        return inside.with_suffix(".jsonl") if inside.suffix.lower() == ".txt" else inside


@dataclass(frozen=True)
class Inputs:
    """The inputs of a run, and the files in its folders whose names say no format."""

    found: list[Found]
    left_out: list[str]


def inputs_of(given: Iterable[str], told: FormatName | None) -> Inputs | None:
    """The inputs that are meant by several names, by folders and by patterns; None by one file.

    Raises InputError: nothing is there, or one twice.
    """
    names, left_out = list(given), list[str]()
    found = [one for name in names for one in _expanded(name, told, left_out)]
    if len(names) == 1 and [one.name for one in found] == names:
        return None
    if PIPE in (one.name for one in found):
        raise InputError("standard input is one input: give it alone")
    _check_once([Path(one.name).resolve() for one in found])
    return Inputs(found, left_out)


def results_of(found: Iterable[Found], folder: Path) -> dict[str, Path]:
    """Where the result of each input goes. Raises InputError where that is among the inputs, or
    where two would have one name."""
    results: dict[str, Path] = {}
    for one in found:
        if one.whole and folder.resolve().is_relative_to(one.below.resolve()):
            raise InputError(
                f"all of {one.below} is judged, and the results in {folder} would be part of it: "
                "give --out a folder that lies elsewhere"
            )
        result = folder / one.result
        if result in results.values():
            raise InputError(f"two inputs would have the result {result}: judge them apart")
        results[one.name] = result
    return results


def _check_once(paths: list[Path]) -> None:
    there = set(paths)
    if len(there) < len(paths) or any(there.intersection(path.parents) for path in paths):
        raise InputError("one input is named twice: its rows would be judged twice")


def _expanded(name: str, told: FormatName | None, left_out: list[str]) -> Iterator[Found]:
    """The inputs that a name means."""
    path = Path(name)
    if name != PIPE and path.is_dir() and not _is_data_set(path, told):
        found = [Found(str(file), path, whole=True) for file in _below(path, left_out)]
        if not found:
            raise InputError(f"there is no file in {name} whose name says its format")
        yield from found
    elif name != PIPE and not path.exists() and glob.has_magic(name):
        yield from _matching(name, told)
    else:
        yield Found(name, path.parent)


def _is_data_set(path: Path, told: FormatName | None) -> bool:
    return path.is_dir() and (told == "parquet" or path.suffix.lower() in _DATA_SETS)


def _below(folder: Path, left_out: list[str]) -> Iterator[Path]:
    """The inputs below a folder, in the order of their names. Raises InputError."""
    with reading(str(folder)):
        entries = sorted(folder.iterdir())
    for entry in entries:
        _check_whole(folder, Path(entry.name))
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir() and not _is_data_set(entry, None):
            if entry.is_symlink():
                raise InputError(f"{entry} is a link to a folder: name that folder by itself")
            yield from _below(entry, left_out)
        elif is_known(entry.name):
            yield entry
        else:
            left_out.append(str(entry))


def _matching(pattern: str, told: FormatName | None) -> Iterator[Found]:
    """The files and data sets that a pattern matches; what lies in one of these is part of it."""
    fixed = Path(pattern)
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    matches = [Path(one) for one in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - absolute
    sets = {one for one in matches if _is_data_set(one, told)}
    own = [one for one in matches if one in sets or one.is_file()]
    found = [one for one in own if sets.isdisjoint(one.parents)]
    for one in found:
        _check_whole(fixed, one.relative_to(fixed))
    if not found:
        raise InputError(f"no file is named as {pattern} says")
    whole = "**" in Path(pattern).parts
    yield from (Found(str(one), fixed, whole) for one in sorted(found))


def _check_whole(folder: Path, inside: Path) -> None:
    if _WRITING in inside.parts:
        where = folder.joinpath(*inside.parts[: inside.parts.index(_WRITING)])
        raise InputError(f"{where} is incomplete: {_WRITING} in it says that it is being written")
