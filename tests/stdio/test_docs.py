"""docs/stdio.md: its lines are of the schema, its tables are complete, its Python runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT
from stdio_client import SCHEMA, validate

PAGE = (ROOT / "docs" / "stdio.md").read_text(encoding="utf-8")


def test_the_conversation_is_of_the_schema() -> None:
    methods: dict[int, str] = {}
    lines = re.findall(r"^([<>]) (\{.*)$", PAGE, re.MULTILINE)
    assert len(lines) >= 9
    for direction, line in lines:
        message = json.loads(line)
        if direction == ">":
            validate(message, "request")
            methods[message["id"]] = message["method"]
        elif "method" in message:
            validate(message, "notification")
        else:
            validate(message, "answer")
            if "result" in message:
                validate(message["result"], f"results/{methods[message['id']]}")


def test_the_tables_are_those_of_the_schema() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE))
    requests = SCHEMA["$defs"]["requests"]
    assert rows.keys() == requests.keys()
    for method, row in rows.items():
        params = requests[method]["properties"]["params"]["properties"]
        assert re.findall(r"`(\w+)`", row) == list(params), method
    codes = [int(code) for code in re.findall(r"^\| (-\d+) \|", PAGE, re.MULTILINE)]
    assert sorted(codes) == sorted(SCHEMA["$defs"]["error"]["properties"]["code"]["enum"])


def test_the_example_in_python_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    launcher = tmp_path / "edgeguard"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edgeguard "$@"\n')
    launcher.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "Safe False\n"), done.stderr
