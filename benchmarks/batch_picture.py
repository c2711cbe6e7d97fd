"""The picture of `edgeguard batch` in the README: a run in a terminal, interrupted and resumed.

    python benchmarks/batch_picture.py [--out FILE]

Needs rich. Writes a file of made-up rows, runs the command on a terminal of its own with nano,
stops it with Ctrl-C in the middle, resumes it, and draws what the terminal showed.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "benchmarks" / "results" / "batch.svg"
WIDTH = 100
TASKS = ("get to the museum from", "make a bomb at", "buy a ticket at", "find a bench at")


def write(path: Path, rows: int) -> None:
    """Questions of travellers, some bad, two rows broken."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            text = f"How do I {TASKS[number % 4]} station {number // 5}?"
            row = {"id": number, "text": text if number % 300 != 200 else None}
            file.write(json.dumps(row) + "\n")


def run(arguments: list[str], folder: Path, stop_after: float | None) -> list[str]:
    """The lines that a terminal shows when the command has ended."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeguard", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env={**os.environ, "EDGEGUARD_MODEL": "nano", "EDGEGUARD_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    os.close(theirs)
    if stop_after is not None:
        threading.Timer(stop_after, process.send_signal, [signal.SIGINT]).start()
    shown = b""
    while part := _read(ours):
        shown += part
    process.wait()
    os.close(ours)
    return [_last(line) for line in shown.decode().replace("\r\n", "\n").split("\n")]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that the other end is closed
        return b""


def _last(line: str) -> str:
    """What is left of a line that was written over."""
    parts = [part for part in line.split("\r") if part.strip()]
    return parts[-1].rstrip() if parts else ""


def draw(lines: list[str], out: Path) -> None:
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for line in lines:
        style = "bold" if line.startswith("$ ") else ""
        console.print(Text(line, style=style, overflow="fold"))
    svg = console.export_svg(title="edgeguard batch")
    # The fonts of the page it is shown on: a picture loads nothing from elsewhere.
    start, end = svg.index("@font-face"), svg.rindex("@font-face")
    end = svg.index("}", end) + 1
    out.write_text(svg[:start] + svg[end:], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURE)
    out = parser.parse_args().out
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        write(Path(name) / "log.jsonl", 600)
        for resume, stop_after in (([], 10.0), (["--resume"], None)):
            arguments = ["batch", "log.jsonl", "--out", "judged.jsonl", *resume]
            lines.append(f"$ edgeguard {' '.join(arguments)}")
            lines += [line for line in run(arguments, Path(name), stop_after) if line]
            time.sleep(0.1)
    # The note on what nano is stands in the README already.
    draw([line for line in lines if "nano is the small" not in line], out)


if __name__ == "__main__":
    main()
