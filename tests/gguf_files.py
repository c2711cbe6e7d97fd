"""GGUF files cut up and put together again, sound and in every way unsound.

A parser of its own, which believes what it reads: it is only given files that are whole.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def u32(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFFFFFF)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value & (2**64 - 1))


def f32(value: float) -> bytes:
    return struct.pack("<f", value)


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return u64(len(data)) + data


def texts(values: list[bytes]) -> bytes:
    """A value: an array of strings."""
    return u32(STRING) + u64(len(values)) + b"".join(map(text, values))


def numbers(values: list[int], kind: int = I32, form: str = "<i") -> bytes:
    """A value: an array of numbers."""
    return u32(kind) + u64(len(values)) + b"".join(struct.pack(form, value) for value in values)


@dataclass(frozen=True)
class Tensor:
    """Where the parts of an entry of the tensor table are in the file."""

    name: int
    count: int
    dimensions: int
    type: int
    offset: int


class Parts:
    """A whole file by its parts; ``keys`` gives each value's type and bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._at = 24
        tensors, keys = struct.unpack_from("<QQ", data, 8)
        self.keys: dict[str, tuple[int, bytes]] = {}
        self.values: dict[str, int] = {}
        for _ in range(keys):
            key = self._text().decode()
            kind = self._u32()
            self.values[key] = self._at
            self._skip(kind)
            self.keys[key] = (kind, data[self.values[key] : self._at])
        self.keys_end = self._at
        self.tensors = dict(self._tensor() for _ in range(tensors))
        self.table_end = self._at
        self.start = self._at + -self._at % 32

    def strings(self, key: str) -> list[bytes]:
        """The elements of an array of strings."""
        self._at = self.values[key] + 4
        return [self._text() for _ in range(self._u64())]

    def types(self) -> list[int]:
        """The types of the tokens."""
        data = self.keys["tokenizer.ggml.token_type"][1]
        return list(struct.unpack(f"<{(len(data) - 12) // 4}i", data[12:]))

    def put(self, place: int, new: bytes) -> bytes:
        """The file with other bytes at a place."""
        return self.data[:place] + new + self.data[place + len(new) :]

    def with_keys(self, change: Mapping[str, tuple[int, bytes] | None]) -> bytes:
        """The file with keys changed, added, or (None) taken out."""
        keys = {key: value for key, value in {**self.keys, **change}.items() if value is not None}
        return self.built([(key, *value) for key, value in keys.items()])

    def built(self, keys: list[tuple[str | bytes, int, bytes]]) -> bytes:
        """The file with these keys, whatever they are."""
        entries = b"".join(text(key) + u32(kind) + value for key, kind, value in keys)
        head = self.data[:8] + u64(len(self.tensors)) + u64(len(keys)) + entries
        head += self.data[self.keys_end : self.table_end]
        return head + bytes(-len(head) % 32) + self.data[self.start :]

    def _tensor(self) -> tuple[str, Tensor]:
        name = self._at + 8
        key = self._text().decode()
        count_at = self._at
        count = self._u32()
        dimensions = self._at
        self._at += 8 * count
        entry = Tensor(name, count_at, dimensions, self._at, self._at + 4)
        self._at += 12
        return key, entry

    def _skip(self, kind: int) -> None:
        if kind == STRING:
            self._text()
        elif kind == ARRAY:
            element, count = self._u32(), self._u64()
            for _ in range(count if element == STRING else 0):
                self._text()
            self._at += 0 if element == STRING else count * SIZES[element]
        else:
            self._at += SIZES[kind]

    def _text(self) -> bytes:
        size = self._u64()
        self._at += size
        return self.data[self._at - size : self._at]

    def _u32(self) -> int:
        self._at += 4
        return int(struct.unpack_from("<I", self.data, self._at - 4)[0])

    def _u64(self) -> int:
        self._at += 8
        return int(struct.unpack_from("<Q", self.data, self._at - 8)[0])


def foreign(data: bytes, name: str = "Qwen3Guard-Gen-0.6B") -> bytes:
    """The file as other people would have made it: a name of the family, and no key of ours."""
    parts = Parts(data)
    ours: dict[str, tuple[int, bytes] | None] = {
        key: None for key in parts.keys if key.startswith("edgeguard.")
    }
    return parts.with_keys({**ours, "general.name": (STRING, text(name))})


def structural(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Damage to what a file says of itself: header, keys, tokenizer, tensor table."""
    parts = Parts(data)
    for end in (0, 1, 3, 4, 8, 23, 24, 100, 1000, parts.keys_end, parts.table_end, parts.start):
        yield f"cut at {end}", data[:end]
    for share in (0.5, 0.9, 0.999):
        yield f"cut at {share}", data[: int(len(data) * share)]
    yield "other magic", b"GGML" + data[4:]
    yield "zeros", bytes(len(data))
    for number in (0, 1, 4, 99, 0x03000000):
        yield f"version {number}", parts.put(4, u32(number))
    for number in (0, 1, len(parts.tensors) - 1, len(parts.tensors) + 1, 2**40, 2**64 - 1):
        yield f"{number} tensors", parts.put(8, u64(number))
    for number in (0, 1, len(parts.keys) - 1, len(parts.keys) + 1, 2**31, 2**64 - 1):
        yield f"{number} keys", parts.put(16, u64(number))
    yield from _keys(parts)
    yield from _tokenizer(parts)
    yield from _table(parts)


def _keys(parts: Parts) -> Iterator[tuple[str, bytes]]:
    for key, (kind, _value) in parts.keys.items():
        place = parts.values[key]
        yield f"{key} of no type", parts.put(place - 4, u32(255))
        if kind == STRING:
            yield f"{key} without end", parts.put(place, u64(2**60))
        if kind == ARRAY:
            yield f"{key} of arrays", parts.put(place, u32(ARRAY))
            yield f"{key} without end", parts.put(place + 4, u64(2**60))
            yield f"{key} empty", parts.put(place + 4, u64(0))
        if kind == U32:
            for number in (0, 1, 7, 2**31, 2**32 - 1):
                yield f"{key} = {number}", parts.put(place, u32(number))
        if kind == F32:
            for value in (0.0, -1.0, float("nan"), float("inf"), 1e30, 1e-30):
                yield f"{key} = {value}", parts.put(place, f32(value))
        if key.startswith(("qwen3.", "tokenizer.", "general.architecture")):
            yield f"no {key}", parts.with_keys({key: None})
    pairs = [(key, *value) for key, value in parts.keys.items()]
    yield "a key twice", parts.built([*pairs, ("qwen3.block_count", U32, u32(2))])
    yield "a key with NUL", parts.built([*pairs, ("a\0b", U32, u32(2))])
    yield "a key of other bytes", parts.built([*pairs, (b"\xff\xfe", U32, u32(2))])
    added: dict[str, list[tuple[int, bytes]]] = {
        "general.alignment": [(U32, u32(n)) for n in (0, 3, 64, 2**31)],
        "general.type": [(STRING, text("adapter"))],
        "split.count": [(2, b"\3\0")],
        "qwen3.rope.scaling.type": [(STRING, text(t)) for t in ("yarn", "linear", "nonsense")],
        "qwen3.rope.scaling.factor": [(F32, f32(value)) for value in (0.0, 2.0)],
        "qwen3.rope.dimension_count": [(U32, u32(n)) for n in (0, 1, 63, 2**31)],
        "qwen3.expert_count": [(U32, u32(8))],
        "qwen3.attention.causal": [(BOOL, b"\0")],
        "qwen3.attention.sliding_window": [(U32, u32(16))],
        "qwen3.attention.scale": [(F32, f32(0.0))],
        "qwen3.pooling_type": [(U32, u32(3))],
        "qwen3.attention.head_count": [(ARRAY, numbers([4, 4, 4], U32, "<I"))],
        "edgeguard.protocol": [(STRING, text("qwen3guard-gen\0evil")), (STRING, text("other"))],
        "general.architecture": [(STRING, text(name)) for name in ("llama", "qwen2", "nonsense")],
    }
    for key, values in added.items():
        for kind, data in values:
            yield f"{key} = {data[-8:]!r}", parts.with_keys({key: (kind, data)})
    for key in ("block_count", "attention.head_count", "attention.head_count_kv"):
        for number in (3, 8, 512, 513):
            place = parts.values[f"qwen3.{key}"]
            yield f"{key} = {number}", parts.put(place, u32(number))


def _put_fifth(token: bytes, tokens: list[bytes]) -> None:
    tokens[5] = token


def _tokenizer(parts: Parts) -> Iterator[tuple[str, bytes]]:
    key = "tokenizer.ggml.tokens"
    tokens = parts.strings(key)

    def other(change: Callable[[list[bytes]], object]) -> bytes:
        mine = list(tokens)
        change(mine)
        return parts.with_keys({key: (ARRAY, texts(mine))})

    for name, token in (
        ("twice", tokens[6]),
        ("empty", b""),
        ("of other bytes", b"\xff\xfe"),
        ("with NUL", b"a\0b"),
        ("of a megabyte", b"a" * 1_000_000),
    ):
        yield f"a token {name}", other(partial(_put_fifth, token))
    yield "no bytes", other(lambda mine: [mine.__setitem__(n, b"q%d" % n) for n in range(300)])
    yield "one token less", other(lambda mine: mine.pop())
    yield "one token more", other(lambda mine: mine.append(b"zzz"))
    yield "all tokens empty", other(lambda mine: mine.__setitem__(slice(None), [b""] * len(mine)))
    yield "tokens are numbers", parts.with_keys({key: (ARRAY, numbers(list(range(len(tokens)))))})
    kinds = parts.types()
    key = "tokenizer.ggml.token_type"
    for name, values in (
        ("one type less", kinds[:-1]),
        ("more types", [*kinds, 1, 1]),
        ("no such type", [99] * len(kinds)),
        ("negative types", [-1] * len(kinds)),
        ("all control", [3] * len(kinds)),
        ("all bytes", [6] * len(kinds)),
    ):
        yield name, parts.with_keys({key: (ARRAY, numbers(values))})
    narrow = numbers([1] * len(kinds), 1, "<b")
    yield "narrow types", parts.with_keys({key: (ARRAY, narrow)})
    key = "tokenizer.ggml.merges"
    merges = parts.strings(key)
    for name, pairs in (
        ("without a space", [b"ab"] * len(merges)),
        ("empty", [b""] * len(merges)),
        ("of other bytes", [b"\xff \xfe"] * len(merges)),
        ("many", [b"a b"] * 100_000),
    ):
        yield f"merges {name}", parts.with_keys({key: (ARRAY, texts(pairs))})
    for kind in ("bos", "eos", "padding", "eot", "unknown", "fim_pre"):
        for number in (len(tokens), 2**31, 2**32 - 1):
            key = f"tokenizer.ggml.{kind}_token_id"
            yield f"{kind} = {number}", parts.with_keys({key: (U32, u32(number))})
    one = u32(F32) + u64(1) + f32(0)
    yield "one score", parts.with_keys({"tokenizer.ggml.scores": (ARRAY, one)})


def _table(parts: Parts) -> Iterator[tuple[str, bytes]]:
    for name in ("token_embd.weight", "blk.0.attn_q.weight", "output_norm.weight"):
        tensor = parts.tensors[name]
        for number in (0, 1, 3, 2**31, 2**63, 2**64 - 1):
            yield f"{name} dimension {number}", parts.put(tensor.dimensions, u64(number))
        for number in (0, 5, 2**32 - 1):
            yield f"{name} {number} dimensions", parts.put(tensor.count, u32(number))
        for number in (4, 9, 15, 24, 28, 31, 100, 2**32 - 1):
            yield f"{name} type {number}", parts.put(tensor.type, u32(number))
        for number in (1, 32, len(parts.data), 2**40, 2**63, 2**64 - 32):
            yield f"{name} at {number}", parts.put(tensor.offset, u64(number))
        yield f"{name} of another name", parts.put(tensor.name, b"X")
    first, second = parts.tensors["blk.0.attn_q.weight"], parts.tensors["blk.1.attn_q.weight"]
    same = parts.data[first.offset : first.offset + 8]
    yield "two tensors in one place", parts.put(second.offset, same)
    key = parts.tensors["blk.0.attn_k.weight"]
    wide, high = struct.unpack_from("<QQ", parts.data, key.dimensions)
    yield "rows for columns", parts.put(key.dimensions, u64(high) + u64(wide))


def random_damage(data: bytes, seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Flipped bits, other bytes and zeros, in the header and in the numbers."""
    chance, start = random.Random(seed), Parts(data).start
    for number in range(count):
        new = bytearray(data)
        kind = number % 5
        if kind == 0:
            place = chance.randrange(24, start)
            new[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            for _ in range(20):
                new[chance.randrange(start)] = chance.randrange(256)
        elif kind == 2:
            place = chance.randrange(start, len(data))
            new[place] ^= 1 << chance.randrange(8)
        else:
            size = chance.choice((64, 4096, 65536))
            place = chance.randrange(start, max(len(data) - size, start + 1))
            new[place : place + size] = bytes(size) if kind == 3 else chance.randbytes(size)
            del new[len(data) :]
        yield f"{('bit', 'bytes', 'weight', 'hole', 'noise')[kind]} {number}", bytes(new)
