"""llama.cpp's use of AMX as the compiler here compiles it, with the header of scripts/ and without.

What runs is the very code that the compiler makes; only the one instruction that needs AMX is
replaced by a copy of the 64 bytes that the processor would read, so no AMX is needed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

HEADER = ROOT / "scripts" / "amx_tile_config.h"

# As ggml-cpu/amx/mmq.cpp fills its configuration: palette, 14 reserved bytes, columns, rows.
CONFIGURE = """
#include <immintrin.h>
#include <cstdint>
struct tile_config_t {
    uint8_t palette_id = 0, start_row = 0, reserved_0[14] = {0};
    uint16_t colsb[16] = {0};
    uint8_t rows[16] = {0};
};
extern "C" void configure() {
    alignas(64) tile_config_t tc = {};
    tc.palette_id = 1;
    tc.start_row = 0;
    for (int i = 0; i < 2; i++) { tc.rows[i] = 8; tc.colsb[i] = 64; }
    for (int i = 2; i < 4; i++) { tc.rows[i] = 16; tc.colsb[i] = 32; }
    for (int i = 4; i < 8; i++) { tc.rows[i] = 16; tc.colsb[i] = 64; }
    _tile_loadconfig(&tc);
}
"""
SHOW = """
#include <cstdio>
extern "C" { unsigned char seen[64]; void configure(); }
int main() { configure(); for (int i = 0; i < 64; i++) std::printf("%02x", seen[i]); }
"""
WANTED = (
    bytes([1, *[0] * 15])
    + b"".join(n.to_bytes(2, "little") for n in (64, 64, 32, 32, 64, 64, 64, 64, *[0] * 8))
    + bytes([8, 8, *[16] * 6, *[0] * 8])
).hex()

COPY = "\n".join(
    ["\tleaq\t{operand}, %rax"]
    + [f"\tmovdqu\t{at}(%rax), %xmm7\n\tmovdqu\t%xmm7, seen+{at}(%rip)" for at in range(0, 64, 16)]
)

COMPILERS = [
    name
    for name in ("c++", "g++-11", "g++-12", "g++-13", "g++-14", "clang++-16", "clang++-19")
    if shutil.which(name)
]


def seen(compiler: str, folder: Path, *flags: str) -> str:
    """The bytes that a processor with AMX would be configured with, as the compiler compiles it."""
    (folder / "configure.cpp").write_text(CONFIGURE)
    (folder / "show.cpp").write_text(SHOW)
    assembly = folder / "configure.s"
    options = ["-O3", "-mamx-tile", "-fno-pic", "-fno-stack-protector", "-S", "-o", str(assembly)]
    command = [compiler, *options, *flags, str(folder / "configure.cpp")]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip(f"{compiler} knows no AMX")
    text, count = re.subn(
        r"^\tldtilecfg\t(\S+).*$",
        lambda found: COPY.format(operand=found[1]),
        assembly.read_text(),
        flags=re.M,
    )
    assert count == 1
    assembly.write_text(text)
    program = folder / "program"
    linked = [compiler, "-no-pie", "-o", str(program), str(assembly), str(folder / "show.cpp")]
    subprocess.run(linked, check=True)
    return subprocess.run([program], capture_output=True, check=True, text=True).stdout


pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or os.name == "nt" or not COMPILERS,
    reason="needs a C++ compiler on x86-64",
)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_with_the_header_the_whole_configuration_is_there(compiler: str, tmp_path: Path) -> None:
    assert seen(compiler, tmp_path, "-include", str(HEADER)) == WANTED


@pytest.mark.parametrize("compiler", COMPILERS)
def test_without_it_gcc_up_to_14_loses_it(compiler: str, tmp_path: Path) -> None:
    """If this fails, that compiler is mended: the header's first lines may say so."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    major = int(re.search(r"(\d+)\.\d+\.\d+", version)[1])  # type: ignore[index]
    lost = "clang" not in version and major <= 14
    assert (seen(compiler, tmp_path) != WANTED) is lost


@pytest.mark.slow
def test_llama_cpp_is_not_mended_yet(tmp_path: Path) -> None:
    """The source of the version that is installed; if this fails, the header can go."""
    import sys
    import tarfile
    from importlib.metadata import version as installed

    name = "llama-cpp-python"
    version = installed(name).partition("+")[0]
    command = [sys.executable, "-m", "pip", "download", "--no-deps"]
    done = subprocess.run(
        [*command, "--no-binary", name, "-d", str(tmp_path), f"{name}=={version}"],
        capture_output=True,
        text=True,
    )
    archives = list(tmp_path.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"the source package cannot be fetched: {done.stderr[-200:]}")
    with tarfile.open(archives[0]) as archive:
        member = next(m for m in archive if m.name.endswith("ggml-cpu/amx/mmq.cpp"))
        source = archive.extractfile(member).read().decode()  # type: ignore[union-attr]
    assert re.search(r"alignas\(64\) tile_config_t tc = \{\};", source)
    assert "_tile_loadconfig(&tc);" in source
