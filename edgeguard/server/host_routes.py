"""Where hosts find what they ask for: Ollama's API, LiteLLM's guardrail, the webhooks.

As edgeguard.server.routes, which has the server's own. This module answers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from edgeguard.server import dify, litellm, portkey
from edgeguard.server import host_answers as answers
from edgeguard.server.http_errors import OLLAMA
from edgeguard.server.litellm_endpoint import LiteLLMEndpoint
from edgeguard.server.ollama import LINES
from edgeguard.server.ollama_endpoints import OllamaEndpoints
from edgeguard.server.openapi import ALL_ERRORS, may_need_key, responses
from edgeguard.server.webhook_endpoints import WebhookEndpoints

Endpoint = Callable[..., Coroutine[Any, Any, Response]]

_STREAM: dict[str, Any] = {
    LINES: {"schema": {"description": "Unless stream is false: a line of JSON for each token."}}
}
_PULLED: dict[str, Any] = {LINES: {"schema": {"description": "A line of JSON, with a status."}}}


def add_ollama(found: APIRouter, ollama: OllamaEndpoints) -> None:
    """Ollama's API, as far as a guard needs it."""
    chat = {"content": _STREAM, "response_model": answers.OllamaChat}
    generated = {"content": _STREAM, "response_model": answers.OllamaGenerated}
    _add_ollama(found, "chat", ollama.chat, "The model's own answer to a conversation", **chat)
    _add_ollama(found, "generate", ollama.generate, "The model's own answer", **generated)
    shown, listed = (
        {"response_model": answers.OllamaShown},
        {"response_model": answers.OllamaModels},
    )
    _add_ollama(found, "show", ollama.show, "What is said of a model", **shown)
    _add_ollama(found, "pull", ollama.pull, "Whether a model is here", content=_PULLED)
    _add_ollama(found, "tags", ollama.tags, "The model's names", method="GET", **listed)
    _add_ollama(found, "ps", ollama.ps, "The model, if it is in memory", method="GET", **listed)
    version = {"response_model": answers.OllamaVersion}
    _add_ollama(found, "version", ollama.version, "Whose API this is", method="GET", **version)


def add_litellm(found: APIRouter, endpoint: LiteLLMEndpoint) -> None:
    """The guardrail of LiteLLM's proxy."""
    _add(
        found, litellm.PATH, endpoint.judge, "litellmGuardrail", "LiteLLM's guardrail",
        answers.LiteLLMAnswer,
    )  # fmt: skip


def add_webhooks(found: APIRouter, webhooks: WebhookEndpoints) -> None:
    """What Dify and Portkey ask."""
    _add(
        found, dify.PATH, webhooks.dify, "difyModeration", "Dify's moderation",
        answers.DifyPong | answers.DifyAnswer,
    )  # fmt: skip
    _add(
        found, portkey.PATH, webhooks.portkey, "portkeyGuardrail", "Portkey's webhook",
        answers.PortkeyAnswer,
    )  # fmt: skip


def _add(
    found: APIRouter, path: str, endpoint: Endpoint, name: str, summary: str, form: Any
) -> None:
    found.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        operation_id=name,
        summary=summary,
        tags=["Hosts"],
        response_model=form,
        responses=responses(*ALL_ERRORS),
        openapi_extra=may_need_key(),
    )


def _add_ollama(
    found: APIRouter,
    name: str,
    endpoint: Endpoint,
    summary: str,
    *,
    method: str = "POST",
    response_model: Any = None,
    content: dict[str, Any] | None = None,
) -> None:
    errors = ALL_ERRORS if method == "POST" else (401, 403, 503)
    said = {"content": content} if content else {}
    found.add_api_route(
        f"{OLLAMA}{name}",
        endpoint,
        methods=[method],
        operation_id=f"ollama{name.capitalize()}",
        summary=summary,
        tags=["Ollama"],
        response_class=Response if response_model is None else JSONResponse,
        response_model=response_model,
        responses=responses(*errors, error=answers.OllamaError, **said),
        openapi_extra=may_need_key(),
    )
