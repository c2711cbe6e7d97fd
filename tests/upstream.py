"""A model that a test makes up, as a real server on a socket: what it streams, and how badly.

It speaks raw HTTP, so that it can cut its answers anywhere. A script says what it sends.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]
Reply = Iterable[bytes]


@dataclass
class Upstream:
    """What was asked of it, and what it answers."""

    url: str = ""
    reply: Any = lambda _path, _body: whole({})
    asked: list[tuple[str, dict[str, str], Body]] = field(default_factory=list)
    cut: threading.Event = field(default_factory=threading.Event)
    sent: bytearray = field(default_factory=bytearray)


def whole(value: object, status: int = 200, head: str = "") -> Reply:
    """An answer in one piece."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    yield (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{head}"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode() + body


def stream(parts: Iterable[bytes], *, pause: float = 0.0) -> Reply:
    """A body that comes in these parts and ends with the connection."""
    yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    for part in parts:
        if pause:
            time.sleep(pause)
        yield part


def sse(*values: object, names: bool = False) -> list[bytes]:
    """Events, and `[DONE]` where a string stands."""
    found = []
    for value in values:
        name = f"event: {value['type']}\n" if names and isinstance(value, dict) else ""
        data = value if isinstance(value, str) else json.dumps(value)
        found.append(f"{name}data: {data}\n\n".encode())
    return found


def chat_events(pieces: Iterable[str], **delta: object) -> list[bytes]:
    """A chat that says these pieces."""
    common = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "story",
    }

    def chunk(said: Body, end: str | None = None) -> Body:
        return {**common, "choices": [{"index": 0, "delta": said, "finish_reason": end}]}

    return sse(
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": piece, **delta}) for piece in pieces),
        chunk({}, "stop"),
        "[DONE]",
    )


def chat_whole(text: str | None, **message: object) -> Body:
    """A chat's answer in one piece."""
    said = {"role": "assistant", "content": text, **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "story",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def message_events(pieces: Iterable[str]) -> list[bytes]:
    """Anthropic's stream."""
    message: Body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "story",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    block = {"type": "text", "text": ""}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    deltas = ({"type": "text_delta", "text": piece} for piece in pieces)
    return sse(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
        names=True,
    )


def message_whole(text: str) -> Body:
    """Anthropic's answer in one piece."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "story",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _response(text: str, status: str) -> Body:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [part],
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "story",
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": "Speak as a pirate.",
        "metadata": {},
        "output": [item] if text else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "text": {"format": {"type": "text"}},
        "truncation": "disabled",
        "usage": None,
    }


def response_whole(text: str) -> Body:
    """The Responses API's answer in one piece."""
    return _response(text, "completed")


def response_events(pieces: Iterable[str]) -> list[bytes]:
    """Its stream, which says the text several times."""
    pieces = list(pieces)
    text = "".join(pieces)
    done = _response(text, "completed")
    item = done["output"][0] if text else {}
    part = {"type": "output_text", "text": text, "annotations": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    empty = {**item, "status": "in_progress", "content": []}
    steps: list[Body] = [
        {"type": "response.created", "response": _response("", "in_progress")},
        {"type": "response.in_progress", "response": _response("", "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": empty},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *(
            {
                "type": "response.output_text.delta",
                **place,
                "delta": piece,
                "logprobs": [],
                "obfuscation": "x9Fq2",
            }
            for piece in pieces
        ),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]
    return sse(*({**step, "sequence_number": n} for n, step in enumerate(steps)), names=True)


def half_characters(parts: Iterable[bytes], size: int = 1) -> Iterator[bytes]:
    """The same bytes, so few at a time that lines and characters are cut."""
    body = b"".join(parts)
    for place in range(0, len(body), size):
        yield body[place : place + size]


@contextmanager
def upstream() -> Iterator[Upstream]:
    """A model on a free port."""
    server = socket.create_server(("127.0.0.1", 0))
    found = Upstream(f"http://127.0.0.1:{server.getsockname()[1]}/v1")
    threads: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threads.append(threading.Thread(target=_serve, args=(connection, found)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield found
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        accepting.join(10)
        for thread in threads:
            thread.join(10)


def _serve(connection: socket.socket, found: Upstream) -> None:
    with connection, suppress(OSError):
        path, headers, body = _request(connection)
        found.asked.append((path, headers, body))
        try:
            for part in found.reply(path, body):
                connection.sendall(part)
                found.sent += part
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            found.cut.set()


def _request(connection: socket.socket) -> tuple[str, dict[str, str], Body]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise OSError
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (li.partition(":") for li in lines)
    }
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    is_json = body and "json" in headers.get("content-type", "")
    return first.split(" ")[1], headers, json.loads(body) if is_json else {}
