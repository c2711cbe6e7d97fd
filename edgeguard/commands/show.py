"""`edgeguard show`: what is known of one model, from its manifest and from its own header.

This module does not load the model.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import cast

import click

from edgeguard.errors import EXIT_OK
from edgeguard.file_types import FILE_TYPE, type_name
from edgeguard.gguf.header import Array, Value
from edgeguard.session.compatibility import ARCHITECTURE
from edgeguard.session.memory import LIBRARIES, SPARE
from edgeguard.store.checksum import file_sha256
from edgeguard.store.metadata import read_metadata
from edgeguard.store.model_file import ModelFile, resolve
from edgeguard.store.store import candidates


@click.command(name="show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on one line.")
def command(name: str, as_json: bool) -> int:
    """Show what is known of the model NAME: where it came from, and what its file says."""
    model = resolve(name)
    metadata = read_metadata(model.path)
    facts = _facts(model, metadata)
    if as_json:
        values = {key: _plain(value) for key, value in metadata.items()}
        click.echo(json.dumps({**facts, "metadata": values}, ensure_ascii=False))
        return EXIT_OK
    for key, value in facts.items():
        _line(key, value)
    click.echo()
    for key, value in metadata.items():
        _line(key, value)
    return EXIT_OK


def _facts(model: ModelFile, metadata: dict[str, Value]) -> dict[str, object]:
    facts: dict[str, object] = {
        "name": model.full_name,
        "type": model.type or type_name(metadata.get(FILE_TYPE)),
        "path": str(model.path),
        "size": model.path.stat().st_size,
        "sha256": file_sha256(model.path),
        "built_in": model.built_in,
        **_memory(model.path.stat().st_size, metadata),
    }
    found = candidates(model.full_name)
    if found and found[0].path == model.path:
        manifest = asdict(found[0].described)
        for key in ("repo", "revision", "installed", "edgeguard", "llama_cpp_python", "sources"):
            facts[key] = manifest[key]
    return facts


def _memory(size: int, metadata: dict[str, Value]) -> dict[str, object]:
    """What it needs, in bytes: loaded, with libraries and buffers; and for each token of context.

    A token has a key and a value of 16 bits for each head of each layer in the KV cache.
    """
    names = ("block_count", "attention.head_count_kv", "attention.key_length")
    counts = [metadata.get(f"{ARCHITECTURE}.{name}") for name in names]
    width = metadata.get(f"{ARCHITECTURE}.attention.value_length")
    if not all(isinstance(count, int) for count in (*counts, width)):
        return {}  # a file that llama.cpp may know and this project does not
    layers, heads, key = (cast(int, count) for count in counts)
    token = 2 * layers * heads * (key + cast(int, width))
    return {"memory": size + LIBRARIES + SPARE, "memory_per_token": token}


def _line(key: str, value: object) -> None:
    if isinstance(value, dict):
        for name, part in value.items():
            _line(f"{key}.{name}", part)
        return
    # A header may contain anything, even escape sequences for the terminal.
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(value))
    click.echo(f"{key}: {text[:200] + '…' if len(text) > 200 else text}")


def _plain(value: Value) -> object:
    if isinstance(value, Array):
        return {"length": value.length}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON cannot express it
    return value
