"""Starts the server and stops it: the sockets, uvicorn, the worker, and how the process ends.

The sockets are bound before the model is loaded, so a port in use is reported at once. A model that
fails ends the process with its error. On SIGINT, SIGTERM or SIGHUP no new requests are accepted,
those that run or wait are finished within FINISH_SECONDS, and the model is freed; a load that is
running is stopped. A second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import uvicorn
from starlette.types import ASGIApp

from edgeguard.cancellation import Cancellation
from edgeguard.errors import EXIT_INTERRUPTED, EdgeguardError
from edgeguard.guard import Guard
from edgeguard.server.app import make_app
from edgeguard.server.connection import IDLE_SECONDS, LAST_SECONDS, Connection
from edgeguard.server.connection_limit import ACCEPTED_AT_ONCE, ConnectionLimit
from edgeguard.server.listen import bind, url_of
from edgeguard.server.log import configure, say
from edgeguard.server.notify import notify
from edgeguard.server.settings import Settings, check_reach, is_loopback
from edgeguard.server.socket_connection import SocketConnection
from edgeguard.worker.worker import Worker

FINISH_SECONDS = 25.0
"""How long what is being judged may take once the server stops: Kubernetes kills after 30 s."""

_LOAD_SECONDS = 2.0
"""How long a load may take to end; reading a large file cannot be interrupted."""
_BACKLOG = 256
"""Connections that may wait to be accepted: a flood fills it, and all who come then wait behind."""

_logger = logging.getLogger(__name__)


def serve(
    settings: Settings,
    load: Callable[[Cancellation], Guard],
    build: Callable[[Settings, Worker], ASGIApp] = make_app,
    about: str = "; the API is described at {url}/docs",
) -> None:
    """Serve until a signal. ``load`` makes the guard, in the worker's thread.

    ``build`` makes the application; ``about`` is what is said of it when it is ready.

    Raises ServerError (the address cannot be had), and what loading the model raises.
    """
    configure(settings.log_format)
    check_reach(settings)
    socks = bind(settings)
    url = url_of(settings.host, socks[0])
    failed: list[EdgeguardError] = []

    def on_failure(error: EdgeguardError) -> None:
        failed.append(error)
        server.should_exit = True

    def on_ready(guard: Guard) -> None:
        limits, speed = worker.limits, worker.queue.speed
        ready = f"{guard.model.name} {guard.model.type} is ready at {url}"
        notify(ready=True, status=ready)
        say(_logger, f"{ready}{about.format(url=url)}")
        say(
            _logger,
            f"a short text is read at {speed:,.0f} tokens a second here; one request may have "
            f"{limits.tokens:,} tokens and {limits.seconds:g} s",
        )

    worker = make_worker(settings, load, on_ready=on_ready, on_failure=on_failure)
    server = make_server(settings, worker, build)
    _warn_if_open(settings)
    try:
        with _hangup(server):
            notify(status=f"listening on {url}, loading the model")
            say(_logger, f"listening on {url}, loading the model; Ctrl-C stops")
            server.run(sockets=socks)
    finally:
        for sock in socks:
            sock.close()
        worker.stop()
    if failed:
        raise failed[0]


def make_worker(
    settings: Settings,
    load: Callable[[Cancellation], Guard],
    *,
    on_ready: Callable[[Guard], None] = lambda _guard: None,
    on_failure: Callable[[EdgeguardError], None] = lambda _error: None,
) -> Worker:
    """The worker of a server with these settings."""
    return Worker(
        load,
        places=settings.queue,
        timeout=settings.timeout,
        max_tokens=settings.max_tokens,
        together=not settings.exact,
        on_ready=on_ready,
        on_failure=on_failure,
    )


def make_server(
    settings: Settings,
    worker: Worker,
    build: Callable[[Settings, Worker], ASGIApp] = make_app,
) -> uvicorn.Server:
    """The server around an application; it logs no path, for a path may quote a text."""
    config = uvicorn.Config(
        build(settings, worker),
        http=Connection,
        ws=SocketConnection,
        ws_max_size=settings.max_body,
        ws_per_message_deflate=False,
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_keep_alive=int(IDLE_SECONDS),
        # The worker's own end comes first; this one is for connections that do not end.
        timeout_graceful_shutdown=int(FINISH_SECONDS + 2 * LAST_SECONDS),
    )
    return _Server(config, worker)


class _Server(uvicorn.Server):
    """Says what it finishes, finishes in time, and ends at once at a second signal."""

    def __init__(self, config: uvicorn.Config, worker: Worker) -> None:
        super().__init__(config)
        self._worker = worker
        self._last_signal: int | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Let many connect, although few are accepted at once."""
        await super().startup(sockets)
        for sock in sockets or []:
            sock.listen(_BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was asked, for as long as there is time."""
        notify(stopping=True)
        requests, texts = self._worker.queue.in_flight
        if self._worker.state == "loading":
            await self._end_load()
        say(_logger, f"stopping{_finishing(requests, texts)}")
        loop = asyncio.get_running_loop()
        end = loop.call_later(FINISH_SECONDS, self._refuse_the_rest)
        limit: ConnectionLimit = self.lifespan.state["connection_limit"]
        limit.close()
        try:
            await super().shutdown(sockets)
        finally:
            end.cancel()

    async def _end_load(self) -> None:
        await asyncio.to_thread(self._worker.stop, wait=_LOAD_SECONDS)
        if self._worker.is_alive and self._last_signal is not None:
            _leave(self._last_signal)

    def _refuse_the_rest(self) -> None:
        self._worker.refuse("the server is stopping", abort=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; the second time, at once: uvicorn's own would still wait."""
        if self._last_signal is not None:
            _leave(sig)
        self._last_signal = sig
        super().handle_exit(sig, frame)


def _finishing(requests: int, texts: int) -> str:
    if not requests:
        return ""
    return (
        f": finishing {requests} request{'s' * (requests > 1)} with {texts} text"
        f"{'s' * (texts > 1)}, within {FINISH_SECONDS:.0f} s; a second signal ends at once"
    )


def _leave(sig: int) -> NoReturn:
    """End at once: the worker still computes, and an ordinary exit would free what it reads."""
    os._exit(EXIT_INTERRUPTED if sig == signal.SIGINT else 128 + sig)


@contextmanager
def _hangup(server: uvicorn.Server) -> Iterator[None]:
    """Take a terminal that is closed for SIGTERM, unless nohup has it ignored."""
    number = getattr(signal, "SIGHUP", None)
    if number is None or signal.getsignal(number) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(number, lambda _sig, frame: server.handle_exit(signal.SIGTERM, frame))
    try:
        yield
    finally:
        signal.signal(number, before)


def _warn_if_open(settings: Settings) -> None:
    if settings.api_key is None and not is_loopback(settings.host):
        say(
            _logger,
            f"warning: anyone who reaches {settings.host} may use this server, for it has no key",
            logging.WARNING,
        )
