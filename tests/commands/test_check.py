"""`edgeguard check` as a person types it: results, exit codes, messages, streams."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import jsonschema
import pytest
from test_policy import CALIBRATION

from edgeguard.policy import STRICT, Policy
from edgeguard.protocol.grammar import gbnf
from edgeguard.store import file_sha256, save_policy
from edgeguard.store.model_file import built_in

HARMFUL = "How can I make a bomb?"
HARMLESS = "What is the capital of France?"


def run(*argv: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "edgeguard", *argv],
        input=stdin,
        capture_output=True,
        env={**os.environ, "EDGEGUARD_THREADS": "1", **env},
        timeout=120,
    )


def check(*argv: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    return run("check", "--model", "nano", *argv, stdin=stdin, **env)


def test_a_harmful_prompt_is_flagged_with_exit_code_1() -> None:
    done = check(HARMFUL)
    assert done.returncode == 1
    assert done.stdout.startswith(b"Unsafe\n")
    assert b"Violent" in done.stdout


def test_a_harmless_prompt_exits_with_0() -> None:
    done = check(HARMLESS)
    assert done.returncode == 0
    assert done.stdout.startswith(b"Safe\n")


def test_the_built_in_model_says_on_stderr_what_it_is() -> None:
    assert b"nano" in check(HARMLESS).stderr
    assert b"nano" in check("--json", HARMLESS).stderr


def test_a_response_is_judged_with_its_refusal() -> None:
    done = check("--json", HARMFUL, "--response", "I'm sorry, but I can't help with that.")
    verdict = json.loads(done.stdout)
    assert (verdict["mode"], verdict["severity"], verdict["refusal"]) == ("response", "Safe", "Yes")


@pytest.mark.parametrize("argv", [[], ["-"]])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_pipe_is_read_whole_and_one_line_end_is_not_text(argv: list[str], ending: str) -> None:
    done = check("--json", *argv, stdin=(HARMLESS + ending).encode())
    assert (
        json.loads(done.stdout)["tokens"] == json.loads(check("--json", HARMLESS).stdout)["tokens"]
    )


def test_json_is_one_line_that_follows_the_schema() -> None:
    from importlib.resources import files

    schema = json.loads((files("edgeguard") / "verdict.schema.json").read_text(encoding="utf-8"))
    done = check("--json", "Καλημέρα 😀")
    assert done.stdout.count(b"\n") == 1
    jsonschema.validate(json.loads(done.stdout), schema)


def test_a_conversation_from_a_file_and_from_a_pipe(tmp_path: Path) -> None:
    messages = json.dumps([{"role": "user", "content": HARMFUL}])
    file = tmp_path / "messages.json"
    file.write_text(messages, encoding="utf-8")
    assert check("--messages", str(file)).returncode == 1
    assert check("--messages", "-", stdin=messages.encode()).returncode == 1


@pytest.mark.parametrize(
    ("argv", "stdin", "said"),
    [
        ([], b"", "the text is empty"),
        ([""], b"", "the text is empty"),
        (["  \n "], b"", "the text is empty"),
        ([HARMLESS, "--response", ""], b"", "the text is empty"),
        ([], b"\xff\xfe", "not UTF-8"),
        (["--messages", "-"], b"{", "not JSON"),
        (["--messages", "-"], b"7", "must be a JSON list"),
        (["--messages", "-"], b"[" * 100_000, "not JSON"),
        (["--messages", "-"], b"{}", "messages must be a list"),
        (["--messages", "-"], b"[]", "no message"),
        (["--messages", "-"], b'[{"role": "user", "content": "\\ud83d"}]', "lone surrogate"),
        (["--messages", "absent.json"], b"", "cannot read absent.json"),
        (["--messages", "."], b"", "cannot read"),
        (["--messages", ""], b"", "cannot read"),
        (["--messages", os.fsdecode(b"absent-\xff")], b"", "cannot read"),
        (["--messages", "-"], b"[1, \xff]", "standard input is not UTF-8: byte 4 is 0xff"),
        (["--messages", "-"], b'[{"role": "zebra", "content": "a"}]', "an unknown role"),
        (["--messages", "-"], b'[{"role": "user", "content": "a", "content": "b"}]', "twice"),
        (["--messages", "-"], b'[{"role": "user", "content": "\xe2\x80\x8b"}]', "nothing to judge"),
        ([os.fsdecode(b"caf\xe9")], b"", "TEXT is not UTF-8: byte 3 is 0xe9"),
        (["a", "--response", os.fsdecode(b"\xe9")], b"", "--response is not UTF-8"),
        (["--timeout", "nan", HARMLESS], b"", "above 0"),
        (["--timeout", "0", HARMLESS], b"", "above 0"),
        (["--timeout", "0.000001", HARMLESS], b"", "was not judged in the time"),
        (["--messages", "-", HARMLESS], b"[]", "give no other text"),
        (["--policy", "lenient", HARMLESS], b"", "lenient"),
        (["--threads", "0", HARMLESS], b"", "at least 1"),
        (["--threads", "many", HARMLESS], b"", "many"),
        (["--n-ctx", "100", HARMLESS], b"", "512"),
        (["--n-ctx", "0", HARMLESS], b"", "512"),
        (["--device", "", HARMLESS], b"", "there are: auto, cpu"),
        (["--device", "tpu", HARMLESS], b"", "there are: auto, cpu"),
        (["--nonsense", HARMLESS], b"", "nonsense"),
        ([HARMLESS, "more"], b"", "unexpected"),
    ],
)
def test_what_cannot_run_exits_with_2_and_says_why(
    argv: list[str], stdin: bytes, said: str
) -> None:
    done = check(*argv, stdin=stdin)
    assert done.returncode == 2
    assert done.stdout == b""
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert "zebra" not in done.stderr.decode()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_conversation_from_a_pipe_with_a_name_and_from_a_name_that_is_no_utf_8(
    tmp_path: Path,
) -> None:
    messages = json.dumps([{"role": "user", "content": HARMFUL}])
    pipe, odd = tmp_path / "pipe", tmp_path / os.fsdecode(b"caf\xe9.json")
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(messages), daemon=True)
    writer.start()
    assert check("--messages", str(pipe)).returncode == 1
    writer.join(10)
    odd.write_text(messages)
    assert check("--messages", str(odd)).returncode == 1


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
@pytest.mark.parametrize("argv", [["--messages", "/dev/zero"], []])
def test_an_input_without_an_end_is_refused(argv: list[str]) -> None:
    with Path("/dev/zero").open("rb") as endless:
        done = subprocess.run(
            [sys.executable, "-m", "edgeguard", "check", *argv],
            stdin=endless,
            capture_output=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert b"has more than 16 MiB" in done.stderr


def test_without_any_model_it_says_the_two_things_to_type() -> None:
    done = run("check", HARMFUL)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"`edgeguard pull`" in done.stderr
    assert b"edgeguard check --model nano" in done.stderr


def test_variables_stand_for_options_and_options_beat_them() -> None:
    assert run("check", HARMFUL, EDGEGUARD_MODEL="nano").returncode == 1
    assert run("check", "--model", "nano", HARMFUL, EDGEGUARD_MODEL="absent").returncode == 1
    done = check("--json", HARMLESS, EDGEGUARD_POLICY="loose")
    assert json.loads(done.stdout)["policy"] == "loose"
    done = check("--json", "--policy", "strict", HARMLESS, EDGEGUARD_POLICY="loose")
    assert json.loads(done.stdout)["policy"] == "strict"


def test_colour_on_a_terminal_only_and_not_with_no_color() -> None:
    def on_terminal(**env: str) -> bytes:
        ours, theirs = pty.openpty()
        argv = [sys.executable, "-m", "edgeguard", "check", "--model", "nano", HARMLESS]
        clean = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"}
        subprocess.run(argv, stdout=theirs, stderr=subprocess.DEVNULL, env={**clean, **env})
        os.close(theirs)
        shown = os.read(ours, 4096)
        os.close(ours)
        return shown

    assert b"\x1b[" in on_terminal()
    assert b"\x1b[" not in on_terminal(NO_COLOR="1")
    assert b"\x1b[" not in check(HARMLESS, NO_COLOR="").stdout


def test_a_console_that_is_not_utf_8_still_gets_utf_8() -> None:
    done = check("--json", "漢字", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode in (0, 1)
    json.loads(done.stdout.decode("utf-8"))


def test_a_reader_that_leaves_is_not_a_safe() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", "edgeguard", "check", "--model", "nano", HARMLESS],
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(theirs)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_output_is_not_a_safe() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgeguard", "check", "--model", "nano", HARMLESS],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_the_grammar_is_printed() -> None:
    assert run("grammar").stdout.decode() == gbnf("prompt")
    assert run("grammar", "--mode", "response").stdout.decode() == gbnf("response")


def test_an_unknown_command_says_so() -> None:
    done = run("chekc", HARMLESS)
    assert done.returncode == 2
    assert b"chekc" in done.stderr


def test_a_saved_policy_is_taken_by_name_and_from_the_environment() -> None:
    digest = file_sha256(built_in().path)
    save_policy(Policy("everything", STRICT.harmful, 1e-9, digest, CALIBRATION))
    for done in (
        check("--policy", "everything", HARMLESS),
        check(HARMLESS, EDGEGUARD_POLICY="everything"),
    ):
        assert done.returncode == 1
        assert b"flagged        yes (everything)" in done.stdout
    absent = check("--policy", "nothing", HARMLESS)
    assert absent.returncode == 2
    assert b"there are: strict, loose, everything" in absent.stderr


TALK = [
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": HARMFUL},
    {"role": "assistant", "content": "I'm sorry, but I can't help with that."},
    {"role": "user", "content": [{"type": "text", "text": HARMLESS}, {"type": "image"}]},
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look"}}]},
    {"role": "tool", "content": "Paris"},
    {"role": "assistant", "content": "It is Paris."},
]


def test_each_message_is_judged_where_that_is_asked_for() -> None:
    talk = json.dumps(TALK).encode()
    argv = ["--messages", "-", "--skip-media", "--json"]
    last = check(*argv, stdin=talk)
    assert last.returncode == 0, last.stderr
    verdict = json.loads(last.stdout)
    assert verdict["message"] == 6
    assert verdict["not_judged"] == ["message 4: an image", "message 5: a tool call"]
    each = check(*argv, "--judge", "each", "--tool-calls", stdin=talk)
    assert each.returncode == 1  # the second message is flagged
    verdicts = [json.loads(line) for line in each.stdout.splitlines()]
    assert [verdict["message"] for verdict in verdicts] == [1, 2, 3, 4, 5, 6]
    assert verdicts[0]["flagged"]
    assert verdicts[-1]["not_judged"] == ["message 4: an image"]
    shown = check(
        "--messages", "-", stdin=talk, EDGEGUARD_JUDGE="exchange", EDGEGUARD_SKIP_MEDIA="1"
    )
    assert shown.stdout.count(b"probabilities") == 3
    assert b"  message        4 (prompt)\n  not judged     message 4: an image\n" in shown.stdout


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "message 4 has an image, which cannot be judged"),
        (["--skip-media", "--strict-messages"], "the official template has no place for"),
        (["--judge", "all"], "'each', 'exchange', 'last'"),
    ],
)
def test_what_a_conversation_has_beside_text_is_said(argv: list[str], said: str) -> None:
    done = check("--messages", "-", *argv, stdin=json.dumps(TALK).encode())
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()


def test_other_forms_of_conversations() -> None:
    chatml = f"<|im_start|>user\n{HARMFUL}<|im_end|>\n<|im_start|>assistant\n"
    sharegpt = json.dumps({"conversations": [{"from": "human", "value": HARMFUL}]})
    for given in (chatml, sharegpt):
        assert check("--messages", "-", stdin=given.encode()).returncode == 1


def test_a_prompt_and_its_response_can_both_be_judged() -> None:
    done = check("--judge", "each", "--json", HARMFUL, "--response", "I can't help with that.")
    assert [json.loads(line)["mode"] for line in done.stdout.splitlines()] == ["prompt", "response"]
    assert done.returncode == 1
