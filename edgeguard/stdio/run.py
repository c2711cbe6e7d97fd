"""Runs `edgeguard stdio` from start to end.

It ends on shutdown, at the end of stdin, with the parent, or when nobody reads its answers.
Standard output is for the protocol alone: anything else that is printed, by native code too, goes
to standard error. This module knows no method.
"""

from __future__ import annotations

import os
import threading

from edgeguard.stdio.connection import Connection
from edgeguard.stdio.lines import Writer, read_lines
from edgeguard.stdio.methods import Load, Methods, lane
from edgeguard.stdio.parent import leave_with

_SECONDS = 5.0
"""How long the end waits for answers to requests that were cancelled by it."""


def serve(load: Load, parent: int | None = None) -> None:
    """Answer requests on stdin; returns at its end, or after ``shutdown``."""
    leave_with(parent)
    writer = Writer(os.dup(1))
    os.dup2(2, 1)
    ended = threading.Event()
    methods = Methods(load, ended.set, lambda method, params: connection.notify(method, params))
    connection = Connection(writer, methods.table(), lane, ended.set)

    def read() -> None:
        try:
            connection.serve(read_lines(0))
        finally:
            ended.set()

    threading.Thread(target=read, name="edgeguard-stdin", daemon=True).start()
    while not ended.wait(0.1 if os.name == "nt" else None):
        pass  # On Windows, Ctrl-C does not interrupt a wait without a time limit
    connection.settle(_SECONDS)
    methods.close()
