"""Labels of every token held against the official forward in torch, from checkpoint to verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import write_checkpoint

from edgeguard import Guard
from edgeguard.convert import convert
from edgeguard.gguf import heads as stored
from edgeguard.policy import STRICT
from edgeguard.protocol.messages import Message
from edgeguard.session.compatibility import check_stream
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings
from edgeguard.stream.heads import Heads, logits
from edgeguard.stream.judge import StreamJudge

torch = pytest.importorskip("torch", reason="needs torch, to compute the official forward")
reference = pytest.importorskip("stream.reference", reason="needs torch and safetensors")

FORMS: dict[str, dict[str, Any]] = {
    "bf16": {},
    "f32": {"dtype": "F32"},
    "sharded, untied": {"shards": 3, "tied": False, "seed": 9},
    "narrow": {"hidden": 64, "heads": 3, "kv_heads": 1, "head_dim": 32, "ffn": 96, "inner": 48},
}
TEXTS = (
    "How do I bake bread with my children on a rainy day?",
    "First warm the milk, then add flour, salt and sugar. Wait an hour.\n\n1. Knead it well! 2. "
    "Bake it — 40 minutes at 180°. Guten Appetit, 慢用。",
)
MESSAGES = [{"role": "user", "content": TEXTS[0]}, {"role": "assistant", "content": TEXTS[1]}]


def make(folder: Path, epsilon: float = 1e-6, **form: Any) -> Path:
    form = {"inner": 64, "layers": 3, "context": 1024} | form
    write_checkpoint(folder, **form)
    path = folder / "config.json"
    text = path.read_text("utf-8")
    path.write_text(text.replace('"rms_norm_eps": 1e-06', f'"rms_norm_eps": {epsilon}'), "utf-8")
    return folder


def softmax(values: Any) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = torch.softmax(values.double(), dim=-1).numpy()
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_token_has_the_official_labels(tmp_path: Path, form: str) -> None:
    folder = make(tmp_path / "c", **FORMS[form])
    file_type = "f16" if FORMS[form].get("dtype") == "F32" else "bf16"
    path = convert(folder, tmp_path / "out.gguf", type=file_type, trust_template=True).path
    session = LlamaSession(path, settings=Settings(threads=1), device="cpu")
    ids = [i for text in TEXTS for i in session.tokenize(text)]
    heads = Heads(stored.read(session.metadata, session.hidden))
    states = session.hidden_states().read(ids, 0)
    official = reference.Reference(folder)
    difference = np.abs(states - official.hidden(ids).numpy()).max()
    assert difference < 0.05 * states.std()
    for side, mode in (("", "response"), ("query_", "prompt")):
        risks, categories = (softmax(x) for x in official.labels(ids, side))
        ours = heads.labels(states, mode)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours[0], risks, atol=0.01)
        np.testing.assert_allclose(ours[1], categories, atol=0.01)
        assert np.ptp(risks[:, 0]) > 0.05  # numbers that all looked alike would prove nothing
    session.close()


@pytest.mark.parametrize("epsilon", [1e-6, 0.3])
def test_the_heads_alone_to_the_last_digits(tmp_path: Path, epsilon: float) -> None:
    """A norm without its epsilon, or heads in another order, is far outside."""
    folder = make(tmp_path / "c", epsilon=epsilon, dtype="F32")
    path = convert(folder, tmp_path / "out.gguf", type="f16", trust_template=True).path
    official = reference.Reference(folder)
    session = LlamaSession(path, settings=Settings(threads=1), device="cpu")
    weights = stored.read(session.metadata, session.hidden)
    session.close()
    states = official.hidden(list(range(40, 140)))
    for side, prefix in ((weights.response, ""), (weights.query, "query_")):
        ours = logits(side, states.numpy(), weights.epsilon)
        x = torch.nn.functional.linear(
            states, official.weights[f"{prefix}risk_level_category_pre.weight"]
        )
        x = official._norm(f"{prefix}risk_level_category_layernorm", x)
        for found, name in zip(ours, ("risk_level_head", "category_head")):
            theirs = torch.nn.functional.linear(x, official.weights[f"{prefix}{name}.weight"])
            np.testing.assert_allclose(found, theirs.numpy(), atol=1e-5)


def test_the_official_forward_in_bfloat16_is_no_nearer(tmp_path: Path) -> None:
    folder = make(tmp_path / "c")
    path = convert(folder, tmp_path / "out.gguf", type="bf16", trust_template=True).path
    session = LlamaSession(path, settings=Settings(threads=1), device="cpu")
    ids = session.tokenize(TEXTS[1])
    heads = Heads(stored.read(session.metadata, session.hidden))
    ours = heads.labels(session.hidden_states().read(ids, 0), "response")[0]
    session.close()
    exact, rough = (
        softmax(reference.Reference(folder, dtype).labels(ids)[0])
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert np.abs(ours - exact).max() <= max(np.abs(rough - exact).max(), 0.01)


def _official_ids(folder: Path, messages: list[dict[str, str]]) -> list[int]:
    """The whole conversation under the checkpoint's tokenizer and template, by other libraries."""
    import jinja2

    template = (Path(__file__).parent.parent / "convert" / "conversation.jinja").read_text("utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(template).render(messages=messages)
    return _ids(folder, text)


def _ids(folder: Path, text: str) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def test_which_tokens_take_which_head(
    stream_guard: Guard, stream_file: Path, checkpoint: Path
) -> None:
    """The prompt at its <|im_end|> by the query heads; each token of the answer by the others."""
    pytest.importorskip("tokenizers", reason="needs the tokenizers library")
    official = reference.Reference(checkpoint)
    asked = _official_ids(checkpoint, MESSAGES[:1])
    whole = _official_ids(checkpoint, MESSAGES)
    end = asked[-2]  # <|im_end|>, before the last line break
    prompt = softmax(official.labels(asked[:-1], "query_")[0])[-1]
    # Eight tokens under Qwen3's own tokenizer; the small one has no token for a blank line.
    header = "\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    answer = len(asked[:-1]) + len(_ids(checkpoint, header))
    assert whole[: len(asked)] == asked and whole[-2] == end
    response = softmax(official.labels(whole)[0])[answer:]

    said = stream_guard.check(TEXTS[0]).probabilities
    np.testing.assert_allclose(
        [said["Safe"], said["Unsafe"], said["Controversial"]], prompt, atol=0.01
    )
    session = LlamaSession(stream_file, settings=Settings(threads=1), device="cpu")
    judge = StreamJudge(session, Heads(check_stream(session, "this file")), policy=STRICT)
    asked_at_end = judge.begin((Message("user", TEXTS[0]),)).probabilities
    assert asked_at_end == pytest.approx(tuple(said.values()), abs=1e-4)
    for at in range(0, len(TEXTS[1]), 7):
        judge.feed(TEXTS[1][at : at + 7])
    assert judge.end().tokens == len(whole)
    labels = judge.labels()
    session.close()
    assert len(labels) == len(response)
    np.testing.assert_allclose([label.probabilities for label in labels], response, atol=0.01)
