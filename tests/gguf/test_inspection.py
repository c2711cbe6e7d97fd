"""A file of ours is what its digest says; other people's have no holes and no broken numbers."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
from checkpoints import write_checkpoint
from gguf_files import ARRAY, STRING, Parts, foreign, numbers, text, texts

from edgeguard.convert import TYPES, convert
from edgeguard.gguf import content, vocabulary
from edgeguard.gguf.header import read_header
from edgeguard.gguf.inspection import UnsoundError, check_header, inspect
from edgeguard.gguf.tensor_types import TYPES as TENSOR_TYPES
from edgeguard.gguf.weights import Weights


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small model in each type that the converter makes."""
    folder = tmp_path_factory.mktemp("files")
    write_checkpoint(folder / "checkpoint", layers=1)
    return {
        kind: convert(
            folder / "checkpoint", folder / f"{kind}.gguf", type=kind, trust_template=True
        ).path
        for kind in TYPES
    }


def test_a_file_of_ours_is_sound_and_known(files: dict[str, Path]) -> None:
    for path in files.values():
        assert inspect(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_is_what_is_documented(files: dict[str, Path]) -> None:
    """Of the file with zeros in place of the digits: anybody can compute it."""
    data = files["q4_k_m"].read_bytes()
    value = read_header(files["q4_k_m"]).keys[content.KEY]
    assert isinstance(value, str)
    assert data.count(value.encode()) == 1
    blank = data.replace(value.encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == value


@pytest.mark.parametrize("kind", ["bf16", "q4_0"])
def test_every_byte_counts(files: dict[str, Path], tmp_path: Path, kind: str) -> None:
    data, path, chance = files[kind].read_bytes(), tmp_path / "x.gguf", random.Random(1)
    start = Parts(data).start
    places = [chance.randrange(start) for _ in range(40)]
    places += [chance.randrange(start, len(data)) for _ in range(40)]
    for place in [*places, 0, len(data) - 1]:
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(UnsoundError):
            inspect(path)
    path.write_bytes(data + b"x")
    with pytest.raises(UnsoundError, match="not what its own digest says"):
        inspect(path)


def test_a_file_of_ours_without_its_digest(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(Parts(files["bf16"].read_bytes()).with_keys({content.KEY: None}))
    with pytest.raises(UnsoundError, match=r"lacks edgeguard\.content\.sha256"):
        inspect(path)


def test_what_is_vouched_for_needs_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"anything")
    digest = hashlib.sha256(b"anything").hexdigest()
    assert inspect(path, {digest}) == digest
    with pytest.raises(UnsoundError):
        inspect(path, {"0" * 64})


@pytest.fixture(scope="module")
def theirs(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same as other people would have made them."""
    folder, found = tmp_path_factory.mktemp("theirs"), {}
    for kind, path in files.items():
        found[kind] = folder / path.name
        found[kind].write_bytes(foreign(path.read_bytes()))
    return found


def test_a_sound_file_of_other_people_is_taken(theirs: dict[str, Path]) -> None:
    for path in theirs.values():
        assert inspect(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", TYPES)
def test_a_hole_is_seen_wherever_it_is(theirs: dict[str, Path], tmp_path: Path, kind: str) -> None:
    data, path, chance = theirs[kind].read_bytes(), tmp_path / "x.gguf", random.Random(kind)
    start = Parts(data).start
    for _ in range(8):
        size = chance.choice((8192, 65_536, 100_000))  # one that two tensors share has 4 KiB in one
        place = chance.randrange(start, len(data) - size)
        path.write_bytes(data[:place] + bytes(size) + data[place + size :])
        with pytest.raises(UnsoundError, match="zeros in a row"):
            inspect(path)
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(UnsoundError, match="zeros in a row"):
        inspect(path)


@pytest.mark.parametrize("kind", TYPES)
def test_noise_is_seen(theirs: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """Chance bytes give scales and values that no model has."""
    data, path, chance = theirs[kind].read_bytes(), tmp_path / "x.gguf", random.Random(kind)
    start = Parts(data).start
    for _ in range(4):
        place = chance.randrange(start, len(data) - 65_536)
        path.write_bytes(data[:place] + chance.randbytes(65_536) + data[place + 65_536 :])
        with pytest.raises(UnsoundError, match="holds"):
            inspect(path)


@pytest.mark.parametrize("number", TENSOR_TYPES)
def test_scales_that_are_no_numbers(number: int) -> None:
    type_ = TENSOR_TYPES[number]
    sound = np.full((64, type_.size), 0x11, np.uint8)
    Weights(type_, sound.size, type_.size, None).feed(sound.tobytes())
    for offset in type_.scales or ((0,) if type_.number else ()):
        for bits in (b"\x00\x7c", b"\x00\xfc", b"\x01\x7e", b"\x00\x78"):
            broken = sound.copy()
            value = {"bf16": b"\x80\x7f", "f32": b"\x00\x00\x80\x7f"}.get(type_.number, bits)
            if (type_.number, bits) == ("f16", b"\x00\x78"):
                continue  # 32,768 may be a value, though not a scale
            broken[40, offset : offset + len(value)] = np.frombuffer(value, np.uint8)
            with pytest.raises(ValueError, match=r"NaN|beyond"):
                Weights(type_, broken.size, type_.size, None).feed(broken.tobytes())


@pytest.mark.parametrize("step", [1, 7, 1000, 4096, 1 << 20])
@pytest.mark.parametrize("number", [1, 2, 14])
def test_a_hole_over_the_borders_of_what_is_read(number: int, step: int) -> None:
    type_ = TENSOR_TYPES[number]
    data = bytearray(b"\x11" * type_.size * 1000)
    for size, hole in ((4096, True), (2000, False)):
        broken = bytes(data[:1001]) + bytes(size) + bytes(data[1001 + size :])
        look = Weights(type_, len(broken), type_.size, None)
        parts = [broken[place : place + step] for place in range(0, len(broken), step)]
        if hole and len(parts) < 20_000:
            with pytest.raises(ValueError, match="zeros in a row"):
                for part in parts:
                    look.feed(part)
        elif not hole:
            for part in parts[:5000]:
                look.feed(part)


def test_rows_of_padding_may_be_empty() -> None:
    type_ = TENSOR_TYPES[1]
    rows = np.full((100, 512), 0.5, "<f2")
    rows[90:] = 0
    padding = [False] * 90 + [True] * 10
    Weights(type_, rows.nbytes, 1024, padding).feed(rows.tobytes())
    with pytest.raises(ValueError, match="10,240 bytes of zeros"):
        Weights(type_, rows.nbytes, 1024, None).feed(rows.tobytes())
    rows[80:] = 0
    with pytest.raises(ValueError, match="10,240 bytes of zeros"):
        Weights(type_, rows.nbytes, 1024, padding).feed(rows.tobytes())


def test_a_small_tensor_of_zeros() -> None:
    with pytest.raises(ValueError, match="256 bytes of zeros"):
        Weights(TENSOR_TYPES[0], 256, 256, None).feed(bytes(256))


def test_the_published_vocabulary_is_known(real_vocabulary: Path, tmp_path: Path) -> None:
    """Two tokens exchanged make another vocabulary; in a file of ours the digest would say so."""
    parts = Parts(foreign(real_vocabulary.read_bytes()))
    path = tmp_path / "x.gguf"
    path.write_bytes(parts.data)
    check_header(path)
    tokens = parts.strings("tokenizer.ggml.tokens")
    merges = parts.strings("tokenizer.ggml.merges")
    assert vocabulary.is_published(tokens, merges)
    tokens[1000], tokens[2000] = tokens[2000], tokens[1000]
    merges[0], merges[1] = merges[1], merges[0]
    for key, values in (("tokens", tokens), ("merges", merges)):
        path.write_bytes(parts.with_keys({f"tokenizer.ggml.{key}": (ARRAY, texts(values))}))
        with pytest.raises(UnsoundError, match="as many tokens as Qwen3's, and is another"):
            check_header(path)


def test_settings_of_other_models(theirs: dict[str, Path], tmp_path: Path) -> None:
    parts, path = Parts(theirs["bf16"].read_bytes()), tmp_path / "x.gguf"
    harmless = {
        "general.license": (STRING, text("apache-2.0")),
        "qwen3.rope.scaling.type": (STRING, text("none")),
        "tokenizer.ggml.add_eos_token": (7, b"\0"),
        "quantize.imatrix.entries_count": (5, numbers([1])[-4:]),
    }
    path.write_bytes(parts.with_keys(harmless))
    check_header(path)
    path.write_bytes(parts.with_keys({"qwen3.something_new": (7, b"\1")}))
    with pytest.raises(UnsoundError, match="something_new is True, which no Qwen3Guard-Gen has"):
        check_header(path)
    path.write_bytes(parts.with_keys({"tokenizer.ggml.something": (7, b"\1")}))
    with pytest.raises(UnsoundError, match="the unknown setting"):
        check_header(path)
