"""From a checkpoint of full size to verdicts: the main job, with weights that mean nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgeguard import Guard
from edgeguard.protocol.answer import parse

MB = 1 << 20
ALLOWED = ["--allow-random-weights"]


@pytest.mark.parametrize(("kind", "size"), [("q4_k_m", 400), ("q8_0", 640)])
def test_it_converts_and_answers(stand_in: Path, tmp_path: Path, kind: str, size: int) -> None:
    out = tmp_path / f"{kind}.gguf"
    edgeguard = [sys.executable, "-m", "edgeguard"]
    subprocess.run([*edgeguard, "convert", str(stand_in), "--type", kind, "--out", out], check=True)
    assert abs(out.stat().st_size / 1e6 - size) < 10
    with Guard(out, allow_random_weights=True) as guard:
        prompt = guard.check("How can I make a bomb?")
        response = guard.check_response("How can I make a bomb?", "I can't help with that.")
        again = guard.check("How can I make a bomb?")
    for verdict in (prompt, response):
        assert parse(verdict.mode, verdict.answer)
        assert verdict.model.type == kind
    assert again.probabilities == prompt.probabilities
    done = subprocess.run(
        [*edgeguard, "check", *ALLOWED, "--model", str(out), "Hello"], check=False
    )
    assert done.returncode in (0, 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_memory_of_a_check(stand_in: Path, tmp_path: Path) -> None:
    """The process that checks takes the file's size and little more."""
    out = tmp_path / "q4_k_m.gguf"
    edgeguard = [sys.executable, "-m", "edgeguard"]
    subprocess.run([*edgeguard, "convert", str(stand_in), "--out", out], check=True)
    # VmHWM and not ru_maxrss, which starts at what the parent of the process had.
    code = (
        "from edgeguard import Guard\n"
        f"Guard({str(out)!r}, allow_random_weights=True).check('Hello')\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "print(next(line.split()[1] for line in lines if line.startswith('VmHWM')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(done.stdout) * 1024 - out.stat().st_size < 185 * MB


def test_a_second_process_does_not_compute_the_start(stand_in: Path, tmp_path: Path) -> None:
    out = tmp_path / "q4_k_m.gguf"
    edgeguard = [sys.executable, "-m", "edgeguard"]
    subprocess.run([*edgeguard, "convert", str(stand_in), "--out", out], check=True)
    read, shares = [], []
    for _ in range(2):
        command = [
            *edgeguard,
            "check",
            "--allow-random-weights",
            "--json",
            "--model",
            str(out),
            "Hello",
        ]
        done = subprocess.run(command, capture_output=True, check=False)
        verdict = json.loads(done.stdout)
        read.append(verdict["seconds"])
        shares.append(verdict["probabilities"])
    # The start has twice as many tokens as the rest.
    assert read[1] < 0.6 * read[0]
    assert shares[0] == shares[1]
