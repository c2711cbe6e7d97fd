"""any-guardrail's Qwen3Guard on the server, as docs/hosts/any-guardrail.md has it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from any_guardrail.guardrails.qwen3_guard import Qwen3Guard
from any_guardrail.providers.llamafile import LlamafileProvider
from pages import block

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def page(url: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(block("any-guardrail", "python", server=url), found)
    return found


def test_what_the_page_shows(page: dict[str, Any]) -> None:
    prompt, answer = page["prompt"], page["answer"]
    assert (prompt.valid, prompt.score, prompt.extra) == (True, 0.0, {"severity": "Safe"})
    assert (answer.valid, [each.name for each in answer.categories]) == (True, ["refusal"])


@pytest.mark.parametrize("category", ["Violent", "PII", "Suicide & Self-Harm", "Jailbreak"])
def test_what_is_flagged(page: dict[str, Any], category: str) -> None:
    found = page["guardrail"].validate(f"This is unsafe ({category}).")
    assert (found.valid, found.score) == (False, 1.0)
    assert [each.name for each in found.categories] == [category]
    if category == "Jailbreak":
        return  # the model knows it of prompts alone
    found = page["guardrail"].validate("What?", output_text=f"unsafe ({category})")
    assert not found.valid
    assert [each.name for each in found.categories] == [category, "refusal"]


def test_what_cannot_be_judged_is_not_valid(page: dict[str, Any]) -> None:
    for text in (" ", "mild " * 400_000):
        with pytest.raises(HTTPError):
            page["guardrail"].validate(text)


def test_without_a_server_nothing_is_valid() -> None:
    with pytest.raises(TimeoutError):
        Qwen3Guard(provider=LlamafileProvider(base_url="http://127.0.0.1:9", startup_timeout=1))


def test_a_server_that_dies_makes_nothing_valid() -> None:
    class Dying(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            self.send_error(500)

        def log_message(self, *_args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Dying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    guardrail = Qwen3Guard(provider=LlamafileProvider(base_url=base))
    with pytest.raises(HTTPError):
        guardrail.validate("What?")
    server.shutdown()
    server.server_close()
    with pytest.raises(URLError):
        guardrail.validate("What?")
