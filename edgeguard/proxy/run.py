"""Starts a proxy, as edgeguard.server.run starts a server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edgeguard.cancellation import Cancellation
from edgeguard.guard import Guard
from edgeguard.proxy.app import make_app
from edgeguard.proxy.settings import ProxySettings
from edgeguard.server import run
from edgeguard.server.settings import Settings


def serve(proxy: ProxySettings, settings: Settings, load: Callable[[Cancellation], Guard]) -> None:
    """Guard the upstream until a signal. Raises what edgeguard.server.run.serve raises."""
    run.serve(
        settings,
        load,
        partial(make_app, proxy),
        ": give clients {url}/v1 as their base URL",
    )
