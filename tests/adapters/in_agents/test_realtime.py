"""The output guardrail in a RealtimeAgent, on the SDK's own scripted transport."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.realtime.events import RealtimeGuardrailTripped
from agents.realtime.model_events import (
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from agents.realtime.model_inputs import RealtimeModelSendInterrupt
from agents.realtime.testing import ScriptedRealtimeModel

from edgeguard.adapters.agents import output_guardrail
from edgeguard.async_guard import AsyncGuard

pytestmark = pytest.mark.host


async def speak(guard: Any, text: str, debounce: int) -> tuple[list[Any], list[Any]]:
    """The tripwires of a spoken text, and the interruptions that the model got."""
    model = ScriptedRealtimeModel(strict=False)
    agent: RealtimeAgent[Any] = RealtimeAgent(
        name="voice", output_guardrails=[output_guardrail(guard)]
    )
    runner = RealtimeRunner(
        agent,
        model=model,
        config={"guardrails_settings": {"debounce_text_length": debounce}},
    )
    async with await runner.run() as session:
        await model.emit(RealtimeModelTurnStartedEvent(response_id="r"))
        for word in text.split(" "):
            await model.emit(
                RealtimeModelTranscriptDeltaEvent(item_id="i", delta=f"{word} ", response_id="r")
            )
        while session._guardrail_tasks:
            await asyncio.sleep(0.01)
        await model.emit(RealtimeModelTurnEndedEvent(response_id="r"))
        events = []
        while not session._event_queue.empty():
            events.append(session._event_queue.get_nowait())
    tripped = [each for each in events if isinstance(each, RealtimeGuardrailTripped)]
    stopped = [each for each in model.sent_events if isinstance(each, RealtimeModelSendInterrupt)]
    return tripped, stopped


def test_what_is_safe_is_not_interrupted(guard: Any) -> None:
    assert asyncio.run(speak(guard, "It is Paris. " * 30, 100)) == ([], [])


@pytest.mark.parametrize("debounce", [1, 100])
def test_what_is_flagged_is_interrupted(guard: Any, debounce: int) -> None:
    said = "Mild words. " * 12 + "This is unsafe. " + "And more of it. " * 12
    tripped, stopped = asyncio.run(speak(guard, said, debounce))
    assert len(tripped) == 1 and stopped
    (result,) = tripped[0].guardrail_results
    assert result.output.output_info["severity"] == "Unsafe"
    assert result.output.output_info["mode"] == "response"


def test_a_short_answer_is_only_judged_if_it_is_asked_for(guard: Any) -> None:
    """The SDK judges at each multiple of the setting, and not at the end: the page says so."""
    assert asyncio.run(speak(guard, "This is unsafe.", 100)) == ([], [])
    tripped, _ = asyncio.run(speak(guard, "This is unsafe.", 1))
    assert len(tripped) == 1


def test_what_cannot_be_judged_is_interrupted(tmp_path: Any) -> None:
    """The SDK passes over an output guardrail that raises here."""
    broken = AsyncGuard(str(tmp_path / "missing.gguf"))
    tripped, stopped = asyncio.run(speak(broken, "It is Paris.", 1))
    assert len(tripped) == 1 and stopped
    assert "missing.gguf" in tripped[0].guardrail_results[0].output.output_info["error"]
