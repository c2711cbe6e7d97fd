"""A policy of one's own in a server: the file that it was started with decides, and says why."""

from __future__ import annotations

from pathlib import Path

from served import serving

from edgeguard.protocol.names import CATEGORIES


def test_a_file_decides_and_the_verdict_says_which_rule(tmp_path: Path) -> None:
    file = tmp_path / "three.toml"
    rules = ('politics = "ignore"', 'violence = "controversial"', "self-harm = 0.2")
    file.write_text("\n".join(["[categories]", *rules]))
    answers = {
        "riot": "Safety: Controversial\nCategories: Violent",
        "vote": "Safety: Unsafe\nCategories: Politically Sensitive Topics",
    }

    def script(question: str) -> str:
        found = [answer for word, answer in answers.items() if word in question]
        return found[0] if found else "Safety: Safe\nCategories: None"

    with serving(script, policy=str(file)) as served, served.client() as client:
        riot, vote = (
            client.post("/v1/guard", json={"prompt": f"a {word}"}).json() for word in answers
        )
    assert (riot["policy"], riot["flagged"]) == ("three.toml", True)
    assert riot["reason"] == 'categories.Violent = "controversial" (Controversial)'
    assert riot["category_probabilities"].keys() == set(CATEGORIES)
    assert (vote["flagged"], vote["reason"]) == (False, "")
