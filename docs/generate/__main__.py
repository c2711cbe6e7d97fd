"""Write the generated pages into docs/reference: `bash scripts/reference`."""

from __future__ import annotations

from pathlib import Path

from generate.pages import PAGES

FOLDER = Path(__file__).resolve().parents[1] / "reference"

for name, page in PAGES.items():
    (FOLDER / name).write_text(page(), encoding="utf-8")
    print(f"docs/reference/{name}")
