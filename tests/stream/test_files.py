"""Gen and Stream files are never taken for each other, and a Stream without its heads for one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gguf_files import STRING, Parts, foreign, text

from edgeguard import Guard, ModelError
from edgeguard.gguf.content import write_digest
from edgeguard.session.compatibility import check_compatible, check_stream
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings

HEAD = "edgeguard.stream.head.risk_level_head.weight"
PROTOCOL = "edgeguard.protocol"


def turned(parts: Parts) -> bytes:
    """The rows of Unsafe and Controversial in each other's place, by their labels."""
    labels = (STRING, text("Safe, Controversial, Unsafe"))
    return parts.with_keys({"edgeguard.stream.response_risk_level_map": labels})


CHANGES: dict[str, Callable[[Parts], bytes]] = {
    "lacks the head risk_level_head": lambda parts: parts.with_keys({HEAD: None}),
    "the head risk_level_head.weight is damaged": lambda parts: parts.with_keys(
        {HEAD: (STRING, text("bf16 3 64 AAAA"))}
    ),
    "risk_level_map is not in the order": turned,
    "rms_norm_eps is missing": lambda parts: parts.with_keys(
        {"edgeguard.stream.rms_norm_eps": None}
    ),
    "lacks edgeguard.stream.query_category_map": lambda parts: parts.with_keys(
        {"edgeguard.stream.query_category_map": None}
    ),
}


@pytest.mark.parametrize("said", CHANGES)
def test_heads_that_are_missing_or_damaged(stream_file: Path, tmp_path: Path, said: str) -> None:
    """With a digest that holds: whoever makes such a file can compute one."""
    path = tmp_path / "changed.gguf"
    path.write_bytes(CHANGES[said](Parts(stream_file.read_bytes())))
    write_digest(path)
    with pytest.raises(ModelError, match=said):
        Guard(path, threads=1, allow_random_weights=True)
    session = LlamaSession(path, settings=Settings(threads=1))  # past our own reading of the header
    with pytest.raises(ModelError, match=said):
        check_stream(session, "this file")
    session.close()


def test_a_gen_that_says_it_is_a_stream(random_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "changed.gguf"
    parts = Parts(random_model.read_bytes())
    path.write_bytes(parts.with_keys({PROTOCOL: (STRING, text("qwen3guard-stream"))}))
    write_digest(path)
    with pytest.raises(ModelError, match=r"it lacks edgeguard.stream"):
        Guard(path, threads=1, allow_random_weights=True)


def test_a_stream_in_gens_place_and_the_other_way(stream_file: Path, random_model: Path) -> None:
    stream = LlamaSession(stream_file, settings=Settings(threads=1))
    gen = LlamaSession(random_model, settings=Settings(threads=1))
    with pytest.raises(ModelError, match="made for the protocol 'qwen3guard-stream'"):
        check_compatible(stream, "this file")
    with pytest.raises(ModelError, match="made for 'qwen3guard-gen'"):
        check_stream(gen, "this file")
    stream.close()
    gen.close()


def test_other_peoples_streams_hold_no_heads(random_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "foreign.gguf"
    path.write_bytes(foreign(random_model.read_bytes(), "Qwen3Guard-Stream-0.6B"))
    with pytest.raises(ModelError, match="holds no heads"):
        Guard(path, threads=1, allow_random_weights=True)


def test_a_verdict_of_a_stream_is_of_the_published_form(stream_guard: Guard) -> None:
    import json

    import jsonschema

    from edgeguard import verdict as module

    path = Path(module.__file__).with_name("verdict.schema.json")
    schema = json.loads(path.read_text(encoding="utf-8"))
    for verdict in (
        stream_guard.check("Hello"),
        stream_guard.check_response("Hello", "It is Paris."),
    ):
        jsonschema.validate(json.loads(verdict.to_json()), schema)
        assert verdict.refusal is None


def test_random_weights_are_not_taken_for_a_model(stream_file: Path) -> None:
    with pytest.raises(ModelError, match="its weights are damaged"):
        Guard(stream_file, threads=1)
