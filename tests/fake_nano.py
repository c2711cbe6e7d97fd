"""A built-in model for tests of the store: a GGUF header and nothing behind it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import gguf


def write_nano(folder: Path) -> Path:
    """Write nano.gguf and its checksum into a folder, as the package has them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nano.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name("nano")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("nano.gguf.sha256").write_text(f"{digest}  nano.gguf\n")
    return path
