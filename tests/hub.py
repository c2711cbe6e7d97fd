"""A Hugging Face hub on loopback that serves one folder, and misbehaves on request.

It answers what huggingface_hub asks when it downloads: HEAD and GET of
/{repo}/resolve/{revision}/{file}, with ranges, redirects, and the headers of the real hub. Each
request is recorded. What it does wrong is a list of faults per file, taken one per GET.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from edgeguard.store.registry import Probe, Release, SourceFile

REPO = "edgeguard-tests/small"
REVISION = "0123456789abcdef0123456789abcdef01234567"
FILES = (
    *("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"),
    "model.safetensors",
)
LARGE = ("tokenizer.json", FILES[-1])
_JSON = "application/json"
PAGE = b"<!DOCTYPE html><title>Sign in to the network</title>"


@dataclass(frozen=True)
class Fault:
    """One thing done wrong. ``cut``: bytes sent before the connection is closed."""

    status: int | None = None
    cut: int | None = None
    stall: bool = False
    body: bytes | None = None
    redirect: bool = False
    ignore_range: bool = False
    retry_after: str | None = None


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]

    @property
    def file(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass
class Hub:
    """The server's state: what it serves, what was asked, and what it will do wrong."""

    folder: Path
    requests: list[Request] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""
    stated: dict[str, object] = field(default_factory=dict)
    """What the API states otherwise than it is."""
    waited: list[float] = field(default_factory=list)
    """Seconds that the client waited, or would have."""

    def gets(self, file: str) -> list[Request]:
        """The GET requests for a file's content, in order."""
        return [r for r in self.requests if r.method == "GET" and r.file == file]

    def listing(self) -> dict[str, object]:
        """What the hub's API says of the repository, as model_info asks with files_metadata."""
        files = [self._listed(path) for path in sorted(self.folder.iterdir())]
        return {"id": REPO, "modelId": REPO, "sha": REVISION, "siblings": files} | self.stated

    def _listed(self, path: Path) -> dict[str, object]:
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, object] = {"rfilename": path.name, "size": len(content), "blobId": blob}
        if path.name in LARGE:
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return entry

    def fault(self, file: str) -> Fault:
        """What to do wrong with this GET."""
        queue = self.faults.get(file)
        return queue.pop(0) if queue else self.always.get(file, Fault())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the tests read the recorded requests."""

    def _answer(self) -> None:
        request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        self.hub.requests.append(request)
        if self.path.startswith(f"/api/models/{REPO}"):
            self._send(200, json.dumps(self.hub.listing()).encode(), {"Content-Type": _JSON})
            return
        found = re.fullmatch(rf"(/cdn)?/{REPO}/resolve/{REVISION}/([\w.-]+)", self.path)
        path = self.hub.folder / found[2] if found else None
        if path is None or not path.is_file():
            self._send(404, b"not found", {"X-Error-Code": "EntryNotFound"})
            return
        fault = self.hub.fault(path.name) if self.command == "GET" else Fault()
        self._file(path.read_bytes(), fault)

    def _file(self, content: bytes, fault: Fault) -> None:
        if fault.status is not None:
            asked = fault.retry_after
            self._send(fault.status, b"no", {} if asked is None else {"Retry-After": asked})
            return
        if fault.redirect:
            self._send(302, b"", {"Location": f"{self.hub.endpoint}/cdn{self.path}"})
            return
        body = content if fault.body is None else fault.body
        start = self._range(len(body), fault)
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": REVISION,
            "Accept-Ranges": "bytes",
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self._send(206 if start else 200, body[start:], headers, fault)

    def _range(self, size: int, fault: Fault) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return min(int(found[1]), size) if found and not fault.ignore_range else 0

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], fault: Fault | None = None
    ) -> None:
        fault = fault or Fault()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: fault.cut])
        self.wfile.flush()
        if fault.stall:
            self.hub.reached.set()
            self.hub.released.wait(30)
        if fault.stall or fault.cut is not None:
            self.close_connection = True
            self.connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is what many tests are about."""


@contextmanager
def serve(folder: Path) -> Iterator[Hub]:
    """Serve a checkpoint's folder on loopback until the end of the block."""
    hub = Hub(folder)
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _Server(("127.0.0.1", 0), handler) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            hub.released.set()
            server.shutdown()
            thread.join()


def release_of(folder: Path, name: str = "gen-0.6b", *, flagged: bool | None = None) -> Release:
    """A registry row for the checkpoint in a folder, with one probe."""
    files = tuple(
        SourceFile(
            file,
            hashlib.sha256((folder / file).read_bytes()).hexdigest(),
            (folder / file).stat().st_size if file in ("tokenizer.json", FILES[-1]) else None,
        )
        for file in FILES
    )
    return Release(name, REPO, REVISION, files, (Probe("Hello", flagged),), random_weights=True)
