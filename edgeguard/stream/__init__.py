"""Judged while it is written: a response's verdict, token by token, as the text comes.

Reading order: interface (what it says), text (what comes in), answer_tokens, heads and rule (from
numbers to a severity), judge (a response as it grows), check (the model asked about a whole text).
edgeguard.watch is what a program feeds. Nothing here knows llama.cpp.
"""
