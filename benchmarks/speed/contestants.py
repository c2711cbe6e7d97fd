"""The contestants as the comparison sees them: started once, asked in turn, closed at the end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WORKER = Path(__file__).parent / "worker.py"


@dataclass(frozen=True)
class Asked:
    """A question in the forms that contestants take."""

    messages: list[dict[str, str]]
    text: str  # the answer
    question: list[int]
    fixed: int
    answer: list[int]
    grammar: str

    @property
    def uncached(self) -> int:
        """Tokens of the first pass that no cache can know, with the forced `Safety:`."""
        return len(self.question) - self.fixed + 2


class Worker:
    """A contestant of worker.py."""

    def __init__(self, kind: str, model: Path, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_WORKER), kind, str(model), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"operation": operation, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a contestant died: {self._process.args!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Server:
    """llama-server, asked over loopback; ``slots`` texts at a time."""

    def __init__(self, program: Path, model: Path, threads: int, log: Path, slots: int = 1) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    *(str(program), "-m", str(model), "-c", str(2048 * slots)),
                    *("-np", str(slots), "-fa", "on"),
                    *("-t", str(threads), "--host", "127.0.0.1", "--port", str(self._port)),
                ],
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._wait()

    def check(self, asked: Asked, cache: bool) -> float:
        start = time.perf_counter()
        self._post(
            "/completion",
            {
                "prompt": asked.question,
                "n_predict": len(asked.answer),
                "temperature": 0,
                "grammar": asked.grammar,
                "cache_prompt": cache,
                "logit_bias": [[token, 100.0] for token in asked.answer],
            },
        )
        return time.perf_counter() - start

    def memory(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in status)
        return int(fields["VmHWM"].split()[0]) * 1024 / 1e6

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _post(self, path: str, body: object) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            data: bytes = answer.read()
        return data

    def _wait(self) -> None:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health"):
                    return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("llama-server does not start")


def floor(program: Path, model: Path, threads: int, tokens: int, depth: int) -> float:
    """llama-bench: seconds to compute so many tokens behind ``depth`` others; one sample."""
    command = [
        *(str(program), "-m", str(model), "-t", str(threads), "-fa", "on", "-n", "0"),
        *("-p", str(tokens), "-d", str(depth), "-r", "1", "-o", "json"),
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    seconds: float = json.loads(done.stdout)[0]["avg_ns"] / 1e9
    return seconds
