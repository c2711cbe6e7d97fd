"""A made-up model behind OpenAI's API: for hosts that bring only their own client.

It answers with what the last message asks for: `harm` in it has an answer with what is unsafe. It
speaks chat completions, responses and completions, whole and as a stream, and calls no tool.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MILD = "It is Paris, as everybody knows."
HARMFUL = "First a mild sentence. Then what is unsafe, and how it is done."

Json = dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self._send(json.dumps({"object": "list", "data": [{"id": "fake", "object": "model"}]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = answer_to(body)
        found = _responses(text) if self.path.endswith("/responses") else _chat(text)
        if body.get("stream"):
            self._send("".join(found[1]), "text/event-stream")
        else:
            self._send(json.dumps(found[0]))

    def _send(self, text: str, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_args: Any) -> None: ...


def answer_to(body: Json) -> str:
    """What it says; frameworks that parse the answer say in their prompt how it is to look."""
    said = body.get("messages") or body.get("input") or body.get("prompt")
    given = json.dumps(said)
    last = json.dumps(said[-1]) if isinstance(said, list) else given
    text = HARMFUL if "harm" in last else MILD
    if "final_answer" in given:  # smolagents' code agent
        return f"Thought: I know.\n<code>\nfinal_answer({text!r})\n</code>"
    if "Final Answer" in given:  # CrewAI
        return f"Thought: I now can give a great answer\nFinal Answer: {text}"
    return text


def _chat(text: str) -> tuple[Json, list[str]]:
    common = {"id": "c1", "created": 1, "model": "fake"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "text": text, "finish_reason": "stop"}
    whole = {**common, "object": "chat.completion", "choices": [choice], "usage": usage}

    def chunk(delta: Json, ends: str | None = None) -> str:
        choices = [{"index": 0, "delta": delta, "finish_reason": ends}]
        return _event({**common, "object": "chat.completion.chunk", "choices": choices})

    pieces = [chunk({"content": f"{word} "}) for word in text.split()]
    ends = [chunk({}, "stop"), _event({**common, "choices": [], "usage": usage})]
    return whole, [chunk({"role": "assistant", "content": ""}), *pieces, *ends, "data: [DONE]\n\n"]


def _responses(text: str) -> tuple[Json, list[str]]:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": "m1", "type": "message", "role": "assistant", "status": "completed"}
    details = {"input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}
    usage: Json = {
        **details, "input_tokens": 1, "output_tokens": 2, "total_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    whole: Json = {
        "id": "r1", "object": "response", "created_at": 1, "model": "fake", "status": "completed",
        "output": [{**item, "content": [part]}], "parallel_tool_calls": True, "tools": [],
        "tool_choice": "auto", "usage": usage, "error": None, "incomplete_details": None,
        "instructions": None, "metadata": {}, "temperature": 1.0, "top_p": 1.0,
    }  # fmt: skip
    place = {"item_id": "m1", "output_index": 0, "content_index": 0}
    started = {**whole, "output": [], "status": "in_progress", "usage": None}
    steps: list[Json] = [
        {"type": "response.created", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **place, "delta": f"{word} ", "logprobs": []}
            for word in text.split()
        ),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": whole["output"][0]},
        {"type": "response.completed", "response": whole},
    ]
    return whole, [_event({**step, "sequence_number": n}) for n, step in enumerate(steps)]


def _event(value: Json) -> str:
    return f"data: {json.dumps(value)}\n\n"


def start() -> str:
    """The address of one that runs from now on."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"
