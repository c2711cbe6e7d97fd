"""What `edgeguard watch` writes, by property: never a byte past what may be shown."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard import Guard, InputError
from edgeguard.commands import watch as command
from edgeguard.policy import STRICT, Policy
from edgeguard.protocol.names import SAFE, UNSAFE, Severity
from edgeguard.session.fake import FakeSession
from edgeguard.session.fake_stream import FakeStreamSession

ASKED = [{"role": "user", "content": "Tell me something"}]
CALM = "Here is a nice story about a bear who likes honey. He walks in the wood. "


def label(role: str, text: str) -> Severity | tuple[Severity, str]:
    return (UNSAFE, "PII") if role == "assistant" and text.endswith("X") else SAFE


def answer(question: str) -> str:
    severity = "Unsafe" if "XX" in question else "Safe"
    refusal = "\nRefusal: No" if "REFUSAL POLICY" in question else ""
    return f"Safety: {severity}\nCategories: {'PII' if 'XX' in question else 'None'}{refusal}"


@pytest.fixture(scope="module")
def guards() -> Iterator[list[Guard]]:
    gen = Guard.with_session(FakeSession(answer))
    stream = Guard.with_session(FakeStreamSession(label))
    with gen, stream:
        yield [gen, stream]


# Words, marks, joined emoji, flags, scripts from right to left and without spaces, ends of lines.
_WORDS = st.sampled_from(
    [
        *("word ", "X", "XX ", "a\r\n", "\0", "\ufeff", "\x1b[31m", "So it is. "),
        *("e\u0301", "é" * 90, "👩\u200d👩\u200d👦", "🇩🇪", "昔々", "ไทย", "ก\u0e33"),
        *("שלום ", "مرحبا. ", "\u202eabc\u202c "),
    ]
)
TEXTS = st.lists(_WORDS, min_size=1, max_size=40).map("".join)


class Out(io.BytesIO):
    """Standard output, which is held against what may be shown at each write."""

    def __init__(self) -> None:
        super().__init__()
        self.watch: object = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        written = super().write(data)
        shown = self.getvalue().decode("utf-8")  # a whole character at least
        assert self.watch.text.startswith(shown)  # type: ignore[attr-defined]
        assert len(shown) <= self.watch.state.safe_to  # type: ignore[attr-defined]
        return written


@settings(max_examples=80)
@given(TEXTS, st.lists(st.integers(0, 10_000), max_size=10), st.booleans(), st.binary(max_size=2))
def test_nothing_is_written_past_what_may_be_shown(
    guards: list[Guard], text: str, cuts: list[int], tokens: bool, broken: bytes
) -> None:
    data = text.encode() + broken  # which may be no UTF-8
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    out, ended = Out(), True
    with guards[tokens].watch(ASKED) as watch:
        out.watch = watch
        stdout = io.TextIOWrapper(out, "utf-8", write_through=True)
        with (
            patch.object(command, "_pieces", lambda: iter(pieces)),
            patch.object(sys, "stdout", stdout),
            patch.object(sys, "stderr", io.StringIO()),
        ):
            try:
                code = command._pass_on(watch, show=False)
            except InputError:
                ended = False
        stdout.detach()
        state = watch.state
    shown = out.getvalue().decode()
    assert shown == watch.text[: state.safe_to]
    if ended:
        assert code == int(state.flagged)
        if not state.flagged:
            assert out.getvalue() == data and "XX" not in shown  # byte for byte, and all of it
    if tokens or state.flagged:
        assert "XX" not in shown


def run(*argv: str, **options: object) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "edgeguard", "watch", "--model", "nano", *argv], **pipes | options
    )


def test_a_reader_that_leaves_and_a_person_who_interrupts() -> None:
    reader, writer = os.pipe()
    left, waits = run(stdout=writer), run()
    os.close(writer)
    assert left.stdin and waits.stdin and waits.stdout
    for process in (left, waits):
        process.stdin.write((CALM * 2).encode())  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    assert os.read(reader, 20) == CALM.encode()[:20]
    os.close(reader)
    assert waits.stdout.read(20) == CALM.encode()[:20]
    with pytest.raises(BrokenPipeError):  # it ends at its next write, and does not hang
        for _ in range(200):
            left.stdin.write((CALM * 2).encode())
            left.stdin.flush()
            time.sleep(0.1)
    waits.send_signal(signal.SIGINT)  # while it waits for more
    for process, code, said in ((left, 2, ""), (waits, 130, "interrupted")):
        assert process.wait(30) == code
        assert process.stderr is not None
        err = process.stderr.read().decode()
        assert said in err and "Traceback" not in err
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def test_what_is_flagged_is_shown_in_red_on_request(
    guards: list[Guard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(command, "colour_wanted", lambda _stream: True)
    monkeypatch.setattr(command, "_pieces", lambda: iter([b"good words XX and more "]))
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "utf-8", write_through=True))
    policy: Policy = STRICT
    with guards[True].watch(ASKED, policy=policy) as watch:
        assert command._pass_on(watch, show=True) == 1
    assert out.getvalue() == b"good words \x1b[31mXX and more\x1b[0m\n"


def test_an_option_of_the_command_is_the_librarys() -> None:
    from click.testing import CliRunner

    found = CliRunner().invoke(command.command, ["--in-a-row", "0"])
    assert found.exit_code == 2 and "0 is not in the range" in found.output
