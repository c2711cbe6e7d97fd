"""Fixtures of the tests of Qwen3Guard-Stream: a small random checkpoint, and its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_checkpoint

from edgeguard import Guard
from edgeguard.convert import convert

TEMPLATE = Path(__file__).parent.parent / "convert" / "conversation.jinja"
FORM: dict[str, Any] = {"inner": 64, "layers": 3, "context": 1024, "seed": 5}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stream") / "checkpoint"
    return write_checkpoint(folder, template=TEMPLATE.read_text(encoding="utf-8"), **FORM)


@pytest.fixture(scope="session")
def stream_file(checkpoint: Path) -> Path:
    return convert(checkpoint, checkpoint.parent / "stream.gguf", type="bf16").path


@pytest.fixture(scope="session")
def stream_guard(stream_file: Path) -> Iterator[Guard]:
    """One guard on random weights, whose verdicts mean nothing."""
    with Guard(stream_file, threads=1, allow_random_weights=True) as guard:
        yield guard
