"""The routes for other programs: Ollama's API, LiteLLM's guardrail, the webhooks.

Like edgeguard.server.routes, which has the server's own. This module answers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from edgeguard.server import dify, litellm, portkey
from edgeguard.server import host_answers as answers
from edgeguard.server.answers import Form
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
    chat, generated = answers.OllamaChat, answers.OllamaGenerated
    _add_ollama(found, "chat", ollama.chat, "The model's answer to a conversation", chat, _STREAM)
    _add_ollama(found, "generate", ollama.generate, "The model's answer", generated, _STREAM)
    _add_ollama(found, "show", ollama.show, "What is said of a model", answers.OllamaShown)
    _add_ollama(found, "pull", ollama.pull, "Whether a model is here", None, _PULLED)
    got: dict[str, tuple[Endpoint, str, type[Form]]] = {
        "tags": (ollama.tags, "The model's names", answers.OllamaModels),
        "ps": (ollama.ps, "The model, if it is in memory", answers.OllamaModels),
        "version": (ollama.version, "Whose API this is", answers.OllamaVersion),
    }
    for name, (endpoint, summary, form) in got.items():
        _add_ollama(found, name, endpoint, summary, form, method="GET")


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
    form: type[Form] | None,
    content: dict[str, Any] | None = None,
    *,
    method: str = "POST",
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
        response_class=Response if form is None else JSONResponse,
        response_model=form,
        responses=responses(*errors, error=answers.OllamaError, **said),
        openapi_extra=may_need_key(),
    )
