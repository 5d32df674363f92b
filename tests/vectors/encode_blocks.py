"""Encoders of ggml's quantised blocks, for random models: encode(x, type) -> bytes. numpy only.

Simple ones: scales from the largest value or from the range, codes by rounding. What they write is
read back by the engine's own conversion, so they need not be the best, only honest.
"""
import os

import numpy as np

# type: ggml id, values and bytes of a block
TYPES = {
    "q4_0": (2, 32, 18), "q4_1": (3, 32, 20), "q5_0": (6, 32, 22), "q5_1": (7, 32, 24),
    "q8_0": (8, 32, 34), "q2_k": (10, 256, 84), "q3_k": (11, 256, 110), "q4_k": (12, 256, 144),
    "q5_k": (13, 256, 176), "q6_k": (14, 256, 210), "iq2_xxs": (16, 256, 66),
    "iq4_nl": (20, 32, 18), "iq4_xs": (23, 256, 136), "mxfp4": (39, 32, 17),
}
IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
FP4 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, 0, -.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def over(a, b):
    return a / np.where(b == 0, 1, b)


def half(x):
    """As f16, and as the bytes of it."""
    h = x.astype(np.float16)
    return h.astype(np.float32), h[..., None].view(np.uint8).reshape(*h.shape[:-1], -1)


def nearest(x, levels):
    order = np.argsort(levels, kind="stable")
    middles = (levels[order][1:] + levels[order][:-1]) / 2
    return order[np.searchsorted(middles, x)].astype(np.uint8)


def codes_of(x, scale, low, high):
    return np.clip(np.rint(over(x, scale)), low, high).astype(np.int64)


def signed_scale(x, steps):
    """The value of the largest size becomes -steps."""
    at = np.abs(x).argmax(-1)[..., None]
    return np.take_along_axis(x, at, -1) / -steps


def halves(codes):  # [n, 32] -> [n, 16]
    return (codes[:, :16] | codes[:, 16:] << 4).astype(np.uint8)


def high_bits(codes, bit):  # [n, 32] -> [n, 4]
    return np.packbits((codes >> bit & 1).astype(np.uint8), 1, "little")


def block_32(x, bits, with_minimum):
    if with_minimum:
        low = x.min(1, keepdims=True)
        scale, scale_bytes = half((x.max(1, keepdims=True) - low) / (2 ** bits - 1))
        low, low_bytes = half(low)
        codes = codes_of(x - low, scale, 0, 2 ** bits - 1)
        head = [scale_bytes, low_bytes]
    else:
        zero = 2 ** (bits - 1)
        scale, scale_bytes = half(signed_scale(x, zero))
        codes = codes_of(x, scale, -zero, zero - 1) + zero
        head = [scale_bytes]
    if bits == 5:
        head.append(high_bits(codes, 4))
    return np.concatenate([*head, halves(codes & 15)], 1)


def q8_0(x):
    scale = np.abs(x).max(1, keepdims=True) / 127
    return np.concatenate([half(scale)[1], codes_of(x, scale, -127, 127).astype(np.int8).view(np.uint8)], 1)


def iq4_nl(x):
    scale, scale_bytes = half(signed_scale(x, 127))
    return np.concatenate([scale_bytes, halves(nearest(over(x, scale), IQ4))], 1)


def mxfp4(x):
    largest = np.abs(x).max(1, keepdims=True)
    e = np.clip(np.floor(np.log2(np.maximum(largest, 1e-30))) - 2 + 127, 0, 254)
    return np.concatenate([e.astype(np.uint8), halves(nearest(x / 2 ** (e - 127), FP4))], 1)


def pairs(codes):  # [n, 256] of 2 bits -> [n, 64]
    c = codes.reshape(-1, 2, 4, 32)
    return (c[:, :, 0] | c[:, :, 1] << 2 | c[:, :, 2] << 4 | c[:, :, 3] << 6).astype(np.uint8).reshape(-1, 64)


def nibbles(codes):  # [n, 256] of 4 bits -> [n, 128]
    c = codes.reshape(-1, 4, 2, 32)
    return (c[:, :, 0] | c[:, :, 1] << 4).astype(np.uint8).reshape(-1, 128)


def group_bits(codes, bit):  # [n, 256]: bit g of byte l is of value 32 g + l
    c = (codes >> bit & 1).reshape(-1, 8, 32)
    return sum(c[:, g] << g for g in range(8)).astype(np.uint8)


def ranges(x, group, bits, scale_steps):
    """Scales and minimums of groups, as integers of two halves; codes. x [n, 256]."""
    g = x.reshape(len(x), -1, group)
    low = np.minimum(g.min(2), 0)
    step = (g.max(2) - low) / (2 ** bits - 1)
    d, d_bytes = half(step.max(1, keepdims=True) / scale_steps)
    dmin, dmin_bytes = half(-low.min(1, keepdims=True) / scale_steps)
    s, m = codes_of(step, d, 0, scale_steps), codes_of(-low, dmin, 0, scale_steps)
    codes = codes_of(g + (dmin * m)[..., None], (d * s)[..., None], 0, 2 ** bits - 1)
    return d_bytes, dmin_bytes, s, m, codes.reshape(len(x), 256)


def q2_k(x):
    d, dmin, s, m, codes = ranges(x, 16, 2, 15)
    return np.concatenate([(s | m << 4).astype(np.uint8), pairs(codes), d, dmin], 1)


def six_bits(s, m):  # [n, 8] each -> [n, 12]
    out = np.zeros((len(s), 12), np.int64)
    for j in range(4):
        out[:, j] = s[:, j] | s[:, j + 4] >> 4 << 6
        out[:, j + 4] = m[:, j] | m[:, j + 4] >> 4 << 6
        out[:, j + 8] = s[:, j + 4] & 15 | (m[:, j + 4] & 15) << 4
    return out.astype(np.uint8)


def q4_k(x):
    d, dmin, s, m, codes = ranges(x, 32, 4, 63)
    return np.concatenate([d, dmin, six_bits(s, m), nibbles(codes)], 1)


def q5_k(x):
    d, dmin, s, m, codes = ranges(x, 32, 5, 63)
    return np.concatenate([d, dmin, six_bits(s, m), group_bits(codes, 4), nibbles(codes & 15)], 1)


def signed_groups(x, group, zero, scale_steps):
    g = x.reshape(len(x), -1, group)
    scale = signed_scale(g, zero)[..., 0]
    d, d_bytes = half(np.abs(scale).max(1, keepdims=True) / scale_steps)
    s = codes_of(scale, d, -scale_steps, scale_steps)
    return d_bytes, s, over(g, (d * s)[..., None])


def q3_k(x):
    d, s, g = signed_groups(x, 16, 4, 31)
    codes = (np.clip(np.rint(g), -4, 3).astype(np.int64) + 4).reshape(-1, 256)
    s = s + 32
    packed = np.zeros((len(x), 12), np.int64)
    for i in range(16):
        packed[:, i % 8] |= (s[:, i] & 15) << (4 * (i // 8))
        packed[:, 8 + i % 4] |= s[:, i] >> 4 << (2 * (i // 4))
    return np.concatenate([group_bits(codes, 2), pairs(codes & 3), packed.astype(np.uint8), d], 1)


def q6_k(x):
    d, s, g = signed_groups(x, 16, 32, 127)
    codes = (np.clip(np.rint(g), -32, 31).astype(np.int64) + 32).reshape(-1, 2, 4, 32)
    low = codes & 15
    ql = np.stack([low[:, :, 0] | low[:, :, 2] << 4, low[:, :, 1] | low[:, :, 3] << 4], 2)
    high = codes >> 4
    qh = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    return np.concatenate([ql.reshape(-1, 128).astype(np.uint8), qh.reshape(-1, 64).astype(np.uint8),
                           s.astype(np.int8).view(np.uint8), d], 1)


def iq4_xs(x):
    d, s, g = signed_groups(x, 32, 127, 31)
    codes = nearest(g, IQ4).reshape(-1, 32)
    s = s + 32
    high = sum((s[:, b] >> 4) << (2 * b) for b in range(8)).astype("<u2")[:, None].view(np.uint8)
    low = (s[:, 0::2] & 15 | (s[:, 1::2] & 15) << 4).astype(np.uint8)
    return np.concatenate([d, high, low, halves(codes).reshape(-1, 128)], 1)


def iq2_grid():
    """[256, 8], out of the engine's own table."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../model/files/quant_blocks.cpp")
    table = open(path, encoding="utf-8").read().split("kIq2XxsCodebook[256] = {")[1].split("};")[0]
    words = np.array([int(word, 16) for word in table.replace(",", " ").split()])
    return np.array([8, 25, 43, 0], np.float32)[words[:, None] >> np.arange(0, 16, 2) & 3]


def iq2_xxs(x):
    n = len(x)
    g = x.reshape(n, 8, 32)
    scale = np.sqrt((g * g).mean(2)) / 18
    d, d_bytes = half(scale.max(1, keepdims=True) / 31 * 8)
    s = np.clip(np.rint((over(scale, d) * 8 - 1) / 2), 0, 15).astype(np.int64)
    step = (d * (2 * s + 1) / 8)[:, :, None, None]
    eights = over(x.reshape(n, 8, 4, 8), step)
    minus = (eights < 0).astype(np.int64)
    minus[..., 7] = minus[..., :7].sum(-1) & 1  # the eighth sign makes their number even
    grid = iq2_grid()
    size = np.where(minus > 0, -eights, eights)
    entry = np.concatenate([((grid * grid).sum(1) - 2 * part @ grid.T).argmin(-1)
                            for part in np.array_split(size.reshape(-1, 8), len(size) // 64 + 1)])
    seven = (minus[..., :7] << np.arange(7)).sum(-1)
    word = (seven << np.arange(0, 28, 7)).sum(-1) | s << 28
    words = word.astype("<u4")[..., None].view(np.uint8)
    entry = entry.astype(np.uint8).reshape(n, 8, 4)
    return np.concatenate([d_bytes, np.concatenate([entry, words], 2).reshape(n, 64)], 1)


ENCODERS = {
    "q4_0": lambda x: block_32(x, 4, False), "q4_1": lambda x: block_32(x, 4, True),
    "q5_0": lambda x: block_32(x, 5, False), "q5_1": lambda x: block_32(x, 5, True),
    "q8_0": q8_0, "iq4_nl": iq4_nl, "mxfp4": mxfp4, "q2_k": q2_k, "q3_k": q3_k, "q4_k": q4_k,
    "q5_k": q5_k, "q6_k": q6_k, "iq4_xs": iq4_xs, "iq2_xxs": iq2_xxs,
}


def encode(x, kind):
    _, values, size = TYPES[kind]
    blocks = np.ascontiguousarray(ENCODERS[kind](x.astype(np.float32).reshape(-1, values)))
    assert blocks.dtype == np.uint8 and blocks.shape[1] == size, (kind, blocks.dtype, blocks.shape)
    return blocks.tobytes()
