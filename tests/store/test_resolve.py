"""What a person writes after --model means one file, or an error that says what to type."""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path

import pytest
from fake_models import CONTENT, install_fake

from edgeguard.errors import ModelError, ModelNotFoundError, StoreError
from edgeguard.store import paths, resolve


@pytest.fixture
def nano(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built-in model, whether or not the checkout has one."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "nano.gguf").write_bytes(b"nano")
    monkeypatch.setattr(importlib.resources, "files", lambda _package: folder)
    return folder / "nano.gguf"


def test_none_means_the_default_model() -> None:
    model = install_fake()
    found = resolve()
    assert (found.path, found.name, found.type) == (model.path, "gen-0.6b", "q4_k_m")
    assert found.sha256 == model.described.sha256
    assert not found.built_in


def test_none_means_the_variable_first(monkeypatch: pytest.MonkeyPatch, nano: Path) -> None:
    install_fake()
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    assert resolve().path == nano
    assert resolve("gen-0.6b").name == "gen-0.6b"
    monkeypatch.setenv("EDGEGUARD_MODEL", "")
    assert resolve().name == "gen-0.6b"


def test_nothing_installed_says_the_two_things_to_type(nano: Path) -> None:
    for model in (None, "gen-0.6b"):
        with pytest.raises(ModelNotFoundError) as caught:
            resolve(model)
        assert "`edgeguard pull`" in str(caught.value)
        assert '`edgeguard check --model nano "…"`' in str(caught.value)
    assert nano.exists()


def test_nano_is_the_file_in_the_package(nano: Path) -> None:
    found = resolve("nano")
    assert (found.path, found.full_name, found.built_in) == (nano, "nano", True)
    nano.unlink()
    with pytest.raises(ModelNotFoundError, match=r"nano\.gguf is missing"):
        resolve("nano")


def test_nano_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_package: str) -> Path:
        raise ModuleNotFoundError("no such package")

    monkeypatch.setattr(importlib.resources, "files", missing)
    with pytest.raises(ModelNotFoundError, match="install edgeguard again"):
        resolve("nano")


def test_of_several_types_the_default_one() -> None:
    install_fake(kind="q8_0")
    assert resolve("gen-0.6b").type == "q8_0"
    install_fake(kind="f16")
    with pytest.raises(ModelNotFoundError, match=r"name one: gen-0.6b-f16, gen-0.6b-q8_0"):
        resolve("gen-0.6b")
    install_fake(kind="q4_k_m")
    assert resolve("gen-0.6b").type == "q4_k_m"
    assert resolve("gen-0.6b-q8_0").type == "q8_0"


def test_a_missing_type_says_what_to_pull() -> None:
    install_fake()
    with pytest.raises(ModelNotFoundError, match="edgeguard pull --type q8_0"):
        resolve("gen-0.6b-q8_0")


def test_a_missing_model_never_becomes_another(nano: Path) -> None:
    install_fake(name="gen-4b")
    with pytest.raises(ModelNotFoundError, match=r"\(installed: gen-4b-q4_k_m\); edgeguard pull"):
        resolve()
    assert nano.exists()


@pytest.mark.parametrize(
    ("typed", "meant"), [("gen-0.6", "gen-0.6b"), ("GEN-0.6B", "gen-0.6b"), ("nanoo", "nano")]
)
def test_did_you_mean(typed: str, meant: str) -> None:
    with pytest.raises(ModelNotFoundError, match=f"did you mean {meant}?"):
        resolve(typed)


@pytest.mark.parametrize("text", ["./m.gguf", "m.gguf", "m", "sub/m"])
def test_a_path_is_a_path(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / text).write_bytes(CONTENT)
    for model in (text, Path(text), str((tmp_path / text).resolve())):
        found = resolve(model)
        assert found.path == tmp_path / text
        assert (found.name, found.type, found.sha256) == ("m", None, None)


@pytest.mark.skipif(os.name == "nt", reason="HOME is not the home folder there")
def test_a_path_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.gguf").write_bytes(CONTENT)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/m.gguf").path == tmp_path / "m.gguf"


def test_a_file_in_the_working_folder_cannot_take_a_name(
    nano: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = install_fake()
    for name in ("nano", "gen-0.6b", "gen-0.6b-q4_k_m"):
        (tmp_path / name).write_bytes(b"planted")
    assert resolve("nano").path == nano
    assert resolve("gen-0.6b").path == model.path
    assert resolve(Path("nano")).path == tmp_path / "nano"


@pytest.mark.parametrize(
    "text",
    ["", " ", "../gen-0.6b", "/no/such/file", "a\0b", "x\0.gguf", "~no-such-user/m", "x" * 5000],
)
def test_what_means_nothing_is_one_line(text: str) -> None:
    for model in (text, Path(text) if text else Path("/no/such")):
        with pytest.raises((ModelNotFoundError, ModelError)) as caught:
            resolve(model)
        assert "\n" not in str(caught.value)


def test_a_folder_says_how_to_make_a_file_of_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="edgeguard convert"):
        resolve(tmp_path)


def test_a_damaged_model_is_an_error_not_another_model(nano: Path) -> None:
    model = install_fake()
    model.path.write_bytes(CONTENT[::-1])
    with pytest.raises(ModelError, match=r"edgeguard rm gen-0.6b-q4_k_m, then edgeguard pull"):
        resolve()
    assert nano.exists()


def test_an_unreadable_models_folder_is_an_error(isolation: Path) -> None:
    (isolation / "edgeguard").write_bytes(b"a file where the folder should be")
    with pytest.raises(StoreError):
        resolve()


def test_resolving_writes_nothing() -> None:
    with pytest.raises(ModelNotFoundError):
        resolve()
    assert not paths.home().exists()
