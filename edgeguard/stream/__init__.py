"""Judged while it is written: a response's verdict, token by token, as the text comes.

Reading order: interface (what an engine says), pieces and text (what comes in), heads and rule
(from numbers to a severity), answer_tokens, judge (Qwen3Guard-Stream), check (the same model asked
about a whole text), intervals (a Gen that is asked again and again). Nothing here knows llama.cpp.
"""
