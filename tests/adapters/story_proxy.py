"""`edgeguard proxy` on a fake model, in front of a made-up one that tells a story.

It runs with the project's own Python, and ends when its standard input does. The story turns
harmful where the request says so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import upstream as fake
from proxied import proxying

STORY = ["Once upon a time ", "there was a small dog. ", "Er hieß Möpschen 🐕. ", "The end."]
HARM = [*STORY[:3], "Now follows something unsafe in it. ", "And more of that. "]


def reply(path: str, body: dict[str, Any]) -> fake.Reply:
    """What the made-up model answers."""
    pieces = HARM if "harmful" in json.dumps(body, ensure_ascii=False) else STORY
    text, streams = "".join(pieces), body.get("stream") is True
    if path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}]
        return fake.whole({"object": "list", "data": data, "model": "m", "usage": {}})
    if path.endswith("/messages"):
        events = fake.message_events(pieces)
        return fake.stream(events) if streams else fake.whole(fake.message_whole(text))
    if path.endswith("/responses"):
        events = fake.response_events(pieces)
        return fake.stream(events) if streams else fake.whole(fake.response_whole(text))
    if path.endswith("/chat/completions"):
        events = fake.chat_events(text)
        return fake.stream(events) if streams else fake.whole(fake.chat_whole(text))
    choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
    answer = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
    return fake.whole({**answer, "choices": [choice]})


if __name__ == "__main__":
    with fake.upstream() as model:
        model.reply = reply
        with proxying(model.url) as served:
            print(served.url, flush=True)
            sys.stdin.read()
