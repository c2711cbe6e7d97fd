"""Requests to the model behind the proxy, over httpx.

The client's key and the upstream's are kept apart: if the proxy has a key of its own for clients,
or one for the upstream, the client's key is not passed on. This module reads no answer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

import httpx

from edgeguard.proxy.settings import ProxySettings
from edgeguard.server.http_errors import HttpError

MAX_ANSWER = 64 * 1024 * 1024
"""The most bytes of an answer that comes in one piece."""
_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length", "content-encoding",
    "accept-encoding", "expect", "cookie", "set-cookie", "forwarded",
}  # fmt: skip
_NOT_TOLD = {"location", "content-location", "refresh", "link", "alt-svc", "server", "date"}
"""Headers of an answer that would lead a client past the proxy, or are the proxy's own."""
_NOT_TOLD_KINDS = ("access-control-", "x-edgeguard-", "strict-transport-", "cross-origin-")
_PACKED = {"identity", "gzip", "deflate"}
"""Encodings that are decoded if they come, although none was asked for."""
_KEYS = {"authorization", "x-api-key", "api-key"}


class Upstream:
    """The model behind the proxy."""

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
        """The answer, whose body is still to be read; the bytes of a body are passed on unchanged.

        Raises HttpError 502, 504.
        """
        url = self._settings.url(path) + (f"?{query}" if query else "")
        is_json = body is not None and not isinstance(body, bytes)
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if is_json else b""
        request = self._client.build_request(
            method, url, headers=self._headers(headers, is_json), content=content
        )
        try:
            return await _readable(await self._client.send(request, stream=True))
        except httpx.TimeoutException:
            raise HttpError(504, "the upstream did not answer in time", code="timeout") from None
        except httpx.HTTPError as error:
            raise HttpError(
                502,
                f"the upstream cannot be reached ({type(error).__name__}): see that it runs, and "
                "what --upstream says",
                code="upstream_unreachable",
            ) from None

    def _headers(self, given: Mapping[str, str], is_json: bool) -> dict[str, str]:
        drop = _HOP | _KEYS if self._keeps_keys else _HOP
        headers = {
            name: value
            for name, value in given.items()
            if name.lower() not in drop and not name.lower().startswith("x-forwarded-")
        }
        headers["accept-encoding"] = "identity"
        if is_json:
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
        """The upstream's headers that are passed on to the client."""
        named = {"x-request-id": "x-upstream-request-id"}
        return {
            named.get(name.lower(), name): self.without_key(value)
            for name, value in response.headers.items()
            if name.lower() not in _HOP | _NOT_TOLD and not name.lower().startswith(_NOT_TOLD_KINDS)
        }

    def without_key(self, text: str) -> str:
        """The text without the upstream's key, which some upstreams quote in errors."""
        key = self._settings.upstream_key
        return text if key is None else text.replace(key, "[key]")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _readable(response: httpx.Response) -> httpx.Response:
    """The answer, if it can be judged or passed on. Raises HttpError 502."""
    packed = response.headers.get("content-encoding", "identity").lower().split(",")
    if response.is_redirect or response.has_redirect_location:
        said, code = (
            "the upstream sends clients to another address, where nothing would be judged: give "
            "that one as --upstream",
            "upstream_redirect",
        )
    elif {one.strip() for one in packed} - _PACKED:
        said, code = "the upstream's answer is packed unasked", "upstream_garbage"
    else:
        return response
    await response.aclose()
    raise HttpError(502, said, code=code)


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
