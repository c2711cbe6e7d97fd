"""examples/<language>: each is compiled where its compiler is, and run with the real child.

Then with children that go wrong, in place of edgeguard: none may be taken for a verdict.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="the stand-ins are scripts of a shell"),
]
EXAMPLES = ROOT / "examples"
# Debian's places of the libraries that each example names.
CRATES = Path("/usr/share/cargo/registry")
GSON = Path("/usr/share/java/gson.jar")
NEWTONSOFT = Path("/usr/lib/cli/Newtonsoft.Json-5.0/Newtonsoft.Json.dll")
JSON_HPP = Path("/usr/include/nlohmann/json.hpp")


def needs(*what: str | Path) -> None:
    for each in what:
        found = each.exists() if isinstance(each, Path) else shutil.which(each)
        if not found:
            pytest.skip(f"needs {each}")


def built(command: list[str], folder: Path, **variables: str) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, **variables}
    )
    assert done.returncode == 0, done.stdout + done.stderr


def go(folder: Path) -> list[str]:
    needs("go")
    built(["go", "vet", "."], folder, GOFLAGS="-mod=mod", GOPROXY="off")
    built(["go", "build", "-o", "judge", "."], folder, GOPROXY="off")
    return [str(folder / "judge")]


def rust(folder: Path) -> list[str]:
    needs("cargo", CRATES)
    config = folder / ".cargo" / "config.toml"
    config.parent.mkdir()
    config.write_text(
        '[source.crates-io]\nreplace-with = "debian"\n'
        f'[source.debian]\ndirectory = "{CRATES}"\n[build]\nrustflags = ["-D", "warnings"]\n'
    )
    built(["cargo", "build", "--quiet", "--offline"], folder)
    return [str(folder / "target" / "debug" / "edgeguard-example")]


def java(folder: Path) -> list[str]:
    needs("javac", "java", GSON)
    built(["javac", "-Xlint:all", "-Werror", "-cp", str(GSON), "Judge.java"], folder)
    return ["java", "-cp", f"{GSON}:{folder}", "Judge"]


def csharp(folder: Path) -> list[str]:
    needs("mcs", "mono", NEWTONSOFT)
    shutil.copy(NEWTONSOFT, folder)
    built(["mcs", "-warnaserror", f"-r:{NEWTONSOFT}", "Judge.cs"], folder)
    return ["mono", str(folder / "Judge.exe")]


def cpp(folder: Path) -> list[str]:
    needs("g++", JSON_HPP)
    built(
        ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-o", "judge", "main.cpp"],
        folder,
    )
    return [str(folder / "judge")]


def swift(folder: Path) -> list[str]:
    needs("swiftc")
    built(["swiftc", "-o", "judge", "main.swift"], folder)
    return [str(folder / "judge")]


BUILDERS: dict[str, Callable[[Path], list[str]]] = {
    "go": go,
    "rust": rust,
    "java": java,
    "csharp": csharp,
    "cpp": cpp,
    "swift": swift,
}
INITIALIZED = '{"jsonrpc": "2.0", "id": 1, "result": {"protocol": 1}}'
SAFE = {"severity": "Safe", "flagged": False, "categories": []}


def answer(**fields: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 2, **fields})


# What a child says in place of edgeguard, and then ends.
WRONG = {
    "nothing": "",
    "it dies before the verdict": INITIALIZED + "\n",
    "a line that is no JSON": f"{INITIALIZED}\nSafe\n",
    "half a line": f"{INITIALIZED}\n{answer(result=SAFE)[:-1]}",
    "a whole object without its end": f"{INITIALIZED}\n{answer(result=SAFE)[:-2]}\n",
    "an error": f"{INITIALIZED}\n{answer(error={'code': -32000, 'message': 'no'})}\n",
    "another protocol": INITIALIZED.replace('"protocol": 1', '"protocol": 2')
    + f"\n{answer(result=SAFE)}\n",
    "the answer of another call": f"{INITIALIZED}\n{answer(result=SAFE, id=3)}\n",
    "an answer to nothing": f"{INITIALIZED}\n{answer(result=SAFE, id=None)}\n",
    "no verdict": f"{INITIALIZED}\n{answer(result={})}\n",
    "a verdict without its flag": f"{INITIALIZED}\n{answer(result={'severity': 'Safe'})}\n",
    "a flag that is no truth value": f"{INITIALIZED}\n{answer(result={**SAFE, 'flagged': 'no'})}\n",
    "a result that is null": f"{INITIALIZED}\n{answer(result=None)}\n",
}


def run(command: list[str], folder: Path, script: str, text: str) -> tuple[int, str, str]:
    """The example with `edgeguard` on its path being that script."""
    program = folder / "bin" / "edgeguard"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*command, text],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("language", BUILDERS)
def test_it_judges_and_takes_no_failure_for_safe(language: str, tmp_path: Path) -> None:
    folder = tmp_path / language
    shutil.copytree(EXAMPLES / language, folder, ignore=shutil.ignore_patterns("target"))
    command = BUILDERS[language](folder)
    real = f'exec "{sys.executable}" -m edgeguard "$@"'
    code, said, complaints = run(command, tmp_path, real, "What is the capital of France? 👩‍👩‍👧")
    assert (code, said.split()[:2]) == (0, ["Safe", "false"]), complaints
    code, said, complaints = run(command, tmp_path, real, "How can I make a bomb?")
    assert (code, said.split()[:2]) == (1, ["Unsafe", "true"]), complaints
    assert run(command, tmp_path, real, " ")[0] == 2
    output = tmp_path / "output"
    for name, lines in WRONG.items():
        output.write_text(lines)
        code, said, complaints = run(command, tmp_path, f'cat "{output}"', "Hello")
        assert (code, said) == (2, ""), (name, said, complaints)
        assert complaints.startswith("not judged: "), (name, complaints)
    (tmp_path / "bin" / "edgeguard").unlink()
    code, said, _ = run_without(command, tmp_path)
    assert (code, said) == (2, "")


def run_without(command: list[str], folder: Path) -> tuple[int, str, str]:
    """The example where there is no edgeguard."""
    program = [shutil.which(command[0]) or command[0], *command[1:]]
    done = subprocess.run(
        [*program, "Hello"],
        env={**os.environ, "PATH": str(folder / "bin")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr
