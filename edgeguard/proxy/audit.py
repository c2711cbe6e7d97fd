"""The audit log: a JSON line for each verdict, without the text, in a file that is rotated.

A text stands in it as its sha256: who has the text can find it, and short texts can be guessed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from datetime import datetime, timezone
from logging.handlers import RotatingFileHandler
from pathlib import Path

from edgeguard.errors import OutputError
from edgeguard.verdict import Verdict

MAX_BYTES = 10 * 1024 * 1024
FILES = 5
"""Files that are kept beside the one that is written."""

_logger = logging.getLogger(__name__)


class Audit:
    """Writes what was decided; without a path it writes nothing."""

    def __init__(self, path: str | None, *, max_bytes: int = MAX_BYTES) -> None:
        """Raises OutputError if the file cannot be written."""
        self._file: _File | None = None
        self._lock = threading.Lock()
        if path is None:
            return
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            self._file = _File(
                Path(path), maxBytes=max_bytes, backupCount=FILES, encoding="utf-8", delay=False
            )
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
        """One line. ``stage`` is prompt or answer; ``action`` passed, blocked, observed, failed."""
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
            self._file.emit(logging.makeLogRecord({"msg": json.dumps(line), "args": ()}))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class _File(RotatingFileHandler):
    """A log that says so when it cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - logging's
        """Say it in the server's log; verdicts go on."""
        _logger.error("the audit log cannot be written")
