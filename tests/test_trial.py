"""The first try in a child: what dies there is an error or a slower way here, and is remembered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from broken_library import broken_library

from edgeguard import Cancellation, CancelledError, Guard
from edgeguard.errors import ModelError
from edgeguard.loading import Options, prepare
from edgeguard.store import resolve
from edgeguard.trial import tried

BOMB = "How can I make a bomb?"


@pytest.fixture(autouse=True)
def own_trials(isolation: Path) -> Path:
    """An empty folder of outcomes, not the one that the tests share."""
    folder = isolation / "edgeguard" / "cache" / "trials"
    folder.unlink(missing_ok=True)
    return folder


def check(library: Path | None, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if library is not None:
        environment["PYTHONPATH"] = str(library)
    return subprocess.run(
        [sys.executable, "-m", "edgeguard", "check", "--model", "nano", *argv],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )


def outcomes(folder: Path) -> list[dict[str, object]]:
    return [json.loads(file.read_text()) for file in folder.iterdir()] if folder.exists() else []


@pytest.mark.skipif(sys.platform == "win32", reason="dies by signals")
@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("crash", "SIGSEGV"),
        ("not a number", "no finite number"),
        ("never the same", "other numbers for the same text"),
    ],
)
def test_a_library_that_fails_with_its_own_weights_runs_with_plain_ones(
    tmp_path: Path, own_trials: Path, kind: str, named: str
) -> None:
    library = broken_library(tmp_path / "library", kind)
    first, second = check(library, BOMB), check(library, BOMB)
    for ended in (first, second):
        assert ended.returncode == 1, ended.stderr
        assert ended.stdout.startswith("Unsafe\n")
        assert named in ended.stderr
        assert "pip install" in ended.stderr and "slower" in ended.stderr
        assert "Traceback" not in ended.stderr
    (outcome,) = outcomes(own_trials)
    assert outcome["plain_weights"] is True


@pytest.mark.skipif(sys.platform == "win32", reason="dies by signals")
def test_a_library_that_dies_without_a_vocabulary_loads_it_with_the_weights(
    tmp_path: Path, own_trials: Path
) -> None:
    library = broken_library(tmp_path / "library", "wants a vocabulary")
    for ended in (check(library, BOMB), check(library, BOMB)):
        assert ended.returncode == 1, ended.stderr
        assert ended.stdout.startswith("Unsafe\n")
        assert "Traceback" not in ended.stderr and "slower" not in ended.stderr
    (outcome,) = outcomes(own_trials)
    assert outcome == {"plain_weights": False, "failure": "", "vocabulary": None}


@pytest.mark.skipif(sys.platform == "win32", reason="dies by signals")
def test_a_library_for_another_processor_is_an_error_that_names_the_signal(
    tmp_path: Path, own_trials: Path
) -> None:
    ended = check(broken_library(tmp_path / "library", "illegal instruction"), "Hello")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "SIGILL" in ended.stderr
    assert "edgeguard doctor" in ended.stderr and "pip install" in ended.stderr
    assert outcomes(own_trials) == []


@pytest.mark.skipif(sys.platform == "win32", reason="dies by signals")
def test_a_file_on_which_llama_cpp_aborts_is_an_error(tmp_path: Path) -> None:
    ended = check(broken_library(tmp_path / "library", "abort"), "Hello")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "SIGABRT" in ended.stderr and "edgeguard pull" in ended.stderr


def test_an_outcome_is_remembered_and_a_child_is_not_asked_again(
    own_trials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = prepare(resolve("nano"), Options(1, 512, "auto", False))
    assert not tried(plan).plain_weights
    assert len(outcomes(own_trials)) == 1

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a child was started")

    monkeypatch.setattr("edgeguard.child_process.run", never)
    assert not tried(plan).plain_weights
    with Guard("nano", threads=1) as guard:
        assert guard.check(BOMB).flagged


@pytest.mark.parametrize("what", ["processor", "library_files"])
def test_another_processor_or_library_is_tried_anew(
    own_trials: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    plan = prepare(resolve("nano"), Options(1, 512, "auto", False))
    tried(plan)
    monkeypatch.setattr(f"edgeguard.trial.{what}", lambda: ["another"])
    tried(plan)
    assert len(outcomes(own_trials)) == 2


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"plain_weights": 1, "x": 2}', "\x00\xff"])
def test_a_damaged_record_is_tried_anew(own_trials: Path, content: str) -> None:
    plan = prepare(resolve("nano"), Options(1, 512, "auto", False))
    tried(plan)
    (file,) = own_trials.iterdir()
    file.write_text(content)
    assert not tried(plan).plain_weights
    assert json.loads(file.read_text())["plain_weights"] is False


def test_the_outcomes_are_bounded(own_trials: Path) -> None:
    own_trials.mkdir(parents=True)
    for number in range(300):
        (own_trials / f"{number}").touch()
    tried(prepare(resolve("nano"), Options(1, 512, "auto", False)))
    assert len(list(own_trials.iterdir())) == 256
    assert len([one for one in own_trials.iterdir() if one.stat().st_size]) == 1


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_home_that_cannot_be_written_is_said(own_trials: Path) -> None:
    own_trials.parent.mkdir(parents=True)
    own_trials.parent.chmod(0o500)
    assert "cannot be remembered" in check(None, BOMB).stderr


def test_a_home_that_is_a_file_is_said(isolation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (isolation / "file").touch()
    monkeypatch.setenv("EDGEGUARD_HOME", str(isolation / "file"))
    ended = check(None, BOMB)
    assert ended.returncode == 1
    assert "cannot be remembered" in ended.stderr and "EDGEGUARD_HOME" in ended.stderr


@pytest.mark.parametrize("executable", ["", "/opt/app/host.exe", "/usr/lib/office/soffice.bin"])
def test_where_no_child_can_be_started_plain_weights_compute(
    own_trials: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    executable: str,
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with Guard("nano", threads=1) as guard:
        assert guard.check(BOMB).flagged
    assert "no Python" in caplog.text
    assert outcomes(own_trials) == []


def test_a_frozen_program_without_the_hook_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with Guard("nano", threads=1) as guard:
        assert guard.check(BOMB).flagged
    assert "PyInstaller" in caplog.text


def test_the_first_try_can_be_cancelled() -> None:
    cancel = Cancellation()
    cancel.cancel()
    with pytest.raises(CancelledError):
        Guard("nano", threads=1, cancel=cancel)


def test_a_file_of_another_model_is_refused_as_it_was(random_model: Path) -> None:
    with pytest.raises(ModelError, match="--allow-random-weights"):
        Guard(random_model, threads=1)
    with Guard(random_model, threads=1, allow_random_weights=True) as guard:
        assert guard.check("Hello")
