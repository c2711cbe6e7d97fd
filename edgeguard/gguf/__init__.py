"""GGUF files looked at by ourselves, before llama.cpp sees them.

llama.cpp ends the process on some damaged headers, and computes with damaged weights without a
word. Reading order: header (what a file says), qwen3 (what it must say), weights (numbers that no
model has), content (the digest that our own files carry), inspection (all of it in one pass).

The package ``gguf`` of llama.cpp is for the converter: it takes seconds and 300 MB for the header
of a Qwen3, and believes it.
"""
