"""Several inputs of one run: which they are, where their results go, and which are finished.

Each input has a result of its own, of the same name, in one folder; each can be resumed by itself.
While the run lasts, a file in that folder says which results are finished and what they were made
of, so that a run that is resumed neither judges those again nor takes another file for one of them.
This module judges nothing.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeguard.batch.formats import FormatName, is_known
from edgeguard.batch.source import PIPE
from edgeguard.batch.tally import Tally
from edgeguard.batch.unchanged import reading
from edgeguard.digest import sha256_of
from edgeguard.errors import InputError, OutputError
from edgeguard.outputs import sync_folder, writing

FINISHED = ".edgeguard-batch.json"


def inputs_of(given: Iterable[str], told: FormatName | None) -> list[str] | None:
    """The inputs that are meant by several names, by folders and by patterns; None by one file.

    A folder told to be Parquet is one input. Raises InputError: nothing is there, or one twice.
    """
    names = list(given)
    found = [one for name in names for one in _expanded(name, told)]
    if len(names) == 1 and found == names:
        return None
    if PIPE in found:
        raise InputError("standard input is one input: give it alone")
    if len({Path(name).resolve() for name in found}) < len(found):
        raise InputError("one input is named twice: its rows would be judged twice")
    return found


def results_of(inputs: Iterable[str], folder: Path) -> dict[str, Path]:
    """Where the result of each input goes. Raises InputError where two would have one name."""
    results: dict[str, Path] = {}
    for name in inputs:
        own = Path(name.removesuffix(".gz"))
        result = folder / (f"{own.stem}.jsonl" if own.suffix.lower() == ".txt" else own.name)
        if result in results.values():
            raise InputError(f"two inputs would have the result {result}: judge them apart")
        results[name] = result
    return results


def make_folder(folder: Path) -> None:
    """See that results can be put there; it is made if need be. Raises OutputError."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise OutputError(f"{folder} is a file: several inputs need a folder for their results")
    with writing(folder):
        folder.mkdir(exist_ok=True)


@dataclass(frozen=True)
class Finished:
    """The results of a run that are finished, on disk."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file that says so."""
        return self.folder / FINISHED

    def find(self, result: Path, identity: Mapping[str, object]) -> Tally | None:
        """The counts of a finished result, if it is that. Raises OutputError: it is another."""
        if not result.exists() or result.with_name(f"{result.name}.job").exists():
            return None
        known = self._read().get(result.name)
        if known is None:
            return None  # whoever opens it says that it exists
        if known["identity"] != _digest(identity) or known["made"] != sha256_of(result):
            raise OutputError(
                f"{result} was made in another way, or changed since: give what was given then, "
                f"or remove it to judge its input again"
            )
        return Tally.from_dict(known["tally"])

    def add(self, result: Path, identity: Mapping[str, object], tally: Tally) -> None:
        """Note that a result is finished. Raises OutputError."""
        entry = {
            "identity": _digest(identity),
            "made": sha256_of(result),
            "tally": tally.to_dict(),
        }
        made = self.path.with_name(f"{FINISHED}.new")
        with writing(self.path):
            with made.open("w", encoding="utf-8") as file:
                json.dump({**self._read(), result.name: entry}, file)
                file.flush()
                os.fsync(file.fileno())
            made.replace(self.path)
            sync_folder(self.folder)

    def remove(self) -> None:
        """Forget it: every input has its result."""
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise OutputError(f"{self.path} cannot be read ({error}): remove it") from error
        return dict(found)


def _expanded(name: str, told: FormatName | None) -> Iterator[str]:
    """The files that a name means."""
    path = Path(name)
    if name != PIPE and path.is_dir() and told != "parquet" and not is_known(name):
        with reading(name):
            found = [str(file) for file in sorted(path.iterdir()) if _is_input(file)]
        if not found:
            raise InputError(f"there is no file in {name} whose name says its format")
        yield from found
    elif name != PIPE and not path.exists() and glob.has_magic(name):
        matches = glob.glob(name, recursive=True)  # noqa: PTH207 - the pattern may be absolute
        found = sorted(file for file in matches if Path(file).is_file())
        if not found:
            raise InputError(f"no file is named as {name} says")
        yield from found
    else:
        yield name


def _is_input(file: Path) -> bool:
    return file.is_file() and not file.name.startswith((".", "_")) and is_known(file.name)


def _digest(identity: Mapping[str, object]) -> str:
    plain = json.dumps(identity, sort_keys=True, default=repr)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
