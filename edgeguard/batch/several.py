"""Several inputs of one run: the folder of their results, and which of these are finished.

Each input has a result of its own, which can be resumed by itself; edgeguard.batch.inputs says
where. While the run lasts, a file in the folder says which results are finished and what they were
made of, so that a run that is resumed neither judges those again nor takes another file for one of
them. This module judges nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeguard.batch.tally import Tally
from edgeguard.digest import sha256_of
from edgeguard.errors import OutputError
from edgeguard.outputs import sync_folder, writing

FINISHED = ".edgeguard-batch.json"


def make_folders(folder: Path, results: Iterable[Path]) -> None:
    """See that results can be put into a folder, made if need be. Raises OutputError."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise OutputError(f"{folder} is a file: several inputs need a folder for their results")
    with writing(folder):
        folder.mkdir(exist_ok=True)
    for inside in sorted({result.parent for result in results}):
        with writing(inside):
            inside.mkdir(parents=True, exist_ok=True)


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
        known = self._read().get(self._name(result))
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
                json.dump({**self._read(), self._name(result): entry}, file)
                file.flush()
                os.fsync(file.fileno())
            made.replace(self.path)
            sync_folder(self.folder)

    def remove(self) -> None:
        """Forget it: every input has its result."""
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def _name(self, result: Path) -> str:
        return result.relative_to(self.folder).as_posix()

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise OutputError(f"{self.path} cannot be read ({error}): remove it") from error
        return dict(found)


def _digest(identity: Mapping[str, object]) -> str:
    plain = json.dumps(identity, sort_keys=True, default=repr)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
