"""The quality of nano on the measuring sets, and what its quantizations cost, with two pictures.

    python benchmarks/evaluation.py --data ../shared/data/eval [--checkpoint DIR] [--limit N]

Runs `edgeguard eval` on every row, and with --checkpoint (nano's, in the Hugging Face form)
`edgeguard eval --compare` of four types on at most N rows of each set. Writes their output to
benchmarks/results/evaluation.md and, where there is a Chromium, the upper part of the pages to
docs/evaluation.png and docs/comparison.png. A run that was cut goes on, with the same --records.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import machine  # noqa: E402
from PIL import Image  # noqa: E402 - matplotlib needs it

RESULTS = ROOT / "benchmarks" / "results" / "evaluation.md"
DOCS = ROOT / "docs"
TYPES = ("bf16", "q8_0", "q4_k_m", "q4_0")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def edgeguard(*argv: str) -> str:
    """Run a command of edgeguard, with its progress on our stderr; return what it prints."""
    command = [sys.executable, "-m", "edgeguard", *argv]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.rstrip()


def picture(html: Path, out: Path, height: int) -> None:
    """The upper part of a page as PNG."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no Chromium: {out.name} is not drawn", file=sys.stderr)
        return
    argv = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    argv += [f"--window-size=1120,{height}", f"--screenshot={out}", html.resolve().as_uri()]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    Image.open(out).quantize(256).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="the folder of measuring sets")
    parser.add_argument("--checkpoint", help="nano's checkpoint, for the comparison")
    parser.add_argument("--limit", type=int, default=150, help="rows of a set in the comparison")
    parser.add_argument("--records", help="keep verdicts here, and go on from it")
    options = parser.parse_args()
    DOCS.mkdir(exist_ok=True)
    where = machine.describe()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = ["--records", options.records] if options.records else []
        page = folder / "report.html"
        tables = edgeguard("eval", "--model", "nano", options.data, "--html", str(page), *kept)
        picture(page, DOCS / "evaluation.png", 1390)
        parts = [("edgeguard eval --model nano ../shared/data/eval", tables)]
        if options.checkpoint:
            parts.append(_comparison(folder, options.checkpoint, options.data, options.limit))
    blocks = [f"```console\n$ {command}\n{text}\n```\n" for command, text in parts]
    RESULTS.write_text(
        f"# nano on the measuring sets\n\n{where}. `python benchmarks/evaluation.py` makes this "
        "file; the sets are those that nano's card names.\n\n" + "\n".join(blocks),
        encoding="utf-8",
    )


def _comparison(folder: Path, checkpoint: str, data: str, limit: int) -> tuple[str, str]:
    files = [folder / f"nano-{kind}.gguf" for kind in TYPES]
    for kind, file in zip(TYPES, files):
        edgeguard("convert", checkpoint, "--type", kind, "--out", str(file))
    page = folder / "comparison.html"
    argv = ["--compare", *map(str, files), data, "--limit", str(limit), "--html", str(page)]
    text = edgeguard("eval", *argv)
    picture(page, DOCS / "comparison.png", 1560)
    names = " ".join(file.name for file in files)
    return f"edgeguard eval --compare {names} ../shared/data/eval --limit {limit}", text


if __name__ == "__main__":
    main()
