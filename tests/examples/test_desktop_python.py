"""examples/desktop-python under Xvfb: the window is photographed, and its border looked at.

EDGEGUARD_PICTURES=docs/pictures makes the picture of the docs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

pytestmark = pytest.mark.desktop

APP = ROOT / "examples" / "desktop-python" / "app.py"
PICTURES = os.environ.get("EDGEGUARD_PICTURES")

# Runs the program's own main, and plays the person: types, waits, and takes pictures.
PERSON = """
import json, os, runpy, sys, time, tkinter as tk
from PIL import ImageGrab

app, folder = sys.argv[1], sys.argv[2]
names = runpy.run_path(app)
sys.argv = ["app.py"]
root = tk.Tk()
window = names["Window"](root, "nano")
seen = []

def wait(until, seconds=60):
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, (window._message.cget("text"), seen)
        root.update()
        time.sleep(0.01)

def message():
    return window._message.cget("text")

def look(name):
    root.lift(); root.update(); time.sleep(0.1); root.update()
    x, y = root.winfo_rootx(), root.winfo_rooty()
    box = (x, y, x + root.winfo_width(), y + root.winfo_height())
    picture = ImageGrab.grab(bbox=box, xdisplay=os.environ["DISPLAY"])
    picture.save(f"{folder}/{name}.png")
    border = (window._border.winfo_x() + 2, window._border.winfo_y() + 20)
    seen.append([name, message(), "#%02x%02x%02x" % picture.getpixel(border)[:3]])

bar = []
wait(lambda: window._guard is not None or bar.append(window._bar.cget("value")))
look("empty")
for name, text in (
    ("safe", "What is the capital of France?"),
    ("unsafe", "How can I make a bomb?"),
):
    window._text.delete("1.0", "end")
    for character in text:
        window._text.insert("end", character)
        root.update()
    assert message() == "…"  # the last verdict is not that of this text
    wait(lambda: "%" in message())
    look(name)
# A long text is being judged when it is changed: its check ends at once.
window._text.insert("1.0", "A calm sentence of some forty characters. " * 3000)
cancel = window._cancel
wait(lambda: window._cancel is not cancel)
time.sleep(0.5)
cancel = window._cancel
started = time.monotonic()
window._text.delete("1.0", "end")
window._text.insert("end", "What is the capital of France?")
wait(lambda: cancel.cancelled)
wait(lambda: "%" in message())
look("changed")
seconds = time.monotonic() - started
window.close()
print(json.dumps({"seen": seen, "seconds": seconds}))
"""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb")
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as said:
        number = said.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


def test_the_border_shows_the_verdict(display: str, tmp_path: Path) -> None:
    pytest.importorskip("tkinter")
    pytest.importorskip("PIL.ImageGrab")
    done = subprocess.run(
        [sys.executable, "-c", PERSON, str(APP), str(tmp_path)],
        env={**os.environ, "DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    if PICTURES:
        shutil.copy(tmp_path / "unsafe.png", Path(PICTURES) / "desktop-python.png")
    found: dict[str, Any] = json.loads(done.stdout)
    names, messages, colours = zip(*found["seen"], strict=True)
    assert names == ("empty", "safe", "unsafe", "changed")
    assert colours == ("#9e9e9e", "#2e7d32", "#c62828", "#2e7d32")
    assert messages[0] == "Type something." and messages[1].startswith("Safe (")
    assert messages[2].startswith("Unsafe (") and "Violent" in messages[2]
    assert messages[3] == messages[1]
    assert found["seconds"] < 20  # the long text alone takes more
