"""The events of an agent's run (version v3), held back until they are judged.

The middleware (edgeguard.adapters.langchain) installs it in front of LangChain's own transformers,
so that no projection of a run shows anything without a verdict. Texts, reasoning and the arguments
of tool calls are released every so many characters and at the end of their block, which has the
whole text. This module makes no verdict.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.stream import StreamTransformer

from edgeguard.adapters.common import run
from edgeguard.verdict import Verdict

INTERVAL = 200
_FIELDS = {"text-delta": "text", "reasoning-delta": "reasoning", "tool-call-delta": "args"}
"""The field with the text, for each type of delta."""
_TEXTS = ("text", "reasoning")
_CALLS = ("tool_call", "server_tool_call", "invalid_tool_call")
Payload = dict[str, Any]


class Middleware(Protocol):
    """The part of the middleware that is needed here."""

    refusal: str

    async def judge_answer(self, messages: Sequence[Any], text: str) -> Verdict | None:
        """The verdict on an answer."""

    def check(self, verdict: Verdict) -> None:
        """Raise for a flagged verdict, if the middleware is set to raise."""


@dataclass
class Answer:
    """One answer of the model while it is written."""

    blocks: dict[object, str] = field(default_factory=dict)
    held: dict[object, str] = field(default_factory=dict)
    shown: dict[object, str] = field(default_factory=dict)
    is_over: bool = False

    def text(self) -> str:
        """The whole text so far."""
        return "\n".join(self.blocks.values()).strip()

    def take(self, index: object, piece: str) -> None:
        """Hold a piece of a block."""
        self.blocks[index] = self.blocks.get(index, "") + piece
        self.held[index] = self.held.get(index, "") + piece

    def release(self, index: object) -> str:
        """Return the held text of a block, which is now judged."""
        piece = self.held.pop(index)
        self.shown[index] = self.shown.get(index, "") + piece
        return piece


class HeldBack(StreamTransformer):
    """Lets judged text through, and a refusal in place of flagged text."""

    before_builtins = True
    supports_sync = True
    required_stream_modes = ("messages", "values")

    def __init__(
        self, scope: tuple[str, ...] = (), *, middleware: Middleware, interval: int = INTERVAL
    ) -> None:
        super().__init__(scope)
        self._middleware = middleware
        self._interval = interval
        self._answers: dict[str, Answer] = {}
        self._messages: Sequence[Any] = ()

    def init(self) -> dict[str, Any]:
        """There is no projection of its own."""
        return {}

    def process(self, event: Any) -> bool:
        """The synchronous version."""
        return run(self.aprocess(event)) if self._concerns(event) else True

    async def aprocess(self, event: Any) -> bool:
        """Whether an event goes on; text that is held back is removed from it."""
        if not self._concerns(event):
            return True
        payload, metadata = event["params"]["data"]
        if isinstance(payload, BaseMessage):
            whole = await self._whole(payload)
            event["params"]["data"] = (whole, metadata)
            return True
        key = str((metadata or {}).get("run_id"))
        kind = payload.get("event")
        if kind in ("message-finish", "error"):
            self._answers.pop(key, None)
            return True
        answer = self._answers.setdefault(key, Answer())
        if kind == "content-block-start":
            _blank(payload.get("content"))  # the end of the block has the whole text
        elif kind == "content-block-delta":
            await self._delta(answer, payload)
        elif kind == "content-block-finish":
            await self._finish(answer, payload)
        return True

    def _concerns(self, event: Any) -> bool:
        """Whether it is a piece of an answer; also remembers the state's messages, for context."""
        data = event["params"].get("data")
        if event["method"] == "values" and isinstance(data, dict):
            self._messages = data.get("messages") or ()
        return event["method"] == "messages" and isinstance(data, tuple) and len(data) == 2

    async def _whole(self, message: BaseMessage) -> BaseMessage:
        if not isinstance(message, AIMessage):
            return message
        calls = [
            json.dumps({"name": one["name"], "args": one["args"]}) for one in message.tool_calls
        ]
        if await self._passes("\n".join([str(message.text), *calls])):
            return message
        return AIMessage(self._middleware.refusal, id=message.id)

    async def _delta(self, answer: Answer, payload: Payload) -> None:
        delta = payload.get("delta")
        name = _FIELDS.get(delta.get("type", "")) if isinstance(delta, dict) else None
        if delta is None or name is None:
            # the end of the block has the whole text
            payload["delta"] = {"type": "text-delta", "text": ""}
            return
        index, piece, delta[name] = payload.get("index"), delta.get(name), ""
        if answer.is_over or not isinstance(piece, str):
            return
        answer.take(index, piece)
        if sum(map(len, answer.held.values())) >= self._interval:
            if await self._passes(answer.text()):
                delta[name] = answer.release(index)
            else:
                answer.is_over = True

    async def _finish(self, answer: Answer, payload: Payload) -> None:
        content = payload.get("content") or {}
        index, kind = payload.get("index"), content.get("type")
        answer.blocks[index] = _written(content)
        if not answer.is_over and await self._passes(answer.text()):
            answer.held.pop(index, None)
            return
        answer.is_over = True
        if kind in _CALLS:
            payload["content"] = {**content, "args": {}, "name": ""}
        else:
            shown = [answer.shown.get(index, ""), self._middleware.refusal]
            text = "\n".join(one for one in shown if one)
            payload["content"] = {"type": "text", "text": text}

    async def _passes(self, text: str) -> bool:
        verdict = await self._middleware.judge_answer(self._messages, text)
        if verdict is None or not verdict.flagged:
            return True
        self._middleware.check(verdict)
        return False


def _blank(content: object) -> None:
    if isinstance(content, dict):
        content.update({name: "" for name in (*_TEXTS, "args") if content.get(name)})


def _written(content: Payload) -> str:
    """The text of a finished block."""
    for name in _TEXTS:
        if isinstance(content.get(name), str):
            return str(content[name])
    return json.dumps({key: value for key, value in content.items() if key not in ("type", "id")})
