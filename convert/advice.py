"""Recognises folders that are not checkpoints we can convert, and says what to do about each.

This module reads names and settings, and no weights.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from edgeguard.errors import ConversionError

_QUANTIZED = "the weights are quantized already ({}); take the checkpoint in bfloat16"
_OFFICIAL = "Qwen/Qwen3Guard-Gen-0.6B is one"

_NAMES = (
    (
        ("._orig_mod.",),
        "it was saved from under torch.compile: save the model inside (model._orig_mod) instead",
    ),
    (
        (".base_model.model.", ".lora_A.", ".lora_B."),
        "it is a PEFT adapter (LoRA): merge it into its model (merge_and_unload), save that, and "
        "convert it",
    ),
    ((".qweight", ".qzeros", ".g_idx"), f"{_QUANTIZED.format('GPTQ or AWQ')}; {_OFFICIAL}"),
    ((".weight_scale",), f"{_QUANTIZED.format('FP8')}; {_OFFICIAL}"),
    ((".absmax", ".quant_map", ".SCB"), f"{_QUANTIZED.format('bitsandbytes')}; {_OFFICIAL}"),
    ((".module.",), "it was saved from under DataParallel: save the model inside (model.module)"),
)
"""Parts of tensors' names that no Qwen3 has, and what they mean."""


def check_folder(folder: Path) -> None:
    """Raise ConversionError if the names of its files show that a folder is of another kind."""
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise ConversionError(f"{folder} cannot be read: {error.strerror or error}") from error
    ends = {Path(name).suffix for name in names}
    if "adapter_config.json" in names and "model.safetensors" not in names:
        raise ConversionError(
            f"{folder} holds a PEFT adapter (LoRA) and not a model: merge it into its model "
            "(merge_and_unload), save that, and convert it"
        )
    if ".safetensors" in ends:
        return
    if ".gguf" in ends and "config.json" not in names:
        raise ConversionError(
            f"{folder} holds GGUF files, which need no conversion: name one with --model"
        )
    if "config.json" in names and ends & {".bin", ".pt", ".pth"}:
        raise ConversionError(
            f"{folder} holds its weights as pickles, which can run code and are not read; save the "
            "model as safetensors (save_pretrained does), then convert it"
        )


def check_names(path: Path, names: Collection[str]) -> None:
    """Raise ConversionError if the names of tensors show another kind of checkpoint."""
    for parts, what in _NAMES:
        if any(part in f".{name}" for part in parts for name in names):
            raise ConversionError(f"{path}: {what}")


def check_quantization(path: Path, settings: object) -> None:
    """Raise ConversionError if config.json says that the weights are quantized."""
    if settings is None:
        return
    method = settings.get("quant_method") if isinstance(settings, dict) else None
    name = str(method).upper() if isinstance(method, str) and method.isalnum() else "some method"
    raise ConversionError(
        f"{path}: quantization_config says that {_QUANTIZED.format(name)}; {_OFFICIAL}"
    )
