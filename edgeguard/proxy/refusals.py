"""What a client gets in place of a blocked answer, in the form of the API that it uses.

This is either a short text with the API's reason, usage and an end, or an error. A stream may have
begun already: its continuation uses the same ids and closes what is open. This module decides
nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from edgeguard.proxy.requests import Asked, Form
from edgeguard.proxy.sse import DONE, Event, event
from edgeguard.server.http_errors import HttpError

Body = dict[str, Any]
_FILTER = "content_filter"
_DONE = Event("", DONE, None)


class Shown:
    """What a client has seen of a stream: its ids, and which parts are open."""

    def __init__(self) -> None:
        self.first: Body = {}
        self.usage: Body | None = None
        self.sequence = -1
        self.places = -1  # the highest index of a part
        self.open: int | None = None
        self.any_text = False

    def note(self, sent: Event) -> None:
        """Note an event that was sent."""
        value = sent.value or {}
        inner = value.get("response") or value.get("message") or value
        if not self.first and isinstance(inner, dict):
            self.first = inner
        if isinstance(value.get("usage"), dict):
            self.usage = value["usage"]  # type: ignore[assignment]
        for name in ("index", "output_index"):
            if isinstance(place := value.get(name), int):
                self.places = max(self.places, place)
        if isinstance(number := value.get("sequence_number"), int):
            self.sequence = max(self.sequence, number)
        if value.get("type") == "content_block_start":
            self.open = self.places
        elif value.get("type") == "content_block_stop":
            self.open = None


def error(message: str, code: str = _FILTER, status: int = 400) -> HttpError:
    """The refusal as an error."""
    return HttpError(status, message, code=code)


def whole(asked: Asked, text: str) -> Body:
    """An answer in one piece."""
    return _WHOLE[asked.form](_model(asked), text, {})


def stream(asked: Asked, text: str, shown: Shown) -> list[Event]:
    """The rest of a stream, given what the client has seen."""
    text = f"\n\n{text}" if shown.any_text else text
    return _STREAM[asked.form](asked, text, shown)


def stream_error(form: Form, message: str, code: str) -> list[Event]:
    """The end of a stream that failed."""
    if form == "messages":
        said = {"type": "api_error", "message": message}
        return [event({"type": "error", "error": said}, "error")]
    if form == "responses":
        body: Body = {"type": "error", "code": code, "message": message, "param": None}
        return [event(body, "error")]
    return [event({"error": {"message": message, "type": "server_error", "code": code}}), _DONE]


def _model(asked: Asked) -> str:
    name = asked.body.get("model")
    return name if isinstance(name, str) else ""


def _id(prefix: str) -> str:
    return f"{prefix}{uuid.uuid4().hex}"


def _tokens() -> Body:
    return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _chat(model: str, text: str, _first: Body) -> Body:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": _FILTER, "logprobs": None}
    return _openai("chat.completion", "chatcmpl-", model, choice) | {"usage": _tokens()}


def _completion(model: str, text: str, _first: Body) -> Body:
    choice = {"index": 0, "text": text, "finish_reason": _FILTER, "logprobs": None}
    return _openai("text_completion", "cmpl-", model, choice) | {"usage": _tokens()}


def _openai(kind: str, prefix: str, model: str, choice: Body) -> Body:
    return {
        "id": _id(prefix),
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
    }


def _response(model: str, text: str, first: Body) -> Body:
    return {
        "created_at": int(time.time()),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "instructions": None,
        "metadata": {},
        "temperature": None,
        "top_p": None,
        **first,
        "id": first.get("id") or _id("resp_"),
        "object": "response",
        "model": first.get("model") or model,
        "status": "incomplete",
        "incomplete_details": {"reason": _FILTER},
        "error": None,
        "output": [_item(_id("msg_"), text)],
        "usage": _response_usage(),
    }


def _response_usage() -> Body:
    return {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    }


def _item(item_id: str, text: str, status: str = "incomplete") -> Body:
    return {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [_part(text)] if text else [],
    }


def _part(text: str) -> Body:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(model: str, text: str, _first: Body) -> Body:
    return {
        "id": _id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": "refusal",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def _choices(asked: Asked, text: str, shown: Shown) -> list[Event]:
    """The last chunks of a chat or of a completion."""
    chat = asked.form == "chat"
    whole = (_chat if chat else _completion)(_model(asked), text, {})
    common = {
        name: shown.first.get(name, whole[name]) for name in ("id", "object", "created", "model")
    }
    if chat and not shown.first:
        common["object"] = "chat.completion.chunk"
    said: Body = {"delta": {"role": "assistant", "content": text}} if chat else {"text": text}
    if chat and shown.first:
        said["delta"].pop("role")
    end: Body = {"delta": {}} if chat else {"text": ""}
    chunks: list[Body] = [
        {"choices": [{"index": 0, **said, "finish_reason": None, "logprobs": None}]},
        {"choices": [{"index": 0, **end, "finish_reason": _FILTER, "logprobs": None}]},
    ]
    options = asked.body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        chunks.append({"choices": [], "usage": shown.usage or _tokens()})
    return [*(event({**common, **chunk}) for chunk in chunks), _DONE]


def _responses(asked: Asked, text: str, shown: Shown) -> list[Event]:
    end = _response(_model(asked), text, shown.first)
    item = end["output"][0]
    place = {"output_index": shown.places + 1}
    part = {**place, "item_id": item["id"], "content_index": 0}
    steps: list[Body] = []
    if not shown.first:
        started = {**end, "status": "in_progress", "output": [], "incomplete_details": None}
        steps.append({"type": "response.created", "response": {**started, "usage": None}})
    empty = _item(item["id"], "", "in_progress")
    said = {"text": text, "logprobs": []}
    steps += [
        {"type": "response.output_item.added", **place, "item": empty},
        {"type": "response.content_part.added", **part, "part": _part("")},
        {"type": "response.output_text.delta", **part, "delta": text, "logprobs": []},
        {"type": "response.output_text.done", **part, **said},
        {"type": "response.content_part.done", **part, "part": _part(text)},
        {"type": "response.output_item.done", **place, "item": item},
        {"type": "response.incomplete", "response": end},
    ]
    first = shown.sequence + 1
    return [
        event({**step, "sequence_number": number}, str(step["type"]))
        for number, step in enumerate(steps, first)
    ]


def _anthropic(asked: Asked, text: str, shown: Shown) -> list[Event]:
    steps: list[Body] = []
    if not shown.first:
        started = {**_message(_model(asked), "", {}), "stop_reason": None}
        steps.append({"type": "message_start", "message": started})
    if shown.open is not None:
        steps.append({"type": "content_block_stop", "index": shown.open})
    index = {"index": shown.places + 1}
    steps += [
        {"type": "content_block_start", **index, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", **index, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", **index},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "refusal", "stop_sequence": None},
            "usage": {"output_tokens": 0},
        },
        {"type": "message_stop"},
    ]
    return [event(step, str(step["type"])) for step in steps]


_WHOLE: Mapping[Form, Callable[[str, str, Body], Body]] = {
    "chat": _chat,
    "completions": _completion,
    "responses": _response,
    "messages": _message,
}
_STREAM: Mapping[Form, Callable[[Asked, str, Shown], list[Event]]] = {
    "chat": _choices,
    "completions": _choices,
    "responses": _responses,
    "messages": _anthropic,
}
