"""`edgeguard serve` as a person types it: what starts, what is refused, how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from served import MILD, free_port, process, start

from edgeguard import InputError, ServerError
from edgeguard.server.settings import Settings, check_reach, is_loopback


def serve(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A server that must end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "edgeguard", "serve", *argv],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "EDGEGUARD_THREADS": "1", "EDGEGUARD_PORT": "0", **env},
    )


def test_it_says_where_it_listens_and_stops_when_asked() -> None:
    with process("--model", "nano") as server, server.client() as client:
        assert client.post("/v1/guard", json={"prompt": MILD}).json()["severity"] == "Safe"
        assert client.get("/health").json()["model"] == "nano"
    said = "".join(server.notes)
    assert f"listening on {server.url}, loading the model; Ctrl-C stops" in said
    assert f"nano q8_0 is ready at {server.url}" in said
    assert MILD not in said
    assert server.popen.returncode == -signal.SIGTERM


def test_ctrl_c_ends_as_interrupted() -> None:
    with process("--model", "nano") as server:
        server.popen.send_signal(signal.SIGINT)
        assert server.popen.wait(30) == 130
    assert "Traceback" not in "".join(server.notes)


def test_a_second_ctrl_c_does_not_wait_for_a_long_text() -> None:
    """Nor does it crash: an ordinary exit frees what llama.cpp still computes with."""
    with process("--model", "nano", "--n-ctx", "4096") as server:

        def ask() -> None:
            with contextlib.suppress(httpx.TransportError), server.client() as client:
                client.post("/v1/guard", json={"prompt": "word and word " * 9000})

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.7)
        for _ in range(2):
            assert server.popen.poll() is None
            server.popen.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert server.popen.wait(10) == 130
        asking.join()
    assert "Traceback" not in "".join(server.notes)


def test_the_variables_are_read() -> None:
    variables = {
        "EDGEGUARD_MODEL": "nano",
        "EDGEGUARD_API_KEY": "k",
        "EDGEGUARD_POLICY": "loose",
        "EDGEGUARD_HOST": "localhost",
        "EDGEGUARD_MAX_BODY": "2000",
        "EDGEGUARD_QUEUE": "3",
        "EDGEGUARD_CORS_ORIGINS": "https://a.example https://b.example",
    }
    with process(**variables) as server, server.client() as client:
        client.headers["authorization"] = "Bearer k"
        assert client.post("/v1/guard", json={"prompt": MILD}).json()["policy"] == "loose"
        assert client.post("/v1/guard", json={"prompt": "a" * 2000}).status_code == 413
        opened = client.get("/health", headers={"origin": "https://b.example"})
        assert opened.headers["access-control-allow-origin"] == "https://b.example"
        del client.headers["authorization"]
        assert client.post("/v1/guard", json={"prompt": MILD}).status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_world_needs_a_key(host: str) -> None:
    ended = serve("--model", "nano", "--host", host)
    assert ended.returncode == 2
    assert "EDGEGUARD_API_KEY" in ended.stderr
    assert "--without-key" in ended.stderr
    assert "listening" not in ended.stderr


def test_the_world_without_a_key_if_forced() -> None:
    with process("--model", "nano", "--host", "0.0.0.0", "--without-key") as server:
        assert "http://0.0.0.0:" in server.url


def test_a_model_that_is_not_there_ends_it() -> None:
    ended = serve("--model", "nowhere")
    assert ended.returncode == 2
    assert "error: " in ended.stderr
    assert "nowhere" in ended.stderr
    assert "ready" not in ended.stderr


def test_a_file_that_is_no_model_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    ended = serve("--model", str(path))
    assert ended.returncode == 2
    assert "error: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_policy_that_is_not_there_ends_it() -> None:
    ended = serve("--model", "nano", "--policy", "nowhere")
    assert ended.returncode == 2
    assert "unknown policy 'nowhere'" in ended.stderr


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = serve("--model", "nowhere", "--port", str(port))
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in ended.stderr
    assert "--port" in ended.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--host", ""], "host is empty"),
        (["--port", "70000"], "port is 70000"),
        (["--port", "x"], "not a valid integer"),
        (["--queue", "0"], "queue is 0"),
        (["--max-body", "5"], "max-body is 5"),
        (["--api-key", ""], "API key"),
        (["--api-key", "two words"], "API key"),
        (["--cors-origin", "app.example"], "not an origin"),
        (["--cors-origin", "https://app.example/page"], "not an origin"),
        (["--host", "no.such.host.invalid"], "no host"),
        (["--host", "192.0.2.1", "--api-key", "k"], "cannot listen"),
        (["--n-ctx", "1"], "n_ctx is 1"),
        (["--device", "x"], "unknown device"),
    ],
)
def test_wrong_options(argv: list[str], said: str) -> None:
    ended = serve("--model", "nano", *argv)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_missing_extra_names_what_to_type() -> None:
    code = (
        "import sys\nfrom edgeguard.cli import main\nsys.modules['uvicorn'] = None\n"
        "sys.argv = ['edgeguard', 'serve', '--model', 'nano']\nmain()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "the server needs uvicorn, which" in ended.stderr
    assert "[server]" in ended.stderr


def test_help_loads_none_of_the_extra() -> None:
    code = (
        "import sys\nfrom edgeguard.cli import main\nsys.argv = ['edgeguard', 'serve', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = ('llama_cpp', 'numpy', 'uvicorn', 'starlette', 'pydantic', 'prometheus_client')\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_killed_while_loading_it_starts_again() -> None:
    port = str(free_port())
    for wait in (0.0, 0.3, 0.6):
        popen = start("--model", "nano", "--port", port)
        time.sleep(wait)
        popen.kill()
        popen.wait()
        assert popen.stderr is not None
        popen.stderr.close()
    with process("--model", "nano", "--port", port) as server, server.client() as client:
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_by_any_name(host: str) -> None:
    assert is_loopback(host)
    check_reach(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "8.8.8.8"])
def test_what_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ServerError):
        check_reach(Settings(host=host))
    check_reach(Settings(host=host, api_key="k"))
    check_reach(Settings(host=host, without_key=True))


def test_the_key_is_not_shown() -> None:
    assert "hidden" not in repr(Settings(api_key="hidden"))
    with pytest.raises(InputError) as refused:
        Settings(api_key="hid den")
    assert "hid den" not in str(refused.value)
