#!/usr/bin/env python3
"""Shuffles the weights of a GGUF file: shuffle_weights.py IN OUT.

Blocks change places within each tensor, so that sizes, scales and metadata stay what they were
and only what was learned is gone. Knows the types that the built-in model uses.
"""
import random
import struct
import sys

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
           12: "d"}
BLOCKS = {0: (1, 4), 1: (1, 2), 8: (32, 34), 30: (1, 2)}  # type -> values, bytes a block


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def scalar(self, form):
        value, = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        n = self.scalar("Q")
        self.at += n
        return bytes(self.data[self.at - n:self.at]).decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            element, n = self.scalar("I"), self.scalar("Q")
            return [self.value(element) for _ in range(n)]
        return self.scalar(SCALARS[kind])


def tensors(data):
    """(name, offset, bytes, bytes a block) of each tensor."""
    reader = Reader(data)
    if data[:4] != b"GGUF":
        raise SystemExit("not a GGUF file")
    reader.at = 4
    reader.scalar("I")
    n_tensors, n_keys = reader.scalar("Q"), reader.scalar("Q")
    alignment = 32
    for _ in range(n_keys):
        key = reader.string()
        value = reader.value(reader.scalar("I"))
        if key == "general.alignment":
            alignment = value
    infos = []
    for _ in range(n_tensors):
        name = reader.string()
        values = 1
        for _ in range(reader.scalar("I")):
            values *= reader.scalar("Q")
        kind, offset = reader.scalar("I"), reader.scalar("Q")
        per_block, size = BLOCKS[kind]
        infos.append((name, offset, values // per_block * size, size))
    base = -(-reader.at // alignment) * alignment
    return [(name, base + offset, n, size) for name, offset, n, size in infos]


def shuffle(source, target, seed=1):
    with open(source, "rb") as file:
        data = bytearray(file.read())
    rng = random.Random(seed)
    for _, at, n, size in tensors(data):
        blocks = [data[i:i + size] for i in range(at, at + n, size)]
        rng.shuffle(blocks)
        data[at:at + n] = b"".join(blocks)
    with open(target, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    shuffle(sys.argv[1], sys.argv[2])
