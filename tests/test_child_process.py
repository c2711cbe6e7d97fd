"""The second Python: it answers, it cannot hurt, and it does not outlive us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeguard import child_process

MODULE = """
import os, signal, sys, time

def main(request, reply):
    what = request.get("do")
    if what == "echo":
        os.write(1, b"native noise\\n")
        print("more noise")
        reply(request)
        reply({"last": "\\u2028 line"})
    elif what == "raise":
        raise ValueError("no luck")
    elif what == "abort":
        os.kill(os.getpid(), signal.SIGABRT)
    elif what == "hang":
        reply({"pid": os.getpid()})
        time.sleep(60)
    elif what == "where":
        reply({"path": sys.path, "json": sys.modules["json"].__file__})
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worker_for_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def run(do: str, timeout: float | None = None) -> list[dict[str, object]]:
    return list(child_process.run("worker_for_test", {"do": do}, timeout=timeout))


def test_replies_come_back_and_noise_does_not() -> None:
    assert run("echo") == [{"do": "echo"}, {"last": "\u2028 line"}]


def test_an_exception_is_its_last_line() -> None:
    with pytest.raises(child_process.ChildError, match=r"^ValueError: no luck$"):
        run("raise")


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_crash_is_an_error() -> None:
    with pytest.raises(child_process.ChildError, match=f"ended with code -{signal.SIGABRT.value}"):
        run("abort")


def test_a_module_that_is_not_there_is_an_error() -> None:
    with pytest.raises(child_process.ChildError, match="ModuleNotFoundError"):
        list(child_process.run("no_such_module_for_test", {}))


def test_time_runs_out() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        run("hang", timeout=0.5)
    assert time.monotonic() - start < 10


def test_leaving_early_ends_the_child() -> None:
    replies = child_process.run("worker_for_test", {"do": "hang"})
    pid = next(replies)["pid"]
    assert _alive(pid)
    replies.close()
    assert not _alive(pid)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_the_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from edgeguard import child_process\n"
        "for reply in child_process.run('worker_for_test', {'do': 'hang'}):"
        " print(reply['pid'], flush=True)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def test_modules_come_from_our_path_and_not_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(folder)
    (found,) = run("where")
    assert found["path"] == sys.path
    assert "elsewhere" not in str(found["json"])


def _alive(pid: object) -> bool:
    assert isinstance(pid, int)
    status = Path(f"/proc/{pid}/stat")
    if status.parent.parent.joinpath("self").exists():
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
