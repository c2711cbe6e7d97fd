"""A file that is not Qwen3Guard-Gen is refused when it is loaded, whatever it would answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from checkpoints import write_checkpoint
from reference import TEMPLATE

from edgeguard import Guard, ModelError
from edgeguard.convert import convert
from edgeguard.gguf.content import write_digest
from edgeguard.session.fake import FAKE_INFO, FakeSession


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "llama"}, "architecture is 'llama'"),
        ({"tokenizer": "llama"}, "tokenizer is llama/qwen2"),
        ({"pre_tokenizer": "default"}, "tokenizer is gpt2/default"),
        ({"n_ctx_train": 128}, "context of 128 tokens"),
        ({"protocol": "qwen3guard-x"}, "made for the protocol 'qwen3guard-x'"),
        ({"protocol": None, "name": "Qwen3 0.6B"}, "calls itself 'Qwen3 0.6B'"),
        ({"protocol": None, "name": ""}, "calls itself ''"),
        ({"protocol": None, "name": "Not-a-Qwen3Guard-Genuine"}, "calls itself 'Not-a-Qwen"),
        ({"protocol": None, "name": "Not-a-Qwen3Guard-Gen"}, "calls itself 'Not-a-Qwen"),
        ({"protocol": None, "name": "Qwen3Guard-Genuine-0.6B"}, "calls itself 'Qwen3Guard-Genuine"),
        ({"protocol": None, "name": "Qwen3Guard-Gen-Uncensored"}, "calls itself"),
        ({"protocol": None, "name": "Qwen3Guard-Stream-0.6B"}, "calls itself 'Qwen3Guard-Stream"),
    ],
)
def test_a_claim_that_does_not_fit_is_an_error(change: dict[str, object], said: str) -> None:
    info = replace(FAKE_INFO, **change)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=said):
        Guard.with_session(FakeSession(lambda _: "", info=info))


@pytest.mark.parametrize(
    "name",
    [
        *("Qwen3Guard Gen 0.6B", "qwen3guard-gen-4b", "Qwen3Guard_Gen", "Qwen3Guard-Gen-0.6B"),
        *("Qwen3Guard Gen 0.6B Instruct q4", "Qwen/Qwen3Guard-Gen-8B", "Qwen3Guard-Gen-0.6B-GGUF"),
        *("unsloth/Qwen3Guard-Gen-0.6B-GGUF", "Qwen_Qwen3Guard-Gen-4B", "Qwen3Guard-Gen.Q4_K_M"),
        "Qwen3Guard Gen 0.6B Unsloth Bnb 4bit",
    ],
)
def test_other_peoples_files_are_known_by_their_name(name: str) -> None:
    info = replace(FAKE_INFO, protocol=None, name=name)
    guard = Guard.with_session(FakeSession(lambda _: "Safety: Safe\nCategories: None", info=info))
    assert guard.check("Hello").severity == "Safe"


class _NoThink(FakeSession):
    def control_token(self, text: str) -> int | None:
        return None if "think" in text else super().control_token(text)


def test_a_vocabulary_without_the_framing_is_refused() -> None:
    with pytest.raises(ModelError, match="lacks <think>, </think>"):
        Guard.with_session(_NoThink(lambda _: ""))


def test_the_files_own_template_is_not_asked(tmp_path: Path) -> None:
    """A garbled template in the file changes no verdict: the question is ours."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", seed=7, template=TEMPLATE)
    sound, garbled = tmp_path / "sound.gguf", tmp_path / "garbled.gguf"
    data = convert(checkpoint, sound, type="bf16").path.read_bytes()
    words = b"messages[-1].role"  # only the template holds it
    assert words in data
    garbled.write_bytes(data.replace(words, b"?" * len(words)))
    write_digest(garbled)
    with (
        Guard(sound, threads=1, allow_random_weights=True) as ours,
        Guard(garbled, threads=1, allow_random_weights=True) as theirs,
    ):
        for text in ("Hello", "How do I bake bread?"):
            mine, other = ours.check(text), theirs.check(text)
            assert (mine.answer, mine.probabilities) == (other.answer, other.probabilities)
