"""The audit log: a JSON line for each verdict, without the text, in a file that is rotated.

A text is represented by its sha256: those who have the text can find it, and short texts can be
guessed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from edgeguard.errors import OutputError
from edgeguard.verdict import Verdict

MAX_BYTES = 10 * 1024 * 1024
FILES = 5
"""How many rotated files are kept."""

_logger = logging.getLogger(__name__)


class Audit:
    """Writes decisions; without a path, it writes nothing."""

    def __init__(
        self,
        path: str | None,
        *,
        max_bytes: int = MAX_BYTES,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_lost`` is called for a line that could not be written.

        Raises OutputError if the file cannot be written at all.
        """
        self._file: _File | None = None
        self._lock = threading.Lock()
        self._on_lost = on_lost
        self._is_losing = False
        if path is None:
            return
        try:
            self._file = _File(path, maxBytes=max_bytes, backupCount=FILES, encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"the audit log cannot be written: {error.strerror or error}; check --audit-log"
            ) from error

    def write(
        self,
        *,
        request_id: str,
        route: str,
        stage: str,
        action: str,
        text: str,
        verdict: Verdict | None,
        reason: str,
    ) -> None:
        """Write a line for one verdict.

        ``stage`` is prompt or answer; ``action`` passed, blocked, observed or failed.
        """
        if self._file is None:
            return
        line = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "request_id": request_id,
            "route": route,
            "stage": stage,
            "action": action,
            "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
            "characters": len(text),
            "severity": verdict.severity if verdict else None,
            "categories": list(verdict.categories) if verdict else [],
            "flagged": verdict.flagged if verdict else None,
            "reason": reason,
            "model": verdict.model.name if verdict else None,
            "seconds": round(verdict.seconds, 4) if verdict else None,
        }
        with self._lock:
            try:
                self._file.write(json.dumps(line))
                self._is_losing = False
            except OSError as error:
                self._lost(error)

    def _lost(self, error: OSError) -> None:
        """Count a lost line, and warn once; verdicts go on."""
        self._on_lost()
        if not self._is_losing:
            _logger.error("the audit log cannot be written, lines are lost: %s", error.strerror)
        self._is_losing = True

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class _File(RotatingFileHandler):
    """A log of complete lines that only its owner can read.

    If the file was moved or removed, a new one is made; a line that does not fit is taken back.
    """

    def _open(self) -> TextIOWrapper:
        file = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(file, "a", encoding="utf-8")

    @property
    def _number(self) -> int:
        if self.stream is None:
            self.stream = self._open()
        return self.stream.fileno()

    def write(self, line: str) -> None:
        """Add a line. If it raises OSError, nothing was added."""
        self._follow()
        data = f"{line}\n".encode()
        if 0 < self.maxBytes < os.fstat(self._number).st_size + len(data):
            self._rotate()
        file = self._number
        size = os.fstat(file).st_size
        if os.write(file, data) < len(data):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _follow(self) -> None:
        try:
            there = Path(self.baseFilename).stat()
        except FileNotFoundError:
            there = None
        if there is None or not os.path.samestat(there, os.fstat(self._number)):
            self._again()

    def _rotate(self) -> None:
        """Begin a new file; if that fails, go on with the old one."""
        try:
            self.doRollover()
        except OSError as error:
            _logger.warning("the audit log is not rotated: %s", error.strerror)
            self._again()

    def _again(self) -> None:
        opened = self._open()
        if self.stream is not None:
            self.stream.close()
        self.stream = opened
