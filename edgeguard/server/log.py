"""The server's log on stderr: a line for each request, and messages for the operator.

A line is text for a person, or one JSON object. It contains no moderated text, and no path or name
that a client chose. Logging cannot fail: a full or closed stderr ends no request.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import datetime, timezone

from edgeguard.console import note

_FIELDS = "fields"
_NOTE = "note"


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """stderr as it is now; what it refuses is lost."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's
        """Say nothing: there is nowhere to say it."""


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, _NOTE, False):
            return f"edgeguard: {record.getMessage()}"
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = f"edgeguard: {_time(record)} {level}{record.getMessage()}"
        return f"{line} {fields}" if fields else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **_fields(record),
        }
        return json.dumps(line)


def configure(form: str) -> None:
    """Write the log in this form: ``text`` or ``json``."""
    handler, formatter = _Handler(), _Json() if form == "json" else _Text()
    handler.setFormatter(formatter)
    for other in logging.getLogger().handlers:  # what the libraries say, if it is asked for
        other.setFormatter(formatter)
    logger = logging.getLogger("edgeguard")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(min(logging.INFO, logging.getLogger().level))


def say(logger: logging.Logger, message: str, level: int = logging.INFO) -> None:
    """Tell the person who started the server; as a plain note where the log is text."""
    if logging.getLogger("edgeguard").handlers:
        logger.log(level, message, extra={_NOTE: True})
    else:
        note(message)


def log_fields(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """A line with named values, which are fields of their own in JSON."""
    known = {name: value for name, value in fields.items() if value is not None}
    logger.log(level, message, extra={_FIELDS: known})


class Seldom:
    """A warning that comes once a minute at most, and says how often it was meant."""

    def __init__(self, logger: logging.Logger, seconds: float = 60.0) -> None:
        self._logger = logger
        self._seconds = seconds
        self._next = 0.0
        self._kept_back = 0

    def warn(self, message: str) -> None:
        """Log it, unless it was logged a moment ago."""
        now = time.monotonic()
        if now < self._next:
            self._kept_back += 1
            return
        more = f" (and {self._kept_back} times since the last such line)" if self._kept_back else ""
        self._next, self._kept_back = now + self._seconds, 0
        self._logger.warning("%s%s", message, more)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, _FIELDS, {})
    return fields
