"""Starts the server and stops it: the socket, uvicorn, the worker, and how the process ends.

The socket is bound before the model is loaded, so a port that is taken is known at once. A model
that fails ends the process with its error. On SIGINT or SIGTERM uvicorn accepts nothing new, what
runs and what waits is finished, and the model is freed; a second Ctrl-C does not wait.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import uvicorn

from edgeguard.console import note
from edgeguard.errors import EXIT_INTERRUPTED, EdgeguardError, ServerError
from edgeguard.guard import Guard
from edgeguard.server.app import make_app
from edgeguard.server.settings import Settings, check_reach
from edgeguard.server.worker import Worker


def serve(settings: Settings, load: Callable[[], Guard]) -> None:
    """Serve until a signal. ``load`` makes the guard, in the worker's thread.

    Raises ServerError (the address cannot be had), and what loading the model raises.
    """
    check_reach(settings)
    sock = bind(settings)
    url = _url(settings.host, sock)
    failed: list[EdgeguardError] = []

    def on_failure(error: EdgeguardError) -> None:
        failed.append(error)
        server.should_exit = True

    def on_ready(guard: Guard) -> None:
        model = f"{guard.model.name} {guard.model.type}"
        note(f"{model} is ready at {url}; the API is described at {url}/docs")

    worker = Worker(load, places=settings.queue, on_ready=on_ready, on_failure=on_failure)
    server = make_server(settings, worker)
    note(f"listening on {url}, loading the model; Ctrl-C stops")
    try:
        server.run(sockets=[sock])
    finally:
        sock.close()
        worker.stop()
    if failed:
        raise failed[0]


class _Server(uvicorn.Server):
    """A second Ctrl-C ends it at once; from Python 3.12 on, uvicorn's own would still wait."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self.force_exit:
            _leave()


def _leave() -> NoReturn:
    """End at once: the worker still computes, and an ordinary exit would free what it reads."""
    with suppress(RuntimeError):  # a signal can come while the same stream is being written
        note("interrupted")
    os._exit(EXIT_INTERRUPTED)


def bind(settings: Settings) -> socket.socket:
    """A listening socket. Raises ServerError."""
    where = f"{settings.host} port {settings.port}"
    try:
        family, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except PermissionError as error:
        raise ServerError(
            f"{where} needs rights that you do not have: take a port above 1023"
        ) from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise ServerError(f"cannot listen on {where}: {reason}; try another --port") from error


def make_server(settings: Settings, worker: Worker) -> uvicorn.Server:
    """The server around an application; it logs no path, for a path may quote a text."""
    config = uvicorn.Config(
        make_app(settings, worker),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
    )
    return _Server(config)


def _url(host: str, sock: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{sock.getsockname()[1]}"
