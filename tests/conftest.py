"""What every test gets: an empty models folder, no EDGEGUARD_* variables, no network.

Fixtures that several folders of tests share live here; a test that needs something this machine
lacks skips and says what.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from checkpoints import write_checkpoint

from edgeguard import Guard
from edgeguard.convert import convert

# A shell that starts the tests in the background has their children ignore Ctrl-C, which some test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example's time says more of what else the machine does than of the example.
hypothesis.settings.register_profile("edgeguard", deadline=None)
hypothesis.settings.load_profile("edgeguard")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """How first tries of llama.cpp ended: one for each model, not one for each test."""
    return tmp_path_factory.mktemp("trials")


@pytest.fixture(autouse=True)
def isolation(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    trials: Path,
) -> Path:
    """Point every folder that edgeguard or the hub may touch at an empty one; return it."""
    for name in list(os.environ):
        if name.startswith(("EDGEGUARD_", "HF_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("EDGEGUARD_HOME", str(home / "edgeguard"))
    if "no_home" not in request.fixturenames:
        (home / "edgeguard" / "cache").mkdir(parents=True)
        (home / "edgeguard" / "cache" / "trials").symlink_to(trials)
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    monkeypatch.setenv("NO_COLOR", "1")
    return home


@pytest.fixture
def no_home() -> None:
    """For a test that wants EDGEGUARD_HOME not to exist at first."""


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and data beside the repository; tests skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared, which is not part of the project")
    return SHARED


NANO = ROOT / "models" / "nano" / "nano.gguf"


@pytest.fixture(scope="session")
def nano_path() -> Path:
    """The built-in model's file."""
    return NANO


@pytest.fixture(scope="session")
def nano() -> Iterator[Guard]:
    """One guard on the built-in model for tests that only ask it things.

    One thread: threads that wait for each other crawl on a machine that does other work too.
    """
    with Guard("nano", threads=1) as guard:
        yield guard


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights and a small tokenizer: it may answer anything."""
    folder = tmp_path_factory.mktemp("random")
    write_checkpoint(folder / "checkpoint", seed=7)
    return convert(
        folder / "checkpoint", folder / "random.gguf", type="bf16", trust_template=True
    ).path


@pytest.fixture(scope="session")
def random_guard(random_model: Path) -> Iterator[Guard]:
    """One guard on the random model."""
    with Guard(random_model, threads=1, allow_random_weights=True) as guard:
        yield guard


@pytest.fixture(scope="session")
def real_vocabulary(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model that has Qwen3's own tokenizer."""
    folder = tmp_path_factory.mktemp("vocabulary")
    write_checkpoint(
        folder / "checkpoint",
        hidden=64,
        layers=1,
        heads=1,
        kv_heads=1,
        ffn=64,
        tokenizer=shared / "tokenizer",
    )
    return convert(
        folder / "checkpoint", folder / "vocabulary.gguf", type="bf16", trust_template=True
    ).path
