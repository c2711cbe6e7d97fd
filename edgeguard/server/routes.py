"""The route of each endpoint, its description, and how FastAPI is used.

FastAPI describes the endpoints from their signatures, but our own reader reads the bodies: FastAPI
would parse them less strictly, report errors in another form, and keep the bytes, the values and
the model of a body in memory while its request waits.

This module answers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute

from edgeguard.server import answers, chat, watching
from edgeguard.server.endpoints import Endpoints
from edgeguard.server.openapi import ALL_ERRORS, may_need_key, needs_no_key, responses
from edgeguard.server.socket_stream import PATH as PATH_OF_SOCKET

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Endpoint = Callable[..., Coroutine[Any, Any, Response]]
MODELS = "/v1/models/"


def router(endpoints: Endpoints) -> APIRouter:
    """The routes of a server's own; edgeguard.server.host_routes adds those of hosts."""
    found = APIRouter(route_class=_reading(endpoints))
    _add_pages(found, endpoints)
    _add_judging(found, endpoints)
    _add_watching(found, endpoints)
    _add_models(found, endpoints)
    _add_operation(found, endpoints)
    return found


def label(path: str, known: frozenset[str]) -> str:
    """The name of a path in logs and metrics; what a client made up is `other`."""
    if path.startswith(MODELS):
        return f"{MODELS}{{model}}"
    return path if path in known else "other"


def _add_pages(found: APIRouter, endpoints: Endpoints) -> None:
    for path, endpoint in (
        ("/", endpoints.page),
        ("/docs", endpoints.docs),
        ("/docs/{name}", endpoints.docs_asset),
        ("/openapi.json", endpoints.openapi),
    ):
        found.add_api_route(path, endpoint, include_in_schema=False)


def _add_judging(found: APIRouter, endpoints: Endpoints) -> None:
    found.add_api_route(
        "/v1/chat/completions",
        endpoints.chat,
        methods=["POST"],
        operation_id="createChatCompletion",
        summary="The model's own answer",
        tags=["OpenAI"],
        response_model=answers.ChatCompletion,
        responses=responses(*ALL_ERRORS, content=chat.STREAM),
        openapi_extra=may_need_key(),
    )
    found.add_api_route(
        "/v1/moderations",
        endpoints.moderations,
        methods=["POST"],
        operation_id="createModeration",
        summary="OpenAI's moderation",
        tags=["OpenAI"],
        response_model=answers.Moderation,
        responses=responses(*ALL_ERRORS),
        openapi_extra=may_need_key(),
    )
    found.add_api_route(
        "/v1/guard",
        endpoints.guard,
        methods=["POST"],
        operation_id="guard",
        summary="The verdict",
        tags=["edgeguard"],
        response_model=answers.Verdict | answers.Verdicts,
        responses=responses(*ALL_ERRORS),
        openapi_extra=may_need_key(),
    )


def _add_watching(found: APIRouter, endpoints: Endpoints) -> None:
    found.add_api_route(
        "/v1/guard/stream",
        endpoints.stream,
        methods=["POST"],
        operation_id="guardStream",
        summary="A response, judged while it is read",
        tags=["edgeguard"],
        response_class=StreamingResponse,
        responses=responses(*ALL_ERRORS, content=watching.EVENTS),
        openapi_extra=may_need_key(),
    )
    found.routes.append(WebSocketRoute(PATH_OF_SOCKET, endpoints.socket))


def _add_models(found: APIRouter, endpoints: Endpoints) -> None:
    found.add_api_route(
        "/v1/models",
        endpoints.models,
        operation_id="listModels",
        summary="The model's names",
        tags=["OpenAI"],
        response_model=answers.ModelList,
        responses=responses(401, 403, 503),
        openapi_extra=may_need_key(),
    )
    found.add_api_route(
        f"{MODELS}{{model:path}}",
        endpoints.model,
        operation_id="retrieveModel",
        summary="One of the model's names",
        tags=["OpenAI"],
        response_model=answers.ModelCard,
        responses=responses(401, 403, 404, 503),
        openapi_extra=may_need_key(),
    )


def _add_operation(found: APIRouter, endpoints: Endpoints) -> None:
    not_ready = {"description": "Not ready.", "model": answers.NotReady}
    found.add_api_route(
        "/health",
        endpoints.health,
        operation_id="health",
        summary="Readiness",
        tags=["Operation"],
        response_model=answers.Health,
        responses={**responses(403), 503: not_ready},
        openapi_extra=needs_no_key(),
    )
    found.add_api_route(
        "/livez",
        endpoints.livez,
        operation_id="livez",
        summary="Liveness",
        tags=["Operation"],
        response_model=answers.Alive,
        responses=responses(403),
        openapi_extra=needs_no_key(),
    )
    found.add_api_route(
        "/metrics",
        endpoints.metrics,
        operation_id="metrics",
        summary="Prometheus metrics",
        tags=["Operation"],
        response_class=PlainTextResponse,
        responses=responses(401, 403),
        openapi_extra=may_need_key(),
    )


def _reading(endpoints: Endpoints) -> type[APIRoute]:
    """Routes whose endpoints get what they name: the request, its body, what is in the path."""

    class Route(APIRoute):
        def get_route_handler(self) -> Handler:
            endpoint: Endpoint = self.endpoint
            wanted = get_type_hints(endpoint)
            model = wanted.get("body")

            async def handle(request: Request) -> Response:
                given = {**request.path_params}
                if "request" in wanted:
                    given["request"] = request
                if model is None:
                    return await endpoint(**given)
                # Held by the endpoint alone, which lets it go before it waits.
                return await endpoint(**given, body=await endpoints.read(request, model))

            return handle

    return Route
