"""Models appear and disappear as a whole, and nothing outside the folder is touched."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from fake_models import CONTENT, install_fake

from edgeguard.errors import ModelError, ModelNotFoundError, StoreError
from edgeguard.store import checksum, paths, resolve, store
from edgeguard.store.manifest import MANIFEST, MODEL, is_name, read_manifest
from edgeguard.store.store import candidates, installed, locked, remove, staging


def _names() -> list[str]:
    return sorted(path.name for path in paths.models_folder().iterdir() if path.name != ".lock")


def test_nothing_is_installed_at_first() -> None:
    assert installed() == ()
    assert not paths.home().exists()


def test_what_is_installed_is_found_and_intact() -> None:
    model = install_fake()
    assert installed() == (model,)
    assert model.full_name == "gen-0.6b-q4_k_m"
    assert model.path.read_bytes() == CONTENT
    model.check()
    model.verify()


def test_installing_again_replaces() -> None:
    install_fake()
    model = install_fake(content=b"other")
    assert installed() == (model,)
    assert model.path.read_bytes() == b"other"
    assert _names() == ["gen-0.6b-q4_k_m"]


def test_a_model_is_readable_like_any_other_file() -> None:
    if os.name == "nt":
        pytest.skip("needs POSIX permissions")
    folder = install_fake().folder
    assert folder.stat().st_mode & 0o777 == 0o777 & ~store._umask()


def test_a_failure_leaves_nothing() -> None:
    with pytest.raises(RuntimeError), locked(wait=False), staging() as folder:
        (folder / MODEL).write_bytes(CONTENT)
        raise RuntimeError
    assert _names() == []


def test_a_failed_rename_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_sync", full)
    with pytest.raises(StoreError, match=r"No space left on device.*EDGEGUARD_HOME"):
        install_fake()
    assert _names() == []


def test_the_lock_is_exclusive_and_removes_what_the_dead_left() -> None:
    with locked(wait=False):
        (paths.models_folder() / ".tmp-dead").mkdir()
        with pytest.raises(StoreError, match="another edgeguard"), locked(wait=False):
            pass
        assert _names() == [".tmp-dead"]
    with locked(wait=False):
        assert _names() == []


def test_waiting_for_the_lock(caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(wait=True):
            order.append("second")

    with locked(wait=False):
        thread = threading.Thread(target=second)
        thread.start()
        while "waiting" not in caplog.text:
            pass
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_remove_takes_one_and_leaves_the_others() -> None:
    install_fake(kind="q4_k_m")
    install_fake(kind="q8_0")
    remove("gen-0.6b-q4_k_m")
    assert _names() == ["gen-0.6b-q8_0"]


@pytest.mark.parametrize("name", ["", ".", "..", "../models", ".lock", "a/b", "x", "/etc"])
def test_remove_touches_only_models(name: str) -> None:
    install_fake()
    with pytest.raises(ModelNotFoundError):
        remove(name)
    assert _names() == ["gen-0.6b-q4_k_m"]


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_remove_takes_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    real = install_fake().folder.rename(tmp_path / "real")
    (paths.models_folder() / "gen-0.6b-q4_k_m").symlink_to(real)
    remove("gen-0.6b-q4_k_m")
    assert (real / MODEL).read_bytes() == CONTENT
    assert installed() == ()


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_file_that_is_a_link_to_something_else_is_damaged(tmp_path: Path) -> None:
    model = install_fake()
    other = tmp_path / "other"
    other.write_bytes(bytes(len(CONTENT)))
    model.path.unlink()
    model.path.symlink_to(other)
    with pytest.raises(ModelError, match="damaged"):
        model.check()


def test_damage_is_found() -> None:
    model = install_fake()
    model.path.write_bytes(CONTENT[::-1])
    for check in (model.check, model.verify):
        with pytest.raises(ModelError, match=r"sha256.*edgeguard rm gen-0.6b-q4_k_m"):
            check()
    model.path.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError, match="19 bytes instead of 20"):
        model.check()
    model.path.unlink()
    with pytest.raises(ModelError, match="missing"):
        model.check()


def test_damage_with_the_old_time_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "_SETTLED_SECONDS", 0.0)  # what is remembered is believed
    model = install_fake()
    model.check()
    status = model.path.stat()
    model.path.write_bytes(CONTENT[::-1])
    os.utime(model.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    for check in (model.check, model.verify, lambda: resolve("gen-0.6b")):
        with pytest.raises(ModelError, match="sha256"):
            check()


def test_a_copy_with_new_times_is_intact() -> None:
    model = install_fake()
    os.utime(model.path)
    model.check()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"name": 1}',
        "\0",
        "[" * 100_000,
        '{"name": "gen-0.6b", "type": "q4_k_m"}',
    ],
)
def test_a_damaged_manifest_is_an_error_and_can_be_removed(text: str) -> None:
    model = install_fake()
    (model.folder / MANIFEST).write_text(text)
    (found,) = installed()
    assert found.manifest is None
    with pytest.raises(ModelError, match=r"edgeguard rm gen-0.6b-q4_k_m"):
        found.check()
    assert [model.folder for model in candidates("gen-0.6b")] == [found.folder]
    remove(found.full_name)
    assert installed() == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../../etc"),
        ("name", "gen-4b"),
        ("type", "q8_0"),
        ("sha256", "0"),
        ("size", "20"),
        ("size", True),
        ("sources", []),
    ],
)
def test_a_manifest_describes_its_own_folder(key: str, value: object) -> None:
    folder = install_fake().folder
    data = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**data, key: value}))
    with pytest.raises(ModelError, match="damaged"):
        read_manifest(folder)


def test_a_manifest_cannot_point_elsewhere() -> None:
    folder = install_fake().folder
    data = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**data, "path": "/etc/passwd"}))
    (found,) = installed()
    assert found.path == folder / MODEL


def test_an_unreadable_folder_is_one_line(isolation: Path) -> None:
    (isolation / "edgeguard").mkdir()
    (isolation / "edgeguard" / "models").write_bytes(b"not a folder")
    with pytest.raises(StoreError, match="cannot be read"):
        installed()
    with pytest.raises(StoreError, match="cannot be written"), locked(wait=False):
        pass


def test_other_things_in_the_folder_are_no_models() -> None:
    install_fake()
    for name in ("UPPER", "with space", ".hidden", "-x"):
        (paths.models_folder() / name).mkdir()
    (paths.models_folder() / "file").write_bytes(b"")
    assert [model.full_name for model in installed()] == ["gen-0.6b-q4_k_m"]


@pytest.mark.parametrize(
    "name", ["..", "a..b", "a/b", "a\\b", "", "A", "a b", "a\n", "é", "a" * 65]
)
def test_what_cannot_be_a_name(name: str) -> None:
    assert not is_name(name)
