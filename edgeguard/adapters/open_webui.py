"""
title: edgeguard
author: edgeguard
description: Judges what users and models write with Qwen3Guard-Gen on your machine.
version: 2
license: Apache-2.0
"""

# A filter function of Open WebUI: paste this file under Admin Panel, Functions, and switch it on
# for all models. It asks a server (`edgeguard serve`) and imports nothing of edgeguard.  inlet
# raises if the prompt is flagged, which ends the turn and shows the reason. stream holds back what
# the model writes until it is judged; tool calls wait for the last verdict. outlet rewrites what is
# stored: the content and, for newer versions, the output. It catches every exception, since Open
# WebUI would ignore one and store the text. Text that cannot be judged is not shown, whether the
# server is down or the form of the text is unknown.

from __future__ import annotations

import asyncio
import json
import ssl
from collections import OrderedDict
from typing import Any

import httpx
from pydantic import BaseModel, Field

Json = dict[str, Any]

TEXTS = ("content", "reasoning_content", "reasoning", "thinking", "refusal")
"""Fields of a delta whose texts are pieces of one text."""
EVENT = (
    "id", "object", "created", "model", "choices", "usage", "timings", "error", "provider",
    "service_tier", "system_fingerprint", "selected_model_id",
)  # fmt: skip
"""Fields of an event that a model did not write, except for the choices."""
MOST_STREAMS = 1000


class Stream:
    """One answer while it is written."""

    def __init__(self, messages: list[Json]) -> None:
        self.messages = messages
        self.text = ""
        self.held = dict.fromkeys(TEXTS, "")
        self.late: dict[str, list[Any]] = {}
        self.is_over = False

    def take(self, delta: Json) -> Json:
        """Remove and hold everything in a piece of the answer except its role."""
        for name, value in delta.items():
            if name in TEXTS and isinstance(value, str):
                self.text += value
                self.held[name] += value
            elif isinstance(value, list):
                self.late.setdefault(name, []).extend(value)
        return {"role": delta["role"]} if "role" in delta else {}

    def said(self) -> str:
        """The whole text to be judged."""
        late = [json.dumps(value, ensure_ascii=False) for value in self.late.values() if value]
        return "\n".join([self.text, *late]).strip()

    def release(self, delta: Json, is_last: bool) -> None:
        """Put the held text into a piece of the answer."""
        delta.update({name: text for name, text in self.held.items() if text})
        self.held = dict.fromkeys(TEXTS, "")
        if is_last:
            delta.update(self.late)

    def withhold(self, delta: Json, why: str) -> None:
        """Show the reason in place of the held text and all that follows."""
        self.is_over = True
        delta["content"] = why


class Filter:
    """The class that Open WebUI looks for."""

    class Valves(BaseModel):
        """The settings for an administrator."""

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
        timeout: float = Field(default=30.0, gt=0, description="Seconds that a verdict may take.")
        refusal: str = "This was withheld by the safety filter."
        not_judged: str = "This could not be checked by the safety filter, and is withheld."

    def __init__(self) -> None:
        self.valves = self.Valves()
        self._streams: OrderedDict[str, Stream] = OrderedDict()
        self._tls = ssl.create_default_context()  # made once, since it reads a file of certificates

    async def inlet(self, body: Json, __request__: Any = None) -> Json:
        """Judge the conversation; the user sees the exception that it raises."""
        messages = body.get("messages") or []
        if self.valves.check_prompts and (why := await self._why_not(messages)):
            raise ValueError(why)
        state = getattr(__request__, "state", None)
        if state is not None:  # for answers over the API, whose events have no body
            state.edgeguard_messages = messages
        return body

    async def stream(
        self,
        event: Json,
        __body__: Json | None = None,
        __metadata__: Json | None = None,
        __request__: Any = None,
    ) -> Json:
        """Hold text back until it is judged."""
        if not self.valves.check_answers:
            return event
        if not isinstance(event, dict):
            raise ValueError(self.valves.not_judged)  # older versions pass the API's raw lines
        state = getattr(__request__, "state", None)
        messages = (__body__ or {}).get("messages") or getattr(state, "edgeguard_messages", [])
        key = str((__metadata__ or {}).get("message_id") or event.get("id"))
        if str(event.get("type") or "").startswith("response."):
            return self._not_read(event)
        event = {name: value for name, value in event.items() if name in EVENT}
        choices = event.get("choices")
        if choices:
            event["choices"] = [await self._choice(key, messages, each) for each in choices]
        return event

    async def outlet(self, body: Json) -> Json:
        """Judge the whole answer, and rewrite it where it is stored."""
        messages = body.get("messages") or []
        if not self.valves.check_answers or not messages:
            return body
        answer = messages[-1]
        if answer.get("role") != "assistant":
            return body
        try:
            text = _written(answer)
            if not text.strip() or text in (self.valves.refusal, self.valves.not_judged):
                return body
            judged = {"role": "assistant", "content": text}
            why = await self._why_not([*messages[:-1], judged], is_answer=True)
        except Exception:
            why = self.valves.not_judged
        if why:
            answer["content"] = why
            if "output" in answer:  # never empty, because an empty output is not stored
                answer["output"] = [_item(why, str(answer.get("id")))]
        return body

    async def _choice(self, key: str, messages: list[Json], choice: Json) -> Json:
        index, ends = choice.get("index") or 0, choice.get("finish_reason")
        key = f"{key} {index}"
        stream = self._streams.setdefault(key, Stream(messages))
        while len(self._streams) > MOST_STREAMS:
            self._streams.popitem(last=False)
        delta = stream.take(choice.get("delta") or {})
        is_due = sum(map(len, stream.held.values())) >= self.valves.interval
        if not stream.is_over and (is_due or ends is not None):
            await self._judge(stream, delta, ends is not None)
        if ends is not None:
            self._streams.pop(key, None)
            ends = "content_filter" if stream.is_over else ends
        return {"index": index, "delta": delta, "finish_reason": ends}

    async def _judge(self, stream: Stream, delta: Json, is_last: bool) -> None:
        said = stream.said() if is_last else stream.text.strip()
        before = stream.messages or [{"role": "user", "content": ""}]
        answer = [*before, {"role": "assistant", "content": said}]
        why = await self._why_not(answer, is_answer=True) if said else None
        if why is None:
            stream.release(delta, is_last)
        else:
            stream.withhold(delta, why)

    def _not_read(self, event: Json) -> Json:
        """Show only the reason in place of a stream in the form of the Responses API."""
        if event["type"] != "response.created":
            return {}
        delta = {"content": self.valves.not_judged}
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    async def _why_not(self, messages: list[Json], *, is_answer: bool = False) -> str | None:
        """The text to show in place of the last message; None if it may be shown.

        Pictures before an answer are skipped: they were refused when they were sent.
        """
        asked: Json = {"messages": [_plain(each) for each in messages], "tool_calls": True}
        if is_answer:
            asked["skip_media"] = True
        if self.valves.policy:
            asked["policy"] = self.valves.policy
        try:
            asking = self._ask(asked)
            verdict = await asyncio.wait_for(asking, self.valves.timeout)
            return self.valves.refusal if verdict["flagged"] is not False else None
        except Exception:
            return self.valves.not_judged

    async def _ask(self, asked: Json) -> Any:
        key = self.valves.api_key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"{self.valves.url.rstrip('/')}/v1/guard"
        # Not through a proxy from the environment, which would see the texts.
        how: Any = {"timeout": self.valves.timeout, "trust_env": False, "verify": self._tls}
        async with httpx.AsyncClient(**how) as client:
            answer = await client.post(url, json=asked, headers=headers)
        answer.raise_for_status()
        return answer.json()


def _plain(message: Json) -> Json:
    """Role, content and tool calls; a message of Open WebUI has more fields."""
    found = {"role": message.get("role"), "content": message.get("content")}
    if message.get("tool_calls"):
        found["tool_calls"] = message["tool_calls"]
    return found


def _written(message: Json) -> str:
    """Everything that the model wrote in a message: its content, its reasoning, its tool calls."""
    found = [message.get("content") or ""]
    for item in message.get("output") or ():
        for parts in (item.get("content"), item.get("summary"), item.get("output")):
            parts = parts if isinstance(parts, list) else []
            found += [str(part.get("text") or "") for part in parts if isinstance(part, dict)]
        found += [item[name] for name in ("arguments", "code") if isinstance(item.get(name), str)]
    return "\n".join(dict.fromkeys(text for text in found if text.strip()))


def _item(text: str, message_id: str) -> Json:
    """An output as Open WebUI stores one."""
    part = {"type": "output_text", "text": text}
    return {
        "type": "message",
        "id": f"msg_{message_id}",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
