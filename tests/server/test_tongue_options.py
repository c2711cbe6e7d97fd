"""The options of `edgeguard serve` for other clients' names and forms, and `edgeguard mcp`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from edgeguard.commands.mcp import command as mcp
from edgeguard.commands.serve import command as serve
from edgeguard.errors import MissingExtraError
from edgeguard.server import run
from edgeguard.server.settings import Settings


def settings_of(monkeypatch: pytest.MonkeyPatch, *argv: str, **env: str) -> Settings:
    """What the server would be started with."""
    found: list[Settings] = []
    monkeypatch.setattr(run, "serve", lambda settings, _load: found.append(settings))
    ended = CliRunner(env={f"EDGEGUARD_{name}": value for name, value in env.items()}).invoke(
        serve, [*argv], standalone_mode=False
    )
    assert ended.exception is None, ended.exception
    return found[0]


@pytest.mark.parametrize(
    ("argv", "env", "port"),
    [
        ([], {}, 8000),
        (["--ollama"], {}, 11434),
        ([], {"OLLAMA": "1"}, 11434),
        (["--ollama", "--port", "8000"], {}, 8000),
        (["--ollama"], {"PORT": "0"}, 0),
    ],
)
def test_ollama_s_port_unless_another_is_said(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], env: dict[str, str], port: int
) -> None:
    assert settings_of(monkeypatch, *argv, **env).port == port


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(monkeypatch).aliases == ()
    found = settings_of(monkeypatch, "--alias", "a", "--alias", "b/c:1", "--any-model")
    assert (found.aliases, found.any_model) == (("a", "b/c:1"), True)
    assert settings_of(monkeypatch, ALIASES="a b").aliases == ("a", "b")
    assert settings_of(monkeypatch, "--litellm-calls", "5").litellm_calls == 5


def test_mcp_without_its_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    ended = CliRunner().invoke(mcp, [], standalone_mode=False)
    assert isinstance(ended.exception, MissingExtraError)
    assert "edgeguard[mcp]" in str(ended.exception) or ".[mcp]" in str(ended.exception)
