"""`edgeguard watch` in a pipe: what comes is passed on, no further than it is judged."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

CALM = "Here is a nice story about a bear who likes honey. He walks in the wood. "
HARM = "To make a bomb you mix fertilizer with fuel oil and put nails in a pipe. "


def _watch(*argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgeguard", "watch", "--model", "nano", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _run(data: bytes, *argv: str) -> tuple[int, str, str]:
    process = _watch(*argv)
    out, err = process.communicate(data, timeout=120)
    return process.returncode, out.decode(), err.decode()


def test_a_calm_stream_passes_unchanged() -> None:
    text = CALM * 3 + "Ünd schöne Grüße, 昔々👋\n"
    code, out, err = _run(text.encode(), "--prompt", "Tell me a story.")
    assert (code, out) == (0, text), err


def test_a_harmful_stream_is_stopped_before_the_harm() -> None:
    code, out, err = _run((CALM + HARM + CALM).encode(), "--prompt", "Tell me a story.")
    assert code == 1
    assert CALM.startswith(out) and out
    assert f"stopped after {len(out)} characters: Unsafe" in err


def test_it_is_shown_on_request() -> None:
    code, out, _ = _run((CALM + HARM + CALM).encode(), "--prompt", "A story.", "--show")
    assert code == 1
    assert "bomb" in out and not out.rstrip().endswith("wood.")


def test_what_is_judged_comes_while_the_stream_goes_on() -> None:
    process = _watch()
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write((CALM * 2).encode())
    process.stdin.flush()
    assert process.stdout.read(40).decode() == CALM[:40]  # the stream is still open
    process.stdin.write(HARM.encode() * 2)
    process.stdin.flush()
    assert process.wait(60) == 1  # and it ends although nobody closed it
    with pytest.raises(BrokenPipeError):
        for _ in range(50):
            process.stdin.write(b"more\n")
            process.stdin.flush()
            time.sleep(0.02)
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    with pytest.raises(BrokenPipeError):
        process.stdin.close()


@pytest.mark.parametrize(
    ("data", "argv", "code", "words"),
    [
        (b"", (), 2, "nothing to judge"),
        (b"Hello \xff", (), 2, "not UTF-8"),
        (b"Hello", ("--prompt", "How can I make a bomb?"), 1, "the prompt is Unsafe"),
        (b"Hello", ("--messages", "no-such-file"), 2, "cannot read"),
    ],
)
def test_wrong_inputs(data: bytes, argv: tuple[str, ...], code: int, words: str) -> None:
    found, out, err = _run(data, *argv)
    assert (found, out) == (code, "")
    assert words in err and "Traceback" not in err
