"""doctor works where nothing else does, and says what to do about it."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CommandLine
from fake_models import install_fake
from fake_nano import write_nano

from edgeguard.cli import cli
from edgeguard.diagnosis import environment, fit, native, report
from edgeguard.diagnosis.native import Library
from edgeguard.diagnosis.problems import Problem
from edgeguard.diagnosis.report import diagnose
from edgeguard.errors import EdgeguardError, SessionError
from edgeguard.loading import Plan
from edgeguard.session.processor import processor_flags
from edgeguard.trial import Outcome

INFO = {
    "version": "1.2.3",
    "variant": "",
    "path": "/lib",
    "system_info": "CPU : SSE3 = 1 | AVX2 = 1 | FMA = 1 | AVX512 = 0 | OPENMP = 1 | ",
    "devices": [],
    "gpu_offload": False,
}


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What llama.cpp says here; a test may change it."""
    answer: dict[str, object] = dict(INFO)
    monkeypatch.setattr(native, "_ask", lambda: answer)
    monkeypatch.setattr(report, "processor_flags", lambda: frozenset({"avx", "avx2", "fma"}))
    return answer


@pytest.fixture(autouse=True)
def outcome(monkeypatch: pytest.MonkeyPatch) -> list[Outcome | EdgeguardError]:
    """How a try of llama.cpp ends here; a test may put another end there."""
    ends: list[Outcome | EdgeguardError] = [Outcome(plain_weights=False)]

    def try_out(_plan: Plan) -> Outcome:
        end = ends[-1]
        if isinstance(end, EdgeguardError):
            raise end
        return end

    monkeypatch.setattr(report, "try_out", try_out)
    return ends


@pytest.fixture(autouse=True)
def nano(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_nano(tmp_path / "package")
    monkeypatch.setattr(importlib.resources, "files", lambda _package: path.parent)
    return path


@pytest.fixture
def edgeguard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


def _stops() -> list[str]:
    return [problem.what for problem in diagnose(cli).problems if problem.stops]


def test_all_is_well(edgeguard: CommandLine) -> None:
    install_fake()
    ended = edgeguard("doctor")
    assert ended.code == 0
    assert "No problem was found." in ended.out
    assert "CPU features: SSE3, AVX2, FMA, OPENMP" in ended.out
    assert "gen-0.6b-q4_k_m: ok" in ended.out
    assert "used: gen-0.6b-q4_k_m" in ended.out
    assert ended.err == ""


def test_llama_cpp_is_tried_out(
    edgeguard: CommandLine, outcome: list[Outcome | EdgeguardError]
) -> None:
    install_fake()
    ended = edgeguard("doctor")
    assert "tried out: with gen-0.6b-q4_k_m and the processor's own instructions, in" in ended.out
    outcome.append(Outcome(plain_weights=True, failure="llama.cpp fails (SIGSEGV); build it anew"))
    ended = edgeguard("doctor")
    assert ended.code == 0
    assert "and plain weights, in" in ended.out
    assert "warning: llama.cpp fails (SIGSEGV)\n    build it anew" in ended.out
    outcome.append(SessionError("llama.cpp cannot be used here (SIGILL); build it anew"))
    ended = edgeguard("doctor")
    assert ended.code == 2
    assert "error: llama.cpp cannot be used here (SIGILL)\n    build it anew" in ended.out


def test_as_json(edgeguard: CommandLine) -> None:
    install_fake()
    found = json.loads(edgeguard("doctor", "--json").out)
    assert found["library"]["cpu_features"] == ["SSE3", "AVX2", "FMA", "OPENMP"]
    assert found["default_model"] == "gen-0.6b-q4_k_m"
    assert found["problems"] == []
    assert found["machine"]["physical_cores"] >= 1


def test_no_model_stops_a_check(edgeguard: CommandLine) -> None:
    ended = edgeguard("doctor")
    assert ended.code == 2
    assert "error: gen-0.6b is not installed" in ended.out
    assert "edgeguard pull" in ended.out


def test_nano_as_the_default_is_enough(
    edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    assert edgeguard("doctor").code == 0


@pytest.mark.parametrize(
    ("error", "what", "todo"),
    [
        (
            "RuntimeError: Failed to load shared library 'libllama.so': libgomp.so.1: cannot open",
            "libgomp",
            "apt install libgomp1",
        ),
        ("its process ended with code -4", "instructions that this one lacks", "build it here"),
        (
            "its process ended with code 3221225501",
            "instructions that this one lacks",
            "build it here",
        ),
        (
            "RuntimeError: libc.musl-x86_64.so.1: cannot open shared object file",
            "another C library",
            "build it here",
        ),
        (
            "OSError: /lib/libm.so.6: version `GLIBC_2.38' not found",
            "another C library",
            "build it here",
        ),
        (
            "FileNotFoundError: Shared library with base name 'llama' not found",
            "without its library",
            "install again",
        ),
        (
            "SessionError: llama.cpp has no back end that works here: in /lib there are none; "
            "install its wheel again",
            "in /lib there are none",
            "install its wheel again",
        ),
        ("something new", "cannot be loaded (something new)", "build it here"),
    ],
)
def test_each_step_that_fails_is_named(
    edgeguard: CommandLine, library: dict[str, object], error: str, what: str, todo: str
) -> None:
    install_fake()
    library["error"] = error
    ended = edgeguard("doctor")
    assert ended.code == 2
    assert "library: does not load" in ended.out
    assert what in ended.out
    assert todo in ended.out


@pytest.mark.parametrize("package", ["llama-cpp-python", "numpy", "huggingface-hub"])
def test_a_missing_package(
    edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    install_fake()
    whole = importlib.metadata.version

    def version(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return whole(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    ended = edgeguard("doctor")
    assert ended.code == (0 if package == "huggingface-hub" else 2)
    assert f"{package}: not installed" in ended.out
    assert "pip install" in ended.out


def test_a_version_that_was_not_tested(
    edgeguard: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake()
    monkeypatch.setattr(importlib.metadata, "requires", lambda _package: ["numpy<1", "click>=8"])
    ended = edgeguard("doctor")
    assert ended.code == 0
    assert "edgeguard is tested with <1" in ended.out
    assert 'pip install "numpy<1"' in ended.out


def test_damage_is_named(edgeguard: CommandLine) -> None:
    install_fake().path.write_bytes(b"")
    ended = edgeguard("doctor")
    assert ended.code == 2
    assert "gen-0.6b-q4_k_m: damaged" in ended.out
    assert "edgeguard rm gen-0.6b-q4_k_m" in ended.out


def test_a_damaged_model_that_is_not_used_stops_nothing(edgeguard: CommandLine) -> None:
    install_fake(kind="q4_k_m")
    install_fake(kind="q8_0").path.write_bytes(b"")
    ended = edgeguard("doctor")
    assert ended.code == 0
    assert "warning: gen-0.6b-q8_0 is damaged" in ended.out


@pytest.mark.usefixtures("no_home")
def test_folders_that_are_files(edgeguard: CommandLine, isolation: Path) -> None:
    (isolation / "edgeguard").write_bytes(b"")
    ended = edgeguard("doctor")
    assert ended.code == 2
    assert "set EDGEGUARD_HOME to another folder" in ended.out
    assert "Traceback" not in ended.out + ended.err


def test_a_misspelt_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGUARD_MODLE", "nano")
    (problem,) = environment.problems(cli)
    assert problem == Problem(
        "EDGEGUARD_MODLE is set, but edgeguard knows no such variable",
        "did you mean EDGEGUARD_MODEL? unset EDGEGUARD_MODLE",
        stops=False,
    )


@pytest.mark.parametrize(
    ("name", "value"), [("EDGEGUARD_THREADS", "many"), ("EDGEGUARD_POLICY", "lax")]
)
def test_a_variable_with_nonsense_stops(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    install_fake()
    monkeypatch.setenv(name, value)
    (what,) = _stops()
    assert what.startswith(f"{name}={value} is refused")
    monkeypatch.setenv(name, {"EDGEGUARD_THREADS": "2"}.get(name, "loose"))
    assert _stops() == []


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy")
    monkeypatch.setenv("EDGEGUARD_API_KEY", "secret")
    assert "secret" not in json.dumps(environment.effective())
    assert environment.effective()["HF_TOKEN"] == "(set)"


def test_accelerators() -> None:
    text = "MTL : EMBED_LIBRARY = 1 | CPU : NEON = 1 | ARM_FMA = 1 | "
    assert native.parse_system_info(text) == (("NEON", "ARM_FMA"), ("MTL",))
    assert native.parse_system_info("") == ((), ())
    found = native.look(lambda: {**INFO, "system_info": text, "gpu_offload": True})
    assert isinstance(found, Library)
    assert found.accelerators == ("MTL",)
    found = native.look(lambda: {**INFO, "devices": ["Metal: Apple M1"]})
    assert isinstance(found, Library)
    assert found.accelerators == ("Metal: Apple M1",)


def test_a_build_for_another_processor_is_named(
    edgeguard: CommandLine, library: dict[str, object]
) -> None:
    install_fake()
    library["system_info"] = "CPU : AVX2 = 1 | FMA = 1 | AVX512 = 1 | AVX512_VNNI = 1 | "
    ended = edgeguard("doctor")
    assert "for another processor: this one lacks AVX512, AVX512_VNNI" in ended.out
    assert ended.code == 0  # whether it computes all the same, the trial says
    library["system_info"] = "CPU : SSE3 = 1 | AVX = 1 | "
    assert "for another processor: it does not use AVX2, FMA" in edgeguard("doctor").out
    library["variant"] = "sandybridge"
    ended = edgeguard("doctor")
    assert "another processor" not in ended.out
    assert "back end: sandybridge, the best for this processor" in ended.out


@pytest.mark.parametrize(
    ("used", "flags", "said"),
    [
        ("NEON DOTPROD", "asimd", "lacks DOTPROD"),
        ("NEON", "asimd asimddp i8mm", "does not use DOTPROD, MATMUL_INT8"),
        ("NEON DOTPROD", "asimd asimddp", ""),
        ("AVX2 FMA", "avx2 fma amx_int8", ""),  # AMX is left out on purpose
        ("AVX512", "", ""),  # a system that does not tell
    ],
)
def test_what_a_build_uses_is_held_against_the_processor(used: str, flags: str, said: str) -> None:
    built = Library("", "", "/lib", tuple(used.split()), ())
    found = list(fit.problems(built, frozenset(flags.split())))
    assert [said in problem.what for problem in found] == ([True] if said else [])


@pytest.mark.parametrize(
    ("machine", "line"), [("x86_64", "flags\t\t: fpu avx2"), ("aarch64", "Features\t: fp asimd")]
)
def test_the_flags_of_a_processor(monkeypatch: pytest.MonkeyPatch, machine: str, line: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert processor_flags(f"{machine}\n{line}\nmodel\t: 1") == set(line.split(": ")[1].split())


def _doctor_in_child(code: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """The real thing, in a process in which something was broken beforehand."""
    import os

    return subprocess.run(
        [sys.executable, "-c", f"{code}\nfrom edgeguard.cli import main\nmain()", "doctor"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_real_library_is_asked() -> None:
    ended = _doctor_in_child(EDGEGUARD_MODEL="nano")
    assert "CPU features: " in ended.stdout, ended
    assert "does not load" not in ended.stdout
    assert ended.stderr == ""


def test_without_the_native_library(tmp_path: Path) -> None:
    ended = _doctor_in_child(LLAMA_CPP_LIB_PATH=str(tmp_path))
    assert ended.returncode == 2
    assert "has come without its library" in ended.stdout
    assert f"LLAMA_CPP_LIB_PATH: {tmp_path}" in ended.stdout
    assert ended.stderr == ""


def test_where_the_library_is_no_library(tmp_path: Path) -> None:
    for name in ("libllama.so", "libllama.dylib", "llama.dll"):
        (tmp_path / name).write_bytes(b"nonsense")
    ended = _doctor_in_child(LLAMA_CPP_LIB_PATH=str(tmp_path))
    assert ended.returncode == 2
    assert "llama.cpp cannot be loaded" in ended.stdout
    assert ended.stderr == ""


def test_it_imports_nothing_heavy() -> None:
    code = """
import sys
class Refuse:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("llama_cpp", "numpy", "huggingface_hub", "gguf", "filelock"):
            raise ImportError(f"{name} is broken here")
sys.meta_path.insert(0, Refuse())
"""
    ended = _doctor_in_child(code)
    assert "Installed" in ended.stdout, ended
    assert "Traceback" not in ended.stderr
