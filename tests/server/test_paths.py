"""Paths as clients put them together, and that none gets past a check that way."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import MILD, Served, serving

from edgeguard.server.paths import canonical, meant, would_judge

ASKED = {"model": "omni-moderation-latest", "input": MILD}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/moderations", "/v1/moderations/", "//v1/moderations", "/v1//moderations",
        "/v1/v1/moderations", "/moderations", "//v1//v1/moderations//", "/v1/v1/v1/moderations/",
    ],
)  # fmt: skip
def test_a_moderation_s_path(served: Served, path: str) -> None:
    answer = post(served, path)
    assert answer["results"][0]["edgeguard"]["mode"] == "prompt"


@pytest.mark.parametrize("path", ["/v1/models/", "//v1/models", "/v1/v1/models", "/models"])
def test_the_models(served: Served, path: str) -> None:
    assert raw(served, "GET", path)[1]["object"] == "list"


@pytest.mark.parametrize(
    "path", ["/chat/completions", "/v1/chat/completions/", "//chat/completions"]
)
def test_a_chat_s_path(served: Served, path: str) -> None:
    asked = {"messages": [{"role": "user", "content": MILD}]}
    assert raw(served, "POST", path, asked)[1]["object"] == "chat.completion"


@pytest.mark.parametrize(
    "path",
    [
        "/moderation/v1/moderations", "/openai/v1/moderations", "/v2/moderations",
        "/response/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages",
        "/api/v1/moderations",
    ],
)  # fmt: skip
def test_where_nothing_is_judged_is_not_404(served: Served, path: str) -> None:
    status, answer = raw(served, "POST", path, ASKED)
    assert status == 400
    assert "path" in str(answer["error"])


def test_what_judges_nothing_is_404(served: Served) -> None:
    assert raw(served, "GET", "/v1/nothing")[0] == 404
    assert raw(served, "GET", "/wp-login.php")[0] == 404


def test_a_target_in_absolute_form(served: Served) -> None:
    answer = post(served, f"{served.url}/v1/moderations")
    assert answer["results"][0]["flagged"] is False
    assert post(served, f"{served.url.replace('http', 'HTTP', 1)}//v1/moderations/?a=b")


def test_the_target_s_host_is_the_one_that_counts(served: Served) -> None:
    status, answer = raw(served, "POST", "http://evil.example/v1/moderations", ASKED)
    assert status == 403
    assert answer["error"]["code"] == "foreign_host"


@pytest.mark.parametrize(
    "target", ["http://[", "http://", "http://[::1", "https:///v1/moderations"]
)
def test_a_target_that_is_none_gets_an_answer(served: Served, target: str) -> None:
    assert raw(served, "POST", target, ASKED)[0] in (400, 403, 404)


def test_a_path_written_otherwise_needs_the_key_all_the_same() -> None:
    with serving(api_key="secret") as served:
        for path in ("//v1/moderations", "/moderations/", f"{served.url}/v1/v1/moderations"):
            assert raw(served, "POST", path, ASKED)[0] == 401


def test_a_proxy_s_prefix_is_left_off() -> None:
    with serving(root_path="/guard") as served:
        for path in ("/guard/v1/moderations", "/guard//v1/v1/moderations/", "//guard/moderations"):
            assert post(served, path)["results"]


@given(st.lists(st.sampled_from(["v1", "", "moderations", "response", "models", "x", "guard"])))
def test_a_meant_path_means_itself(parts: list[str]) -> None:
    scope = {"path": "/" + "/".join(parts), "headers": [], "state": {}}
    found = canonical(scope, "")["path"]
    assert meant(found)[1] == found == canonical({**scope, "path": found}, "")["path"]
    assert found.startswith("/")
    if parts and parts[-1] == "moderations":
        assert found.endswith("/moderations")
        assert would_judge(found)


def post(served: Served, path: str) -> dict[str, Any]:
    status, answer = raw(served, "POST", path, ASKED)
    assert status == 200, answer
    return answer


def raw(
    served: Served, method: str, target: str, body: object = None
) -> tuple[int, dict[str, Any]]:
    """A request whose target is sent as it is written here."""
    content = b"" if body is None else json.dumps(body).encode()
    request = httpx.Request(
        method,
        served.url,
        content=content,
        headers={"content-type": "application/json"},
        extensions={"target": target.encode()},
    )
    with served.client() as client:
        answer = client.send(request)
    return answer.status_code, answer.json()
