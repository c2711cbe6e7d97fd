"""Judges a response token by token while it is written, with a Qwen3Guard-Stream.

Reading order: interface (the results), text (the input), answer_tokens, heads and rule (from
numbers to a severity), judge (a response as it grows), check (a complete text). Programs use it
through edgeguard.watch. Nothing here knows llama.cpp.
"""
