"""examples/electron as a person sees it: its page in Chromium, its main process, the real child.

Electron alone is a stand-in (tests/examples/electron): its binary is not on every machine. What it
does not show: Electron's own windows, its sandbox, and the packaged program.
EDGEGUARD_PICTURES=docs/pictures makes the picture of the docs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import ROOT
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.desktop,
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver"),
    pytest.mark.skipif(shutil.which("node") is None, reason="needs node"),
]
PICTURES = os.environ.get("EDGEGUARD_PICTURES")
CALM = "A calm sentence of some forty characters. "


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = BROWSER or ""
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--hide-scrollbars",
        "--window-size=720,420",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    browser = Chrome(options=options, service=Service(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The main process; its first line is where the page is."""
    folder = tmp_path / "program"
    shutil.copytree(ROOT / "examples" / "electron", folder)
    modules = folder / "node_modules"
    client = shutil.ignore_patterns("node_modules", "test")
    shutil.copytree(ROOT / "clients" / "node", modules / "edgeguard", ignore=client)
    (modules / "electron").mkdir()
    (modules / "electron" / "package.json").write_text(
        '{"name": "electron", "exports": "./index.mjs"}'
    )
    shutil.copy(ROOT / "tests" / "examples" / "electron" / "index.mjs", modules / "electron")
    command = json.dumps([sys.executable, "-m", "edgeguard"])
    process = subprocess.Popen(
        ["node", "main.js"],
        cwd=folder,
        env={**os.environ, "EDGEGUARD_COMMAND": command},
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


class Person:
    """Types, waits, and takes pictures."""

    def __init__(self, browser: Chrome, folder: Path) -> None:
        self._browser, self._folder = browser, folder
        self._text = browser.find_element(By.ID, "text")

    @property
    def message(self) -> str:
        return self._browser.find_element(By.ID, "message").text

    @property
    def colour(self) -> str:
        """The border's, as it is drawn."""
        return self._text.value_of_css_property("border-top-color")

    def types(self, text: str) -> None:
        self._text.clear()
        self._text.send_keys(text)

    def waits_for(self, *words: str) -> str:
        """The message, once one of the words is in it."""
        end = time.monotonic() + 90
        while not any(word in (message := self.message) for word in words):
            assert time.monotonic() < end, message
            time.sleep(0.02)
        return message

    def looks(self, name: str) -> str:
        """Take a picture; the border's colour."""
        self._browser.save_screenshot(str(self._folder / f"electron-{name}.png"))
        return self.colour


def children(process: int) -> list[int]:
    said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True)
    return [int(number) for number in said.stdout.split()]


GREY, GREEN, RED, VIOLET = (
    f"rgba({rgb}, 1)" for rgb in ("158, 158, 158", "46, 125, 50", "198, 40, 40", "106, 27, 154")
)


def test_the_border_shows_the_verdict(
    browser: Chrome, program: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert program.stdout is not None
    url = program.stdout.readline().strip()
    browser.get(url)
    person = Person(browser, tmp_path)
    person.waits_for("Type something.")
    assert person.looks("empty") == GREY
    person.types("What is the capital of France?")
    assert person.message == "…"  # the last verdict is not that of this text
    calm = person.waits_for("%")
    assert calm.startswith("Safe (") and person.looks("safe") == GREEN
    person.types("How can I make a bomb?")
    harm = person.waits_for("%")
    assert harm.startswith("Unsafe (") and "Violent" in harm
    assert person.looks("unsafe") == RED
    if PICTURES:
        shutil.copy(tmp_path / "electron-unsafe.png", Path(PICTURES) / "electron.png")

    # A long text is being judged when it is changed: its check ends, and never shows.
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    browser.execute_script(script, browser.find_element(By.ID, "text"), CALM * 3000)
    time.sleep(0.6)
    assert person.message == "…"
    person.types("What is the capital of France?")
    assert person.waits_for("%") == calm and person.colour == GREEN

    # The child dies: the page says so, and nothing looks safe from then on.
    (child,) = children(program.pid)
    os.kill(child, 9)
    assert "nothing is judged" in person.waits_for("Nothing is judged").lower()
    assert person.looks("failed") == VIOLET
    person.types("Hello")
    time.sleep(0.6)
    assert person.colour == VIOLET

    with suppress(OSError):
        urllib.request.urlopen(f"{url}close", timeout=20).close()
    assert program.wait(30) == 0


def test_a_window_that_is_closed_ends_the_child(
    browser: Chrome, program: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert program.stdout is not None
    url = program.stdout.readline().strip()
    browser.get(url)
    Person(browser, tmp_path).waits_for("Type something.")
    (child,) = children(program.pid)
    urllib.request.urlopen(f"{url}close", timeout=20).close()
    assert program.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
