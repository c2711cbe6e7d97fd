"""
title: edgeguard
author: edgeguard
description: Judges what users and models write with Qwen3Guard-Gen on your machine.
version: 1
license: Apache-2.0
requirements: httpx
"""

# A filter function of Open WebUI: paste this file under Admin Panel, Functions, and switch it on
# for all models. It asks a server (`edgeguard serve`) and imports nothing of edgeguard.
#
# inlet raises, which ends the turn and shows the reason. stream holds the text back until it is
# judged, and releases it no further. outlet rewrites what is stored, since what it raises is
# ignored. What cannot be judged, because the server is not there or for any other reason, is not
# shown.

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import httpx
from pydantic import BaseModel, Field

FIELDS = ("content", "reasoning_content")
MOST_STREAMS = 1000


class Stream:
    """One answer while it is written."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        self.text = ""
        self.held = dict.fromkeys(FIELDS, "")
        self.is_over = False

    def take(self, delta: dict[str, Any]) -> None:
        """Take the text out of a piece of the answer."""
        for field in FIELDS:
            if isinstance(delta.get(field), str):
                self.text += delta[field]
                self.held[field] += delta[field]
                delta[field] = ""

    def release(self, delta: dict[str, Any]) -> None:
        """Put what was held into a piece of the answer."""
        for field, text in self.held.items():
            if text:
                delta[field] = text
        self.held = dict.fromkeys(FIELDS, "")


class Filter:
    """What Open WebUI looks for."""

    class Valves(BaseModel):
        """What an administrator can set."""

        priority: int = Field(default=0, description="Filters with a lower number run first.")
        url: str = Field(
            default="http://127.0.0.1:8000", description="Where `edgeguard serve` listens."
        )
        api_key: str = Field(default="", description="Its key, if it has one.")
        policy: str = Field(default="", description="One of its policies; empty for its own.")
        check_prompts: bool = True
        check_answers: bool = True
        interval: int = Field(
            default=200, ge=1, description="Characters of a stream between two verdicts."
        )
        timeout: float = Field(default=30.0, description="Seconds that a verdict may take.")
        refusal: str = "This was withheld by the safety filter."
        not_judged: str = "This could not be checked by the safety filter, and is withheld."

    def __init__(self) -> None:
        self.valves = self.Valves()
        self._streams: OrderedDict[str, Stream] = OrderedDict()

    async def inlet(
        self, body: dict[str, Any], __metadata__: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Judge the conversation that is asked; raise what the user sees."""
        messages = body.get("messages") or []
        if self.valves.check_prompts and messages and (why := await self._why_not(messages)):
            raise ValueError(why)
        if (key := _key(__metadata__)) is not None:
            self._streams[key] = Stream(messages)
            while len(self._streams) > MOST_STREAMS:
                self._streams.popitem(last=False)
        return body

    async def stream(
        self, event: dict[str, Any], __metadata__: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Hold text back until it is judged."""
        choices = event.get("choices") or []
        if not self.valves.check_answers or not choices:
            return event
        key = _key(__metadata__) or str(event.get("id"))
        stream = self._streams.setdefault(key, Stream([]))
        choice = choices[0]
        delta = choice.setdefault("delta", {})
        stream.take(delta)
        is_last = choice.get("finish_reason") is not None
        if not stream.is_over and (is_last or self._is_due(stream)):
            await self._judge(stream, delta)
        if is_last:
            self._streams.pop(key, None)
        return event

    async def outlet(self, body: dict[str, Any]) -> dict[str, Any]:
        """Judge the whole answer, and rewrite it where it is stored."""
        messages = body.get("messages") or []
        if self.valves.check_answers and messages and messages[-1].get("role") == "assistant":
            if not str(messages[-1].get("content") or "").strip():
                return body
            if messages[-1]["content"] in (self.valves.refusal, self.valves.not_judged):
                return body
            if why := await self._why_not(messages):
                messages[-1]["content"] = why
        return body

    def _is_due(self, stream: Stream) -> bool:
        return sum(map(len, stream.held.values())) >= self.valves.interval

    async def _judge(self, stream: Stream, delta: dict[str, Any]) -> None:
        if not stream.text.strip():
            return stream.release(delta)
        before = stream.messages or [{"role": "user", "content": ""}]
        why = await self._why_not([*before, {"role": "assistant", "content": stream.text}])
        if why is None:
            return stream.release(delta)
        stream.is_over = True
        delta["content"] = why
        return None

    async def _why_not(self, messages: list[dict[str, Any]]) -> str | None:
        """What is shown in place of the last message; None if it may be shown."""
        asked: dict[str, Any] = {"messages": [_plain(each) for each in messages]}
        if self.valves.policy:
            asked["policy"] = self.valves.policy
        key = self.valves.api_key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"{self.valves.url.rstrip('/')}/v1/guard"
        try:
            async with httpx.AsyncClient(timeout=self.valves.timeout) as client:
                answer = await client.post(url, json=asked, headers=headers)
            answer.raise_for_status()
            return self.valves.refusal if answer.json()["flagged"] is not False else None
        except Exception:
            return self.valves.not_judged


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """Role and content: Open WebUI keeps more with a message."""
    return {"role": message.get("role"), "content": message.get("content")}


def _key(metadata: dict[str, Any] | None) -> str | None:
    found = (metadata or {}).get("message_id")
    return str(found) if found else None
