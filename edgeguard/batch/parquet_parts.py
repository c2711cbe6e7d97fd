"""The files of a Parquet input: one, or a folder of parts as Spark, Hive and pandas write it.

Parts are sorted by name; names that begin with a dot or an underscore are skipped. A folder
`name=value` on the path of a part is one of its columns. This module reads no rows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from edgeguard.batch.source import Seen
from edgeguard.batch.unchanged import changed, changed_since, reading, untouched
from edgeguard.digest import sha256_of
from edgeguard.errors import InputError

Fields = Mapping[str, object] | None
"""The named columns of a row; None where a text is not UTF-8."""

_ENDINGS = (".parquet", ".pq")
_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Part:
    """A file, and the columns from its folders' names."""

    path: Path
    columns: Mapping[str, str | None] = field(default_factory=dict)


def parts_of(name: str) -> tuple[Part, ...]:
    """The files of an input. Raises InputError if there are none, or a writer is not done."""
    path = Path(name)
    if not path.is_dir():
        return (Part(path),)
    with reading(name):
        if (path / "_temporary").exists():
            raise InputError(f"{name} is not whole: _temporary in it says that it is being written")
        found = [file for file in sorted(path.rglob("*")) if _is_part(file.relative_to(path), file)]
    if not found:
        raise InputError(f"there is no Parquet file in the folder {name}")
    return tuple(Part(file, _named(file.relative_to(path))) for file in found)


def digest_of(fields: Fields) -> str:
    """A digest that tells one judged row from another."""
    plain = json.dumps(fields, default=str).encode("ascii")
    return hashlib.blake2b(plain, digest_size=16).hexdigest()


def _is_part(inside: Path, file: Path) -> bool:
    hidden = any(name.startswith((".", "_")) for name in inside.parts)
    return not hidden and inside.suffix.lower() in _ENDINGS and file.is_file()


def _named(inside: Path) -> dict[str, str | None]:
    columns = {}
    for folder in inside.parent.parts:
        name, equals, value = folder.partition("=")
        if equals:
            columns[unquote(name)] = None if value == _NULL else unquote(value)
    return columns


class Content:
    """The files, checked for changes since they were measured."""

    def __init__(self, name: str, parts: tuple[Part, ...]) -> None:
        """Record the current state of the files. Raises InputError."""
        self._name = name
        self._files = [part.path for part in parts]
        self._sha256 = ""
        with reading(name):
            self._status: list[os.stat_result] = [file.stat() for file in self._files]

    def measure(self, seen: Seen) -> str:  # noqa: ARG002
        """The sha256 of the files, for later checks. Raises InputError."""
        self._sha256 = self._now()
        return self._sha256

    @property
    def seen(self) -> Seen:
        """Does nothing: each row is compared with its verdict when the result is written."""
        return Seen()

    def check_read(self) -> None:
        """Check that the files are those that were measured. Raises InputError."""
        if not self._same():
            raise changed(self._name)

    def check_still(self) -> None:
        """The same, after the result has been put in place. Raises InputError."""
        if not self._same():
            raise changed_since(self._name)

    def _same(self) -> bool:
        if not self._sha256 or all(map(untouched, self._files, self._status)):
            return True
        return all(file.is_file() for file in self._files) and self._now() == self._sha256

    def _now(self) -> str:
        with reading(self._name):
            digests = [sha256_of(file) for file in self._files]
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("\n".join(digests).encode("ascii")).hexdigest()
