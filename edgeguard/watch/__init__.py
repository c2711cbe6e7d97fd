"""Judges a response while it is written.

Reading order: pieces (text cut anywhere), state (how far it is judged), interval (a Qwen3Guard-Gen,
asked again and again), stream (a Qwen3Guard-Stream, token by token), watch (the class that programs
use). Nothing here knows where a text comes from or where it is shown.
"""

INTERVAL = 40
"""The least characters between two passes of a Gen; the next one is at the end of a sentence."""
