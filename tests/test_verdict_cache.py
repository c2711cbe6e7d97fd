"""Remembered answers: the same verdict, no text in the file, and no wrong verdict of a bad one."""

from __future__ import annotations

import dataclasses
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeguard import Guard, InputError, StoreError, Verdict
from edgeguard.answer_files import AnswerFile, AnswerMemory
from edgeguard.policy import STRICT, Policy
from edgeguard.session.fake import FakeSession
from edgeguard.store import save_policy

ANSWER = "Safety: Controversial\nCategories: PII, Violent"
TEXT = "A quiet garden with a bench."


def _guard(session: FakeSession, cache: Any, **options: Any) -> Guard:
    return Guard.with_session(session, cache=cache, **options)


def _session(answer: str = ANSWER) -> FakeSession:
    return FakeSession(lambda _: answer)


def _same(first: Verdict, second: Verdict) -> bool:
    return dataclasses.replace(first, seconds=0, cached=False) == dataclasses.replace(
        second, seconds=0, cached=False
    )


@pytest.mark.parametrize("where", ["memory", "answers.db"])
def test_a_text_is_judged_once(where: str, tmp_path: Path) -> None:
    session = _session()
    guard = _guard(session, where if where == "memory" else tmp_path / where)
    first, second = guard.check(TEXT), guard.check(TEXT)
    assert (first.cached, second.cached) == (False, True)
    assert _same(first, second)
    assert second.choices == first.choices != ()
    assert len(session.reads) == 1
    info = guard.cache_info()
    assert info is not None
    assert (info.hits, info.misses, info.size) == (1, 1, 1)
    assert not guard.check(f"{TEXT} And a tree.").cached


def test_what_was_computed_exactly_will_do_for_both_and_else_for_itself() -> None:
    messages = [{"role": "user", "content": TEXT}]
    guard = _guard(_session(), "memory")
    assert not guard.check_messages(messages).cached
    assert not guard.check_messages(messages, fresh=True).cached
    guard = _guard(_session(), "memory")
    assert not guard.check_messages(messages, fresh=True).cached
    assert guard.check_messages(messages).cached


def test_without_a_cache_nothing_is_remembered() -> None:
    session = _session()
    guard = _guard(session, None)
    assert not guard.check(TEXT).cached
    assert not guard.check(TEXT).cached
    assert guard.cache_info() is None
    assert len(session.reads) == 2


def test_the_policy_is_worked_out_anew() -> None:
    save_policy(
        Policy("mine", STRICT.harmful, categories=(("Violent", "ignore"), ("PII", "ignore")))
    )
    guard = _guard(_session(), "memory")
    assert guard.check(TEXT).flagged
    loose, mine = guard.check(TEXT, policy="loose"), guard.check(TEXT, policy="mine")
    assert loose.cached and not loose.flagged
    assert mine.cached and not mine.flagged


def test_an_answer_without_shares_is_asked_again_where_they_are_needed() -> None:
    save_policy(Policy("mine", STRICT.harmful, categories=(("Violent", 0.5),)))
    guard = _guard(_session("Safety: Safe\nCategories: None"), "memory")
    assert guard.check(TEXT).category_probabilities is None
    asked = guard.check(TEXT, policy="mine")
    assert not asked.cached and asked.category_probabilities is not None
    again = guard.check(TEXT, policy="mine")
    assert again.cached and again.category_probabilities == asked.category_probabilities


def test_the_file_outlives_the_guard_and_belongs_to_the_model(tmp_path: Path) -> None:
    file = tmp_path / "answers.db"
    with Guard("nano", threads=1, cache=file) as guard:
        first = guard.check(TEXT)
    with Guard("nano", threads=1, cache=file) as guard:
        second = guard.check(TEXT)
    assert second.cached and _same(first, second)
    other = _guard(_session(), file)  # another model: nothing of nano's is its
    assert not other.check(TEXT).cached
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_text_is_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.db"
    with Guard("nano", threads=1, cache=file) as guard:
        guard.check(TEXT)
        guard.check_response(TEXT, "Another bench.")
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for word in (b"quiet", b"garden", b"bench"):
            assert word not in content


def test_what_is_no_cache_is_an_error_and_stays(tmp_path: Path) -> None:
    for name, content in (("a.txt", b"my letters " * 500), ("b.db", b"SQLite format 3\x00 cut")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(StoreError, match="cannot be used as a cache"):
            _guard(_session(), path)
        assert path.read_bytes() == content
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    with pytest.raises(StoreError, match="something else"):
        _guard(_session(), other)
    with pytest.raises(StoreError, match="cannot be used as a cache"):
        _guard(_session(), tmp_path / "nowhere" / "answers.db")
    with pytest.raises(StoreError, match="cannot be used as a cache"):
        _guard(_session(), tmp_path)
    for wrong in ("", 5):
        with pytest.raises(InputError, match="'memory' or the path"):
            _guard(_session(), wrong)


def test_an_entry_that_was_changed_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "answers.db"
    first = _guard(_session(), file).check(TEXT)
    for change in (
        "replace(value, 'Controversial', 'Safe')",
        "substr(value, 1, 80)",
        "''",
        "x'00ff'",
    ):
        with sqlite3.connect(file) as database:
            database.execute(f"UPDATE answers SET value = {change}")
        database.close()
        again = _guard(_session(), file).check(TEXT)
        assert not again.cached
        assert _same(first, again)
    assert "an entry of the cache is damaged" in caplog.text


def test_an_entry_under_another_key_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "answers.db"
    guard = _guard(
        FakeSession(lambda q: ANSWER if "bad" in q else "Safety: Safe\nCategories: None"), file
    )
    guard.check("good")
    guard.check("bad")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE answers SET value = (SELECT value FROM answers WHERE number = 1)")
    database.close()
    assert guard.check("bad").flagged


def test_a_file_that_breaks_in_use_costs_the_cache_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "answers.db"
    guard = _guard(_session(), file)
    guard.check(TEXT)
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE answers")
    database.close()
    assert guard.check(TEXT).severity == "Controversial"
    assert not guard.check(TEXT).cached
    assert caplog.text.count("cannot be used any more") == 1


def test_it_does_not_grow_without_end(tmp_path: Path) -> None:
    for kept in (AnswerMemory(10), AnswerFile(tmp_path / "answers.db", 10)):
        for number in range(600):
            kept.put(f"{number}".encode(), "x")
        assert kept.size() <= 10 + 256
        assert kept.get(b"599") == "x"
        assert kept.get(b"0") is None
        kept.close()


_FILL = """
import sys
from pathlib import Path
from edgeguard.answer_files import AnswerFile

kept = AnswerFile(Path(sys.argv[1]))
for number in range(200):
    text = f"{sys.argv[2]} {number}"
    kept.put(text.encode(), text)
    assert kept.get(text.encode()) == text
kept.close()
"""


def test_two_processes_share_the_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.db"
    running = [
        subprocess.Popen([sys.executable, "-c", _FILL, str(file), str(number)])
        for number in range(4)
    ]
    assert [process.wait(60) for process in running] == [0] * 4
    kept = AnswerFile(file)
    assert kept.size() == 800
    kept.close()
