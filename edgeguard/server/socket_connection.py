"""One WebSocket connection: uvicorn's, with the same limits and logging as an HTTP connection.

It counts as one of the connections (edgeguard.server.connection_limit), and is closed if the client
does not take what it is sent. Nothing that a client sends is logged: uvicorn would log the path,
and its library every frame. This module knows no path and no model.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Sequence
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.server import ServerProtocol

from edgeguard.server.connection_limit import ConnectionLimit
from edgeguard.server.unread import Unread

ANSWER_SECONDS = 30.0
"""What a client has to take what it is sent."""
MOST_UNSENT = 1 << 20
"""Bytes that may wait for a client meanwhile."""

_MOST_HEADERS = 100
_LONGEST_HEADER = 4096
"""Both below what the library takes, which ends a connection where there is more."""

_SILENT = logging.getLogger(f"{__name__}.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_SILENT.setLevel(logging.CRITICAL + 1)


def is_handshake(method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a request opens a WebSocket as RFC 6455 has it; what does not is plain HTTP."""
    known = {name.lower(): value.strip().lower() for name, value in headers}
    return (
        method == "GET"
        and known.get(b"upgrade") == b"websocket"
        and b"upgrade" in [part.strip() for part in known.get(b"connection", b"").split(b",")]
        and known.get(b"sec-websocket-version") == b"13"
        and _is_key([value for name, value in headers if name.lower() == b"sec-websocket-key"])
        and not known.keys() & {b"content-length", b"transfer-encoding"}
        and len(headers) <= _MOST_HEADERS
        and max(len(target), *(len(n) + len(v) for n, v in headers)) <= _LONGEST_HEADER
    )


class SocketConnection(WebSocketsSansIOProtocol):
    """A connection that was upgraded, which the limit of connections can close."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], **more: Any
    ) -> None:
        super().__init__(config, server_state, app_state, **more)
        self.logger = _SILENT
        self.conn = ServerProtocol(max_size=config.ws_max_size, logger=_SILENT)

    @property
    def is_quiet(self) -> bool:
        """Never: what is open is watched, and edgeguard.server.watching bounds how many are."""
        return False

    @property
    def _limit(self) -> ConnectionLimit:
        connection_limit: ConnectionLimit = self.app_state["connection_limit"]
        return connection_limit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        super().connection_made(transport)
        self._unread = Unread(self, self._limit, self.loop, ANSWER_SECONDS)
        self._limit.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._unread.ends()
        self._limit.leave(self)
        super().connection_lost(exc)

    def throw_out(self) -> None:
        """End it at once, whatever is unsent."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the answers to pings pile up that the client does not take."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MOST_UNSENT:
            self._unread.is_over()

    def pause_writing(self) -> None:
        """The client does not take what it is sent: give it a while."""
        super().pause_writing()
        self._unread.begins()

    def resume_writing(self) -> None:
        """It has taken what there was."""
        super().resume_writing()
        self._unread.ends()


def _is_key(keys: list[bytes]) -> bool:
    try:
        return len(keys) == 1 and len(base64.b64decode(keys[0].strip(), validate=True)) == 16
    except binascii.Error:
        return False
