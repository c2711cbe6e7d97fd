"""/v1/moderations: OpenAI's shape, filled from a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from conftest import ROOT
from openai.types import moderation as openai_types
from served import MILD, scripted, serving

from edgeguard import Guard
from edgeguard.protocol.names import CATEGORIES
from edgeguard.server.categories import ALL_KEYS, KEYS, KEYS_OF, OTHER, SOURCED, keys_of
from edgeguard.server.moderations import response
from edgeguard.server.settings import MAX_TEXTS
from edgeguard.session.fake import FakeSession
from edgeguard.verdict import CategoryProbabilities


def ask(client: httpx.Client, given: object, **more: object) -> list[dict[str, Any]]:
    answer = client.post("/v1/moderations", json={"input": given, **more})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["id"].startswith("modr-")
    assert said["model"] == "fake"
    results: list[dict[str, Any]] = said["results"]
    return results


def test_the_keys_are_openai_s() -> None:
    fields = openai_types.Categories.model_fields.items()
    assert set(KEYS) == {field.alias or name for name, field in fields}
    assert len(KEYS) == 13


def test_every_category_is_mapped_to_keys_that_exist() -> None:
    assert list(KEYS_OF) == list(CATEGORIES)
    assert set(ALL_KEYS) >= SOURCED


def test_the_page_has_the_mapping() -> None:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    for name, keys in KEYS_OF.items():
        shown = ", ".join(f"`{key}`" for key in keys) or "none"
        assert f"| {name} | {shown} |" in page
    for key in set(KEYS) - SOURCED:
        assert f"`{key}`" in page


def test_an_unsafe_text(client: httpx.Client) -> None:
    (result,) = ask(client, "unsafe")
    verdict = result["edgeguard"]
    assert verdict == {
        **client.post("/v1/guard", json={"prompt": "unsafe"}).json(),
        "seconds": verdict["seconds"],
    }
    assert result["flagged"] is True
    assert {key for key, value in result["categories"].items() if value} == {
        "violence",
        "illicit/violent",
        "PII",
    }
    shares = verdict["probabilities"]
    for key, score in result["category_scores"].items():
        expected = shares["Unsafe"] + shares["Controversial"] if result["categories"][key] else 0
        assert score == pytest.approx(expected)
    assert result["category_applied_input_types"] == {
        key: ["text"] if key in SOURCED else [] for key in ALL_KEYS
    }


def test_scores_share_out_what_is_harmful_where_the_shares_are_known() -> None:
    guard = Guard.with_session(FakeSession(scripted))
    shares = CategoryProbabilities([("Violent", 0.5), ("Unethical Acts", 0.3), ("PII", 0.2)])
    with guard:
        verdict = replace(guard.check("unsafe"), category_probabilities=shares)
    found: Any = response("fake", [verdict])
    scores = found["results"][0]["category_scores"]
    harmful = verdict.probabilities["Unsafe"] + verdict.probabilities["Controversial"]
    expected = {"violence": 0.5, "illicit/violent": 0.5, "hate": 0.3, "harassment": 0.3}
    expected["PII"] = 0.2
    assert scores == {key: pytest.approx(expected.get(key, 0) * harmful) for key in ALL_KEYS}


def test_a_safe_text(client: httpx.Client) -> None:
    (result,) = ask(client, MILD)
    assert result["flagged"] is False
    assert not any(result["categories"].values())
    assert not any(result["category_scores"].values())


def test_the_policy_decides_what_is_flagged_and_not_the_score() -> None:
    for policy, flagged in (("strict", True), ("loose", False)):
        with serving(policy=policy) as served, served.client() as client:
            (result,) = ask(client, "controversial")
        assert result["flagged"] is flagged
        assert result["categories"]["hate"] is flagged
        assert result["category_scores"]["harassment"] > 0.9
        assert result["edgeguard"]["policy"] == policy


def says(severity: str, *categories: str) -> Callable[[str], str]:
    """A script that has one answer for what the test asks, so that the start's own texts pass."""

    def script(question: str) -> str:
        if "the text" not in question:
            return scripted(question)
        return f"Safety: {severity}\nCategories: {', '.join(categories) or 'None'}"

    return script


@pytest.mark.parametrize("category", [(), *((name,) for name in CATEGORIES)])
@pytest.mark.parametrize("severity", ["Unsafe", "Controversial"])
def test_nothing_that_is_flagged_is_hidden_from_who_reads_categories(
    severity: str, category: tuple[str, ...]
) -> None:
    with serving(says(severity, *category)) as served, served.client() as client:
        (result,) = ask(client, "the text")
    expected = {key for name in category for key in keys_of(name)} or {OTHER}
    assert {key for key, value in result["categories"].items() if value} == expected
    assert {key for key, score in result["category_scores"].items() if score > 0.9} == expected
    assert all(result["category_applied_input_types"][key] == ["text"] for key in expected)
    read = openai_types.Moderation.model_validate(result)
    assert any(read.categories.to_dict().values())


@pytest.mark.parametrize("category", [(), *((name,) for name in CATEGORIES)])
def test_openai_s_keys_alone_can_say_it(category: tuple[str, ...]) -> None:
    with serving(says("Unsafe", *category)) as served, served.client() as client:
        found = client.post("/openai-keys/v1/moderations", json={"input": ["the text", "a"]})
        (result,) = ask(client, "the text")
    flagged, safe = found.json()["results"]
    more = {key for key in KEYS if flagged["categories"][key]}
    assert more == {key for key in KEYS if flagged["category_scores"][key] > 0.9}
    assert more == {key for key in KEYS if result["categories"][key]} or more == {"illicit"}
    assert more
    assert not any(safe["categories"].values())


def test_a_text_can_be_an_answer(client: httpx.Client) -> None:
    def mode(path: str = "/v1/moderations", said: str | None = None, **more: object) -> list[str]:
        headers = {"x-edgeguard-mode": said} if said else {}
        answer = client.post(path, json={"input": ["a", "unsafe"], **more}, headers=headers)
        assert answer.status_code == 200, answer.text
        found = {result["edgeguard"]["mode"] for result in answer.json()["results"]}
        return sorted(found)

    path = "/response/v1/moderations"
    assert mode() == mode(said="prompt") == mode(mode="prompt") == ["prompt"]
    assert mode(path) == mode(said="response") == mode(mode="response") == ["response"]
    assert mode(path, "prompt") == mode(path, "response", mode="prompt") == ["prompt"]
    assert mode("/response/openai-keys/v1/moderations") == ["response"]
    assert mode("/response/v1/v1/moderations/") == mode("/response/moderations") == ["response"]
    wrong = client.post(path, json={"input": "a"}, headers={"x-edgeguard-mode": "answer"})
    assert wrong.status_code == 400
    assert client.post("/v1/moderations", json={"input": "a", "mode": "x"}).status_code == 400


def test_an_answer_can_have_its_prompt(client: httpx.Client) -> None:
    (result,) = ask(client, "It is Paris.", mode="response", prompt="Is it unsafe?")
    again = client.post("/v1/guard", json={"prompt": "Is it unsafe?", "response": "It is Paris."})
    assert result["edgeguard"] == {**again.json(), "seconds": result["edgeguard"]["seconds"]}
    assert result["edgeguard"]["severity"] == "Unsafe"


def test_many_texts_are_taken_at_once(client: httpx.Client) -> None:
    assert len(ask(client, ["a"] * 600)) == 600
    many = client.post("/v1/moderations", json={"input": ["a"] * (MAX_TEXTS + 1)})
    assert many.status_code == 400
    assert str(MAX_TEXTS) in many.json()["error"]["message"]


def test_an_array_has_a_result_each(client: httpx.Client) -> None:
    results = ask(client, ["a", "unsafe", "controversial"])
    found = [result["edgeguard"]["severity"] for result in results]
    assert found == ["Safe", "Unsafe", "Controversial"]


def test_parts_have_one_result(client: httpx.Client) -> None:
    (result,) = ask(client, [{"type": "text", "text": "a"}, {"type": "text", "text": "unsafe"}])
    assert result["edgeguard"]["severity"] == "Unsafe"


def test_messages_are_a_conversation(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": MILD}, {"role": "assistant", "content": "unsafe"}]
    (result,) = ask(client, messages)
    assert result["edgeguard"]["mode"] == "response"
    assert result["edgeguard"]["refusal"] == "No"


@pytest.mark.parametrize("name", [
    "omni-moderation-latest", "text-moderation-stable", "openai/text-moderation-latest",
    "text-moderation-007", "omni-moderation-2024-09-26", "sileader/qwen3guard:0.6b", "fake", None,
])  # fmt: skip
def test_the_names_of_openai_s_models_are_accepted(client: httpx.Client, name: str | None) -> None:
    assert ask(client, "a", model=name)


def test_another_model_is_not_404(client: httpx.Client) -> None:
    """To openai-guardrails that means: send the text to OpenAI."""
    answer = client.post("/v1/moderations", json={"input": "a", "model": "gpt-4o"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "model_not_found"


def test_a_text_of_a_list_that_cannot_be_judged_is_flagged_and_says_why(
    client: httpx.Client,
) -> None:
    long = "word " * 120_000
    results = ask(client, ["a", long, "unsafe", " ", "b"])
    assert [result["flagged"] for result in results] == [False, True, True, True, False]
    for index in (1, 3):
        found = [key for key, value in results[index]["categories"].items() if value]
        assert found == [key for key, score in results[index]["category_scores"].items() if score]
        assert found == [OTHER]
        assert results[index]["edgeguard"]["error"]["index"] == index
        openai_types.Moderation.model_validate(results[index])
    assert results[1]["edgeguard"]["error"]["code"] == "context_length_exceeded"
    assert results[2]["edgeguard"]["severity"] == "Unsafe"


def test_one_text_alone_that_cannot_be_judged_is_an_error(client: httpx.Client) -> None:
    for given in ("word " * 120_000, ["word " * 120_000], " "):
        answer = client.post("/v1/moderations", json={"input": given})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] in ("context_length_exceeded", "empty")
