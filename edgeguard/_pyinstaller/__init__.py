"""Tells PyInstaller what edgeguard and llama_cpp need.

PyInstaller finds this package by the entry points of the group ``pyinstaller40``, so that a plain
`pyinstaller app.py` makes a program that works. This module imports nothing of edgeguard.
"""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """The folders with the hooks."""
    return [str(Path(__file__).parent)]
