"""llama-server and llama-bench of the very llama.cpp that llama-cpp-python carries.

LLAMA_TOOLS names a folder that has them. Without it, the source package of the installed
version is fetched by pip and the two programs are compiled from it, which takes ten minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

NAMES = ("llama-bench", "llama-server")
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
)


def find_or_build(folder: Path) -> Path:
    """The folder that holds the programs; they are built under ``folder`` if need be."""
    given = os.environ.get("LLAMA_TOOLS")
    if given:
        missing = [name for name in NAMES if not (Path(given) / name).is_file()]
        if missing:
            raise SystemExit(f"LLAMA_TOOLS={given} has no {', '.join(missing)}")
        return Path(given)
    programs = folder / "build" / "bin"
    if not all((programs / name).is_file() for name in NAMES):
        _build(_source(folder), folder / "build")
    return programs


def _source(folder: Path) -> Path:
    release = version("llama-cpp-python")
    wanted = f"llama-cpp-python=={release}"
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), wanted], check=True, stdout=sys.stderr)
    (package,) = folder.glob("llama_cpp_python-*.tar.gz")
    with tarfile.open(package) as file:
        file.extractall(folder, filter="data")
    return folder / f"llama_cpp_python-{release}" / "vendor" / "llama.cpp"


def _build(source: Path, target: Path) -> None:
    configure = ["cmake", "-S", str(source), "-B", str(target), *_OPTIONS]
    compile_ = ["cmake", "--build", str(target), "--target", *NAMES, "--parallel"]
    for command in (configure, compile_):
        subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    print(find_or_build(Path(sys.argv[1]).absolute()))
