"""Converts a Hugging Face checkpoint of Qwen3Guard-Gen or Qwen3Guard-Stream into one GGUF file.

    from edgeguard.convert import convert

    convert("Qwen3Guard-Gen-0.6B", "gen-0.6b-q4_k_m.gguf", type="q4_k_m")

Reading order: conversion (the steps), checkpoint, config, vocabulary, template, weights, layout,
heads, metadata, gguf_file, quantizer, output. The result equals what llama.cpp's
convert_hf_to_gguf.py and llama-quantize write, but needs neither torch nor transformers; the heads
of a Stream, which those two do not know, are stored as texts in the metadata.

Importing this package loads neither numpy nor gguf; calling `convert` does.
"""

from edgeguard.convert.conversion import TYPES, Converted, Source, convert

__all__ = ["TYPES", "Converted", "Source", "convert"]
