"""Reads the checkpoint's files, with errors that name the file and say what to do.

This module does not know what any of them means.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeguard.digest import sha256_of
from edgeguard.errors import ConversionError
from edgeguard.files import read_regular

MOST_BYTES = 128 << 20
"""Largest size of a small file, in bytes; Qwen3's tokenizer.json has 11 MB."""

_POINTER = b"version https://git-lfs"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises ConversionError if there is none."""
    content = read_small(path)
    if content.startswith(_POINTER):
        raise pointer(path)
    try:
        return parse_json(content.decode("utf-8"), path)
    except UnicodeDecodeError as error:
        raise _not_json(path, "it is not UTF-8 text") from error


def read_small(path: Path) -> bytes:
    """The content of a file of at most MOST_BYTES. Raises ConversionError."""
    try:
        return bytes(read_regular(path, MOST_BYTES))
    except FileNotFoundError as error:
        raise ConversionError(
            f"{path.parent} has no {path.name}; download the whole checkpoint"
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def pointer(path: Path) -> ConversionError:
    """The error for a pointer file, which git leaves without its extension for large files."""
    return ConversionError(
        f"{path} is a pointer of Git LFS and not the file; type `git lfs pull` in its folder"
    )


def parse_json(text: str, path: Path) -> dict[str, Any]:
    """The JSON object in `text`, which came from `path`. Raises ConversionError."""
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    # RecursionError: thousands of nested brackets. ValueError: also the repeated key below.
    except (ValueError, RecursionError) as error:
        raise _not_json(path, str(error) or type(error).__name__) from error
    if not isinstance(content, dict):
        raise _not_json(path, f"a {type(content).__name__} where an object belongs")
    return content


def sha256(path: Path, advance: Callable[[int], None] = lambda _count: None) -> str:
    """The sha256 of a file in lower-case hex; `advance` is called with the size of each block."""
    try:
        return sha256_of(path, advance)
    except OSError as error:
        raise unreadable(path, error) from error


def short(value: object, longest: int = 80) -> str:
    """A value from a file, safe to show in a message: one line, no control characters, not long."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def unreadable(path: Path, error: OSError) -> ConversionError:
    """The error for a file that the system does not let us read."""
    return ConversionError(f"{path} cannot be read: {error.strerror or error}")


def _not_json(path: Path, why: str) -> ConversionError:
    return ConversionError(f"{path} is not valid JSON: {why}; download the file again")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated key: readers would disagree about which one counts."""
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return content
