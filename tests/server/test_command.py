"""`edgeguard serve` as a person types it: what starts, what is refused, how it ends."""

from __future__ import annotations

import contextlib
import json
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
from command_line import CommandLine
from served import MILD, Process, free_port, process, start

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


def reading(popen: subprocess.Popen[str], word: str) -> list[str]:
    """What a process says until it says the word."""
    assert popen.stderr is not None
    said: list[str] = []
    while not said or word not in said[-1]:
        said.append(popen.stderr.readline())
        assert said[-1], said
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_loads_ends_it_at_once(number: signal.Signals) -> None:
    popen = start("--model", "nano")
    reading(popen, "listening")
    started = time.monotonic()
    popen.send_signal(number)
    assert popen.wait(20) in (-signal.SIGTERM, 130)
    assert time.monotonic() - started < 5
    assert popen.stderr is not None
    said = popen.stderr.read()
    popen.stderr.close()
    assert "Traceback" not in said


def ask_long(server: Process, found: list[object]) -> threading.Thread:
    def run() -> None:
        try:
            with server.client() as client:
                body = {"prompt": "word and word " * 9000}
                found.append(client.post("/v1/guard", json=body).status_code)
        except httpx.TransportError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with server.client() as client:
        while client.get("/health").json()["busy_seconds"] < 0.1:
            time.sleep(0.01)
    return thread


def test_a_stop_says_what_is_finished_and_a_second_ends_at_once() -> None:
    with process("--model", "nano", "--n-ctx", "1024") as server:
        found: list[object] = []
        asking = ask_long(server, found)
        server.popen.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while not any("stopping" in line for line in server.notes):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert server.popen.poll() is None
        started = time.monotonic()
        server.popen.send_signal(signal.SIGTERM)
        assert server.popen.wait(10) == 128 + signal.SIGTERM
        assert time.monotonic() - started < 1
        asking.join()
    said = "".join(server.notes)
    assert "stopping: finishing 1 request with 1 text, within 25 s; a second signal" in said
    assert "Traceback" not in said


def test_nohup_is_obeyed() -> None:
    code = (
        "import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'edgeguard', 'serve', '--model', 'nano'])"
    )
    popen = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True,
        env={**os.environ, "EDGEGUARD_THREADS": "1", "EDGEGUARD_PORT": "0"},
    )  # fmt: skip
    reading(popen, "is ready")
    popen.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert popen.poll() is None
    popen.terminate()
    assert popen.wait(20) == -signal.SIGTERM
    assert popen.stderr is not None
    popen.stderr.close()


def test_an_empty_key_is_an_error_and_not_an_open_server(
    edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEGUARD_API_KEY", "")
    ended = edgeguard("serve", "--model", "nano")
    assert ended.code == 2
    assert "EDGEGUARD_API_KEY is empty" in ended.err


def test_v_is_not_llama_cpp_s_chatter_and_a_log_of_json_is_json_from_the_first_line() -> None:
    popen = subprocess.Popen(
        [sys.executable, "-m", "edgeguard", "-v", "serve", "--model", "nano",
         "--log-format", "json"],
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "EDGEGUARD_THREADS": "1", "EDGEGUARD_PORT": "0"},
    )  # fmt: skip
    said = reading(popen, "is ready")
    popen.terminate()
    popen.wait(20)
    assert popen.stderr is not None
    said += popen.stderr.readlines()
    popen.stderr.close()
    assert len(said) < 60
    lines = [json.loads(line) for line in said]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    assert "stopping" in [line["message"] for line in lines]


@pytest.mark.parametrize("where", ["/dev/full", "closed"])
def test_a_stderr_that_takes_nothing_is_no_end(where: str) -> None:
    port = free_port()
    with open(os.devnull if where == "closed" else where, "w") as sink:  # noqa: PTH123
        popen = subprocess.Popen(
            [sys.executable, "-m", "edgeguard", "serve", "--model", "nano", "--port", str(port)],
            stderr=sink, env={**os.environ, "EDGEGUARD_THREADS": "1"},
            preexec_fn=(lambda: os.close(2)) if where == "closed" else None,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            until_ready(client)
            assert client.post("/v1/guard", json={"prompt": MILD}).status_code == 200
        popen.terminate()
        assert popen.wait(20) not in (0, 1)
    finally:
        popen.kill()
        popen.wait()


def until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("it is not ready")


def test_the_variables_are_read() -> None:
    variables = {
        "EDGEGUARD_MODEL": "nano",
        "EDGEGUARD_API_KEY": "k",
        "EDGEGUARD_POLICY": "loose strict",
        "EDGEGUARD_IDLE_UNLOAD": "0.2",
        "EDGEGUARD_HOST": "localhost",
        "EDGEGUARD_MAX_BODY": "2000",
        "EDGEGUARD_QUEUE": "3",
        "EDGEGUARD_CORS_ORIGINS": "https://a.example https://b.example",
        "EDGEGUARD_ALLOWED_HOSTS": "a.example localhost",
        "EDGEGUARD_MAX_TOKENS_PER_REQUEST": "512",
        "EDGEGUARD_TIMEOUT": "9",
        "EDGEGUARD_ROOT_PATH": "/under",
        "EDGEGUARD_LOG_FORMAT": "text",
    }
    with process(**variables) as server, server.client() as client:
        client.headers["authorization"] = "Bearer k"
        assert client.get("/health").json()["policies"] == ["loose", "strict"]
        assert client.post("/v1/guard", json={"prompt": MILD}).json()["policy"] == "loose"
        named = {"prompt": MILD, "policy": "strict"}
        assert client.post("/v1/guard", json=named).json()["policy"] == "strict"
        deadline = time.monotonic() + 20
        while client.get("/health").json()["status"] != "idle":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.post("/v1/guard", json={"prompt": "a" * 2000}).status_code == 413
        assert any("may have 512 tokens and 9 s" in line for line in server.notes)
        long = client.post("/under/v1/guard", json={"prompt": "word " * 300})
        assert long.json()["error"]["code"] == "context_length_exceeded"
        assert client.get("/livez", headers={"host": "b.example"}).status_code == 403
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
        assert any("warning: anyone who reaches 0.0.0.0 may use" in line for line in server.notes)


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
        (["--log-format", "xml"], "--log-format"),
        (["--policy", "strict", "--policy", "nowhere"], "unknown policy 'nowhere'"),
        (["--idle-unload", "0"], "above 0"),
    ],
)
def test_wrong_options(edgeguard: CommandLine, argv: list[str], said: str) -> None:
    ended = edgeguard("serve", "--model", "nano", *argv)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--host", "no.such.host.invalid"], "no host"),
        (["--host", "192.0.2.1", "--api-key", "k"], "cannot listen"),
        (["--n-ctx", "1"], "n_ctx is 1"),
        (["--device", "x"], "unknown device"),
    ],
)
def test_options_that_are_found_wrong_late(argv: list[str], said: str) -> None:
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
        "heavy = ('llama_cpp', 'numpy', 'uvicorn', 'fastapi', 'pydantic', 'asyncio')\n"
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
