"""`edgeguard convert`: a checkpoint's folder in, a GGUF file out.

This module only reads the command line and reports; edgeguard.convert does the work.
"""

from __future__ import annotations

from pathlib import Path

import click

from edgeguard.console import progress_bar
from edgeguard.convert import TYPES, convert


@click.command("convert")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--type",
    "type_",
    type=click.Choice(TYPES),
    default="q4_k_m",
    show_default=True,
    help="How the weights are stored, from the largest file to the smallest.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The file to write; it must not exist.",
)
@click.option(
    "--trust-template",
    is_flag=True,
    help="Take a checkpoint without a chat template: nothing then says that it asks as "
    "Qwen3Guard does.",
)
def command(checkpoint: Path, type_: str, out: Path, trust_template: bool) -> None:
    """Convert a Hugging Face checkpoint of Qwen3Guard-Gen or Qwen3Guard-Stream to GGUF.

    CHECKPOINT is a folder with config.json, tokenizer.json and the safetensors files.
    """
    with progress_bar("Converting") as progress:
        made = convert(
            checkpoint, out, type=type_, trust_template=trust_template, progress=progress
        )
    path = click.format_filename(made.path)
    click.echo(f"{path}: {made.type}, {made.size / 1e6:.1f} MB, sha256 {made.sha256}")
