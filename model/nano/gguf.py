"""Reads and writes the GGUF v3 subset that the built-in model uses: F32 and Q8_0 tensors."""
import struct

import numpy as np

U32, F32, BOOL, STR, ARRAY, I32 = 4, 6, 7, 8, 9, 5
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def quantize(x):
  """Q8_0: blocks of 32 along the last axis, an f16 scale and 32 signed bytes."""
  assert x.shape[-1] % 32 == 0
  b = x.astype(np.float32).reshape(-1, 32)
  d = (np.abs(b).max(1) / 127).astype(np.float16)
  f = d.astype(np.float32)[:, None]
  q = np.where(f > 0, np.rint(b / np.where(f > 0, f, 1)), 0).clip(-127, 127).astype(np.int8)
  return np.concatenate([d.view(np.uint8).reshape(-1, 2), q.view(np.uint8)], 1).tobytes()


def dequantize(raw, shape):
  b = np.frombuffer(raw, np.uint8).reshape(-1, 34)
  d = b[:, :2].copy().view(np.float16).astype(np.float32)
  return (d * b[:, 2:].copy().view(np.int8).astype(np.float32)).reshape(shape)


def text(s):
  b = s.encode()
  return struct.pack("<Q", len(b)) + b


def pair(key, kind, value):
  out = text(key) + struct.pack("<I", kind)
  if kind == STR:
    return out + text(value)
  if kind == ARRAY:  # (element kind, list)
    of, items = value
    out += struct.pack("<IQ", of, len(items))
    return out + b"".join(text(i) if of == STR else struct.pack("<" + SCALARS[of], i) for i in items)
  return out + struct.pack("<" + SCALARS[kind], value)


def write(path, meta, tensors):
  """meta: [(key, kind, value)]; tensors: [(name, array in C order, 'f32' or 'q8')]."""
  infos, data, at = b"", [], 0
  for name, x, kind in tensors:
    raw = quantize(x) if kind == "q8" else np.ascontiguousarray(x, np.float32).tobytes()
    infos += text(name) + struct.pack("<I", x.ndim) + b"".join(struct.pack("<Q", n) for n in x.shape[::-1])
    infos += struct.pack("<IQ", 8 if kind == "q8" else 0, at)
    raw += b"\0" * (-len(raw) % 32)
    data.append(raw)
    at += len(raw)
  head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta)) + b"".join(pair(*m) for m in meta) + infos
  with open(path, "wb") as f:
    f.write(head + b"\0" * (-len(head) % 32))
    f.writelines(data)


def read(path):
  """(metadata, {name: f32 array})."""
  b = open(path, "rb").read()
  at = 4

  def take(fmt):
    nonlocal at
    v = struct.unpack_from("<" + fmt, b, at)[0]
    at += struct.calcsize("<" + fmt)
    return v

  def string():
    nonlocal at
    n = take("Q")
    at += n
    return b[at - n:at].decode()

  def value(kind):
    if kind == STR:
      return string()
    if kind == ARRAY:
      of, n = take("I"), take("Q")
      return [value(of) for _ in range(n)]
    return take(SCALARS[kind])

  assert b[:4] == b"GGUF" and take("I") == 3
  n_tensors, n_meta = take("Q"), take("Q")
  meta = {}
  for _ in range(n_meta):
    key = string()
    meta[key] = value(take("I"))
  infos = []
  for _ in range(n_tensors):
    name = string()
    shape = [take("Q") for _ in range(take("I"))][::-1]
    infos.append((name, shape, take("I"), take("Q")))
  base, out = (at + 31) // 32 * 32, {}
  for name, shape, kind, offset in infos:
    n = int(np.prod(shape))
    size = n // 32 * 34 if kind == 8 else 4 * n
    raw = b[base + offset:base + offset + size]
    out[name] = dequantize(raw, shape) if kind == 8 else np.frombuffer(raw, np.float32).reshape(shape)
  return meta, out
