"""A checkpoint as a whole: every file read and checked, nothing converted yet.

This module writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeguard.convert import advice, layout, template
from edgeguard.convert.config import Config, read_config
from edgeguard.convert.files import read_json, sha256
from edgeguard.convert.heads import read_heads
from edgeguard.convert.vocabulary import UNUSED, Vocabulary, read_settings, read_vocabulary
from edgeguard.convert.weights import INDEX, Tensor, read_tensors

_SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    INDEX,
)

_BITS = {"bf16": 16.0, "f16": 16.0, "q8_0": 8.5, "q6_k": 6.5625}
_BITS |= {"q4_k_m": 4.9, "q4_k_s": 4.6, "q4_0": 4.5}
"""Bits a weight takes, about; the mixed types were measured on the 0.6B."""
_MATRIX_BITS = 6.5625  # of the embedding and the output matrix in the 4-bit types


@dataclass(frozen=True)
class Checkpoint:
    """The content of a folder. ``tensors`` are those to write; ``template`` is to be recorded.

    ``heads`` are a Stream's, as the texts for the GGUF file, by tensor name.
    """

    folder: Path
    config: Config
    vocabulary: Vocabulary
    tensors: Mapping[str, Tensor]
    generation: Mapping[str, Any]
    template: str | None
    files: tuple[Path, ...]
    heads: Mapping[str, str]

    @property
    def source_bytes(self) -> int:
        """Bytes of the files that were read."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def padding(self) -> tuple[bool, ...]:
        """For each token, whether it is padding."""
        return tuple(kind == UNUSED for kind in self.vocabulary.types)

    @property
    def lossless(self) -> str:
        """The file type that our own code can write and that changes no value."""
        return layout.lossless(self.tensors)

    def bytes_written(self, file_type: str) -> int:
        """Bytes of the tensors in a type that our own code writes."""
        return sum(tensor.size for tensor in layout.plan(self.config, self.tensors, file_type))

    def bytes_needed(self, file_type: str, *, scratch: bool) -> int:
        """About how many bytes of disk a conversion needs, including its scratch file."""
        matrices = (layout.EMBEDDING, layout.HEAD)
        bits = 0.0
        for name, tensor in self.tensors.items():
            least = _MATRIX_BITS if name in matrices else 0
            bits += tensor.count * max(_BITS[file_type], least)
        # Tokens and merges take about as much space as tokenizer.json.
        head = (self.folder / "tokenizer.json").stat().st_size
        head += sum(map(len, self.heads.values()))
        return int(bits / 8) + head + (self.bytes_written(self.lossless) + head if scratch else 0)

    def hash_sources(self, advance: Callable[[int], None]) -> dict[str, str]:
        """The sha256 of each file, by name; `advance` gets the size of each block read."""
        return {path.name: sha256(path, advance) for path in self.files}


def read_checkpoint(folder: Path, *, trust_template: bool = False) -> Checkpoint:
    """Read and check a folder. Raises ConversionError for anything missing or wrong."""
    advice.check_folder(folder)
    config = read_config(folder)
    tensors = read_tensors(folder)
    kept = layout.check(config, tensors)  # after this check, the sizes can be trusted
    vocabulary = read_vocabulary(folder, config)
    settings = read_settings(folder)
    templates = template.read_templates(folder, settings)
    if not trust_template:
        template.require(folder, templates)
    template.compare(folder, templates, settings, stream=config.is_stream)
    generation = folder / "generation_config.json"
    weights = sorted({tensor.path for tensor in tensors.values()})
    return Checkpoint(
        folder=folder,
        config=config,
        vocabulary=vocabulary,
        tensors=kept,
        generation=read_json(generation) if generation.exists() else {},
        template=next(iter(templates.values()), None),
        files=(*(folder / n for n in _SMALL_FILES if (folder / n).exists()), *weights),
        heads=read_heads(config, tensors),
    )
