"""Watches in an event loop: many at once, cancelled ones, and the state of each its own."""

from __future__ import annotations

import asyncio
import time

import pytest

from edgeguard import AsyncGuard, CancelledError, InputError
from edgeguard.errors import ClosedError
from edgeguard.protocol.names import SAFE as SAFE_
from edgeguard.protocol.names import UNSAFE as UNSAFE_
from edgeguard.protocol.names import Severity
from edgeguard.session.fake import FakeSession
from edgeguard.session.fake_stream import FakeStreamSession
from edgeguard.stream.interface import TokenLabel

SAFE = "Safety: Safe\nCategories: None\nRefusal: No"
UNSAFE = "Safety: Unsafe\nCategories: Violent\nRefusal: No"
ASKED = [{"role": "user", "content": "Tell me a story."}]
CALM = "A calm sentence of some forty characters. "


def _session(seconds: float = 0.0) -> FakeSession:
    def script(question: str) -> str:
        answer = UNSAFE if "HARM" in question else SAFE
        return answer if "REFUSAL POLICY" in question else answer.rpartition("\n")[0]

    return FakeSession(script, seconds=seconds)


async def _stream(guard: AsyncGuard, text: str) -> tuple[bool, int]:
    async with guard.watch(ASKED) as watch:
        assert watch.prompt is not None and not watch.prompt.flagged
        for start in range(0, len(text), 9):
            if (await watch.feed(text[start : start + 9])).flagged:
                break
        verdict = await watch.end()
        return verdict.flagged, watch.state.safe_to


def test_forty_watches_at_once_keep_their_own_state() -> None:
    async def main() -> None:
        async with AsyncGuard.with_session(_session()) as guard:
            texts = [CALM * (n % 5 + 1) + ("HARM. " if n % 2 else "") for n in range(40)]
            found = await asyncio.gather(*(_stream(guard, text) for text in texts))
        for text, (flagged, safe_to) in zip(texts, found):
            assert flagged == ("HARM" in text)
            assert safe_to == len(text) if not flagged else safe_to <= text.index("HARM")

    asyncio.run(main())


def test_a_cancelled_task_stops_the_computation_and_ends_the_watch() -> None:
    async def main() -> None:
        session = _session()
        async with AsyncGuard.with_session(session) as guard:
            async with guard.watch(ASKED) as watch:
                session._seconds = 30.0
                began = time.monotonic()
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(watch.feed(CALM * 3), 0.1)
                with pytest.raises(CancelledError):
                    await watch.feed(CALM * 3)
                assert time.monotonic() - began < 5
                assert watch.state.safe_to == 0
            session._seconds = 0.0
            assert not (await guard.check("Hello")).flagged
            with pytest.raises(ClosedError):
                await watch.feed("more")

    asyncio.run(main())


def test_the_loop_runs_on_while_a_watch_computes() -> None:
    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        async with AsyncGuard.with_session(_session(seconds=0.2)) as guard:
            ticking = asyncio.create_task(tick())
            await _stream(guard, CALM * 2)
            ticking.cancel()
        assert ticks > 15

    asyncio.run(main())


def test_a_stream_has_its_labels_and_its_rule_in_a_loop_too() -> None:
    def label(role: str, text: str) -> Severity | tuple[Severity, str]:
        return (UNSAFE_, "PII") if role == "assistant" and text.endswith("X") else SAFE_

    async def main() -> None:
        async with AsyncGuard.with_session(FakeStreamSession(label)) as guard:
            async with guard.watch(ASKED) as watch:
                assert watch.labels == ()
                state = await watch.feed("one X here ")
                assert not state.flagged and state.safe_to == 10
                labels: list[TokenLabel] = list(watch.labels)
                assert [each.severity for each in labels][4:6] == [UNSAFE_, SAFE_]
            async with guard.watch(ASKED, in_a_row=1) as watch:
                state = await watch.feed("one X here ")
                assert state.flagged and state.safe_to == 4
            with pytest.raises(InputError, match="in_a_row is 0"):
                async with guard.watch(ASKED, in_a_row=0):
                    pass

    asyncio.run(main())
