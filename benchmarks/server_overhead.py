"""What the web framework costs: imports, start, and each request, without a model.

    python benchmarks/server_overhead.py

Three applications around the same endpoints and layers, asked in turn so that the machine's moods
fall on all of them: FastAPI as the server uses it (it describes, our reader reads), Starlette
alone, and FastAPI that reads the bodies itself. The session is a fake one, so what is measured is
everything but the model. Prints a table.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from edgeguard import Guard
from edgeguard.server import app as server_app
from edgeguard.server import routes
from edgeguard.server.settings import Settings
from edgeguard.session.fake import FakeSession
from edgeguard.worker.worker import Worker

ROUNDS, CALLS = 60, 40
IMPORTS = {
    "Starlette": "import starlette.applications, starlette.middleware.cors, pydantic, uvicorn",
    "FastAPI": "import fastapi, fastapi.openapi.docs, starlette.middleware.cors, uvicorn",
    "the server": "import edgeguard.server.run",
}
_IMPORT = """
import time
began = time.perf_counter()
{}
seconds = time.perf_counter() - began
try:
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
except OSError:
    pages = 0
print(seconds, pages * 4096 / 1e6)
"""

App = Callable[[Any, Any, Any], Awaitable[None]]


def main() -> None:
    """Measure and print."""
    for name, code in IMPORTS.items():
        seconds, megabytes = imported(code)
        print(f"import {name:12} {seconds * 1000:7.0f} ms {megabytes:6.0f} MB")
    asyncio.run(requests())


def imported(code: str) -> tuple[float, float]:
    """Seconds and megabytes of a fresh process that runs the code: the best of nine."""
    found = []
    for _ in range(9):
        run = [sys.executable, "-c", _IMPORT.format(code)]
        said = subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()
        found.append((float(said[0]), float(said[1])))
    return min(found)


async def requests() -> None:
    """Ask all three in turn; the median of each, and of the differences in a round."""
    worker = Worker(
        lambda _: Guard.with_session(FakeSession(lambda _: "Safety: Safe\nCategories: None"))
    )
    worker.start()
    await worker.ready()
    apps = applications(worker)
    body = json.dumps({"prompt": "What is the capital of France?"}).encode()
    for method, path, sent in (("GET", "/livez", b""), ("POST", "/v1/guard", body)):
        times: dict[str, list[float]] = {name: [] for name in apps}
        for _ in range(ROUNDS):
            for name, app in apps.items():
                began = time.perf_counter()
                for _ in range(CALLS):
                    await ask(app, method, path, sent)
                times[name].append((time.perf_counter() - began) / CALLS * 1e6)
        base = times["Starlette"]
        for name, found in times.items():
            more = statistics.median(a - b for a, b in zip(found, base))
            median = statistics.median(found)
            print(f"{method:4} {path:10} {name:22} {median:7.0f} µs {more:+7.0f} µs")
    worker.stop()


def applications(worker: Worker) -> dict[str, App]:
    """The three, and what making the server's own takes."""
    began = time.perf_counter()
    ours = server_app.make_app(Settings(), worker)
    made = time.perf_counter()
    ours.openapi()
    written = time.perf_counter()
    print(f"make_app {(made - began) * 1000:.0f} ms, its document {(written - made) * 1000:.0f} ms")
    plain = Starlette(
        routes=[
            Route(route.path, route.get_route_handler(), methods=[*(route.methods or ())])
            for route in ours.routes
            if isinstance(route, APIRoute)
        ],
        middleware=ours.user_middleware,
        exception_handlers={HTTPException: server_app._plain_http_error},
    )
    routes._reading = lambda endpoints: APIRoute  # noqa: ARG005 - the name is part of its type
    reads = server_app.make_app(Settings(), worker)
    return {"FastAPI describes": ours, "Starlette": plain, "FastAPI reads": reads}


async def ask(app: App, method: str, path: str, body: bytes) -> None:
    """One request as uvicorn would pass it on."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    statuses = []

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status"))

    await app(scope, receive, send)
    assert statuses[0] == 200, statuses


if __name__ == "__main__":
    main()
