"""Byte-level BPE with DeepSeek-V3's pre-splits: training, encoding, decoding.

The vocabulary is trained so that copying is easy: digits never merge, a leading space or punctuation mark never
merges with a part of a word, and a space joins a word only when the whole word is one frequent token of four letters or
more: shorter ones begin too many names. A random name therefore has the same tokens after a space, a quote or a slash.
"""
import collections
import json
import re
import sys
import unicodedata

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT, THINK, END_THINK = "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"
SPECIALS = [BOS, EOS, PAD, THINK, END_THINK, USER, ASSISTANT]


def byte_map():
  """GPT-2's printable stand-ins for the 256 bytes."""
  keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
  out, extra = {}, 0
  for b in range(256):
    if b in keep:
      out[b] = chr(b)
    else:
      out[b] = chr(256 + extra)
      extra += 1
  return out


BYTE_TO_CHAR = byte_map()
CHAR_TO_BYTE = {c: b for b, c in BYTE_TO_CHAR.items()}


def char_class(initials):
  """The body of a regex class with every code point whose general category starts with one of `initials`."""
  out, start, last = [], None, None
  for cp in range(sys.maxunicode + 1):
    if unicodedata.category(chr(cp))[0] in initials:
      if start is None:
        start = cp
      last = cp
    elif start is not None:
      out.append((start, last))
      start = None
  return "".join("\\U%08x-\\U%08x" % r for r in out)


_splitters = None


def splitters():
  global _splitters
  if _splitters is None:
    L, M, P, S, N = (char_class(c) for c in "LMPSN")
    space = "\\t\\n\\x0b\\x0c\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
    main = (f"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{{|}}~][A-Za-z]+|[^\\r\\n{L}{P}{S}]?[{L}{M}]+"
            f"| ?[{P}{S}]+[\\r\\n]*|[{space}]*[\\r\\n]+|[{space}]+(?![^{space}])|[{space}]+")
    _splitters = [re.compile(f"[{N}]{{1,3}}"), re.compile("[一-龥぀-ゟ゠-ヿ]+"), re.compile(main)]
  return _splitters


def pre_split(text):
  pieces = [text]
  for rule in splitters():
    out = []
    for piece in pieces:
      at = 0
      for m in rule.finditer(piece):
        if m.start() > at:
          out.append(piece[at:m.start()])
        out.append(m.group())
        at = m.end()
      if at < len(piece):
        out.append(piece[at:])
    pieces = out
  return pieces


class Tokenizer:
  """tokens[id] is the mapped string of a token; merges[i] is the pair with rank i."""

  def __init__(self, tokens, merges):
    self.tokens, self.merges = tokens, merges
    self.ids = {t: i for i, t in enumerate(tokens)}
    self.ranks = {tuple(m): i for i, m in enumerate(merges)}
    self.cache = {}

  @staticmethod
  def load(path):
    d = json.load(open(path, encoding="utf-8"))
    return Tokenizer(d["tokens"], [tuple(m) for m in d["merges"]])

  def save(self, path):
    with open(path, "w", encoding="utf-8") as f:
      json.dump({"tokens": self.tokens, "merges": self.merges}, f, ensure_ascii=False, indent=0)
      f.write("\n")

  def special(self, text):
    assert text in SPECIALS
    return self.ids[text]

  def encode_piece(self, piece):
    ids = self.cache.get(piece)
    if ids is None:
      parts = [BYTE_TO_CHAR[b] for b in piece.encode()]
      while len(parts) > 1:
        ranked = [(self.ranks.get(pair, 1 << 30), i) for i, pair in enumerate(zip(parts, parts[1:]))]
        rank, i = min(ranked)
        if rank == 1 << 30:
          break
        parts[i:i + 2] = [parts[i] + parts[i + 1]]
      ids = [self.ids[p] for p in parts]
      if len(self.cache) < 400000:
        self.cache[piece] = ids
    return ids

  def encode(self, text):
    """Plain text only: a special token's spelling becomes ordinary tokens."""
    return [i for piece in pre_split(text) for i in self.encode_piece(piece)]

  def decode(self, ids):
    data = bytearray()
    for i in ids:
      t = self.tokens[i]
      data += t.encode() if t in SPECIALS else bytes(CHAR_TO_BYTE[c] for c in t)
    return data.decode("utf-8", "replace")


def learn(counts, n_merges, allowed):
  """Plain BPE over {tuple of symbols: count}; `allowed(a, b)` vetoes a merge. Returns the merges."""
  words = [list(w) for w in counts]
  weight = list(counts.values())
  pairs, where = collections.Counter(), collections.defaultdict(set)
  for i, w in enumerate(words):
    for p in zip(w, w[1:]):
      pairs[p] += weight[i]
      where[p].add(i)
  merges = []
  while len(merges) < n_merges:
    best = max((p for p in pairs if pairs[p] > 0 and allowed(*p)), key=lambda p: (pairs[p], p), default=None)
    if best is None or pairs[best] < 3:
      break
    merges.append(best)
    for i in list(where[best]):
      w = words[i]
      for p in zip(w, w[1:]):
        pairs[p] -= weight[i]
        where[p].discard(i)
      out, k = [], 0
      while k < len(w):
        if k + 1 < len(w) and (w[k], w[k + 1]) == best:
          out.append(w[k] + w[k + 1])
          k += 2
        else:
          out.append(w[k])
          k += 1
      words[i] = out
      for p in zip(out, out[1:]):
        pairs[p] += weight[i]
        where[p].add(i)
    del pairs[best]
  return merges


def pruned(tok, counts, least):
  """The tokenizer without the merges whose token is seen fewer than `least` times: a rare token is never learned well
  enough to be copied. Ids stay; the parts of a kept token are kept."""
  keep = {t for t, n in zip(tok.tokens, counts) if n >= least}
  parts, stack = {a + b: (a, b) for a, b in tok.merges}, list(keep)
  while stack:
    for part in parts.get(stack.pop(), ()):
      if part not in keep:
        keep.add(part)
        stack.append(part)
  merges = [m for m in tok.merges if m[0] + m[1] in keep]
  alive = {a + b for a, b in merges} | set(CHAR_TO_BYTE) | set(SPECIALS)
  return Tokenizer([t if t in alive else f"<unused{i}>" for i, t in enumerate(tok.tokens)], merges)


def train(texts, n_words, n_spaced):
  """A tokenizer from (text, weight) pairs: n_words merges inside words and punctuation, then n_spaced of ' ' + word."""
  pieces = collections.Counter()
  for text, weight in texts:
    for piece in pre_split(text):
      pieces[piece] += weight
  cores, spaced = collections.Counter(), collections.Counter()
  for piece, n in pieces.items():
    if unicodedata.category(piece[0])[0] == "N":
      continue
    core = piece
    if len(piece) > 1 and piece[-1].isalpha() and not piece[0].isalpha():
      core = piece[1:]
      if piece[0] == " ":
        spaced[core] += n
    if len(core) > 1:
      cores[tuple(BYTE_TO_CHAR[b] for b in core.encode())] += n
  space = BYTE_TO_CHAR[32]
  merges = learn(cores, n_words, lambda a, b: True)
  made = Tokenizer([BYTE_TO_CHAR[b] for b in range(256)] + [a + b for a, b in merges], merges)
  tail = []
  for word, n in spaced.most_common():
    if len(tail) < n_spaced and n >= 3 and len(word) > 3 and word.isalpha() and len(made.encode_piece(word)) == 1:
      tail.append((space, "".join(BYTE_TO_CHAR[b] for b in word.encode())))
  merges = merges + tail
  tokens = SPECIALS + made.tokens[:256]
  for a, b in merges:
    if a + b not in tokens:
      tokens.append(a + b)
  while len(tokens) % 32:
    tokens.append(f"<unused{len(tokens)}>")
  return Tokenizer(tokens, merges)
