"""What PyInstaller needs to know of edgeguard and of llama_cpp; it asks for it by itself.

PyInstaller finds this package by the entry points of the group ``pyinstaller40``, so that a plain
`pyinstaller app.py` makes a program that works. This module imports nothing of edgeguard.
"""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """The folders with the hooks."""
    return [str(Path(__file__).parent)]
