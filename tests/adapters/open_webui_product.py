"""What Open WebUI does with a filter function, in our own words.

The product needs torch, so this follows its source: versions 0.10 and 0.11 where nothing else is
said. A function is executed as a module; before each call its valves are made anew; a handler gets
what its signature names; what it returns takes the place of what it was given. What is raised
aborts the turn (inlet), drops one event (stream, in the browser), cuts the answer off (stream,
over the API), or is ignored (outlet).
"""

from __future__ import annotations

import copy
import inspect
import json
import sys
import types
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
MANGLED = ("from utils", "from apps", "from main", "from config")
"""The product replaces these in the text of a function, wherever they stand."""


@dataclass
class Turn:
    """One answer to one request."""

    messages: list[Json]
    message_id: str | None = "m2"
    """None for who asks the API without a chat."""
    metadata: Json = field(default_factory=dict)
    request: Any = field(
        default_factory=lambda: types.SimpleNamespace(state=types.SimpleNamespace())
    )

    def __post_init__(self) -> None:
        self.request = types.SimpleNamespace(state=types.SimpleNamespace())
        self.metadata.update(message_id=self.message_id, chat_id="c" if self.message_id else "")

    @property
    def body(self) -> Json:
        return {"model": "m", "messages": self.messages, "stream": True}


class Product:
    """Open WebUI with this filter, switched on for all models."""

    def __init__(self, source: str, **valves: Any) -> None:
        assert source.splitlines()[0].strip() == '"""'  # else it has no title
        assert not any(each in source for each in MANGLED)
        module = types.ModuleType("function_edgeguard")
        sys.modules[module.__name__] = module
        exec(compile(source, "<function>", "exec"), module.__dict__)
        self.filter = module.Filter()
        self.stored = valves
        assert not getattr(self.filter, "toggle", None)  # a user could switch it off
        assert not hasattr(self.filter, "file_handler")  # the product would drop the files

    async def _call(self, name: str, given: Json, turn: Turn, **more: Any) -> Any:
        self.filter.valves = self.filter.Valves(**self.stored)
        handler = getattr(self.filter, name)
        offered = {
            "__event_emitter__": None,
            "__event_call__": None,
            "__user__": {"id": "u", "role": "user", "name": "N"},
            "__metadata__": turn.metadata,
            "__request__": turn.request,
            "__model__": {"id": "m"},
            **more,
        }
        wanted = inspect.signature(handler).parameters
        first = "event" if name == "stream" else "body"
        said = handler(**{first: given}, **{k: v for k, v in offered.items() if k in wanted})
        return await said if inspect.isawaitable(said) else said

    async def ask(self, turn: Turn) -> None:
        """The inlet; raises what the user is shown."""
        turn.messages = (await self._call("inlet", turn.body, turn))["messages"]

    async def browser(self, turn: Turn, events: Iterable[Json]) -> tuple[Json, Json]:
        """A streamed turn in a chat: the message as it is shown, and as it is stored."""
        await self.ask(turn)
        message: Json = {"id": turn.message_id, "role": "assistant", "content": "", "output": []}
        calls: list[Json] = []
        for event in events:
            try:
                said = await self._call(
                    "stream", copy.deepcopy(event), turn, __body__=copy.deepcopy(turn.body)
                )
                if said:
                    _add(message, calls, said)
            except Exception:  # one event is dropped
                continue
        message["tool_calls"] = calls
        return await self.finish(turn, message)

    async def finish(self, turn: Turn, message: Json) -> tuple[Json, Json]:
        """The outlet of a saved chat, and what is shown and stored after it."""
        kept = [*turn.messages, {**message, "content": message["content"] or _text(message)}]
        body = {"model": "m", "messages": copy.deepcopy(kept), "chat_id": "c", "id": message["id"]}
        shown, stored = dict(message), dict(message)
        try:
            after = await self._call("outlet", body, turn)
            (said,) = [each for each in after["messages"] if each.get("id") == message["id"]]
            if (said.get("content") or _text(said)) != kept[-1]["content"]:
                shown |= said
                stored["content"] = said["content"]
            if said.get("output") and said["output"] != message.get("output"):
                stored["output"] = said["output"]
        except Exception:  # what it raises is ignored
            pass
        return shown, stored

    async def api(self, turn: Turn, events: Iterable[Json]) -> AsyncIterator[Json]:
        """A streamed answer to a client of the API; the outlet comes too late for it."""
        await self.ask(turn)
        for event in events:
            if said := await self._call("stream", copy.deepcopy(event), turn):
                yield json.loads(json.dumps(said))


def seen(message: Json) -> str:
    """What a reader sees of a message: its output where there is one, else its content."""
    output = message.get("output")
    return "\n".join(map(_parts, output)) if output else str(message.get("content") or "")


def _add(message: Json, calls: list[Json], event: Json) -> None:
    if str(event.get("type", "")).startswith("response."):
        if event["type"].endswith("delta"):
            _append(message["output"], "message", event["delta"])
        return
    for choice in (event.get("choices") or [])[:1]:
        delta = choice.get("delta") or {}
        calls += delta.get("tool_calls") or []
        for name in ("reasoning_content", "reasoning", "thinking"):
            if delta.get(name):
                _append(message["output"], "reasoning", delta[name])
        if delta.get("content"):
            _append(message["output"], "message", delta["content"])


def _append(output: list[Json], kind: str, text: str) -> None:
    if not output or output[-1]["type"] != kind:
        output.append({"type": kind, "content": [{"type": "output_text", "text": ""}]})
    output[-1]["content"][0]["text"] += text


def _text(message: Json) -> str:
    """The text of the answer without its reasoning."""
    return "\n".join(
        _parts(each) for each in message.get("output") or [] if each["type"] == "message"
    )


def _parts(item: Json) -> str:
    return "".join(str(part.get("text", "")) for part in item.get("content") or [])
