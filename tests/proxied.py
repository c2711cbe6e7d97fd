"""A proxy for a test, in a thread, on a session that finds unsafe what says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from served import Served, scripted

from edgeguard import Guard
from edgeguard.proxy.app import make_app
from edgeguard.proxy.settings import ProxySettings
from edgeguard.server.listen import bind
from edgeguard.server.run import make_server, make_worker
from edgeguard.server.settings import Settings
from edgeguard.session.fake import FakeSession


@contextmanager
def proxying(
    upstream: str,
    script: Callable[[str], str] = scripted,
    *,
    api_key: str | None = None,
    max_body: int = 1 << 20,
    seconds: float = 0.0,
    session: FakeSession | None = None,
    **options: object,
) -> Iterator[Served]:
    """A proxy in front of an upstream; from its start on, a check takes so many ``seconds``."""
    settings = Settings(port=0, api_key=api_key, max_body=max_body)
    proxy = ProxySettings(upstream, has_client_key=api_key is not None, **options)  # type: ignore[arg-type]
    session = session or FakeSession(script)
    worker = make_worker(settings, lambda _cancel: Guard.with_session(session))
    server = make_server(settings, worker, partial(make_app, proxy))
    socks = bind(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": socks})
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started or worker.state == "loading":
            assert time.monotonic() < deadline
            time.sleep(0.005)
        session._seconds = seconds
        yield Served(f"http://127.0.0.1:{socks[0].getsockname()[1]}", worker, server)
    finally:
        server.should_exit = True
        thread.join(30)
        for sock in socks:
            sock.close()
        worker.stop()
        assert not thread.is_alive()
