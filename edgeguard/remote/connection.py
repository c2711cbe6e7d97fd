"""JSON to a server and back, over httpx, in the model's thread.

Whatever goes wrong on the way is a SessionError that says what to look at: no server there, a wrong
key, another address, an answer that is cut, too long or no JSON. A question changes nothing at the
server, so it is sent once more where a connection that had been idle turns out to be gone. While an
answer is awaited, the stop flag is looked at, and the connection is closed when it is set: servers
then stop computing.

This module does not know what is asked, and quotes an answer only while no text is judged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from edgeguard.errors import CancelledError, InputError, SessionError
from edgeguard.remote.address import KEY_VARIABLE, Address
from edgeguard.session.stop_flag import StopFlag
from edgeguard.strict_json import parse_json

T = TypeVar("T")

SECONDS = 300.0
"""How long a server may take for one answer; a guard's ``timeout`` ends it sooner."""
AT_A_TIME = 32
"""Questions that are under way at once."""
_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 4.0  # servers close what is idle; uvicorn, and so vLLM and SGLang, after 5
_LOOK_SECONDS = 0.02
_MOST = 64 << 20
"""Bytes of an answer: all of a vocabulary's log probabilities have a quarter of that."""
_QUOTED = 300


@dataclass(frozen=True)
class Request:
    """A path at the server, and the body of a POST; None for a GET."""

    path: str
    body: dict[str, Any] | None = None


class Connection:
    """Asks one server. ``close`` it."""

    def __init__(
        self, address: Address, flag: StopFlag, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """``transport`` is for tests."""
        self.root = address.root
        self.quotes = False
        self._flag = flag
        self._loop = asyncio.new_event_loop()
        key = {} if address.key is None else {"authorization": f"Bearer {address.key}"}
        self._key = address.key
        self._client = httpx.AsyncClient(
            headers={"accept": "application/json", **key},
            timeout=httpx.Timeout(SECONDS, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=AT_A_TIME, keepalive_expiry=_IDLE_SECONDS),
            follow_redirects=False,
            transport=transport,
        )

    def ask(self, request: Request) -> object:
        """The answer. Raises SessionError, CancelledError."""
        return self._run(self._answer(request))

    def ask_all(self, requests: Sequence[Request]) -> list[object]:
        """The answers, in order, to questions that are asked at once; the first error is raised."""
        return self._run(self._answers(requests))

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._client.aclose())
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(self._watched(work))

    async def _watched(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
            if self._flag.is_set and not task.done():
                task.cancel()
                await asyncio.wait({task})
                raise CancelledError("the computation was stopped")
        return task.result()

    async def _answers(self, requests: Sequence[Request]) -> list[object]:
        tasks = [asyncio.ensure_future(self._answer(request)) for request in requests]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, request: Request) -> object:
        try:
            response = await self._sent(request)
            try:
                body = await _read(response)
            finally:
                await response.aclose()
        except httpx.TimeoutException as error:
            raise self._failed(f"did not answer within {_waited(error):.0f} seconds") from error
        except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
            raise self._failed("cannot be reached: see that it runs, and the address") from error
        except httpx.HTTPError as error:
            raise self._failed("ended the connection before its answer was whole") from error
        if body is None:
            raise self._failed("sent an answer that is far too long")
        if not response.is_success:
            raise self._refused(request, response, body)
        try:
            return parse_json(body, "the answer")
        except InputError as error:
            raise self._failed(f"sent something else than was asked for: {error}") from error

    async def _sent(self, request: Request) -> httpx.Response:
        """The answer without its body; a connection that was gone already is made anew, once."""
        try:
            return await self._send(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            return await self._send(request)

    async def _send(self, request: Request) -> httpx.Response:
        method = "GET" if request.body is None else "POST"
        url = f"{self.root}{request.path}"
        built = self._client.build_request(method, url, json=request.body)
        return await self._client.send(built, stream=True)

    def _refused(self, request: Request, response: httpx.Response, body: bytes) -> SessionError:
        status = response.status_code
        if response.is_redirect:
            why = "sends clients on to another address: give that one"
        elif status in (401, 403):
            why = f"refuses the key: put the right one into {KEY_VARIABLE}"
        elif status == 404:
            why = f"has no {request.path}: give the address of vLLM, SGLang or llama-server itself"
        elif status == 503:
            why = "is not ready, or has too much to do: try again"
        else:
            why = f"refuses {request.path} with status {status}"
        return self._failed(why + self._quoted(body))

    def _quoted(self, body: bytes) -> str:
        """What the server said; it may hold what was asked, so not of a text that is judged."""
        if not self.quotes:
            return ""
        said = " ".join(_message(body).split())[:_QUOTED]
        said = said.replace(self._key, "[key]") if self._key else said
        return f" ({said})" if said else ""

    def _failed(self, what: str) -> SessionError:
        return SessionError(f"the server at {self.root} {what}")


async def _read(response: httpx.Response) -> bytes | None:
    """The body; None where it is too long."""
    found = bytearray()
    async for chunk in response.aiter_bytes():
        found += chunk
        if len(found) > _MOST:
            return None
    return bytes(found)


def _waited(error: httpx.TimeoutException) -> float:
    return _CONNECT_SECONDS if isinstance(error, httpx.ConnectTimeout) else SECONDS


def _message(body: bytes) -> str:
    """The sentence in an error's body, in any of the forms that servers have."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    while isinstance(said, dict):
        said = next((said[key] for key in ("error", "message", "detail") if key in said), "")
    return said if isinstance(said, str) else ""
