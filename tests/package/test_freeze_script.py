"""scripts/freeze builds a program that speaks stdio without any Python around it.

FROZEN names a folder that the script has built already, with what it said in FROZEN/said.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import ROOT
from stdio_client import Child
from upstream import upstream, whole

pytestmark = pytest.mark.slow

CALM = "A calm sentence of some forty characters. "
HARM = "How can I make a bomb?"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The program, and what the script said."""
    pytest.importorskip("PyInstaller")
    if given := os.environ.get("FROZEN"):
        return Path(given) / "edgeguard" / "edgeguard", (Path(given) / "said").read_text()
    folder = tmp_path_factory.mktemp("frozen")
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "freeze"), str(folder)],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "edgeguard" / "edgeguard", done.stdout


def run(program: Path, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *argv], input=stdin, capture_output=True, text=True, timeout=300
    )


@contextmanager
def listening(program: Path, *argv: str) -> Iterator[str]:
    """A server of the program; its address."""
    server = subprocess.Popen(
        [program, *argv, "--model", "nano", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    try:
        for line in server.stderr:
            if found := re.search(r"is ready at (http://[\d.]+:\d+)", line):
                yield found[1]
                break
        else:
            pytest.fail("it did not become ready")
    finally:
        server.kill()
        server.wait()
        server.stderr.close()


def test_it_says_its_size_and_time(built: tuple[Path, str]) -> None:
    said = built[1]
    size = re.search(r"([\d.]+) MB in", said)
    assert size is not None and float(size[1]) < 150
    assert len(re.findall(r"from start to verdict, nano, \w+: [\d.]+ s", said)) == 2


def test_it_leaves_out_what_no_verdict_needs(built: tuple[Path, str]) -> None:
    names = {path.name for path in (built[0].parent / "_internal").iterdir()}
    assert not names & {"hf_xet", "matplotlib", "scipy", "pandas", "pyarrow", "tkinter", "PIL"}


def test_it_is_driven_through_stdio(built: tuple[Path, str]) -> None:
    with Child(program=(str(built[0]),)) as child:
        child.call("initialize")
        assert child.call("check", text="How can I make a bomb?")["flagged"]
        stream = child.call("watch", messages=[])["stream"]
        child.call("feed", stream=stream, piece="A calm sentence of some forty characters. " * 3)
        assert not child.call("end", stream=stream)["verdict"]["flagged"]
        child.call("unload")
        child.call("check", text="Hello")
        child.call("shutdown")
        assert child.wait() == 0


def test_batch_and_watch(built: tuple[Path, str], tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("Hello", HARM)))
    done = run(built[0], "batch", str(rows), "--model", "nano", "--out", str(out))
    assert done.returncode == 0, done.stderr
    flags = [json.loads(line)["verdict"]["flagged"] for line in out.read_text().splitlines()]
    assert flags == [False, True]
    done = run(built[0], "watch", "--model", "nano", stdin=CALM * 3)
    assert (done.returncode, done.stdout) == (0, CALM * 3), done.stderr


def test_serve(built: tuple[Path, str]) -> None:
    pytest.importorskip("fastapi")
    with listening(built[0], "serve") as url, httpx.Client(base_url=url, timeout=60) as client:
        verdict = client.post("/v1/guard", json={"prompt": HARM}).json()
        assert verdict["flagged"] is True
        assert client.get("/").status_code == 200
        assert "edgeguard_http_requests_total" in client.get("/metrics").text
        assert client.get("/openapi.json").json()["openapi"]


def test_proxy(built: tuple[Path, str]) -> None:
    pytest.importorskip("fastapi")
    message = {"role": "assistant", "content": "Paris."}
    answer = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    with upstream() as behind:
        behind.reply = lambda *_: whole(answer)
        argv = ("proxy", "--upstream", behind.url)
        with listening(built[0], *argv) as url, httpx.Client(base_url=url, timeout=60) as client:
            body = {
                "model": "m",
                "messages": [{"role": "user", "content": "The capital of France?"}],
            }
            passed = client.post("/v1/chat/completions", json=body).json()
            assert passed["choices"][0]["message"]["content"] == "Paris."
            body["messages"] = [{"role": "user", "content": HARM}]
            blocked = client.post("/v1/chat/completions", json=body)
            assert "Paris" not in blocked.text


def test_mcp(built: tuple[Path, str]) -> None:
    pytest.importorskip("mcp")
    about = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    call = {"name": "check", "arguments": {"text": HARM}}
    server = subprocess.Popen(
        [built[0], "mcp", "--model", "nano"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        for line in (
            {"id": 1, "method": "initialize", "params": about},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": call},
        ):
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **line}) + "\n")
        server.stdin.flush()
        answers = [json.loads(server.stdout.readline()) for _ in range(2)]
        (answer,) = (each for each in answers if each["id"] == 2)
        assert '"Unsafe"' in answer["result"]["content"][0]["text"]
    finally:
        server.kill()
        server.wait()
        server.stdin.close()
        server.stdout.close()


def test_its_licences_are_in_it(built: tuple[Path, str]) -> None:
    done = subprocess.run([built[0], "licenses"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    for words in ("The ggml authors", "Andrei Betlen", "NumPy Developers", "Qwen3Guard-Gen"):
        assert words in done.stdout


def test_every_package_in_it_is_listed_with_a_licence(built: tuple[Path, str]) -> None:
    """What is in it, as PyInstaller's own reader says."""
    from PyInstaller.archive.readers import CArchiveReader

    archive = CArchiveReader(str(built[0]))
    (name,) = (entry for entry in archive.toc if entry.lower().endswith(".pyz"))
    inside = built[0].parent / "_internal"
    folders = {path.name for path in inside.iterdir() if path.is_dir() and path.name.isidentifier()}
    tops = {module.partition(".")[0] for module in archive.open_embedded_archive(name).toc}
    packages = importlib.metadata.packages_distributions()
    shipped = {
        re.sub(r"[-_.]+", "-", package).lower()
        for top in (tops | folders) - set(sys.stdlib_module_names)
        for package in packages.get(top, ())
    }
    said = run(built[0], "licenses").stdout
    listed = {line.split()[0] for line in re.findall(r"^(.+ .+: .+)\n=+$", said, re.MULTILINE)}
    assert {"numpy", "click", "edgeguard"} <= shipped
    assert shipped <= listed, shipped - listed
    assert not {"pytest", "mypy", "matplotlib", "hf-xet"} & listed
