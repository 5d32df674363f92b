#!/usr/bin/python3
"""Writes quant-blocks.json: random blocks of every quantised type, and their values as ggml has them.

  make_quant_blocks.py LIBGGML_BASE.so OUT.json
The bytes are random, so that every bit of a layout counts; the halves among them are near 0.01.
"""
import ctypes
import json
import sys

import numpy as np

# name: values and bytes of a block, where its halves are, ggml's name
TYPES = {
    "Q4_0": (32, 18, [0], "q4_0"), "Q4_1": (32, 20, [0, 2], "q4_1"),
    "Q5_0": (32, 22, [0], "q5_0"), "Q5_1": (32, 24, [0, 2], "q5_1"), "Q8_0": (32, 34, [0], "q8_0"),
    "IQ4_NL": (32, 18, [0], "iq4_nl"), "MXFP4": (32, 17, [], "mxfp4"),
    "Q2_K": (256, 84, [80, 82], "q2_K"), "Q3_K": (256, 110, [108], "q3_K"),
    "Q4_K": (256, 144, [0, 2], "q4_K"), "Q5_K": (256, 176, [0, 2], "q5_K"),
    "Q6_K": (256, 210, [208], "q6_K"), "IQ4_XS": (256, 136, [0], "iq4_xs"),
    "IQ2_XXS": (256, 66, [0], "iq2_xxs"),
}

ggml = ctypes.CDLL(sys.argv[1])
rng = np.random.default_rng(5)
out = {}
for name, (values, size, halves, function) in TYPES.items():
    n = 3 if values == 32 else 2
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in halves:
        scales = rng.normal(0, 0.01, n).astype(np.float16)
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(n, 2)
    if name == "MXFP4":
        blocks[:, 0] = [0, 1, 125]  # the two subnormal scales and a usual one
    result = np.zeros(n * values, np.float32)
    getattr(ggml, "dequantize_row_" + function)(blocks.ctypes.data_as(ctypes.c_void_p),
                                               result.ctypes.data_as(ctypes.c_void_p),
                                               ctypes.c_int64(result.size))
    out[name] = {"blocks": blocks.tobytes().hex(), "f32": result.tobytes().hex()}
with open(sys.argv[2], "w", encoding="utf-8") as file:
    file.write(",\n".join(json.dumps({k: v})[1:-1] for k, v in out.items()).join(["{", "}\n"]))
