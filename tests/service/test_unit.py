"""What a service runs: words, variables and files, from what was typed and what variables say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard.cli import cli
from edgeguard.commands.service_options import asked_unit
from edgeguard.errors import EdgeguardError, InputError, ModelNotFoundError
from edgeguard.service.systemd_unit import is_changed, is_ours, unit_text, unseen, variables_text
from edgeguard.service.unit import Unit

KEY = "a-key-that-nobody-may-see"


def unit(*words: str, kind: str = "serve", **variables: str) -> Unit:
    return Unit(
        kind,
        ("/opt/py thon/bin/python", "-m", "edgeguard", kind, *words),
        {"EDGEGUARD_HOME": "/home/person/100% mine", **variables},
        (Path("/home/person/100% mine"),),
        devices=False,
    )


def asked(kind: str, options: tuple[str, ...]) -> Unit:
    command = cli.get_command(click.Context(cli), kind)
    assert command is not None
    return asked_unit(command, kind, options)


class TestOptions:
    def test_what_was_typed_and_what_variables_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGEGUARD_PORT", "8123")
        monkeypatch.setenv("EDGEGUARD_POLICY", "strict loose")
        found = asked("serve", ("--model", "nano", "--any-model", "--threads", "background"))
        assert found.command[:3] == (sys.executable, "-m", "edgeguard")
        words = " ".join(found.command[3:])
        for part in ("--model nano", "--any-model", "--threads background", "--port 8123"):
            assert f"{part} " in f"{words} "
        assert "--policy strict --policy loose" in words
        assert "--queue" not in words  # a default may change with a version

    def test_keys_are_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGEGUARD_UPSTREAM_KEY", f"{KEY}-2")
        typed = ("--model", "nano", "--api-key", KEY, "--upstream", "http://127.0.0.1:1/v1")
        found = asked("proxy", typed)
        assert found.variables["EDGEGUARD_API_KEY"] == KEY
        assert found.variables["EDGEGUARD_UPSTREAM_KEY"] == f"{KEY}-2"
        assert KEY not in " ".join(found.command)
        assert KEY not in unit_text(found, Path("/x"), namespaces=True)

    def test_paths_hold_in_another_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nano_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        shutil.copy(nano_path, "mine.gguf")
        Path("house.toml").write_text('base = "strict"\n')
        typed = ("--model", "mine.gguf", "--policy", "house.toml", "--cache", "sub/answers.db")
        found = asked("serve", typed)
        for name in ("mine.gguf", "house.toml", "sub/answers.db"):
            assert str(tmp_path / name) in found.command
        assert tmp_path / "sub" in found.writes

    def test_a_name_stays_a_name_beside_a_file_of_that_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("nano").touch()
        assert "nano" in asked("serve", ("--model", "nano", "--cache", "memory")).command

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            (("--model", "nano", "--port", "0"), InputError),
            (("--model", "nothing.gguf"), ModelNotFoundError),
            (("--model", "nano", "--nothing"), click.ClickException),
            (("--model", "nano", "--alias", "two\nlines"), InputError),
        ],
    )
    def test_what_cannot_be_a_service(
        self, options: tuple[str, ...], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            asked("serve", options)

    def test_an_empty_key_opens_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGEGUARD_API_KEY", "")
        with pytest.raises(EdgeguardError, match="is empty"):
            asked("serve", ("--model", "nano"))


class TestText:
    def test_it_is_known_again(self) -> None:
        text = unit_text(unit(), Path("/x/serve.env"), namespaces=True)
        assert is_ours(text) and not is_changed(text)
        assert is_ours(f"{text}Nice=5\n") and is_changed(f"{text}Nice=5\n")
        assert not is_ours("[Service]\nExecStart=/bin/true\n")

    def test_percent_signs_are_systemds(self) -> None:
        text = unit_text(unit("--refusal", "100% no"), Path("/y/serve.env"), namespaces=True)
        assert "%" not in text.replace("%%", "")

    @given(st.lists(st.text(st.characters(exclude_characters="\n\r\0", codec="utf-8"))))
    def test_words_come_out_as_they_went_in(self, words: list[str]) -> None:
        """Read back by the rules of systemd.syntax(7) for double quotes; see the slow tests."""
        line = next(
            line
            for line in unit_text(unit(*words), Path("/x"), namespaces=False).split("\n")
            if line.startswith("ExecStart=")
        )
        assert quoted(line.removeprefix("ExecStart=:"))[4:] == words

    def test_variables_are_one_a_line(self) -> None:
        assert variables_text({"A": 'x"y\\z', "B": "$HOME"}) == 'A="x\\"y\\\\z"\nB="$HOME"\n'

    @pytest.mark.parametrize("path", ["/tmp/x/python", "/var/tmp/guard.gguf"])
    def test_a_service_has_a_tmp_of_its_own(self, path: str) -> None:
        assert unseen(unit("--model", path)) == path
        assert unseen(unit("--model", "/tmpfiles/guard.gguf")) is None

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
    @pytest.mark.parametrize("namespaces", [True, False])
    def test_systemd_finds_nothing_wrong(self, namespaces: bool, tmp_path: Path) -> None:
        found = Unit(
            "serve", (sys.executable, 'a "q" 5%', "$x\\"), {"EDGEGUARD_HOME": "/"}, (), True
        )
        file = tmp_path / "edgeguard-serve.service"
        file.write_text(unit_text(found, Path("/x.env"), namespaces=namespaces))
        command = ["systemd-analyze", "verify", "--man=no", "--generators=no", str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        about_ours = [line for line in done.stderr.splitlines() if "edgeguard" in line]
        assert done.returncode == 0 and not about_ours, done.stderr


def quoted(line: str) -> list[str]:
    """The words of a line of quoted words, unescaped."""
    words, rest = [], line
    while rest:
        assert rest[0] == '"'
        word, at = "", 1
        while rest[at] != '"':
            at += rest[at] == "\\"
            word += rest[at]
            at += 1
        words.append(word.replace("%%", "%"))
        rest = rest[at + 1 :].removeprefix(" ")
    return words
