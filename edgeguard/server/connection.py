"""One HTTP connection: uvicorn's, with time limits on everything that a client can delay.

    a request's head   HEAD_SECONDS from its first byte, or from the connection's
    between requests   IDLE_SECONDS
    an answer          ANSWER_SECONDS from the first byte that the client does not take
    a body             edgeguard.server.body

A client that closes its side has either left, or only says that nothing more will come (`nc -N`).
TCP does not tell the two apart until something is sent, so an interim answer is sent: a client that
left resets the connection within a round trip. Requests that h11 refuses are answered in OpenAI's
form and counted. A WebSocket's handshake hands the connection over to
edgeguard.server.socket_connection.

This module knows no path and no model.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from socket import SO_ERROR, SOL_SOCKET
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgeguard.server.connection_limit import ConnectionLimit
from edgeguard.server.http_errors import HttpError
from edgeguard.server.observed import Notes, complete, new_id
from edgeguard.server.socket_connection import ANSWER_SECONDS, is_handshake
from edgeguard.server.unread import Unread

HEAD_SECONDS = 15.0
IDLE_SECONDS = 30.0
LAST_SECONDS = 5.0
"""What a client has, once the server stops, to send the rest of a body or to take an answer."""

_PROBE_SECONDS = 0.02
_AHEAD_BYTES = 65536
"""What is read of the requests after the one that is being answered; where reading stops, a client
that leaves is not noticed."""

_HINTS = {
    400: "this is not HTTP as RFC 9112 has it",
    431: "the request's head is too large",
    501: "this transfer coding is not known",
}


class Connection(H11Protocol):
    """A connection with time limits, which the limit of connections can close."""

    _quiet_timer: asyncio.TimerHandle | None = None
    _probe_timer: asyncio.TimerHandle | None = None
    _last_timer: asyncio.TimerHandle | None = None
    _awaits_head = False
    _half_closed = False
    _is_over = False

    @property
    def is_quiet(self) -> bool:
        """Whether no request of it is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _limit(self) -> ConnectionLimit:
        connection_limit: ConnectionLimit = self.app_state["connection_limit"]
        return connection_limit

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, and wait for a head."""
        super().connection_made(transport)
        self._unread = Unread(self, self._limit, self.loop, ANSWER_SECONDS)
        transport.set_write_buffer_limits(high=0)  # paused means: the client has not taken it all
        self._await_head(HEAD_SECONDS)
        self._limit.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._unread.ends()
        for timer in (self._quiet_timer, self._probe_timer, self._last_timer):
            if timer is not None:
                timer.cancel()
        self._limit.leave(self)
        super().connection_lost(exc)

    def throw_out(self) -> None:
        """End it at once, whatever is unsent."""
        self.transport.abort()

    def throw_out_soon(self) -> None:
        """End it, and leave a moment for what is unsent."""
        self.transport.close()
        self._last_timer = self.loop.call_later(LAST_SECONDS, self.throw_out)

    def data_received(self, data: bytes) -> None:
        """Read on, and keep the time of a head."""
        if self._is_over:
            return
        if self.is_quiet and not self._awaits_head:
            self._await_head(HEAD_SECONDS)
        super().data_received(data)
        if not self.is_quiet:
            self._stop_waiting()
            if len(self.conn.trailing_data[0]) <= _AHEAD_BYTES and not self.cycle.body:
                self.flow.resume_reading()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Whether to keep the connection, to answer a client that may still be there."""
        if self._is_over or self.is_quiet or self.cycle.more_body or self.transport.is_closing():
            return None
        if self.scope["http_version"] != "1.1":  # it would not understand an interim answer
            return None
        self._half_closed = True
        if not self.cycle.response_started:
            interim = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            self.transport.write(self.conn.send(interim) or b"")
            self.cycle.waiting_for_100_continue = False
        self._look_whether_it_left()
        return True

    def _should_upgrade(self) -> bool:
        """Whether it becomes a WebSocket; anything else that is asked for is plain HTTP."""
        target, headers = self.scope["raw_path"] + self.scope["query_string"], self.headers
        return self.ws_protocol_class is not None and is_handshake(
            self.scope["method"], target, headers
        )

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to edgeguard.server.socket_connection."""
        self._stop_waiting()
        self._limit.leave(self)
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Wait for the next request, or go on with one that is here already."""
        super().on_response_complete()
        if not self.flow.write_paused:
            self._unread.ends()
        if not self.is_quiet:
            return
        self._limit.moved(self)
        if self._half_closed:
            self.transport.close()
        elif self.conn.trailing_data[0]:
            self._await_head(HEAD_SECONDS)
        elif not self.transport.is_closing():
            self._stop_waiting()
            self._quiet_timer = self.loop.call_later(IDLE_SECONDS, self.throw_out)

    def pause_writing(self) -> None:
        """The client does not take its answer: give it a while."""
        super().pause_writing()
        self._unread.begins()

    def resume_writing(self) -> None:
        """It has taken what there was."""
        super().resume_writing()
        if self.is_quiet:
            self._unread.ends()

    def shutdown(self) -> None:
        """The server stops: end what is quiet, and give the rest an end."""
        if self.is_quiet:
            if self.flow.write_paused:
                self.transport.close()
            else:
                self.throw_out()
        else:
            self.cycle.keep_alive = False
        self._last_timer = self.loop.call_later(LAST_SECONDS, self._last_moment)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        """Answer what h11 refuses; uvicorn calls this while it handles h11's error."""
        status = getattr(sys.exc_info()[1], "error_status_hint", 400)
        self._refuse(status, _HINTS.get(status, _HINTS[400]), "invalid_http")

    def _await_head(self, seconds: float) -> None:
        self._stop_waiting()
        self._awaits_head = True
        self._quiet_timer = self.loop.call_later(seconds, self._no_head)

    def _stop_waiting(self) -> None:
        self._awaits_head = False
        if self._quiet_timer is not None:
            self._quiet_timer.cancel()
            self._quiet_timer = None

    def _no_head(self) -> None:
        if not self.conn.trailing_data[0]:  # it was opened to have it ready, as browsers do
            self.throw_out()
            return
        late = f"a request's head did not arrive within {HEAD_SECONDS:.0f} s"
        self._limit.refuse("head_timeout", late)
        if self.conn.our_state is h11.IDLE:
            self._refuse(408, late, "timeout")
        self.throw_out_soon()

    def _last_moment(self) -> None:
        if self.is_quiet or self.cycle.more_body or self.flow.write_paused:
            self.throw_out()
        else:
            self._last_timer = self.loop.call_later(LAST_SECONDS, self._last_moment)

    def _look_whether_it_left(self) -> None:
        socket: Any = self.transport.get_extra_info("socket")
        if self.is_quiet or self.transport.is_closing():
            return
        if socket is not None and socket.getsockopt(SOL_SOCKET, SO_ERROR):
            self.throw_out()
        else:
            self._probe_timer = self.loop.call_later(_PROBE_SECONDS, self._look_whether_it_left)

    def _refuse(self, status: int, message: str, code: str) -> None:
        """Answer what never became a request, and close."""
        self._stop_waiting()
        if not self.is_quiet:
            self.scope["state"]["refused"] = True  # the application need not count it as well
        error, request_id = HttpError(status, message, code=code), new_id()
        notes: Notes = self.app_state["notes"]
        notes.refused(status, code, request_id, self.client[0] if self.client else None)
        with suppress(h11.LocalProtocolError):  # an answer is under way already
            response = error.response(request_id)
            complete(response.headers, request_id, closes=True)
            for event in (
                h11.Response(status_code=status, headers=response.raw_headers, reason=b""),
                h11.Data(data=bytes(response.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self._linger()

    def _linger(self) -> None:
        """Say that nothing more comes, and pass over what still does: to close on it would reset
        the connection, and the client might never see its answer."""
        self._is_over = True
        if self.transport.is_closing() or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._last_timer = self.loop.call_later(LAST_SECONDS, self.throw_out)
