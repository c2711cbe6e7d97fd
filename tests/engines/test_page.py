"""The programs of docs/scaling.md, each run as it stands."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from blocks import Block, blocks
from engine_rows import expected, in_order, table

pytestmark = pytest.mark.engine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
PROGRAMS = {str(each.title): each for each in blocks(PAGE, "scaling.md") if each.title}
NEEDED = {"in_ray.py": "ray", "in_daft.py": "daft", "in_spark.py": "pyspark", "in_dask.py": "dask"}


def test_every_engine_has_its_program() -> None:
    assert PROGRAMS.keys() == NEEDED.keys()


@pytest.mark.parametrize("name", NEEDED)
def test_a_program_judges_every_row(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(NEEDED[name]) is None:
        pytest.skip(f"needs {NEEDED[name]}; see scripts/test-engines")
    if name == "in_spark.py" and shutil.which("java") is None:
        pytest.skip("needs a Java, as apt's default-jre-headless")
    rows = table(200).select(["id", "text"])
    pq.write_table(rows, tmp_path / "texts.parquet", row_group_size=50)
    run(PROGRAMS[name], tmp_path)
    found = pq.read_table(tmp_path / "judged").to_pylist()
    assert in_order(found) == expected(rows)


def run(program: Block, folder: Path) -> None:
    assert program.title is not None
    (folder / program.title).write_text(program.text, encoding="utf-8")
    # Spark's workers run the python3 of the path.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    ended = subprocess.run(
        [sys.executable, program.title],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
