"""The public door, the cheapness of importing, and the tree of errors."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import edgeguard
from edgeguard import errors
from edgeguard.protocol.names import CATEGORIES

ROOT = Path(__file__).resolve().parent.parent


def test_all_is_sorted_and_is_what_there_is() -> None:
    assert edgeguard.__all__ == sorted(edgeguard.__all__)
    public = {
        name
        for name in dir(edgeguard)
        if not name.startswith("_") and not isinstance(getattr(edgeguard, name), types.ModuleType)
    }
    assert public - {"TYPE_CHECKING"} | {"__version__"} == set(edgeguard.__all__)


def test_every_error_is_public_and_stands_in_the_tree() -> None:
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.EdgeguardError):
            assert name in edgeguard.__all__
            assert name in (errors.__doc__ or "")
            assert value.exit_code == 2


HEAVY = (
    "llama_cpp",
    "numpy",
    "gguf",
    "huggingface_hub",
    "httpx",
    "jinja2",
    "sklearn",
    "matplotlib",
    "pyarrow",
    "tqdm",
)


@pytest.mark.parametrize(
    "argv", [["--help"], ["--version"], ["check", "--help"], ["batch", "--help"], ["grammar"]]
)
def test_help_loads_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys\nfrom edgeguard.cli import main\n"
        f"sys.argv = ['edgeguard', *{argv!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_version_is_the_changelogs() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = next(line for line in text.splitlines() if line.startswith("## ["))
    assert newest.startswith(f"## [{edgeguard.__version__}]")


def test_the_version_is_written_in_one_place() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'version = { attr = "edgeguard._version.__version__" }' in project
    written = re.compile(rf"(?<![\d.]){re.escape(edgeguard.__version__)}(?![\d.])")
    spelled = {
        path.relative_to(ROOT).as_posix()
        for folder in ("edgeguard", "convert", "models/nano")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".html", ".json", ".toml")
        and written.search(path.read_text(encoding="utf-8"))
    }
    assert spelled == {"edgeguard/_version.py"}
    assert not written.search(project)


def test_one_module_of_the_runtime_imports_llama_cpp() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("edgeguard", "convert")
        for path in (ROOT / folder).rglob("*.py")
        if "import llama_cpp" in path.read_text(encoding="utf-8")
    }
    assert found == {"edgeguard/session/library.py", "convert/quantizer.py"}


def test_no_module_but_the_protocol_spells_a_category() -> None:
    spelled = [
        (path.name, name)
        for folder in ("edgeguard", "convert")
        for path in (ROOT / folder).rglob("*.py")
        for name in CATEGORIES
        if path.name != "names.py" and f'"{name}"' in path.read_text(encoding="utf-8")
    ]
    assert not spelled
