"""The adapter on the fake model; LiteLLM's proxy loads this file by its configuration."""

from __future__ import annotations

from typing import Any

from scripted import scripted

from edgeguard.adapters.litellm import EdgeguardGuardrail
from edgeguard.async_guard import AsyncGuard
from edgeguard.session.fake import FakeSession


class FakeGuardrail(EdgeguardGuardrail):
    def __init__(self, **options: Any) -> None:
        super().__init__(guard=AsyncGuard.with_session(FakeSession(scripted)), **options)

    apply_guardrail = EdgeguardGuardrail.apply_guardrail
