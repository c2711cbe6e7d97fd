"""A loaded model: the interface, llama.cpp behind it, and a fake beside it.

Reading order: interface, compatibility, plain_text, library, vocabulary, context, llama, fake.
Only library.py imports llama_cpp.
"""
