"""Pulls in processes of their own: killed, interrupted, two at once, with little disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_models import install_fake
from hub import REPO, Fault, Hub

from edgeguard.store import paths
from edgeguard.store.hub_cache import partial_path, size_of
from edgeguard.store.registry import Release
from edgeguard.store.store import installed

BIG = "model.safetensors"
CHILD = Path(__file__).parent.parent / "pull_in_child.py"
STEP = 1 << 14

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


@contextmanager
def _start(hub: Hub, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, **variables}
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(hub.folder), *(arguments or ("pull", "--type", "f16"))],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _run(hub: Hub, *arguments: str, **variables: str) -> tuple[int, str, str]:
    with _start(hub, *arguments, **variables) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def _models() -> list[str]:
    return sorted(path.name for path in paths.models_folder().iterdir() if path.name != ".lock")


def test_the_command_pulls_and_prints_the_path(hub: Hub, tmp_path: Path) -> None:
    """Every request is for one of the five files, from the hub that was named."""
    code, out, err = _run(hub, HF_HOME=str(tmp_path / "hf"))
    assert (code, out) == (0, f"{installed()[0].path}\n"), err
    assert "edgeguard: converting to f16" in err
    assert "is installed and judged its test texts" in err
    assert str(tmp_path / "hf" / "hub") in err
    assert list((tmp_path / "hf").glob(f"hub/models--*/snapshots/*/{BIG}"))
    assert [request.path.split("/resolve/")[0] for request in hub.requests] == [f"/{REPO}"] * 5
    hub.requests.clear()
    code, again, err = _run(hub)
    assert (code, again) == (0, out)
    assert "installed already, and intact" in err
    assert hub.requests == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_end_in_the_middle_of_the_download(
    hub: Hub, release: Release, number: signal.Signals
) -> None:
    hub.faults[BIG] = [Fault(cut=4 * STEP, stall=True)]
    with _start(hub) as process:
        assert hub.reached.wait(30)
        partial = partial_path(release, next(file for file in release.files if file.name == BIG))
        while size_of(partial) < 4 * STEP:
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    hub.released.set()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "edgeguard pull goes on from there" in err
        assert "Traceback" not in err
    assert installed() == ()
    hub.requests.clear()
    code, _, err = _run(hub)
    assert code == 0, err
    assert [request.headers.get("range") for request in hub.gets(BIG)] == [f"bytes={4 * STEP}-"]
    assert _models() == ["gen-0.6b-f16"]
    installed()[0].verify()


def test_two_at_once_make_one(hub: Hub) -> None:
    hub.faults[BIG] = [Fault(cut=STEP, stall=True)]
    with _start(hub) as first:
        assert hub.reached.wait(30)
        with _start(hub) as second:
            assert second.stderr is not None
            assert "waiting for another edgeguard pull" in second.stderr.readline()
            hub.released.set()
            ends = [process.communicate(timeout=60) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], ends
    assert ends[0][0] == ends[1][0]
    assert "installed already" in ends[1][1]
    assert _models() == ["gen-0.6b-f16"]
    assert len(hub.gets(BIG)) == 2  # one cut, and the rest


def test_rm_does_not_disturb_a_pull(hub: Hub) -> None:
    install_fake(kind="q8_0")
    hub.faults[BIG] = [Fault(cut=STEP, stall=True)]
    with _start(hub) as process:
        assert hub.reached.wait(30)
        code, _, err = _run(hub, "rm", "--yes", "gen-0.6b-q8_0")
        assert code == 2
        assert "another edgeguard is changing" in err
        hub.released.set()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert _models() == ["gen-0.6b-f16", "gen-0.6b-q8_0"]


@pytest.mark.parametrize("share", [0.5, 1.02])
def test_a_limit_on_file_size_leaves_nothing(hub: Hub, share: float) -> None:
    """Half of the checkpoint fits, or all of it but not the model made of it."""
    limit = int((hub.folder / BIG).stat().st_size * share)
    code, _, err = _run(hub, FILE_SIZE_LIMIT=str(limit))
    assert code == 2, err
    assert err.splitlines()[-1].startswith("edgeguard: error: ")
    assert "Traceback" not in err
    assert _models() == []


def test_offline_says_so(hub: Hub) -> None:
    code, out, err = _run(hub, HF_HUB_OFFLINE="1")
    assert (code, out) == (2, "")
    assert "HF_HUB_OFFLINE is set" in err
    assert hub.requests == []
