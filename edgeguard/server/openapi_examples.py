"""An example of each operation: a request, its answer, and the curl command for it.

The answers have the forms of edgeguard.server.answers; a test compares each with its schema. This
module answers nothing.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from edgeguard.server import chat, moderations, native, openapi_hosts
from edgeguard.server.http_errors import OLLAMA
from edgeguard.server.settings import HOST, PORT

Operation = dict[str, Any]

TEXT = "What is the capital of France?"
_MODEL = native.EXAMPLE["model"]
_CARD: dict[str, Any] = {
    "id": "Qwen3Guard-Gen-0.6B",
    "object": "model",
    "created": 1764000000,
    "owned_by": "edgeguard",
    "root": "Qwen3Guard-Gen-0.6B",
}
_STATE = {
    "flagged": False,
    "judged_to": 17,
    "safe_to": 17,
    "span": None,
    "severity": "Safe",
    "categories": [],
    "probabilities": native.EXAMPLE["probabilities"],
    "reason": "",
    "windows": 1,
}
_STREAM = "".join(
    f"event: {name}\ndata: {json.dumps(data)}\n\n"
    for name, data in (
        ("prompt", native.EXAMPLE),
        ("state", _STATE),
        ("verdict", {**native.EXAMPLE, "mode": "response"}),
    )
)
_METRICS = """# HELP edgeguard_verdicts_total Verdicts
# TYPE edgeguard_verdicts_total counter
edgeguard_verdicts_total{mode="prompt",severity="Safe"} 12.0
"""

_NOT_READY = {"status": "loading", "reason": "the model is being loaded"}

SENT: dict[str, Any] = {
    "createChatCompletion": {"messages": [{"role": "user", "content": TEXT}]},
    "createModeration": {"input": TEXT},
    "guard": {"prompt": TEXT},
    "guardStream": {"prompt": "Tell me a story.", "response": "Once upon a time."},
    **openapi_hosts.SENT,
}
ANSWERED: dict[str, tuple[str, Any]] = {
    "createChatCompletion": ("application/json", chat.EXAMPLE),
    "createModeration": ("application/json", moderations.EXAMPLE),
    "guard": ("application/json", native.EXAMPLE),
    "guardStream": ("text/event-stream", _STREAM),
    "listModels": ("application/json", {"object": "list", "data": [_CARD]}),
    "retrieveModel": ("application/json", _CARD),
    "health": (
        "application/json",
        {
            "status": "ok",
            "model": _MODEL["name"],
            "type": _MODEL["type"],
            "sha256": _MODEL["sha256"],
            "policies": ["strict", "loose"],
            "queue": {"waiting": 0, "capacity": 64, "oldest_wait_seconds": 0.0},
            "busy_seconds": 0.0,
        },
    ),
    "livez": ("application/json", {"status": "ok"}),
    "metrics": ("text/plain", _METRICS),
    **openapi_hosts.ANSWERED,
}


def add(path: str, method: str, operation: Operation) -> None:
    """Put the examples into an operation of the document, and the line of curl into its words."""
    name = operation["operationId"]
    kind, answer = ANSWERED[name]
    for type_, content in operation["responses"]["200"]["content"].items():
        if type_.partition(";")[0] == kind:
            content["example"] = answer
    if name in SENT:
        operation["requestBody"]["content"]["application/json"]["example"] = SENT[name]
    for status, found in operation["responses"].items():
        for content in found.get("content", {}).values():
            if status != "200":
                not_ready = "NotReady" in str(content["schema"])
                content["example"] = _NOT_READY if not_ready else error(int(status), path)
    line = curl(path, method, SENT.get(name))
    operation["description"] += f"\n\n```bash\n{line}\n```"


def curl(path: str, method: str, sent: object | None) -> str:
    """The command that asks for an operation."""
    url = f"http://{HOST}:{PORT}{path.replace('{model}', str(_CARD['id']))}"
    if method == "get":
        return f"curl -s {url}"
    body = shlex.quote(json.dumps(sent))
    return f"curl -s {url} -H 'Content-Type: application/json' \\\n    -d {body}"


def error(status: int, path: str = "") -> dict[str, Any]:
    """What an error of this status may look like."""
    message, param, code = _ERRORS[status]
    if path.startswith(OLLAMA):
        return {"error": message}
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {
        "error": {
            "message": message,
            "type": kind,
            "param": param,
            "code": code,
            "request_id": "0f8a5a0a1c6c4f4c9b2e3d4a5b6c7d8e",
        }
    }


_ERRORS: dict[int, tuple[str, str | None, str | None]] = {
    400: ("prompt: there is nothing to judge: the text is empty", "prompt", "empty"),
    401: ("the API key is wrong", None, "invalid_api_key"),
    403: (
        "web pages of other origins are not served: start the server with --cors-origin and this "
        "page's origin, if it may ask",
        None,
        "foreign_origin",
    ),
    404: (
        "this model is not served here; nano is (see /v1/models). For it to answer to other "
        "names, start the server with --alias NAME or --any-model",
        "model",
        "model_not_found",
    ),
    408: ("the body did not arrive within 60 s", None, "timeout"),
    413: ("the body is larger than 1048576 bytes", None, "body_too_large"),
    415: (
        "the body must be JSON in UTF-8: send the header Content-Type: application/json",
        None,
        "unsupported_content_type",
    ),
    500: (
        "the model could not judge this: llama.cpp could not compute",
        "prompt",
        "judging_failed",
    ),
    503: ("64 requests wait already", None, "queue_full"),
    504: ("the text was not judged within 600 s", "prompt", "timeout"),
}
