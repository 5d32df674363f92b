#!/usr/bin/env python3
"""A model file that has no vocabulary, with one: to serve a model of random weights.

  with_vocabulary.py MODEL.gguf VOCABULARY.gguf OUT.gguf
The tensors are copied as they are, but for the output's rows of special tokens and of those that
are not whole characters: they are zero, so a greedy reply is text without an end. Of the vocabulary,
the special tokens stay and as many of the others as the model has rows for, with the merges that
lead to them.
"""
import pathlib
import shutil
import struct
import sys

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TEXT, LIST, U32, I32, BOOL = 8, 9, 4, 5, 7
NORMAL = 1


class Reader:
    def __init__(self, path):
        self.file = open(path, "rb")
        magic, version, self.n_tensors, n_keys = self.unpack("<4sIQQ")
        if magic != b"GGUF" or version != 3:
            sys.exit(f"{path} is no GGUF file of version 3")
        self.keys = {}
        for _ in range(n_keys):
            name = self.text().decode()
            kind = self.unpack("<I")[0]
            self.keys[name] = kind, self.value(kind)
        self.tensors = []  # name, dimensions, type, offset
        for _ in range(self.n_tensors):
            name, n_dims = self.text(), self.unpack("<I")[0]
            dims = self.unpack(f"<{n_dims}Q")
            self.tensors.append((name, dims, *self.unpack("<IQ")))

    def unpack(self, layout):
        return struct.unpack(layout, self.file.read(struct.calcsize(layout)))

    def text(self):
        return self.file.read(self.unpack("<Q")[0])

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind != LIST:
            return self.file.read(SIZES[kind])
        kind, n = self.unpack("<IQ")
        return kind, [self.value(kind) for _ in range(n)]


def text_bytes(text):
    return struct.pack("<Q", len(text)) + text


def value_bytes(kind, value):
    if kind == TEXT:
        return text_bytes(value)
    if kind != LIST:
        return value
    kind, items = value
    return struct.pack("<IQ", kind, len(items)) + b"".join(value_bytes(kind, i) for i in items)


def vocabulary_keys(path, n_rows):
    keys = {k: v for k, v in Reader(path).keys.items() if k.startswith("tokenizer.")}
    tokens = keys["tokenizer.ggml.tokens"][1][1]
    kinds = keys["tokenizer.ggml.token_type"][1][1]
    is_normal = [struct.unpack("<i", kind)[0] == NORMAL for kind in kinds]
    room = n_rows - is_normal.count(False)
    kept = []
    for i, normal in enumerate(is_normal):
        if not normal or room > 0:
            kept.append(i)
            room -= normal
    texts = {tokens[i] for i in kept}
    keys["tokenizer.ggml.tokens"] = LIST, (TEXT, [tokens[i] for i in kept])
    keys["tokenizer.ggml.token_type"] = LIST, (I32, [kinds[i] for i in kept])
    merges = [m for m in keys["tokenizer.ggml.merges"][1][1]
              if {*m.split(b" "), m.replace(b" ", b"")} <= texts]
    keys["tokenizer.ggml.merges"] = LIST, (TEXT, merges)
    return keys


# GPT-2's printable stand-ins: 188 bytes stand for themselves, the rest for U+0100 and up.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
BYTES = {chr(b): b for b in PRINTABLE} | {chr(256 + i): b for i, b in enumerate(OTHERS)}


def is_text(token):
    try:
        bytes(BYTES[c] for c in token.decode()).decode()
        return True
    except UnicodeDecodeError:
        return False


def zero_rows(file, start, source, keys):
    """Of the output, for each token that is no text. The tensors begin at `start`."""
    tokens = keys["tokenizer.ggml.tokens"][1][1]
    kinds = keys["tokenizer.ggml.token_type"][1][1]
    by_place = sorted(source.tensors, key=lambda tensor: tensor[3])
    at = [name for name, *_ in by_place].index(b"output.weight")
    offset, n_rows = by_place[at][3], by_place[at][1][1]
    row_bytes = (by_place[at + 1][3] - offset) // n_rows
    for i, (token, kind) in enumerate(zip(tokens, kinds)):
        if struct.unpack("<i", kind)[0] != NORMAL or not is_text(token):
            file.seek(start + offset + i * row_bytes)
            file.write(bytes(row_bytes))


def main(model, vocabulary, out):
    source = Reader(model)
    n_rows = next(dims[-1] for name, dims, *_ in source.tensors if name == b"token_embd.weight")
    keys = {k: v for k, v in source.keys.items() if not k.startswith("tokenizer.")}
    keys |= vocabulary_keys(vocabulary, n_rows)
    head = struct.pack("<4sIQQ", b"GGUF", 3, source.n_tensors, len(keys))
    for name, (kind, value) in keys.items():
        head += text_bytes(name.encode()) + struct.pack("<I", kind) + value_bytes(kind, value)
    for name, dims, kind, offset in source.tensors:
        head += text_bytes(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
    alignment = struct.unpack("<I", keys["general.alignment"][1])[0] \
        if "general.alignment" in keys else 32
    source.file.seek(-source.file.tell() % alignment, 1)
    with pathlib.Path(out).open("wb") as file:
        head += bytes(-len(head) % alignment)
        file.write(head)
        shutil.copyfileobj(source.file, file, 1 << 24)
        zero_rows(file, len(head), source, keys)


if len(sys.argv) != 4:
    sys.exit(__doc__)
main(*sys.argv[1:])
