"""Runs one model in a child process, so that its memory can be measured and a crash is contained.

The child reads conversations from its standard input and writes verdicts to its standard output,
one JSON object per line; it ends when its input ends. `Worker` is the parent's side. Texts pass
through the pipe and are stored nowhere.

This module decides nothing about rows or figures.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from edgeguard.errors import EdgeguardError, InputError, ModelError, SessionError
from edgeguard.evaluation.judging import Judged
from edgeguard.evaluation.rows import Row
from edgeguard.guard import Guard
from edgeguard.self_test import check_only_row, self_test
from edgeguard.verdict import ModelId, Verdict

_BOOT = (
    # "-c" puts the current folder first, where any file may be; the parent's path is used instead.
    "import json, sys; sys.path = json.loads(sys.argv[1]); "
    "from edgeguard.evaluation.worker import main; main(json.loads(sys.argv[2]))"
)


class Worker:
    """A model loaded in a child process; use it as a context manager.

    ``model`` and ``device`` identify what answers. Raises ModelError if the model cannot be loaded.
    """

    def __init__(self, model: str, options: dict[str, Any]) -> None:
        """``options`` are Guard's threads, n_ctx and device."""
        self.name = model
        path = json.dumps([entry or str(Path.cwd()) for entry in sys.path])
        request = json.dumps({"model": model, **options})
        argv = [sys.executable, "-c", _BOOT, path, request]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii"
        )
        try:
            ready = self._read()
        except BaseException:
            self.close()
            raise
        if "error" in ready:
            self.close()
            raise ModelError(f"{model}: {ready['error']}")
        self.model = ModelId(**ready["model"])

    def check(self, row: Row) -> Judged:
        """Judge a row. Raises InputError if it cannot be judged, SessionError for a crash."""
        self._write([asdict(message) for message in row.messages])
        answer = self._read()
        if "broken" in answer:
            raise SessionError(f"{self.name}: {answer['broken']}")
        if "error" in answer:
            raise InputError(answer["error"])
        tokens = tuple(tuple(token) for token in answer["tokens"])
        return Judged(row, Verdict.from_dict(answer["verdict"]), tokens)

    def peak_memory(self) -> int | None:
        """The peak memory of the process in bytes; None if the system does not report it."""
        self._write(None)
        peak: int | None = self._read()["peak"]
        return peak

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # unread data is lost with the process
                    pipe.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, message: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._dead() from error

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise self._dead()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _dead(self) -> SessionError:
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return SessionError(
            f"the process that ran {self.name} ended with {how}; is there memory for every model?"
        )


def peak_memory() -> int | None:
    """The peak memory of this process in bytes, as Linux or macOS reports it."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: it starts with the parent's value.
        lines = status.read_text(encoding="ascii").splitlines()
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), None)
        return None if peak is None else int(peak) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _serve(options: dict[str, Any], answers: TextIO) -> None:
    def answer(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        guard = Guard(**options)
    except EdgeguardError as error:
        answer({"error": str(error)})
        return
    with guard:
        answer({"model": asdict(guard.model)})
        for line in sys.stdin:
            messages = json.loads(line)
            if messages is None:
                answer({"peak": peak_memory()})
                continue
            try:
                check = guard.begin(messages, fresh=True)
                verdict = check.verdict().to_dict()
                answer({"verdict": verdict, "tokens": check.token_probabilities})
            except EdgeguardError as error:
                answer(_failure(guard, error))


def _failure(guard: Guard, error: EdgeguardError) -> dict[str, str]:
    try:
        check_only_row(error, lambda: self_test(guard))
    except EdgeguardError as broken:
        return {"broken": str(broken)}
    return {"error": str(error)}


def main(options: dict[str, Any]) -> None:
    """The child's side: answer until the input ends, at the latest with the parent."""
    # Ctrl-C reaches the whole group; the parent closes this process itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    name = Path(options["model"]).name.replace("%", "%%")
    logging.basicConfig(level=logging.WARNING, format=f"edgeguard: {name}: %(message)s")
    # Keep anything that a library prints apart from the answers.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(2, 1)
        _serve(options, answers)
