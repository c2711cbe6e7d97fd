"""What lies in this folder needs a Qwen3-0.6B of full size; it is made here with random weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.full_size)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint: FULL_SIZE_CHECKPOINT names one that is there already."""
    given = os.environ.get("FULL_SIZE_CHECKPOINT")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("full") / "checkpoint"
    argv = [sys.executable, str(ROOT / "benchmarks" / "stand_in.py"), "--out", str(folder)]
    if SHARED.is_dir():
        argv += ["--tokenizer", str(SHARED / "tokenizer")]
    subprocess.run(argv, check=True)
    return folder
