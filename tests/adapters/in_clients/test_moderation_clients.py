"""Clients of OpenAI's moderation that read its categories and not its `flagged`.

promptfoo (src/redteam/…/moderation, by reading) lists every key of `categories` that is true and
every score above its threshold, so it sees what is tested here of autoevals.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
from autoevals.moderation import Moderation
from guardrails.checks.text.moderation import ModerationCfg, moderation
from pages import block, blocks, text_of

from edgeguard.protocol.names import CATEGORIES, NO_CATEGORY

pytestmark = pytest.mark.host

SAFE = "What is the capital of France?"


FLAGGED = [f"This is unsafe ({name})." for name in (*CATEGORIES, NO_CATEGORY)]


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="x", base_url=f"{url}/v1", max_retries=0) as found:
        yield found


def test_the_openai_client_has_the_further_keys(client: openai.OpenAI) -> None:
    for text in FLAGGED:
        (result,) = client.moderations.create(input=text).results
        assert any(result.categories.to_dict().values())
        assert any(value > 0 for value in result.category_scores.to_dict().values())
        (result,) = client.moderations.create(input=SAFE).results
        assert not any(result.categories.to_dict().values())


@pytest.mark.parametrize("threshold", [None, 0.2, 0.5])
def test_autoevals(client: openai.OpenAI, threshold: float | None) -> None:
    scorer = Moderation(threshold=threshold, client=client)
    assert scorer.eval(output=SAFE).score == 1
    for text in FLAGGED:
        assert scorer.eval(output=text).score == 0


def test_openai_guardrails(url: str) -> None:
    with openai.OpenAI(api_key="x", base_url=f"{url}/openai-keys/v1", max_retries=0) as client:
        context = SimpleNamespace(guardrail_llm=client)
        check = lambda text: asyncio.run(moderation(context, text, ModerationCfg()))  # noqa: E731
        assert not check(SAFE).tripwire_triggered
        for text in FLAGGED:
            assert check(text).tripwire_triggered


def test_openai_guardrails_sends_no_text_elsewhere(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever base URL of ours it has: a 404 would have it ask OpenAI."""
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_error(500)

        def log_message(self, *_args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    try:
        for base in ("", "/", "/v1", "/v1/", "//v1", "/v1/v1", "/wrong", "/response/v1"):
            with openai.OpenAI(api_key="x", base_url=url + base, max_retries=0) as client:
                context = SimpleNamespace(guardrail_llm=client)
                try:
                    asyncio.run(moderation(context, SAFE, ModerationCfg()))
                except openai.BadRequestError:
                    assert base == "/wrong"
    finally:
        server.shutdown()
        server.server_close()
    assert asked == []


def test_what_the_page_shows(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(block("moderation", "python", server=url), {})
    assert capsys.readouterr().out == "False Safe\n"


def test_what_librechat_sends(url: str) -> None:
    """Its check (createModerationCheck): one text or a list, and no model."""
    address = re.search(r"REVERSE_PROXY=\S+(/v1/\S+)", block("librechat", "ini"))
    assert address is not None
    for given, flagged in (("mild", [False]), (["mild", "unsafe"], [False, True])):
        answer = httpx.post(
            f"{url}{address[1]}",
            json={"input": given},
            headers={"Authorization": "Bearer a-key-of-your-own"},
            trust_env=False,
        )
        assert [each["flagged"] for each in answer.json()["results"]] == flagged


def test_what_dify_sends(url: str) -> None:
    asked, answered = (json.loads(each) for each in blocks("dify", "json"))
    address = re.search(r"http://host\.docker\.internal:8000(/\S+?)`", text_of("dify"))
    assert address is not None
    answer = httpx.post(f"{url}{address[1]}", json=asked, trust_env=False)
    assert answer.json() == answered
