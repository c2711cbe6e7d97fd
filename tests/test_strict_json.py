"""JSON that could be read in two ways is not read at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard.errors import InputError
from edgeguard.strict_json import MAX_DEPTH, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_json_is_read(value: object) -> None:
    assert parse_json(json.dumps(value), "it") == value
    assert parse_json(b"\xef\xbb\xbf" + json.dumps(value).encode(), "it") == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"content": "zebra", "content": "hi"}', "one name twice"),
        (b'[{"a": {"b": 1, "b": 2}}]', "one name twice"),
        (b'{"a": 1, "\\u0061": 2}', "one name twice"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"zebra", "line 1, column 1"),
        (b'{"zebra": ', "not JSON"),
        (b"", "not JSON"),
        (b'"zebra\xff"', "byte 6 is 0xff"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested"),
        (b"[" * 1_000_000, "nested"),
        (b'{"a":' * 1_000_000, "nested"),
        ('["zebra"] ["zebra"]'.encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_without_quoting_it(
    data: bytes | str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as raised:
        parse_json(data, "it")
    assert "zebra" not in str(raised.value)


def test_long_numbers_are_numbers() -> None:
    assert parse_json("[" + "1" * 10_000 + "]", "it") == [float("inf")]
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH, "it")
