"""A process that judges one text: plain weights, mapped from the file, where that is faster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeguard import Guard, InputError, loading
from edgeguard.commands import check
from edgeguard.loading import _is_faster_plain
from edgeguard.session.settings import Settings
from edgeguard.store.paths import trials_folder
from edgeguard.tuning.record import remember

MILD = "What is the capital of France?"
BOMB = "How can I make a bomb?"


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor and with a file for which it pays."""
    monkeypatch.setattr(loading, "_LARGE", 0)
    monkeypatch.setattr(loading, "processor_flags", lambda: frozenset({"avx2"}))


@pytest.mark.usefixtures("always")
def test_the_same_verdicts(nano: Guard) -> None:
    with Guard("nano", threads=1, one_shot=True) as guard:
        assert guard._model.get().plain_weights
        for text in (MILD, BOMB):
            found, expected = guard.check(text), nano.check(text)
            assert found.answer == expected.answer
            assert dict(found.probabilities) == pytest.approx(
                dict(expected.probabilities), abs=0.02
            )


@pytest.mark.usefixtures("always")
def test_it_is_tried_by_itself_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a child has tried with rearranged weights says nothing of plain ones."""
    monkeypatch.setenv("EDGEGUARD_HOME", str(tmp_path))
    for number, one_shot in enumerate((False, True, True, False), 1):
        with Guard("nano", threads=1, one_shot=one_shot) as guard:
            assert guard.check(MILD).severity == "Safe"
        assert len(list(trials_folder().iterdir())) == min(number, 2)


@pytest.mark.usefixtures("always")
def test_answers_of_other_weights_are_not_remembered(tmp_path: Path) -> None:
    cache = tmp_path / "answers"
    for one_shot, cached in ((False, False), (True, False), (True, True), (False, True)):
        with Guard("nano", threads=1, one_shot=one_shot, cache=cache) as guard:
            assert guard.check(MILD).cached is cached


def test_where_it_pays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not with a small file, and not on a processor that was not measured, or gains more; but where
    `edgeguard tune` has measured it, as it says."""
    sha256 = "0" * 64
    file = tmp_path / "model.gguf"
    file.write_bytes(b"")
    monkeypatch.setattr(loading, "processor_flags", lambda: frozenset({"avx2"}))
    assert not _is_faster_plain(file, sha256, one_shot=True)
    with file.open("r+b") as handle:
        handle.truncate(400_000_000)
    assert _is_faster_plain(file, sha256, one_shot=True)
    assert not _is_faster_plain(file, sha256, one_shot=False)
    monkeypatch.setattr(loading, "processor_flags", lambda: frozenset({"avx", "asimddp"}))
    assert not _is_faster_plain(file, sha256, one_shot=True)
    for one, other in ((True, False), (False, True)):
        remember(sha256, "library", Settings(2), plain=one, plain_in_one_shot=other)
        assert _is_faster_plain(file, sha256, one_shot=False) is one
        assert _is_faster_plain(file, sha256, one_shot=True) is other


def test_a_guard_has_the_weights_that_were_tuned(nano: Guard) -> None:
    sha256, mild = nano.model.sha256, nano.check(MILD)
    for plain in (True, False):
        remember(sha256, "library", Settings(2), plain=plain, plain_in_one_shot=False)
        with Guard("nano", threads=1) as guard:
            assert guard._model.get().plain_weights is plain
            assert guard.check(MILD).answer == mild.answer


@pytest.mark.parametrize(("text", "expected"), [(MILD, True), ("word " * 2000, False)])
def test_a_long_text_has_rearranged_weights(
    text: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def guard(*_: Any, one_shot: bool, **__: Any) -> Guard:
        asked.append(one_shot)
        raise InputError("that is enough")

    monkeypatch.setattr(check, "Guard", guard)
    with pytest.raises(InputError, match="enough"):
        check.command.main(["--model", "nano", text], standalone_mode=False)
    assert asked == [expected]


def test_the_whole_of_llama_cpp_can_be_imported_later() -> None:
    """Only its bindings are loaded here, and a program that wants the rest gets it."""
    code = (
        "import sys, edgeguard.session.library as ours\n"
        "assert 'jinja2' not in sys.modules and 'llama_cpp' not in sys.modules\n"
        "import llama_cpp, llama_cpp.llama_cpp\n"
        "assert llama_cpp.Llama and llama_cpp.llama_cpp.llama_backend_init\n"
        "assert ours.library_info().version == ours.library_info().version\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
