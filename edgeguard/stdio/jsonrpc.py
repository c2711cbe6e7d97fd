"""Parses a line as a JSON-RPC 2.0 request, and writes the lines that answer it.

    {"jsonrpc": "2.0", "id": 1, "method": "check", "params": {"text": "…"}}
    {"jsonrpc": "2.0", "id": 1, "result": {…}}

Parameters are named. Arrays of requests are refused: requests may run concurrently anyway. JSON
that two parsers could read differently is refused, as everywhere (edgeguard.strict_json). Answers
are ASCII, so that no reader mistakes a character of a text for the end of a line. This module reads
and writes no stream. Source: https://www.jsonrpc.org/specification.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from edgeguard.strict_json import check_depth, unique_names

Id = int | str

NOT_JSON = -32700
BAD_REQUEST = -32600
NO_METHOD = -32601
BAD_PARAMETERS = -32602
BUG = -32603
FAILED = -32000
"""An exception of edgeguard's; ``data`` has its name and message."""
BUSY = -32001
"""Too many requests at once: nothing was done, and the request may be sent again."""


MEMBERS = frozenset(("jsonrpc", "id", "method", "params"))


@dataclass(frozen=True)
class Request:
    """A method to call; a request without an ``id`` gets no answer."""

    id: Id | None
    method: str
    params: Mapping[str, object]


class RpcError(Exception):
    """A request that ends in an error; ``id`` is the request's, if it could be read."""

    def __init__(
        self,
        code: int,
        message: str,
        data: object = None,
        id: Id | None = None,  # noqa: A002
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.data, self.id = code, message, data, id


def read_request(line: bytes) -> Request:
    """The request in a line. Raises RpcError, which quotes nothing of it."""
    value = _parse(line)
    if isinstance(value, list):
        raise RpcError(BAD_REQUEST, "batches are not supported: send each request in a line")
    if not isinstance(value, dict):
        raise RpcError(BAD_REQUEST, "a request is an object")
    has_id, id_ = "id" in value, value.get("id")
    if has_id and (isinstance(id_, bool) or not isinstance(id_, (int, str))):
        raise RpcError(BAD_REQUEST, "id must be a string or a whole number")
    if value.get("jsonrpc") != "2.0":
        raise RpcError(BAD_REQUEST, 'jsonrpc must be "2.0"', id=id_)
    if not value.keys() <= MEMBERS:
        # A parameter outside params would be ignored, and the client would not notice.
        known = ", ".join(sorted(MEMBERS))
        raise RpcError(BAD_REQUEST, f"a request has only {known}; the rest in params", id=id_)
    method, params = value.get("method"), value.get("params", {})
    if not isinstance(method, str):
        raise RpcError(BAD_REQUEST, "method must be a string", id=id_)
    if not isinstance(params, dict):
        raise RpcError(BAD_PARAMETERS, "params must be an object: parameters are named", id=id_)
    return Request(id_, method, params)


def result_line(id: Id, result: object) -> bytes:  # noqa: A002
    """The answer to a successful request."""
    return _line({"id": id, "result": result})


def error_line(id: Id | None, error: RpcError) -> bytes:  # noqa: A002
    """The answer to a failed request."""
    body = {"code": error.code, "message": error.message}
    return _line({"id": id, "error": body if error.data is None else {**body, "data": error.data}})


def notification_line(method: str, params: Mapping[str, object]) -> bytes:
    """A notification, which gets no answer."""
    return _line({"method": method, "params": params})


def _line(fields: Mapping[str, object]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}, allow_nan=False).encode("ascii")


def _parse(line: bytes) -> object:
    try:
        value: object = json.loads(
            line.decode("utf-8"), object_pairs_hook=unique_names, parse_constant=_constant
        )
        check_depth(value)
        return value
    except UnicodeDecodeError:
        raise RpcError(NOT_JSON, "the line is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise RpcError(NOT_JSON, f"the line is not JSON: {error.msg} ({error.colno})") from None
    except RecursionError:
        raise RpcError(NOT_JSON, "the line is nested too deeply") from None
    except ValueError as error:
        raise RpcError(NOT_JSON, f"the line is not JSON that can be read: {error}") from None


def _constant(_name: str) -> object:
    raise ValueError("NaN and Infinity are no JSON")
