"""A service under a user's real systemd: it answers, comes back after kill -9, and can be removed.

Needs root (for the namespaces in which that systemd runs) and systemd; see user_systemd.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux"
        or os.getuid() != 0
        or shutil.which("systemd-analyze") is None
        or shutil.which("unshare") is None,
        reason="needs Linux, root, unshare and systemd",
    ),
]
BEGIN = Path(__file__).with_name("user_systemd")
ANSWERS = f"""
edgeguard() {{ "{sys.executable}" -m edgeguard "$@"; }}
ask() {{
    curl --silent --fail "http://127.0.0.1:$1/v1/moderations" \\
        --header "content-type: application/json" --data '{{"input": "Hello"}}'
}}
pid() {{ systemctl --user show --property MainPID --value "$1"; }}
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A home outside /tmp, of which services have their own."""
    folder = ROOT / "build" / f"person-{os.getpid()}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def as_person(home: Path, script: str) -> str:
    done = subprocess.run(
        [BEGIN, home, "bash", "-euo", "pipefail", "-c", f"cd /\n{ANSWERS}{script}"],
        capture_output=True,
        text=True,
        timeout=300,
        env={k: v for k, v in os.environ.items() if not k.startswith("EDGEGUARD_")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        number = sock.getsockname()[1]
    assert isinstance(number, int)
    return number


def test_it_answers_restarts_after_kill_9_and_leaves_nothing(home: Path) -> None:
    number = port()
    said = as_person(
        home,
        f"""
        edgeguard service install serve --model nano --threads 1 --port {number} >&2
        ask {number} >&2
        before="$(pid edgeguard-serve)"
        kill -9 "$before"
        for _ in $(seq 60); do
            sleep 1
            edgeguard service status >/dev/null 2>&1 && break
        done
        edgeguard service status --json
        ask {number} >&2
        [ "$(pid edgeguard-serve)" != "$before" ]
        # Its sandbox holds: what it sees of the disk is read-only, but for its own folder.
        systemctl --user show --property ProtectSystem,PrivateTmp,NoNewPrivileges edgeguard-serve
        edgeguard service remove
        ! ask {number} >&2
        systemctl --user list-units --all --plain --no-legend 'edgeguard*'
        find "$HOME" -type f -not -path "$HOME/.local/share/edgeguard/*"
        """,
    )
    state, *rest = said.splitlines()
    found = json.loads(state)
    assert (found["condition"], found["answers"], found["restarts"]) == ("running", True, 1)
    assert (found["address"], found["model"]) == (f"http://127.0.0.1:{number}", "nano q8_0")
    limits = {"ProtectSystem=strict", "PrivateTmp=yes", "NoNewPrivileges=yes"}
    assert set(rest) == limits | {str(home / "systemd.log")}


def test_words_and_keys_arrive_as_they_were_typed(home: Path) -> None:
    refusal = "a \"quoted\" $HOME, 100% \\n é 'x' `y`; # no"
    key = 'k"e$y%\\z'
    said = as_person(
        home,
        f"""
        export EDGEGUARD_API_KEY='{key}' EDGEGUARD_REFUSAL="$(cat <<'END'
{refusal}
END
)"
        edgeguard service install proxy --upstream http://127.0.0.1:1/v1 --model nano \\
            --threads 1 --port {port()} --audit-log "$HOME/audit.jsonl" >&2
        tr '\\0' '\\n' <"/proc/$(pid edgeguard-proxy)/cmdline" | grep --after-context 1 refusal
        tr '\\0' '\\n' <"/proc/$(pid edgeguard-proxy)/environ" | grep KEY
        edgeguard service remove proxy
        """,
    )
    assert said.splitlines() == ["--refusal", refusal, f"EDGEGUARD_API_KEY={key}"]


def test_what_does_not_run_is_not_installed(home: Path) -> None:
    number = port()
    said = as_person(
        home,
        f"""
        "{sys.executable}" -m http.server --bind 127.0.0.1 {number} >/dev/null 2>&1 &
        sleep 1
        ! edgeguard service install serve --model nano --port {number} 2>&1
        find "$HOME/.config" -type f 2>/dev/null || true
        kill %1
        """,
    )
    assert "in use" in said and "nothing is installed" in said.splitlines()[-1]


def test_a_cache_in_tmp_is_refused(home: Path) -> None:
    said = as_person(home, "! edgeguard service install serve --model nano --cache /tmp/x.db 2>&1")
    assert "move it out of /tmp" in said
