"""A loaded model: the interface, llama.cpp behind it, and a fake beside it.

Reading order: interface, claims, plain, llama, fake. Only llama.py imports llama_cpp.
"""
