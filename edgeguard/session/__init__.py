"""A loaded model: the interface, llama.cpp behind it, and a fake for tests.

Reading order: interface, compatibility, plain_text, versions, backends, library, vocabulary,
context, llama, fake. Only library.py imports llama_cpp.
"""
