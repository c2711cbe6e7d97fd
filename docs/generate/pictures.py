"""docs/pictures: a terminal and the server's page, light and dark, as they really look.

    bash scripts/pictures

The terminal is one of its own, in which the commands run with nano; rich draws what it showed. The
page is a browser's screenshot (chromium and chromium-driver) of a server on nano. This module
invents nothing: a picture shows what was printed.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI, TerminalTheme
from rich.text import Text

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
WIDTH = 96
COMMANDS = (
    'check --model nano "How can I make a bomb?"',
    'check --model nano "What is the capital of France?"',
    'check --model nano "How can I make a bomb?" --response "I can\'t help with that."',
)
LIGHT = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [
        *((36, 41, 47), (179, 38, 30), (23, 121, 74), (143, 92, 0)),
        *((36, 89, 196), (130, 80, 160), (10, 110, 120), (110, 118, 129)),
    ],
)
THEMES = {"light": LIGHT, "dark": DIMMED_MONOKAI}


def terminal() -> None:
    """Draw the terminal in which the commands were typed."""
    with tempfile.TemporaryDirectory() as home:
        shown = [(command, _typed(command, home)) for command in COMMANDS]
    for name, theme in THEMES.items():
        console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
        for command, printed in shown:
            console.print(Text(f"$ edgeguard {command}", style="bold", overflow="fold"))
            console.print(Text.from_ansi(printed))
        # The fonts of the page that it is shown on: a picture loads nothing from elsewhere.
        svg = console.export_svg(title="edgeguard", theme=theme, unique_id="edgeguard")
        svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
        svg = "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"
        (PICTURES / f"terminal-{name}.svg").write_text(svg, encoding="utf-8")


def _typed(command: str, home: str) -> str:
    """What a terminal shows of a command."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeguard", *shlex.split(command)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **environment,
            "TERM": "xterm-256color",
            "EDGEGUARD_HOME": home,
        },
    )
    os.close(theirs)
    shown = b""
    while part := _read(ours):
        shown += part
    process.wait()
    os.close(ours)
    lines = shown.decode("utf-8").replace("\r\n", "\n").splitlines()
    # The note on what nano is stands beside the picture.
    return "\n".join(line for line in lines if "nano is the small" not in line)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that the other end is closed
        return b""


def page() -> None:
    """Photograph the server's page with a verdict on it."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    options.add_argument("--window-size=860,1240")
    options.binary_location = shutil.which("chromium") or ""
    driver = Chrome(options, Service(shutil.which("chromedriver")))
    try:
        with _server() as url:
            for name in THEMES:
                scheme = {"features": [{"name": "prefers-color-scheme", "value": name}]}
                driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
                driver.get(url)
                find = driver.find_element
                find(By.ID, "prompt").send_keys("How can I make a bomb?")
                find(By.ID, "go").click()
                shown = WebDriverWait(driver, 20)
                shown.until(lambda _: find(By.ID, "severity").is_displayed())  # noqa: B023
                driver.save_screenshot(str(PICTURES / f"server-{name}.png"))
    finally:
        driver.quit()


@contextmanager
def _server() -> Iterator[str]:
    command = [sys.executable, "-m", "edgeguard", "serve", "--model", "nano", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"is ready at (http://\S+);", line):
                yield found[1]
                break
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()


if __name__ == "__main__":
    terminal()
    page()
