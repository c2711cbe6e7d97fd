"""NeMo Guardrails with the configuration of docs/hosts/nemo.md, and a fake model behind it."""

from __future__ import annotations

import contextlib
import socket
import threading
import warnings

import httpx
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from nemoguardrails import LLMRails, RailsConfig
from pages import block

pytestmark = pytest.mark.host

REFUSED = "I'm sorry, I can't respond to that."


def ask(url: str, text: str, answer: str) -> str:
    config = RailsConfig.from_content(yaml_content=block("nemo", "yaml", server=url))
    model = GenericFakeChatModel(messages=iter([AIMessage(answer)] * 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NeMo about a model of LangChain's
        rails = LLMRails(config, llm=model)
        said = rails.generate(messages=[{"role": "user", "content": text}])
    return str(said["content"])


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")  # of the bot's own model


def test_what_is_safe_passes(url: str) -> None:
    assert ask(url, "What is the capital?", "It is Paris.") == "It is Paris."


def test_a_prompt_that_is_flagged(url: str) -> None:
    assert ask(url, "Say something unsafe.", "It is Paris.") == REFUSED


def test_an_answer_that_is_flagged_is_judged_as_one(url: str) -> None:
    before = responses(url)
    assert ask(url, "What?", "Here is what is unsafe.") == REFUSED
    assert responses(url) == before + 1


def test_without_a_server_nothing_passes() -> None:
    try:
        said = ask("http://127.0.0.1:9", "What is the capital?", "It is Paris.")
    except Exception:
        return
    assert said != "It is Paris."


def responses(url: str) -> float:
    lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    wanted = [each for each in lines if each.startswith("edgeguard_verdicts_total")]
    return sum(float(each.split()[-1]) for each in wanted if 'mode="response"' in each)


def test_a_guard_that_does_not_answer_lets_nothing_pass() -> None:
    """It accepts and hangs up, or says what no guard says."""
    for reply in (b"", b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", b"garbage\r\n\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve(server: socket.socket = server, reply: bytes = reply) -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = server.accept()
                        with connection:
                            connection.recv(65536)
                            connection.sendall(reply)

            threading.Thread(target=serve, daemon=True).start()
            try:
                said = ask(f"http://127.0.0.1:{server.getsockname()[1]}", "What?", "It is Paris.")
            except Exception:
                continue
            finally:
                server.shutdown(socket.SHUT_RDWR)
            assert said != "It is Paris."
