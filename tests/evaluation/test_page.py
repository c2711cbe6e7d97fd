"""The HTML reports: self-contained by reading them, and in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from labelled import DATA, TRUTH, judged, made_rows, made_run, with_errors

from edgeguard.evaluation.comparison import compare
from edgeguard.evaluation.comparison_page import comparison_page
from edgeguard.evaluation.judging import Failed, Outcome
from edgeguard.evaluation.page import page
from edgeguard.evaluation.summary import summarise
from edgeguard.protocol.names import SEVERITIES
from edgeguard.verdict import ModelId

MODEL = ModelId("made-up", "none", "0" * 64)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _report() -> str:
    rows = [
        judged(label, severity, number=n, set_=f"set-{n % 3}", seconds=0.01 + n / 1000)
        for n, (label, severity) in enumerate(
            (label, severity) for label in SEVERITIES for severity in SEVERITIES for _ in range(5)
        )
    ]
    failed = (Failed("set-1", "lost", "needs too many windows"),)
    return page(summarise(Outcome(tuple(rows), failed), DATA, MODEL))


def _comparison() -> str:
    runs = [made_run("big", made_rows(with_errors(n), TRUTH), size=300 - n) for n in (0, 1, 30)]
    return comparison_page(compare(runs, DATA, []))


PAGES = {"report": _report, "comparison": _comparison}


class _References(HTMLParser):
    """Everything in a page that could be fetched, and the tags that are in it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.found.append(value or "")
            self.found += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_data(self, data: str) -> None:
        self.found += re.findall(r"url\(([^)]*)\)|@import", data)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_in_a_page_can_be_fetched(name: str) -> None:
    parser = _References()
    parser.feed(PAGES[name]())
    assert [one for one in parser.found if not one.startswith("#")] == []
    assert not {"script", "link", "iframe", "img", "object", "embed", "base"} & set(parser.tags)
    assert "default-src 'none'" in PAGES[name]()


@pytest.mark.parametrize("name", PAGES)
def test_the_same_figures_give_the_same_page_but_for_its_date(name: str) -> None:
    first, second = (re.sub(r"\d{4}-\d\d-\d\dT[^.]*", "", PAGES[name]()) for _ in range(2))
    assert first == second


def test_a_report_has_its_plots_tables_and_failures() -> None:
    text = _report()
    assert text.count("<svg") == 5
    for words in ("strict: Unsafe and Controversial", "set-2", "needs too many windows", "lost"):
        assert words in text
    assert "currentColor" in text and "#010203" not in text
    assert "prefers-color-scheme: dark" in text
    ids = re.findall(r'<(?:clipPath|path|linearGradient)[^>]* id="([^"]+)"', text)
    assert len(ids) == len(set(ids)), "two plots share an id, so one would use the other's shape"


def test_a_comparison_begins_and_ends_with_its_answer() -> None:
    text = _comparison()
    assert text.count("<svg") == 6
    said = [match.start() for match in re.finditer("Ship big", text)]
    assert len(said) == 2
    assert "</p>\n" in text[said[-1] :] and "<h2>" not in text[said[-1] :]
    assert text.count("<td>Unsafe</td><td>Unsafe</td><td>Safe</td>") == 31


class _Recorder(BaseHTTPRequestHandler):
    page = b""
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        # What the browser asks by itself, for its own updates, has no page that it comes from.
        if "Referer" in self.headers and self.path != "/favicon.ico":
            self.seen.append(f"{self.headers['Host']}{self.path}")
        self.send_response(200 if self.path == "/report.html" else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        if self.path == "/report.html":
            self.wfile.write(self.page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A server that every name leads to, and that remembers what it was asked for."""
    _Recorder.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Recorder) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def _open(server: ThreadingHTTPServer, text: str, folder: Path) -> tuple[list[str], str, str]:
    """Show a page on a phone's screen: what it asked for, how it ended, and complaints."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"needs a browser: one of {', '.join(BROWSERS)}")
    _Recorder.page = text.encode()
    _Recorder.seen.clear()
    argv = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", "--disable-default-apps", "--window-size=412,900"),
        f"--host-resolver-rules=MAP * 127.0.0.1:{server.server_port}",
        f"--user-data-dir={folder / 'profile'}",
        f"--screenshot={folder / 'page.png'}",
        "--dump-dom",
        f"http://127.0.0.1:{server.server_port}/report.html",
    ]
    done = subprocess.run(argv, capture_output=True, timeout=120)
    return list(_Recorder.seen), done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("name", PAGES)
def test_a_browser_shows_it_and_asks_nobody_for_anything(
    name: str, server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    outside = '<img src="http://outside.example/a.png">'
    seen, _, _ = _open(server, outside, tmp_path)
    assert seen == ["outside.example/a.png"], "a request to the outside would not be noticed"
    text = PAGES[name]()
    seen, dom, complaints = _open(server, text, tmp_path)
    assert seen == []
    assert dom.count("<svg") == text.count("<svg")
    assert "How this was measured" in dom
    assert "CONSOLE" not in complaints, complaints
    assert (tmp_path / "page.png").stat().st_size > 10_000
