"""Qwen3's vocabulary: one GGUF file beside this module, for questions to servers elsewhere.

This package holds data only; see README.md in the same folder for where it is from.
"""
