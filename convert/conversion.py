"""One conversion from beginning to end: check, hash, write, quantize, publish.

Nothing half-written is ever visible, because of this order: everything that can be checked is
checked before the first byte is written; then the file grows under another name beside the output;
in the last step it is renamed to the output.

This module does not know what a tensor, a token or a GGUF key looks like.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeguard.console import Meter, Progress
from edgeguard.convert import output
from edgeguard.errors import ConversionError

if TYPE_CHECKING:
    from edgeguard.convert.checkpoint import Checkpoint

_logger = logging.getLogger(__name__)

WRITTEN_TYPES = ("bf16", "f16")
"""Types that our own code can write; llama.cpp's quantizer makes the others from them."""

TYPES = (*WRITTEN_TYPES, "q8_0", "q6_k", "q4_k_m", "q4_k_s", "q4_0")
"""The types a checkpoint can be converted to, from the largest file to the smallest."""

_TYPES_BY_256 = ("q6_k", "q4_k_m", "q4_k_s")


@dataclass(frozen=True)
class Source:
    """The origin of a checkpoint: a repository on the hub, and the commit."""

    repo: str
    revision: str


@dataclass(frozen=True)
class Converted:
    """The file that was written.

    ``size`` is in bytes, ``sha256`` in lower-case hex; ``sources`` has the sha256 of each file of
    the checkpoint that was read, by name.
    """

    path: Path
    type: str
    size: int
    sha256: str
    sources: Mapping[str, str]


def convert(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    type: str = "q4_k_m",  # noqa: A002 - the word that the command and the file's metadata use
    source: Source | None = None,
    trust_template: bool = False,
    progress: Progress | None = None,
) -> Converted:
    """Convert the checkpoint in the folder `checkpoint` to the new file `out`.

    `type` is one of TYPES. `source` is recorded in the file's metadata, beside the sha256 of each
    source file. `trust_template` accepts a checkpoint without a chat template, whose question
    cannot be compared with ours. `progress` is called with bytes done and total bytes, over all
    passes. The same checkpoint, type and versions always give the same bytes.

    Raises ConversionError, leaving nothing behind, for a checkpoint that is not a complete and
    sound Qwen3Guard-Gen or -Stream, an output that exists or cannot be written, and a full disk.
    """
    if type not in TYPES:
        raise ConversionError(f"unknown type {type!r}; known types: {', '.join(TYPES)}")
    folder, target = Path(checkpoint), Path(out)
    _check_folder(folder)
    output.check(target, folder)
    # Imported here: they load numpy and gguf, which `edgeguard --help` must not.
    from edgeguard.convert.checkpoint import read_checkpoint
    from edgeguard.convert.finishing import finish

    found = read_checkpoint(folder, trust_template=trust_template)
    quantize = type not in WRITTEN_TYPES
    # before checking space: leftovers of a killed conversion would count as used
    output.sweep(target)
    output.check_space(target, found.bytes_needed(type, scratch=quantize))
    passes = found.bytes_written(found.lossless) * 2 if quantize else found.bytes_written(type)
    meter = Meter(found.source_bytes + passes, progress)
    sources = found.hash_sources(meter.advance)
    job = _Job(found, type, target, source, sources, meter.advance)
    with output.scratch(target) as temporary:
        if quantize:
            job.quantize(temporary)
        else:
            job.write(temporary, type)
        finish(temporary, read_back=not quantize)
        size, digest = output.seal(temporary)
        output.publish(temporary, target)
    return Converted(target, type, size, digest, sources)


def _check_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if folder.suffix.lower() == ".gguf" and folder.exists():
        raise ConversionError(
            f"{folder} is a GGUF file already; type `edgeguard check --model {folder}` to use it"
        )
    if folder.exists():
        raise ConversionError(
            f"{folder} is not a folder; name the folder that holds config.json, tokenizer.json and "
            "the safetensors files"
        )
    raise ConversionError(
        f"there is no folder {folder}; `edgeguard pull` fetches the official weights and converts "
        "them, or download a checkpoint and name its folder"
    )


@dataclass(frozen=True)
class _Job:
    checkpoint: Checkpoint
    type: str
    target: Path
    source: Source | None
    sources: Mapping[str, str]
    advance: Callable[[int], None]

    def write(self, path: Path, type: str) -> None:  # noqa: A002
        """Write `path` with our own code."""
        from edgeguard.convert import gguf_file, metadata
        from edgeguard.convert.layout import plan

        tensors = plan(self.checkpoint.config, self.checkpoint.tensors, type)
        entries = metadata.entries(self.checkpoint, type, self.source, self.sources)
        with output.translated(self.target):
            gguf_file.write(path, entries, tensors, self.checkpoint.padding, self.advance)

    def quantize(self, path: Path) -> None:
        """Write a second, lossless scratch file, and let llama.cpp quantize it into `path`."""
        from edgeguard.convert.quantizer import quantize

        self._warn_of_odd_rows()
        with output.scratch(self.target) as whole:
            self.write(whole, self.checkpoint.lossless)
            quantize(whole, path, self.type, self.advance)

    def _warn_of_odd_rows(self) -> None:
        odd = sorted({width for width in self.checkpoint.config.row_widths if width % 256})
        if odd and self.type in _TYPES_BY_256:
            _logger.warning(
                "rows of %s values are no multiple of 256, which %s needs: llama.cpp stores them "
                "in a larger type",
                " and ".join(map(str, odd)),
                self.type,
            )
