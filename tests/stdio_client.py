"""A client of `edgeguard stdio` that checks every line against the published schema."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import jsonschema
from referencing import Registry, Resource

import edgeguard

_FOLDER = Path(edgeguard.__file__).parent
VERDICT = json.loads((_FOLDER / "verdict.schema.json").read_text(encoding="utf-8"))
SCHEMA = json.loads((_FOLDER / "stdio" / "stdio.schema.json").read_text(encoding="utf-8"))
_REGISTRY: Registry[Any] = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in (VERDICT, SCHEMA)]
)


def validate(value: object, where: str) -> None:
    """Hold a value to a part of the schema, such as ``results/check``."""
    part = {"$ref": f"{SCHEMA['$id']}#/$defs/{where}"}
    jsonschema.Draft202012Validator(part, registry=_REGISTRY).validate(value)


class Child:
    """A running child; every wait ends after a minute, with queue.Empty."""

    def __init__(self, *options: str, program: tuple[str, ...] = ()) -> None:
        command = [*(program or (sys.executable, "-m", "edgeguard")), "stdio", "--model", "nano"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*command, "--threads", "1", *options], stdin=pipe, stdout=pipe, stderr=pipe
        )
        self.notifications: list[dict[str, Any]] = []
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._early: list[dict[str, Any]] = []
        self._methods: dict[object, str] = {}
        self._number = 0
        self.complaints = b""
        self._readers = [threading.Thread(target=f) for f in (self._read, self._listen)]
        for reader in self._readers:
            reader.start()

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, method: str, **params: object) -> int:
        """Send a request, and give its id."""
        self._number += 1
        self._methods[self._number] = method
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.raw(json.dumps(request).encode() + b"\n")
        return self._number

    def answer(self, id_: object = None) -> dict[str, Any]:
        """The answer with that id; None: the next one with no id."""
        for place, early in enumerate(self._early):
            if early["id"] == id_:
                return self._early.pop(place)
        while (answer := self._answers.get(timeout=60))["id"] != id_:
            self._early.append(answer)
        return answer

    def result(self, id_: int) -> dict[str, Any]:
        """What a request came to, which must be a result of the form in the schema."""
        answer = self.answer(id_)
        assert "result" in answer, answer
        validate(answer["result"], f"results/{self._methods[id_]}")
        result = answer["result"]
        assert isinstance(result, dict)
        return result

    def error(self, id_: int | None = None) -> dict[str, Any]:
        """The error that a request came to."""
        answer = self.answer(id_)
        assert "error" in answer, answer
        error = answer["error"]
        assert isinstance(error, dict)
        return error

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a request and wait for its result."""
        return self.result(self.send(method, **params))

    def wait(self) -> int:
        """How the process ended."""
        return self.process.wait(60)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            value = json.loads(line)
            if "method" in value:
                validate(value, "notification")
                self.notifications.append(value)
            else:
                validate(value, "answer")
                self._answers.put(value)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.complaints = self.process.stderr.read()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
