"""What differs on Windows and macOS, as far as it can be shown here; docs/platforms.md lists it.

A function that a system lacks is taken away, a path is read as that system reads it, and a console
has that system's encoding. What only the system itself can show runs in continuous integration.
"""

from __future__ import annotations

import io
import ntpath
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from edgeguard import console, outputs
from edgeguard.convert import output as scratch_files
from edgeguard.errors import InputError
from edgeguard.policy import read_policy
from edgeguard.server.notify import notify
from edgeguard.service import manager
from edgeguard.session import cpu
from edgeguard.store import model_file, policies


class TestNames:
    @pytest.mark.parametrize(
        "file",
        ["NUL", "nul.json", "CON", "C:\\out\\com1.txt", "AUX.gguf", "report.json:stream", "x. "],
    )
    def test_devices_are_no_files(self, file: str) -> None:
        assert outputs.is_reserved(file)

    @pytest.mark.parametrize(
        "file",
        ["out.json", "C:\\out\\a.gguf", "C:a.gguf", "\\\\server\\share\\a.json", "console.json"],
    )
    def test_ordinary_names_are(self, file: str) -> None:
        assert not outputs.is_reserved(file)

    def test_a_result_is_not_written_into_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        outputs.check_outputs({"--out": "NUL"})  # a name like any other here
        with monkeypatch.context() as windows:
            windows.setattr("edgeguard.outputs.os.name", "nt")
            windows.setattr("edgeguard.outputs.Path", type(tmp_path))
            with pytest.raises(InputError, match="on Windows"):
                outputs.check_outputs({"--out": "NUL"})

    def test_capitals_make_no_second_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = {"--json": str(tmp_path / "Report"), "--html": str(tmp_path / "report")}
        outputs.check_outputs(dict(names))
        monkeypatch.setattr("edgeguard.outputs.os.path.normcase", ntpath.normcase)
        with pytest.raises(InputError, match="named for two results"):
            outputs.check_outputs(dict(names))

    @pytest.mark.parametrize(
        "text", ["C:\\models\\guard", "..\\guard", "\\\\server\\share\\guard", "D:/guard", "x.GGUF"]
    )
    def test_paths_of_windows_are_paths(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sep", "\\")
        monkeypatch.setattr(os, "altsep", "/")
        assert model_file._looks_like_path(text)
        assert policies.is_file_name(text) or text == "x.GGUF"


class TestConsole:
    @pytest.mark.parametrize("encoding", ["cp1252", "cp437", "cp932", "ascii"])
    def test_every_text_can_be_shown(self, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
        monkeypatch.setattr(sys, "stdout", stream)
        console.use_utf8()
        print("Grüße, 你好, 🙂, \udcff")
        stream.flush()
        assert raw.getvalue() == "Grüße, 你好, 🙂, \\udcff\n".encode()


class TestNewlines:
    def test_a_policy_from_notepad(self) -> None:
        text = b'[categories]\npolitics = "ignore"\nviolence = "controversial"\n'
        plain = read_policy("mine", text)
        assert read_policy("mine", text.replace(b"\n", b"\r\n")) == plain


class TestMissing:
    def test_signals_and_sockets_of_unix(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from edgeguard.server.run import _hangup

        monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
        for module, name in ((signal, "SIGHUP"), (socket, "AF_UNIX")):
            monkeypatch.delattr(module, name)
        notify(ready=True, status="ready")
        with _hangup(None):  # type: ignore[arg-type]  # nothing to hang up
            pass

    def test_affinity(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 8)
        assert cpu.physical_cores() == 4
        monkeypatch.setattr(os, "cpu_count", lambda: None)
        assert cpu.physical_cores() == 1

    def test_locks_of_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Windows removes no open file, so what nobody holds must be removed unopened."""
        monkeypatch.setattr(scratch_files, "fcntl", None)
        opened: list[Path] = []
        real = Path.unlink

        def unlink(path: Path, missing_ok: bool = False) -> None:
            if any(handle.resolve() == path for handle in Path("/proc/self/fd").iterdir()):
                opened.append(path)
                raise PermissionError(13, "used by another process", str(path))
            real(path, missing_ok=missing_ok)

        left = tmp_path / ".out.0123.part"
        left.touch()
        if Path("/proc/self/fd").is_dir():
            monkeypatch.setattr(Path, "unlink", unlink)
        scratch_files.sweep(tmp_path / "out")
        assert not left.exists() and not opened

    def test_services(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for system in ("win32", "freebsd14", "cygwin"):
            monkeypatch.setattr(sys, "platform", system)
            with pytest.raises(Exception, match=r"\(systemd\)"):
                manager.manager()

    def test_folders_cannot_be_flushed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("edgeguard.outputs.os.name", "nt")
        monkeypatch.setattr("edgeguard.outputs.os.open", refuse)
        outputs.sync_folder(tmp_path)


def test_a_long_path_is_an_error_that_says_so(tmp_path: Path) -> None:
    """MAX_PATH, or whatever the system's own is: never a traceback."""
    with pytest.raises(InputError):
        outputs.check_outputs({"--out": str(tmp_path / ("x" * 300) / "out.json")})
