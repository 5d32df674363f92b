#!/usr/bin/env python3
"""Trains the net on shards that generate.py wrote, on one thread.

  train.py DATA_FOLDER OUT.pt --steps N [--from CHECKPOINT.pt|nano.gguf] [--decay 0.3] [--index off|warm|sparse]

--index off trains with dense attention; warm trains the indexer alone against dense attention, dense trains both at
once; sparse trains all with the indexer's top-k, the net from the language loss and the indexer from its KL loss, as in
the DeepSeek-V3.2 report. The KL loss is taken on every second step.
"""
import argparse
import glob
import math
import os
import time

import numpy as np
import torch

import chat
import export
import tokenizer as bpe
from net import HERE, CrossEntropy, Net

torch.set_num_threads(1)
INDEXER = {"iq", "ik", "iw", "ik_norm", "ik_bias"}


class Data:
  """Conversations drawn at random without replacement, newest shards included as they appear."""

  def __init__(self, folder, seed):
    self.folder, self.rng, self.seen, self.queue, self.all = folder, np.random.default_rng(seed), {}, [], []

  def refill(self):
    for path in sorted(glob.glob(os.path.join(self.folder, "shard-????.npz"))):
      if path not in self.seen:
        z = np.load(path)
        self.seen[path] = (z["ids"].astype(np.int64), z["own"], z["starts"])
        fresh = [(path, i) for i in range(len(z["starts"]) - 1)]
        self.all += fresh
        self.queue += fresh
        self.rng.shuffle(self.queue)
    if not self.queue:
      self.queue = list(self.all)
      self.rng.shuffle(self.queue)

  def take(self, tokens):
    """Conversations of about that many tokens together: [(ids, own)]."""
    out, n = [], 0
    while n < tokens:
      if not self.queue:
        self.refill()
      path, i = self.queue.pop()
      ids, own, starts = self.seen[path]
      i = int(i)
      s = slice(starts[i], starts[i + 1])
      out.append((ids[s], own[s]))
      n += starts[i + 1] - starts[i]
    return out


def pack(prefix, conversations, start):
  """The prefix once, conversations in groups of like length, their positions from `start`. Ids, positions, layout, and the rows that predict sampled tokens with their targets."""
  # Few distinct shapes: lengths in steps of 32, groups of 1, 2, 4 or 8, rows in steps of 512.
  by_length, P = {}, len(prefix)
  for c in conversations:
    by_length.setdefault(-(-len(c[0]) // 32) * 32, []).append(c)
  ids, positions, layout, rows, targets = [prefix], [np.arange(P)], [(0, 1, P)], [], []
  at = P
  for length, same in sorted(by_length.items()):
    while same:
      count = next(k for k in (8, 4, 2, 1) if k <= len(same))
      layout.append((at, count, length))
      for x, own in same[:count]:
        pad = np.zeros(length, np.int64)
        pad[:len(x)] = x
        ids.append(pad)
        positions.append(start + np.arange(length))
        own_at = np.nonzero(own)[0]
        rows.append(at + own_at - 1)
        targets.append(x[own_at])
        at += length
      same = same[count:]
  for parts, step, n, fill in ((ids, 512, at, 0), (positions, 512, at, 0), (rows, 512, sum(map(len, rows)), 0), (targets, 512, sum(map(len, targets)), -1)):
    parts.append(np.full(-n % step, fill))
  t = lambda parts: torch.from_numpy(np.concatenate(parts).astype(np.int64))
  return t(ids), t(positions), layout, t(rows), t(targets)


def orthogonal(g, steps=5):
  """Newton-Schulz iteration on [batch, rows, columns]."""
  a, b, c = 3.4445, -4.7750, 2.0315
  x = g.to(torch.bfloat16)
  flip = x.shape[1] > x.shape[2]
  if flip:
    x = x.transpose(1, 2)
  x = (x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7)).to(torch.bfloat16).contiguous()
  for _ in range(steps):
    s = torch.bmm(x, x.transpose(1, 2))
    x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=b, alpha=c), x, beta=a)
  return (x.transpose(1, 2) if flip else x).float()


class Optimizer:
  """Muon for the hidden matrices, AdamW for the rest."""

  def __init__(self, net, only=None):
    self.net, self.step_count, self.state = net, 0, {}
    self.names = [k for k in net.p if not k.endswith(".bias") and (only is None or k.split(".")[-1] in only)]

  def shape(self, name, g):
    """A matrix or stack of them as [batch, rows, columns]; gate and up apart."""
    last = name.split(".")[-1]
    if last in ("w1", "e1", "s1"):
      return g.reshape(-1, g.shape[-2] // 2, g.shape[-1])
    return g.reshape(-1, g.shape[-2], g.shape[-1])

  def step(self, muon_lr, adam_lr, index_gain):
    self.step_count += 1
    t = self.step_count
    for name in self.names:
      gain = index_gain if name.split(".")[-1] in INDEXER else 1
      g = self.net.w[name].grad
      if g is None:
        continue
      p, s = self.net.p[name], self.state.setdefault(name, {})
      if Net.is_matrix(name) and name != "output":
        g = self.shape(name, g)
        m = s.setdefault("m", torch.zeros(g.shape, dtype=torch.float32))
        m.mul_(0.95).add_(g.float())
        u = orthogonal(g.float().add(m, alpha=0.95))
        p.mul_(1 - muon_lr * 0.1).add_(u.reshape(p.shape), alpha=-gain * muon_lr * max(1, u.shape[1] / u.shape[2]) ** 0.5)
      else:
        g = g.float()
        m, v = s.setdefault("m", torch.zeros_like(p)), s.setdefault("v", torch.zeros_like(p))
        m.lerp_(g, 0.1)
        v.lerp_(g * g, 0.02)
        scale = gain * adam_lr * math.sqrt(1 - 0.98 ** t) / (1 - 0.9 ** t)
        p.addcdiv_(m, v.sqrt() + 1e-9, value=-scale)
    self.net.refresh()


def main():
  a = argparse.ArgumentParser()
  a.add_argument("data")
  a.add_argument("out")
  a.add_argument("--steps", type=int, default=1000)
  a.add_argument("--tokens", type=int, default=6000, help="per step")
  a.add_argument("--from", dest="start")
  a.add_argument("--warmup", type=int, default=60)
  a.add_argument("--decay", type=float, default=0.3, help="share of the steps over which the rates fall to 3%%")
  a.add_argument("--muon", type=float, default=0.02)
  a.add_argument("--adam", type=float, default=0.003)
  a.add_argument("--index-gain", type=float, default=1, help="the indexer's rates are this many times the net's")
  a.add_argument("--index", choices=["off", "warm", "dense", "sparse"], default="off")
  a.add_argument("--bare", action="store_true", help="only the first token stands for the profile: a cheaper first stage")
  a.add_argument("--seed", type=int, default=1)
  a.add_argument("--save-every", type=int, default=200)
  o = a.parse_args()
  torch.manual_seed(o.seed)
  tok = bpe.Tokenizer.load(os.path.join(HERE, "tokenizer.json"))
  profile = chat.profile()
  prefix = np.array(chat.encode(tok, chat.open_pieces(profile["system"], profile["tools"]))[0])
  net = Net(len(tok.tokens), seed=o.seed)
  if o.start:
    net.p.update(export.load(o.start) if o.start.endswith(".gguf") else torch.load(o.start)["p"])
    net.refresh()
  optimizer = Optimizer(net, INDEXER if o.index == "warm" else None)
  data = Data(o.data, o.seed)
  print(f"{sum(v.numel() for v in net.p.values()) / 1e6:.2f} M parameters, prefix {len(prefix)} tokens", flush=True)
  options = dict(index=o.index != "off", sparse=o.index == "sparse", train_index=o.index != "off", top_k=net.c["top_k"] if o.index == "sparse" else 1 << 30, scale=1.0, loss=0.0, rows=0)
  mean, mean_right, began, seen, seen_last, own, index_loss = None, 0, time.time(), 0, 0, 0, 0.0
  for step in range(1, o.steps + 1):
    ids, positions, layout, rows, targets = pack(prefix[:1] if o.bare else prefix, data.take(o.tokens), len(prefix))
    options.update(loss=0.0, rows=0, train_index=o.index == "warm" or options["index"] and step % 2 == 1)
    h = net.forward(ids, positions, layout, options)
    stats = {}
    loss = CrossEntropy.apply(h.index_select(0, rows), net.w["output"], targets, stats)
    loss.backward()
    rate = min(1, step / o.warmup)
    left = (o.steps - step) / max(1, o.steps * o.decay)
    rate *= min(1, max(0.03, left))
    if o.index != "warm":
      for i, load in enumerate(net.load):
        net.p[f"{i + net.c['dense']}.bias"] += 0.002 * rate * torch.sign(load.float().mean() - load.float())
    optimizer.step(o.muon * rate, o.adam * rate, o.index_gain)
    seen += len(ids)
    own += int((targets >= 0).sum())
    value, right = loss.item(), stats["right"]
    index_loss = options["loss"] / options["rows"] if options["rows"] else index_loss
    mean = value if mean is None else 0.95 * mean + 0.05 * value
    mean_right = right if step == 1 else 0.95 * mean_right + 0.05 * right
    if step % 20 == 0 or step == 1:
      now = time.time()
      extra = f" index {index_loss:.4f}" if options["index"] else ""
      print(f"step {step} tokens {seen / 1e6:.2f} M own {own / 1e6:.2f} M loss {mean:.4f} right {mean_right:.4f}{extra} rate {rate:.2f} {(seen - seen_last) / (now - began):.0f} tokens/s data {len(data.all)} left {len(data.queue)}", flush=True)
      began, seen_last = now, seen
    if step % o.save_every == 0 or step == o.steps:
      torch.save({"p": net.p, "step": step}, o.out + ".tmp")
      os.replace(o.out + ".tmp", o.out)
    if not math.isfinite(value):
      raise SystemExit("the loss is not finite")


if __name__ == "__main__":
  main()
