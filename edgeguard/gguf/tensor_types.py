"""The tensor types of GGUF files: values and bytes per block, and where its scales are.

The same table as GGML_QUANT_SIZES of the package gguf; a test compares them. The scales are those
of the block structures in ggml-common.h. Left out are types that no model file may use for its
weights: integers, float64, and the types that llama.cpp makes only while computing (q8_1, q8_k).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorType:
    """A block of ``values`` takes ``size`` bytes; ``scales`` are offsets of its half floats.

    Without scales, the values are numbers of type ``number`` (f16, bf16, f32); if ``number`` is
    empty, there is nothing that could be checked.
    """

    name: str
    values: int
    size: int
    scales: tuple[int, ...] = ()
    number: str = ""


TYPES = {
    0: TensorType("f32", 1, 4, number="f32"),
    1: TensorType("f16", 1, 2, number="f16"),
    2: TensorType("q4_0", 32, 18, (0,)),
    3: TensorType("q4_1", 32, 20, (0, 2)),
    6: TensorType("q5_0", 32, 22, (0,)),
    7: TensorType("q5_1", 32, 24, (0, 2)),
    8: TensorType("q8_0", 32, 34, (0,)),
    10: TensorType("q2_k", 256, 84, (80, 82)),
    11: TensorType("q3_k", 256, 110, (108,)),
    12: TensorType("q4_k", 256, 144, (0, 2)),
    13: TensorType("q5_k", 256, 176, (0, 2)),
    14: TensorType("q6_k", 256, 210, (208,)),
    16: TensorType("iq2_xxs", 256, 66, (0,)),
    17: TensorType("iq2_xs", 256, 74, (0,)),
    18: TensorType("iq3_xxs", 256, 98, (0,)),
    19: TensorType("iq1_s", 256, 50, (0,)),
    20: TensorType("iq4_nl", 32, 18, (0,)),
    21: TensorType("iq3_s", 256, 110, (0,)),
    22: TensorType("iq2_s", 256, 82, (0,)),
    23: TensorType("iq4_xs", 256, 136, (0,)),
    29: TensorType("iq1_m", 256, 56),
    30: TensorType("bf16", 1, 2, number="bf16"),
    34: TensorType("tq1_0", 256, 54, (52,)),
    35: TensorType("tq2_0", 256, 66, (64,)),
    39: TensorType("mxfp4", 32, 17),
    40: TensorType("nvfp4", 64, 36),
    41: TensorType("q1_0", 128, 18, (0,)),
}
"""By the number in the file (ggml_type)."""
