"""Storage for remembered answers: strings by digest, limited in number, in memory or in SQLite.

Several processes may share a file. A new file gets our application id, and a file without that id
is never written to. If a file can no longer be read or written, it is left alone: a warning says so
once, and from then on the model is asked again. This module does not know what an answer is.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edgeguard.errors import StoreError

_logger = logging.getLogger(__name__)

MOST = 100_000
"""The most answers stored: some 50 MB in a file. The oldest go first."""
_IN_MEMORY = 10_000
_MARK = 0x45644763  # application_id of the file: EdGc
_WAIT = 5.0  # seconds to wait for another process
_TRIM = 256  # the limit is checked after every so many additions


class Answers(Protocol):
    """Stores strings by digest."""

    def get(self, key: bytes) -> str | None:
        """The stored string; None if there is none."""

    def put(self, key: bytes, value: str) -> None:
        """Store a string."""

    def size(self) -> int:
        """How many strings are stored."""

    def close(self) -> None:
        """Close the storage; nothing is stored after that."""


class AnswerMemory:
    """Answers in memory; when it is full, the least recently used one goes."""

    def __init__(self, most: int = _IN_MEMORY) -> None:
        self._most = most
        self._values: OrderedDict[bytes, str] = OrderedDict()

    def get(self, key: bytes) -> str | None:
        """The stored string; None if there is none."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: bytes, value: str) -> None:
        """Store a string."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def size(self) -> int:
        """How many strings are stored."""
        return len(self._values)

    def close(self) -> None:
        """Forget them."""
        self._values.clear()


class AnswerFile:
    """Answers in a SQLite file that only its owner may read."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        """Open or create the file. Raises StoreError if it is no cache, or cannot be used."""
        self._path = path
        self._most = most
        self._added = 0
        self._database: sqlite3.Connection | None = None
        try:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = self._opened()
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error

    def _opened(self) -> sqlite3.Connection:
        # Our own lock keeps threads from using the connection at once.
        database = sqlite3.connect(
            self._path, timeout=_WAIT, isolation_level=None, check_same_thread=False
        )
        try:
            if not _is_ours(database):
                _make(database)
            with suppress(sqlite3.OperationalError):  # another process is just creating the table
                database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            database.close()
            raise
        return database

    def get(self, key: bytes) -> str | None:
        """The stored string; None if there is none."""
        if self._database is None:
            return None
        try:
            found = self._database.execute("SELECT value FROM answers WHERE key = ?", (key,))
            row = found.fetchone()
        except sqlite3.Error as error:
            self._failed(error)
            return None
        return row[0] if row is not None and isinstance(row[0], str) else None

    def put(self, key: bytes, value: str) -> None:
        """Store a string, if the file can be written."""
        if self._database is None:
            return
        try:
            self._database.execute(
                "INSERT OR REPLACE INTO answers (key, value) VALUES (?, ?)", (key, value)
            )
            self._added += 1
            if self._added % _TRIM == 1:
                self._trim(self._database)
        except sqlite3.Error as error:
            self._failed(error)

    def _trim(self, database: sqlite3.Connection) -> None:
        database.execute(
            "DELETE FROM answers WHERE number <= (SELECT max(number) FROM answers) - ?",
            (self._most,),
        )

    def size(self) -> int:
        """How many strings are stored; 0 if the file cannot be read."""
        if self._database is None:
            return 0
        try:
            (count,) = self._database.execute("SELECT count(*) FROM answers").fetchone()
        except sqlite3.Error as error:
            self._failed(error)
            return 0
        return int(count)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _failed(self, error: sqlite3.Error) -> None:
        busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        if busy:  # not stored this time; another process holds the lock
            return
        _logger.warning(
            "the cache %s cannot be used any more (%s): every text is judged anew; remove it if "
            "it is damaged",
            self._path,
            error,
        )
        self.close()

    def _unusable(self, reason: str) -> StoreError:
        return StoreError(
            f"{self._path} cannot be used as a cache ({reason}): remove it if it is a damaged "
            "cache, or name another file"
        )


def _is_ours(database: sqlite3.Connection) -> bool:
    (mark,) = database.execute("PRAGMA application_id").fetchone()
    return bool(mark == _MARK)


def _make(database: sqlite3.Connection) -> None:
    """Create the table in an empty file; one process does it, and the others find it there."""
    database.execute("BEGIN IMMEDIATE")
    if not _is_ours(database):
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables:
            raise sqlite3.DatabaseError("it is a database of something else")
        database.execute(
            "CREATE TABLE answers "
            "(number INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, value TEXT NOT NULL)"
        )
        database.execute(f"PRAGMA application_id = {_MARK}")
    database.execute("COMMIT")
