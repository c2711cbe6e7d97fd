"""Installing, asking and removing against stand-ins for systemctl and launchctl.

What they cannot show, a real systemd does in test_user_systemd.py; there was no Mac.
"""

from __future__ import annotations

import os
import plistlib
import socket
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from edgeguard.errors import ServiceError
from edgeguard.server.notify import notify
from edgeguard.service import manager
from edgeguard.service.launchd import Launchd
from edgeguard.service.rehearsal import rehearse
from edgeguard.service.state import State, answers
from edgeguard.service.systemd import Systemd
from edgeguard.service.unit import Unit, make_unit

from .conftest import Stand

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither")

SHOW = (
    'case "$*" in *show*) printf "ActiveState=%s\\nExecMainStatus=%s\\n" "{state}" "{code}";; esac'
)


@pytest.fixture(autouse=True)
def tmp_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders of tests lie in /tmp, where no service may be."""
    monkeypatch.setattr("edgeguard.service.systemd.unseen", lambda _unit: None)


class TestRehearsal:
    def test_it_says_what_the_command_says_when_it_is_ready(self, ready_unit: Unit) -> None:
        assert rehearse(ready_unit) == "nano q8_0 is ready at http://127.0.0.1:1"

    def test_the_server_says_it(self) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = str(sock.getsockname()[1])
        words = ("--model", "nano", "--threads", "1", "--port", port)
        unit = make_unit("serve", words, keys={}, files=(), devices=False)
        assert rehearse(unit) == f"nano q8_0 is ready at http://127.0.0.1:{port}"

    def test_a_command_that_ends_is_an_error_with_what_it_said(
        self, ready_unit: Unit, capsys: pytest.CaptureFixture[str]
    ) -> None:
        failing = (sys.executable, "-c", "import sys; sys.exit('no such port')")
        with pytest.raises(ServiceError, match="does not run with these options"):
            rehearse(replace(ready_unit, command=failing))
        assert "no such port" in capsys.readouterr().err

    def test_variables_of_the_shell_do_not_count(
        self, ready_unit: Unit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("EDGEGUARD_PORT", "1")
        shows = "import os, sys; sys.exit(str(sorted(k for k in os.environ if 'EDGEG' in k)))"
        with pytest.raises(ServiceError):
            rehearse(replace(ready_unit, command=(sys.executable, "-c", shows)))
        assert "['EDGEGUARD_HOME']" in capsys.readouterr().err


class TestNotify:
    def test_without_a_manager_nothing_is_said(self) -> None:
        notify(ready=True, status="ready")

    def test_a_manager_that_is_gone_is_no_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
        notify(ready=True, status="ready")

    @pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux'")
    def test_an_abstract_name_and_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(f"\0edgeguard-test-{os.getpid()}")
            monkeypatch.setenv("NOTIFY_SOCKET", f"@edgeguard-test-{os.getpid()}")
            notify(ready=True, status="two\nlines")
            assert told.recv(100) == b"READY=1\nSTATUS=two lines"


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux'")
@pytest.mark.usefixtures("person")
class TestSystemd:
    def test_it_is_written_started_and_removed(
        self, person: Path, ready_unit: Unit, stand_in: Stand
    ) -> None:
        calls = stand_in("systemctl", SHOW.format(state="active", code=0))
        unit = replace(ready_unit, variables={**ready_unit.variables, "EDGEGUARD_API_KEY": "k"})
        manager.install(unit)
        services = Systemd()
        private = services.variables("serve")
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
        assert 'EDGEGUARD_API_KEY="k"' in private.read_text()
        done = calls.read_text()
        assert done.index("daemon-reload") < done.index("restart") < done.index("enable")
        assert [state.condition for state in manager.states()] == ["running"]
        assert manager.remove(None) == "serve"
        assert not [path for path in person.rglob("*") if path.is_file()]

    def test_no_manager_is_said_before_anything_is_written(
        self, person: Path, ready_unit: Unit, stand_in: Stand
    ) -> None:
        stand_in("systemctl", "echo 'Failed to connect to bus: No medium found' >&2; exit 1")
        with pytest.raises(ServiceError, match="no systemd of your own answers"):
            manager.install(ready_unit)
        assert not list(person.iterdir())

    @pytest.mark.parametrize("link", [False, True])
    def test_another_ones_unit_is_left_alone(
        self, ready_unit: Unit, stand_in: Stand, link: bool
    ) -> None:
        stand_in("systemctl", "")
        file = Systemd().file("serve")
        file.parent.mkdir(parents=True)
        if link:
            file.symlink_to("/dev/null")
        else:
            file.write_text("[Service]\n")
        for attempt in (lambda: manager.install(ready_unit), lambda: manager.remove("serve")):
            with pytest.raises(ServiceError, match="was not written by edgeguard"):
                attempt()
        assert file.is_symlink() if link else file.read_text() == "[Service]\n"

    def test_a_unit_of_the_systems_is_not_put_behind_ours(
        self, person: Path, ready_unit: Unit, stand_in: Stand
    ) -> None:
        stand_in("systemctl", "echo FragmentPath=/etc/systemd/user/edgeguard-serve.service")
        with pytest.raises(ServiceError, match="which is not ours"):
            manager.install(ready_unit)
        assert not list(person.iterdir())

    def test_one_that_was_changed_by_hand_is_not_written_over(
        self, ready_unit: Unit, stand_in: Stand
    ) -> None:
        stand_in("systemctl", SHOW.format(state="active", code=0))
        manager.install(ready_unit)
        file = Systemd().file("serve")
        with file.open("a") as out:
            out.write("Nice=5\n")
        with pytest.raises(ServiceError, match="changed by hand"):
            manager.install(ready_unit)
        assert file.read_text().endswith("Nice=5\n")

    def test_a_new_one_that_does_not_run_leaves_the_old_one_running(
        self, ready_unit: Unit, stand_in: Stand
    ) -> None:
        calls = stand_in("systemctl", SHOW.format(state="active", code=0))
        manager.install(ready_unit)
        before = Systemd().file("serve").read_text()
        calls.write_text("")
        with pytest.raises(ServiceError):
            manager.install(
                replace(ready_unit, command=(sys.executable, "-c", "raise SystemExit(2)"))
            )
        assert Systemd().file("serve").read_text() == before
        lines = calls.read_text().splitlines()
        (stopped,) = [n for n, line in enumerate(lines) if " stop " in line]
        assert next(n for n, line in enumerate(lines) if " start " in line) > stopped

    def test_one_that_systemd_cannot_start_is_taken_away_again(
        self, person: Path, ready_unit: Unit, stand_in: Stand
    ) -> None:
        failing = 'case "$*" in *restart*) exit 1;; esac; ' + SHOW.format(state="failed", code=1)
        stand_in("systemctl", failing)
        with pytest.raises(ServiceError, match="not as a service"):
            manager.install(ready_unit)
        assert not [path for path in person.rglob("*") if path.is_file()]

    def test_where_systemd_has_no_namespaces_the_rest_of_the_limits_stay(
        self, ready_unit: Unit, stand_in: Stand
    ) -> None:
        file = Systemd().file("serve")
        refused = f'case "$*" in *restart*) ! grep -q PrivateTmp "{file}"; exit;; esac; '
        stand_in("systemctl", refused + SHOW.format(state="failed", code=226))
        notes = manager.install(ready_unit)
        assert "sees all files" in notes[0]
        text = file.read_text()
        assert "NoNewPrivileges=yes" in text and "ProtectSystem" not in text


@pytest.mark.usefixtures("person")
class TestLaunchd:
    @pytest.fixture(autouse=True)
    def mac(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "darwin")

    def test_it_is_written_started_asked_and_removed(
        self, person: Path, ready_unit: Unit, stand_in: Stand
    ) -> None:
        running = "echo 'x = {'; printf '\\tstate = running\\n\\tpid = 71\\n\\truns = 3\\n'"
        calls = stand_in("launchctl", f'case "$1" in print) {running};; bootout) exit 3;; esac')
        manager.install(ready_unit)
        file = person / "Library" / "LaunchAgents" / "edgeguard.serve.plist"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        content = plistlib.loads(file.read_bytes())
        assert content["ProgramArguments"] == list(ready_unit.command)
        assert content["KeepAlive"] == {"SuccessfulExit": False} and content["RunAtLoad"]
        (state,) = manager.states()
        assert (state.condition, state.pid, state.restarts) == ("running", 71, 2)
        assert (state.address, state.model) == ("http://127.0.0.1:1", "nano q8_0")
        manager.remove(None)
        assert not [path for path in person.rglob("*") if path.is_file()]
        domain = f"gui/{os.getuid()}"
        assert f"bootstrap {domain} {file}" in calls.read_text()
        assert f"bootout {domain}/edgeguard.serve" in calls.read_text()

    def test_over_ssh_alone_nothing_is_written(
        self, person: Path, ready_unit: Unit, stand_in: Stand
    ) -> None:
        stand_in("launchctl", "exit 125")
        with pytest.raises(ServiceError, match="log in at the screen"):
            manager.install(ready_unit)
        assert not list(person.iterdir())

    @pytest.mark.parametrize("content", [b"", b"<plist", plistlib.dumps({"Label": "x"})])
    def test_another_ones_agent_is_left_alone(
        self, ready_unit: Unit, stand_in: Stand, content: bytes
    ) -> None:
        stand_in("launchctl", "")
        file = Launchd().file("serve")
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        with pytest.raises(ServiceError, match="was not written by edgeguard"):
            manager.install(ready_unit)
        assert file.read_bytes() == content


class TestState:
    def test_what_it_said_is_where_and_which(self) -> None:
        state = State("serve", "running", "/x", said="nano q8_0 is ready at http://[::1]:8000")
        assert (state.address, state.model) == ("http://[::1]:8000", "nano q8_0")
        loading = State("serve", "starting", "/x", said="listening on http://x:1, loading")
        assert loading.address is None and loading.model is None

    def test_where_nobody_listens_nobody_answers(self) -> None:
        assert not answers("http://127.0.0.1:1")


def test_windows_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ServiceError, match="Task Scheduler"):
        manager.states()


def test_the_servers_own_unit_is_where_an_error_says() -> None:
    assert (ROOT / "packaging" / "systemd" / "edgeguard.service").is_file()
