"""Judges a response while it is written.

Reading order: pieces (text cut anywhere), state (how far it is judged), interval (a Qwen3Guard-Gen,
asked again and again), stream (a Qwen3Guard-Stream, token by token), watch (the class that programs
use). Nothing here knows where a text comes from or where it is shown.
"""

from edgeguard.watch.state import WatchState
from edgeguard.watch.watch import Engine, Judged, Watch

__all__ = ["Engine", "Judged", "Watch", "WatchState"]
