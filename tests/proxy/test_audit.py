"""The audit log: whole lines without texts, for its owner alone, whatever becomes of the file."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from proxied import proxying
from upstream import Upstream, chat_whole, whole

from edgeguard.errors import OutputError
from edgeguard.proxy.audit import FILES, Audit
from edgeguard.proxy.settings import ProxySettings

AS_ROOT = os.geteuid() == 0


def write(audit: Audit, number: int, text: str = "A mild one.") -> None:
    audit.write(
        request_id=str(number),
        route="/v1/chat/completions",
        stage="prompt",
        action="passed",
        text=text,
        verdict=None,
        reason="",
    )


def numbers(*paths: Path) -> list[int]:
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return [int(json.loads(line)["request_id"]) for line in lines]


@contextmanager
def auditing(path: Path, **options: object) -> Iterator[Audit]:
    audit = Audit(str(path), **options)  # type: ignore[arg-type]
    try:
        yield audit
    finally:
        audit.close()


def test_it_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    old = os.umask(0)
    try:
        with auditing(path, max_bytes=1000) as audit:
            for number in range(200):
                write(audit, number)
    finally:
        os.umask(old)
    files = [path, *(Path(f"{path}.{n}") for n in range(1, FILES + 1))]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert numbers(*reversed(files)) == list(range(200))[-len(numbers(*files)) :]
    assert all(file.stat().st_size <= 1000 for file in files)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


def test_no_text_in_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with auditing(path) as audit:
        write(audit, 1, "Of zebras \ud800")
    line = json.loads(path.read_text())
    assert "zebra" not in path.read_text()
    assert (line["characters"], len(line["sha256"])) == (11, 64)


@pytest.mark.parametrize("how", ["removed", "moved", "folder"])
def test_a_file_that_goes_away_is_made_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    path.parent.mkdir()
    lost: list[bool] = []
    with auditing(path, on_lost=lambda: lost.append(True)) as audit:
        write(audit, 1)
        if how == "removed":
            path.unlink()
        else:
            (path if how == "moved" else path.parent).rename(tmp_path / "elsewhere")
        write(audit, 2)
        path.parent.mkdir(exist_ok=True)
        write(audit, 3)
    assert numbers(path) == ([3] if how == "folder" else [2, 3])
    assert len(lost) == (how == "folder")


def test_a_full_disk_costs_whole_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A limit on the size of files stands for it: the line that does not fit is taken back."""
    path = tmp_path / "audit.jsonl"
    lost: list[bool] = []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with auditing(path, on_lost=lambda: lost.append(True)) as audit:
            write(audit, 0)
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, before[1]))
            with caplog.at_level(logging.ERROR):
                write(audit, 1)
                write(audit, 2)
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            write(audit, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert numbers(path) == [0, 3]
    assert len(lost) == 2
    (said,) = caplog.records
    assert said.getMessage().startswith("the audit log cannot be written, lines are lost: ")


def test_a_rotation_that_fails_goes_on_in_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    with auditing(path, max_bytes=600) as audit:
        write(audit, 1)

        def refuse(*_paths: object) -> None:
            raise PermissionError(13, "not here")

        monkeypatch.setattr(os, "rename", refuse)
        for number in range(2, 6):
            write(audit, number)
    assert numbers(path) == [1, 2, 3, 4, 5]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "audit.jsonl"):
        with pytest.raises(OutputError, match="--audit-log"):
            Audit(str(path))


@pytest.mark.skipif(AS_ROOT, reason="root may write everything")
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(0o400)
    with pytest.raises(OutputError, match="Permission"):
        Audit(str(path))


def test_two_processes_in_one_file(tmp_path: Path) -> None:
    """Lines stay whole: each is one write to the end."""
    path = tmp_path / "audit.jsonl"
    code = f"""
from edgeguard.proxy.audit import Audit
audit = Audit({str(path)!r})
for number in range(300):
    audit.write(request_id=str(number), route="", stage="", action="", text="",
                verdict=None, reason="")
"""
    runs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert sorted(numbers(path)) == sorted([*range(300)] * 2)


def test_the_proxy_goes_on_and_counts(model: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    path.parent.mkdir()
    model.reply = lambda _path, _body: whole(chat_whole("Mild."))
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}]}
    with proxying(model.url, audit_log=str(path)) as served, served.client() as client:
        path.parent.rename(tmp_path / "elsewhere")
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        assert "edgeguard_proxy_audit_lines_lost_total 2.0" in client.get("/metrics").text


def test_names_that_are_allowed() -> None:
    proxy = ProxySettings("http://127.0.0.1:1", allow=frozenset({"/v1/files", "web_search"}))
    assert proxy.allows("/v1/files/file-1/content")
    assert proxy.allows("web_search")
    assert not proxy.allows("/v1/filesystem")
    assert not proxy.allows("/v1")
