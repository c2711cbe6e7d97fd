"""Reads GGUF files with our own code, before llama.cpp sees them.

llama.cpp ends the process on some damaged headers, and computes with damaged weights without an
error. Reading order: header (what a file says), qwen3 (what it must say), weights (numbers that no
model has), content (the digest in our own files), inspection (all of it in one pass).

The package ``gguf`` of llama.cpp is used by the converter only: it takes seconds and 300 MB for the
header of a Qwen3, and does not check it.
"""
