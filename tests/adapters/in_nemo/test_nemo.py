"""NeMo Guardrails with the configuration of docs/hosts/nemo.md, and a fake model behind it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import httpx
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from nemoguardrails import LLMRails, RailsConfig

pytestmark = pytest.mark.host

CONFIG = (Path(__file__).parent / "config.yml").read_text("utf-8")
REFUSED = "I'm sorry, I can't respond to that."


def ask(url: str, text: str, answer: str) -> str:
    config = RailsConfig.from_content(yaml_content=CONFIG.replace("http://127.0.0.1:8000", url))
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


def test_the_page_shows_this_configuration() -> None:
    page = Path(__file__).parents[3] / "docs" / "hosts" / "nemo.md"
    (shown,) = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.S)
    assert shown == CONFIG
