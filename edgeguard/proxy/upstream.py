"""Requests to the model behind the proxy, over httpx.

The client's key and the upstream's are apart: where the proxy has a key of its own for clients, or
one for the upstream, what the client sent as a key goes no further. This module reads no answer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

import httpx

from edgeguard.proxy.settings import ProxySettings
from edgeguard.server.http_errors import HttpError

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer that comes whole."""
_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length", "content-encoding",
    "accept-encoding", "expect", "cookie", "set-cookie", "forwarded",
}  # fmt: skip
_KEYS = {"authorization", "x-api-key", "api-key"}


class Upstream:
    """The model behind."""

    def __init__(self, settings: ProxySettings, transport: httpx.AsyncBaseTransport | None = None):
        self._settings = settings
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(settings.upstream_timeout, connect=10.0),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            follow_redirects=False,
        )

    async def send(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: object
    ) -> httpx.Response:
        """The answer, whose body is still to be read. Raises HttpError 502, 504."""
        url = self._settings.url(path) + (f"?{query}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        request = self._client.build_request(
            method, url, headers=self._headers(headers, body is not None), content=content
        )
        try:
            return await self._client.send(request, stream=True)
        except httpx.TimeoutException:
            raise HttpError(504, "the upstream did not answer in time", code="timeout") from None
        except httpx.HTTPError as error:
            raise HttpError(
                502,
                f"the upstream cannot be reached ({type(error).__name__}): see that it runs, and "
                "what --upstream says",
                code="upstream_unreachable",
            ) from None

    def _headers(self, given: Mapping[str, str], has_body: bool) -> dict[str, str]:
        drop = _HOP | _KEYS if self._keeps_keys else _HOP
        headers = {
            name: value
            for name, value in given.items()
            if name.lower() not in drop and not name.lower().startswith("x-forwarded-")
        }
        headers["accept-encoding"] = "identity"
        if has_body:
            headers["content-type"] = "application/json"
        key = self._settings.upstream_key
        if key is not None:
            anthropic = any(name.lower() == "anthropic-version" for name in given)
            headers |= {"x-api-key": key} if anthropic else {"authorization": f"Bearer {key}"}
        return headers

    @property
    def _keeps_keys(self) -> bool:
        return self._settings.upstream_key is not None or self._settings.has_client_key

    def answer_headers(self, response: httpx.Response) -> dict[str, str]:
        """What a client is told of the upstream's headers."""
        named = {"x-request-id": "x-upstream-request-id"}
        return {
            named.get(name.lower(), name): self.without_key(value)
            for name, value in response.headers.items()
            if name.lower() not in _HOP
        }

    def without_key(self, text: str) -> str:
        """The text without the upstream's key, which some quote in their errors."""
        key = self._settings.upstream_key
        return text if key is None else text.replace(key, "[key]")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def read(response: httpx.Response) -> bytes:
    """All of an answer. Raises HttpError 502, 504."""
    found = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            found += chunk
            if len(found) > MAX_ANSWER:
                raise HttpError(502, "the upstream's answer is too long", code="upstream_garbage")
    except httpx.TimeoutException:
        raise HttpError(504, "the upstream stopped answering", code="timeout") from None
    except httpx.HTTPError:
        raise HttpError(502, "the upstream's answer was cut", code="upstream_cut") from None
    finally:
        await response.aclose()
    return bytes(found)


async def chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes. Raises httpx.HTTPError."""
    async for chunk in response.aiter_bytes():
        yield chunk
