"""What nobody sane does to a watch, and a model file that is not what it says it is."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from checkpoints import write_checkpoint, write_safetensors
from gguf_files import STRING, Parts, text

from edgeguard import ClosedError, Guard, InputError, ModelError, SessionError
from edgeguard.convert import convert
from edgeguard.convert.weights import blocks, read_tensors
from edgeguard.errors import ConversionError
from edgeguard.gguf import heads
from edgeguard.gguf.content import write_digest
from edgeguard.protocol.names import SAFE, UNSAFE, Severity
from edgeguard.session.fake_stream import FakeStreamSession
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings

ASKED = [{"role": "user", "content": "Tell me something"}]


def label(role: str, text: str) -> Severity | tuple[Severity, str]:
    return (UNSAFE, "PII") if role == "assistant" and text.endswith("X") else SAFE


def head(shape: tuple[int, ...], value: float = 0.5) -> tuple[int, bytes]:
    values = np.full(shape, value, "<f4")
    return STRING, text(heads.write("f32", shape, values.tobytes()))


SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "a risk too many": {"risk_level_head.weight": (4, 64)},
    "a category too few": {"category_head.weight": (7, 64)},
    "a category too many": {"query_category_head.weight": (10, 64)},
    "sides of two sizes": {"query_risk_level_category_pre.weight": (32, 256)},
    "another hidden size": {"risk_level_category_pre.weight": (64, 128)},
    "turned": {"risk_level_category_pre.weight": (256, 64)},
    "three dimensions": {"risk_level_head.weight": (3, 8, 8)},
    "none": {"risk_level_head.weight": ()},
    "no rows": {"risk_level_category_layernorm.weight": (0,)},
}


@pytest.mark.parametrize("name", SHAPES)
def test_heads_of_other_shapes(stream_file: Path, tmp_path: Path, name: str) -> None:
    keys = {heads.HEAD + tensor: head(shape) for tensor, shape in SHAPES[name].items()}
    path = tmp_path / "changed.gguf"
    path.write_bytes(Parts(stream_file.read_bytes()).with_keys(keys))
    write_digest(path)
    with pytest.raises(ModelError, match=r"shape|damaged"):
        Guard(path, threads=1, allow_random_weights=True)


@pytest.mark.parametrize(
    "said", ["", "bf16", "bf16 3 64", "bf16 -3 64 AAAA", "i4 3 64 AAAA", "bf16 3 64 ****", "\u00e9"]
)
def test_heads_that_are_no_numbers(stream_file: Path, tmp_path: Path, said: str) -> None:
    path = tmp_path / "changed.gguf"
    keys = {heads.HEAD + "risk_level_head.weight": (STRING, text(said))}
    path.write_bytes(Parts(stream_file.read_bytes()).with_keys(keys))
    write_digest(path)
    with pytest.raises(ModelError, match="damaged"):
        Guard(path, threads=1, allow_random_weights=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2.0**25, 0.0])
def test_values_that_no_head_has(tmp_path: Path, value: float) -> None:
    """Neither in a file nor in a checkpoint."""
    folder = write_checkpoint(tmp_path / "c", inner=64, layers=1)
    name = "risk_level_head.weight"
    tensors = {
        each: (tensor.dtype, tensor.shape, b"".join(block.tobytes() for block in blocks(tensor)))
        for each, tensor in read_tensors(folder).items()
    }
    bits = (np.full((3, 64), value, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    tensors[name] = ("BF16", (3, 64), bits)
    single = {each: (kind, shape, iter([data])) for each, (kind, shape, data) in tensors.items()}
    write_safetensors(folder / "model.safetensors", single)
    with pytest.raises(ConversionError, match="risk_level_head"):
        convert(folder, tmp_path / "out.gguf", type="bf16", trust_template=True)


def test_a_context_that_is_smaller_than_a_response_is_no_abort(stream_file: Path) -> None:
    """As many states at once as the context has tokens, and one more."""
    session = LlamaSession(stream_file, settings=Settings(threads=1), n_ctx=512)
    states = session.hidden_states()
    ids = [at % 400 for at in range(600)]
    assert states.read(ids[:512], 0).shape[0] == 512
    for first in (0, 512, 513):
        with pytest.raises(SessionError, match="do not fit"):
            states.read(ids[:513], first)
    assert states.read(ids[:10], 9).shape[0] == 1
    session.close()


@pytest.mark.parametrize("piece", [None, 3, ["a"], {"text": "a"}, 0.5, object()])
def test_pieces_of_no_kind(piece: object) -> None:
    with Guard.with_session(FakeStreamSession(label)) as guard, guard.watch(ASKED) as watch:
        watch.feed("some words ")
        before = watch.state
        with pytest.raises(InputError, match="feed text, or bytes"):
            watch.feed(piece)  # type: ignore[arg-type]
        assert watch.state == before and watch.text == "some words "
        assert watch.feed(bytearray(b"and more ")).judged_to > before.judged_to  # type: ignore[arg-type]


def test_an_end_that_comes_twice_and_a_piece_behind_it() -> None:
    with Guard.with_session(FakeStreamSession(label)) as guard:
        with guard.watch(ASKED) as watch:
            watch.feed(b"cut " + "é".encode()[:1])
            with pytest.raises(InputError, match="UTF-8"):
                watch.end()  # in the middle of a character
            watch.feed("é".encode()[1:])
            assert watch.end() is watch.end()
            with pytest.raises(ClosedError, match="has ended"):
                watch.feed("more")
            assert watch.state.safe_to == len("cut é")
        watch.close()
        with pytest.raises(ClosedError):
            watch.feed("more")


def test_threads_that_feed_one_watch_lose_nothing() -> None:
    """In whatever order their pieces come: all of them are judged, and harm is found once."""
    with Guard.with_session(FakeStreamSession(label)) as guard, guard.watch(ASKED) as watch:
        errors: list[BaseException] = []

        def feed(number: int) -> None:
            try:
                for _ in range(20):
                    watch.feed(f"thread {number} has words ")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=feed, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert sorted(watch.text.split(" has words ")[:-1]) == sorted(
            f"thread {number}" for number in range(6) for _ in range(20)
        )
        watch.feed("XX ")
        verdict = watch.end()
        assert verdict.flagged and watch.state.safe_to == watch.text.index("XX")


def test_a_config_that_promises_other_labels(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "c", inner=64, layers=1)
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["response_risk_level_map"] = {"0": "Safe", "1": "Controversial", "2": "Unsafe"}
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ConversionError, match="response_risk_level_map"):
        convert(folder, tmp_path / "out.gguf", type="bf16", trust_template=True)


@pytest.mark.slow
def test_a_hundred_thousand_tokens_in_windows(stream_guard: Guard) -> None:
    """A piece costs at the end what it cost at the beginning, in time and in memory."""
    piece = "The wolf went into the wood, and met a fox with a letter for its grandmother. " * 4
    times: list[float] = []
    with stream_guard.watch(ASKED, policy="loose", in_a_row=10_000) as watch:
        while watch.state.judged_to < 450_000:
            began = time.process_time()
            state = watch.feed(piece)
            times.append(time.process_time() - began)
            assert not state.flagged
        verdict = watch.end()
    assert verdict.windows > 100 and verdict.tokens > 100_000
    assert watch.state.safe_to == len(watch.text)
    tenth = len(times) // 10
    assert sum(times[-tenth:]) < 1.5 * sum(times[tenth : 2 * tenth])
