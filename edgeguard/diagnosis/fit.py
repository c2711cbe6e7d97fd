"""Whether llama.cpp was built for this processor: compares the features it uses with those it has.

A build that uses missing features crashes sooner or later; one that ignores existing features is
slower than necessary. This module gets both lists and asks for neither.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgeguard.diagnosis.native import Library
from edgeguard.diagnosis.problems import Problem
from edgeguard.session.library_files import rebuild_command

_FLAGS = {
    # x86-64
    "SSSE3": "ssse3",
    "AVX": "avx",
    "F16C": "f16c",
    "FMA": "fma",
    "BMI2": "bmi2",
    "AVX2": "avx2",
    "AVX_VNNI": "avx_vnni",
    "AVX512": "avx512f",
    "AVX512_VBMI": "avx512vbmi",
    "AVX512_VNNI": "avx512_vnni",
    "AVX512_BF16": "avx512_bf16",
    "AMX_INT8": "amx_int8",
    # ARM
    "NEON": "asimd",
    "FP16_VA": "asimdhp",
    "DOTPROD": "asimddp",
    "MATMUL_INT8": "i8mm",
    "SVE": "sve",
    "SME": "sme",
}
"""llama.cpp's name of a feature, and the name in /proc/cpuinfo."""

_FAST = ("AVX2", "FMA", "AVX512", "AVX512_VNNI", "AVX_VNNI", "DOTPROD", "MATMUL_INT8")
"""Features that make a model faster. AMX is left out, since GCC may compile it wrong."""


def problems(library: Library, flags: frozenset[str]) -> Iterator[Problem]:
    """The mismatches. ``flags`` are the processor's; empty if the system does not list them."""
    if not flags:
        return
    names = {name: flag in flags for name, flag in _FLAGS.items()}
    lacking = [name for name in library.cpu_features if not names.get(name, True)]
    unused = [name for name in _FAST if names[name] and name not in library.cpu_features]
    if lacking:
        what = f"llama.cpp was built for another processor: this one lacks {', '.join(lacking)}"
        yield Problem(what, f"build it here: {rebuild_command()}", stops=False)
    elif unused and not library.variant:  # a build with several back ends has chosen the best one
        what = f"llama.cpp was built for another processor: it does not use {', '.join(unused)}"
        yield Problem(what, f"for more speed, build it here: {rebuild_command()}", stops=False)
