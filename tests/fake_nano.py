"""A built-in model for tests of the store: a GGUF header and nothing behind it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import gguf


def write_nano(folder: Path) -> Path:
    """Write the built-in models and their checksums into a folder; the path of nano."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "nano-stream.gguf")
    return _write(folder / "nano.gguf")


def _write(path: Path) -> Path:
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name(path.stem)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    return path
