"""Guardrails of OpenAI's Agents SDK.

    agent = Agent(…, input_guardrails=[input_guardrail()], output_guardrails=[output_guardrail()])

A flagged text is a tripwire: the SDK raises InputGuardrailTripwireTriggered or
OutputGuardrailTripwireTriggered, whose ``output_info`` has the verdict. A text that cannot be
judged raises the guard's own error. The SDK runs the output guardrails of a stream at its end.

The same output guardrail works for RealtimeAgent, which calls it as the transcript grows, but
ignores a guardrail that raises. There, a text that cannot be judged is a tripwire too.
"""

from __future__ import annotations

from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OutputGuardrail,
    RunContextWrapper,
    TResponseInputItem,
)

from edgeguard.adapters.common import default_guard, judge_response
from edgeguard.async_guard import AsyncGuard
from edgeguard.errors import EdgeguardError
from edgeguard.verdict import Verdict

Items = str | list[TResponseInputItem]


def input_guardrail(guard: AsyncGuard | None = None) -> InputGuardrail[Any]:
    """Judges the user's last message before the agent starts."""
    judge = guard or default_guard()

    async def edgeguard_input(
        context: RunContextWrapper[Any], agent: object, given: Items
    ) -> GuardrailFunctionOutput:
        del context, agent
        return _said(await judge.check_messages(_messages(given), tool_calls=True))

    return InputGuardrail(edgeguard_input, name="edgeguard_input", run_in_parallel=False)


def output_guardrail(guard: AsyncGuard | None = None) -> OutputGuardrail[Any]:
    """Judges the agent's final output."""
    judge = guard or default_guard()

    async def edgeguard_output(
        context: RunContextWrapper[Any], agent: object, output: Any
    ) -> GuardrailFunctionOutput:
        try:
            return _said(await judge_response(judge, _messages(context.turn_input), _text(output)))
        except EdgeguardError as error:
            if isinstance(agent, Agent):
                raise
            info = {"error": str(error)}
            return GuardrailFunctionOutput(output_info=info, tripwire_triggered=True)

    return OutputGuardrail(edgeguard_output, name="edgeguard_output")


def _said(verdict: Verdict | None) -> GuardrailFunctionOutput:
    flagged = verdict is not None and verdict.flagged
    info = verdict.to_dict() if verdict is not None else None
    return GuardrailFunctionOutput(output_info=info, tripwire_triggered=flagged)


def _text(output: object) -> str:
    """An output as it is shown: a text, or JSON of an output type."""
    if isinstance(output, str):
        return output
    dump = getattr(output, "model_dump_json", None)
    return str(dump()) if dump is not None else str(output)


def _messages(given: Items) -> list[Any]:
    """The conversation as items, in a form that the guard reads."""
    return [{"role": "user", "content": given}] if isinstance(given, str) else given
