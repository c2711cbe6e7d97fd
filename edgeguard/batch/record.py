"""What a run must remember to be resumed: what it is, how far it came, the verdicts it has.

A SQLite file beside the result. Its lock keeps a second process away and ends with the process that
holds it. Each verdict is committed when it is there, so that a kill loses none; the place is
committed after the rows before it are on the disk, so that a power cut finds them there.

It holds digests of texts, never a text. This module judges nothing and writes no row.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeguard.batch.judging import Known
from edgeguard.batch.rows import START, Place
from edgeguard.batch.source import NOTHING_SEEN, Seen
from edgeguard.batch.tally import Tally
from edgeguard.errors import OutputError
from edgeguard.outputs import writing

_OURS = int.from_bytes(b"edgj", "big")
"""SQLite's mark of whose a database is, so that nobody else's is taken for a record."""
_TABLES = """
    CREATE TABLE IF NOT EXISTS run (what TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS verdicts (
        key BLOB PRIMARY KEY, verdict TEXT NOT NULL, number INTEGER NOT NULL
    ) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Progressed:
    """How far a run came: the place in the input, the bytes written, the counts, whether all.

    ``seen`` is what was read of the input by then, which may go beyond the place; ``made`` is the
    sha256 of the result that is about to get its name.
    """

    place: Place = START
    seen: Seen = NOTHING_SEEN
    written: int = 0
    tally: Tally = field(default_factory=Tally)
    complete: bool = False
    made: str = ""


class Record:
    """An open record, locked. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open or make the record. Raises OutputError: it is in use, damaged, or no disk."""
        self.path = path
        self.is_open = True
        with writing(path):
            path.open("ab").close()  # SQLite would not say why it cannot
            is_new = path.stat().st_size == 0
        with self._translating():
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            with self._translating():
                if not is_new:
                    self._check_ours()
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode = WAL")
                # Commits survive a kill at once, and a power cut from the next save() on.
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.execute(f"PRAGMA application_id = {_OURS}")
                self._db.executescript(_TABLES)
        except BaseException:
            self._db.close()
            raise

    def _check_ours(self) -> None:
        (mark,) = self._db.execute("PRAGMA application_id").fetchone()
        if mark not in (_OURS, 0) or (mark == 0 and self._tables() - {"run", "verdicts"}):
            raise OutputError(f"{self.path} is not a record of edgeguard batch: give another --out")

    def _tables(self) -> set[str]:
        return {name for (name,) in self._db.execute("SELECT name FROM sqlite_schema")}

    @property
    def identity(self) -> dict[str, Any] | None:
        """What the run is, as ``begin`` was told; None in a new record."""
        return self._read("identity")

    def begin(self, identity: Mapping[str, object]) -> None:
        """Write down what the run is, and that nothing is done yet."""
        self.save(Progressed())
        self._write("identity", identity)  # last: what has an identity has begun

    @property
    def progressed(self) -> Progressed:
        """How far the run came."""
        plain = self._read("progressed")
        if plain is None:
            return Progressed()
        place, seen = Place(**plain.pop("place")), Seen(**plain.pop("seen"))
        tally = Tally.from_dict(plain.pop("tally"))
        return Progressed(place=place, seen=seen, tally=tally, **plain)

    def save(self, progressed: Progressed) -> None:
        """Write down how far the run came. The rows before must be on the disk already."""
        self._write(
            "progressed",
            {
                **vars(progressed),
                "place": vars(progressed.place),
                "seen": vars(progressed.seen),
                "tally": progressed.tally.to_dict(),
            },
        )

    def get(self, key: bytes) -> Known | None:
        """The verdict of a text, if it has been judged."""
        with self._translating():
            found = self._db.execute("SELECT verdict, number FROM verdicts WHERE key = ?", (key,))
            row = found.fetchone()
        return None if row is None else Known(*row)

    def put(self, key: bytes, value: Known) -> None:
        """Keep the verdict of a text."""
        with self._translating():
            self._db.execute(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?)",
                (key, value.verdict, value.number),
            )

    def _read(self, what: str) -> dict[str, Any] | None:
        with self._translating():
            row = self._db.execute("SELECT value FROM run WHERE what = ?", (what,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def _write(self, what: str, value: Mapping[str, object]) -> None:
        with self._translating():
            self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (what, json.dumps(value)))

    def remove(self) -> None:
        """Close the record and delete it: the run is over."""
        self._db.close()
        self.is_open = False
        for path in files_of(self.path):
            path.unlink(missing_ok=True)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise OutputError(
                    f"another edgeguard batch is writing, {self.path} is its record; wait for its "
                    "end, or give another --out"
                ) from error
            raise OutputError(f"cannot write {self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise OutputError(
                f"{self.path} is damaged ({error}): remove it and the partial result to start again"
            ) from error

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_open and self.identity is None:
            self.remove()  # the run never began: nothing to remember
        self._db.close()


def files_of(path: Path) -> tuple[Path, ...]:
    """The record's files: the database and, after a kill, SQLite's log of it."""
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
