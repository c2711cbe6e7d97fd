"""Whatever one value in a checkpoint's JSON files becomes: an error that we raise, or a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeguard.convert import convert, finishing
from edgeguard.errors import ConversionError

FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
LEAVES |= st.sampled_from([2**31, 2**64, 10**400, 1e-300, "\ud800", "\0", "x" * 1000])
VALUES = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=2) | st.dictionaries(st.text(max_size=3), x, max_size=2)
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("c") / "checkpoint"
    small: dict[str, Any] = {"hidden": 32, "ffn": 32, "heads": 2, "kv_heads": 1, "head_dim": 8}
    return write_checkpoint(folder, layers=1, shards=2, **small)


@pytest.fixture(scope="module")
def not_read_back() -> Iterator[None]:
    """Without the child process for each file, which takes half a second: our own look is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finishing, "_read_back", lambda _path: None)
        yield


@pytest.mark.usefixtures("not_read_back")
@given(data=st.data())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_one_changed_value(tmp_path: Path, checkpoint: Path, data: st.DataObject) -> None:
    path = checkpoint / data.draw(st.sampled_from(FILES))
    original = path.read_text(encoding="utf-8")
    content = json.loads(original)
    _change(content, data)
    out = tmp_path / "out"
    try:
        path.write_text(json.dumps(content), encoding="utf-8")
        convert(checkpoint, out, type="bf16", trust_template=True)
        out.unlink()
    except ConversionError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 1000
    finally:
        path.write_text(original, encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


def test_one_removed_file(tmp_path: Path, checkpoint: Path) -> None:
    """Two of the files may be absent; every other one is missed by its name."""
    for name in sorted(path.name for path in checkpoint.iterdir()):
        content = (checkpoint / name).read_bytes()
        (checkpoint / name).unlink()
        try:
            convert(checkpoint, tmp_path / "out", type="bf16", trust_template=True)
            assert name in ("generation_config.json", "tokenizer_config.json")
            (tmp_path / "out").unlink()
        except ConversionError as error:
            assert name in str(error)
        finally:
            (checkpoint / name).write_bytes(content)


def _change(content: Any, data: st.DataObject) -> None:
    """Walk to some place in the content and put another value there, or take it away."""
    keys = list(content) if isinstance(content, dict) else range(len(content))
    key = data.draw(st.sampled_from(keys))
    inner = content[key]
    if isinstance(inner, (dict, list)) and inner and data.draw(st.booleans()):
        _change(inner, data)
    elif data.draw(st.booleans()):
        content[key] = data.draw(VALUES)
    else:
        del content[key]
