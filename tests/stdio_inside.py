"""`edgeguard stdio` without its process: the transport and its methods on pipes, and no model."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from served import scripted
from stdio_client import validate

from edgeguard import Cancellation, Guard
from edgeguard.session.fake import FakeSession
from edgeguard.stdio.connection import Connection
from edgeguard.stdio.lines import Writer, read_lines
from edgeguard.stdio.methods import Methods, lane


class Inside:
    """A conversation; every line that comes back is held to the schema."""

    def __init__(self, load: Callable[[Cancellation], Guard] | None = None) -> None:
        def load_fake(_cancel: Cancellation, _on_progress: object) -> Guard:
            return Guard.with_session(FakeSession(scripted)) if load is None else load(_cancel)

        self.stopped = threading.Event()
        self.unread = threading.Event()
        self.answers: list[dict[str, Any]] = []
        ours, theirs = os.pipe()
        self._out, self._in = theirs, 0
        self._methods = Methods(load_fake, self.stopped.set, lambda *_: None)
        table = self._methods.table()
        self.connection = Connection(Writer(theirs), table, lane, self.unread.set)
        self._reader = threading.Thread(target=self._read, args=(ours,))
        self._reader.start()

    def talk(self, data: bytes) -> list[dict[str, Any]]:
        """Send all of it, wait for all answers, and end; the answers in their order."""
        reader, writer = os.pipe()
        sender = threading.Thread(target=_send, args=(writer, data))
        sender.start()
        self.connection.serve(read_lines(reader))
        sender.join()
        os.close(reader)
        with self.connection._lock:
            assert self.connection._lock.wait_for(lambda: not self.connection._unanswered, 30)
        self._methods.close()
        os.close(self._out)
        self._reader.join()
        return self.answers

    def _read(self, file: int) -> None:
        with os.fdopen(file, "rb") as lines:
            for line in lines:
                value = json.loads(line)
                validate(value, "answer")
                self.answers.append(value)


def _send(file: int, data: bytes) -> None:
    with os.fdopen(file, "wb") as out:
        out.write(data)
