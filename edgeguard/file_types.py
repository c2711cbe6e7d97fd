"""The quantization type of a GGUF file: its number in the header, its name for people.

The package gguf has the same table, but takes 21 ms to load at every start; a test compares the
two. This module reads no file.
"""

from __future__ import annotations

FILE_TYPE = "general.file_type"
"""The key of the number in a file's header."""

_NAMES = {
    0: "f32",
    1: "f16",
    2: "q4_0",
    3: "q4_1",
    7: "q8_0",
    8: "q5_0",
    9: "q5_1",
    10: "q2_k",
    11: "q3_k_s",
    12: "q3_k_m",
    13: "q3_k_l",
    14: "q4_k_s",
    15: "q4_k_m",
    16: "q5_k_s",
    17: "q5_k_m",
    18: "q6_k",
    19: "iq2_xxs",
    20: "iq2_xs",
    21: "q2_k_s",
    22: "iq3_xs",
    23: "iq3_xxs",
    24: "iq1_s",
    25: "iq4_nl",
    26: "iq3_s",
    27: "iq3_m",
    28: "iq2_s",
    29: "iq2_m",
    30: "iq4_xs",
    31: "iq1_m",
    32: "bf16",
    36: "tq1_0",
    37: "tq2_0",
    38: "mxfp4_moe",
    39: "nvfp4",
    40: "q1_0",
}
"""llama_ftype in llama.h, without LLAMA_FTYPE_ and MOSTLY_."""


def type_name(number: object) -> str:
    """The name of a ``general.file_type``, such as q4_k_m; an unknown number stays a number."""
    if not isinstance(number, int) or isinstance(number, bool):
        return "unknown"
    return _NAMES.get(number, f"file type {number}")
