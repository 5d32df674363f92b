#!/usr/bin/env python3
"""Trains the net on shards that generate.py wrote, on one thread, or on two processes of one thread each.

  train.py DATA_FOLDER OUT.pt --steps N [--from CHECKPOINT.pt|nano.gguf] [--decay 0.3] [--index off|warm|sparse]

--index off trains with dense attention; warm trains the indexer alone against dense attention, dense trains both at
once; sparse trains all with the indexer's top-k, the net from the language loss and the indexer from its KL loss, as in
the DeepSeek-V3.2 report. The KL loss is taken on every second step.

--second CORE starts a second process at the lowest priority on that core: whenever it has finished a gradient, the first
one averages it into its next step. The first never waits, so the second costs nothing and takes what the core can spare.
"""
import argparse
import glob
import math
import os
import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import chat
import export
import tokenizer as bpe
from net import HERE, CrossEntropy, Net, mm

torch.set_num_threads(1)
INDEXER = {"iq", "ik", "iw", "ik_norm", "ik_bias"}


class Data:
  """Conversations drawn at random without replacement, newest shards included as they appear."""

  def __init__(self, folder, seed, part=0, parts=1):
    self.folder, self.rng, self.seen, self.queue, self.all = folder, np.random.default_rng(seed), {}, [], []
    self.part, self.parts = part, parts  # of several processes each takes its own conversations

  def refill(self):
    for path in sorted(glob.glob(os.path.join(self.folder, "shard-????.npz"))):
      if path not in self.seen:
        z = np.load(path)
        self.seen[path] = (z["ids"].astype(np.int64), z["own"], z["starts"])
        fresh = [(path, i) for i in range(self.part, len(z["starts"]) - 1, self.parts)]
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


def grouped(conversations):
  """Conversations of like length together: [(padded length, conversations)]. Few distinct shapes: lengths in steps of 16 or 32, groups of powers of two."""
  by_length, groups = {}, []
  for c in conversations:
    step = 16 if len(c[0]) <= 96 else 32
    by_length.setdefault(-(-len(c[0]) // step) * step, []).append(c)
  for length, same in sorted(by_length.items()):
    while same:
      count = next(k for k in (32, 16, 8, 4, 2, 1) if k <= len(same))
      groups.append((length, same[:count]))
      same = same[count:]
  return groups


def pack(prefix, groups, start):
  """The prefix once, then the groups, their positions from `start`. Ids, positions, layout, and the rows that predict sampled tokens with their targets."""
  P = at = len(prefix)
  ids, positions, layout, rows, targets = [prefix], [np.arange(P)], [(0, 1, P)], [], []
  for length, same in groups:
    layout.append((at, len(same), length))
    for x, own in same:
      pad = np.zeros(length, np.int64)
      pad[:len(x)] = x
      ids.append(pad)
      positions.append(start + np.arange(length))
      own_at = np.nonzero(own)[0]
      rows.append(at + own_at - 1)
      targets.append(x[own_at])
      at += length
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

  def step(self, gradients, muon_lr, adam_lr, index_gain):
    self.step_count += 1
    t = self.step_count
    for name in self.names:
      gain = index_gain if name.split(".")[-1] in INDEXER else 1
      g = gradients.get(name)
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


class Gradient:
  """Gradients of batches: by name, with the experts' loads and what there is to report."""

  def __init__(self, o, net, prefix):
    sparse = o.index == "sparse"
    self.o, self.net, self.prefix = o, net, prefix
    self.options = dict(index=o.index != "off", sparse=sparse, top_k=net.c["top_k"] if sparse else 1 << 30, scale=1.0)

  def hardest(self, conversations, tokens):
    """Of these conversations those with the most loss for their length, about that many tokens together. Scored without the profile, with dense attention: cheap."""
    scored, rest = [], sorted(conversations, key=lambda c: len(c[0]))
    while rest:
      part, n = [], 0
      while rest and n < 6000:
        part.append(rest.pop())
        n += len(part[-1][0])
      groups = grouped(part)
      ids, positions, layout, rows, targets = pack(self.prefix[:1], groups, len(self.prefix))
      with torch.no_grad():
        h = self.net.forward(ids, positions, layout, dict(index=False, sparse=False)).index_select(0, rows)
        loss = torch.cat([cross_entropy(mm(h[i:i + 1024], self.net.w["output"]).float(), targets[i:i + 1024], ignore_index=-1, reduction="none")
                          for i in range(0, len(targets), 1024)])
      part = [c for _, same in groups for c in same]
      counts = [int(np.count_nonzero(own)) for _, own in part]
      scored += [(l.sum().item() / (len(c[0]) + 32), c) for l, c in zip(loss[:sum(counts)].split(counts), part)]
    chosen = []
    for _, c in sorted(scored, key=lambda s: -s[0]):
      chosen.append(c)
      tokens -= len(c[0])
      if tokens <= 0:
        break
    return chosen

  def take(self, data, step):
    chosen = data.take(self.o.tokens * self.o.choose)
    if self.o.choose > 1:
      few = chosen[:len(chosen) // 10]  # as they come, so that nothing easy is forgotten
      chosen = few + self.hardest(chosen[len(few):], self.o.tokens - sum(len(ids) for ids, _ in few))
    train_index = self.o.index == "warm" or self.options["index"] and step % 2 == 1
    options = dict(self.options, loss=0.0, rows=0, train_index=train_index)
    prefix = self.prefix[:1] if self.o.bare else self.prefix
    ids, positions, layout, rows, targets = pack(prefix, grouped(chosen), len(self.prefix))
    h, stats = self.net.forward(ids, positions, layout, options), {}
    loss = CrossEntropy.apply(h.index_select(0, rows), self.net.w["output"], targets, stats)
    loss.backward()
    stats.update(tokens=len(ids), own=int((targets >= 0).sum()), loss=loss.item(), index=options["loss"] / options["rows"] if options["rows"] else None)
    return {k: w.grad for k, w in self.net.w.items() if w.grad is not None}, [l.float() for l in self.net.load], stats


class Second:
  """Another process on the same masters. It fills shared gradients and raises a flag; `joined` averages them in and lowers it."""

  def __init__(self, o, net, work):
    for k, t in net.p.items():
      net.p[k] = t.contiguous().share_memory_()
    net.refresh()
    self.shared = {k: torch.zeros_like(t).share_memory_() for k, t in net.p.items() if not k.endswith(".bias")}
    self.load = torch.zeros(net.c["layers"] - net.c["dense"], net.c["experts"]).share_memory_()
    self.state, self.count = torch.zeros(3, dtype=torch.float64).share_memory_(), 0  # the flag, its tokens, its own tokens
    first = os.getpid()
    if os.fork():
      return
    os.setsid()
    os.sched_setaffinity(0, {o.second})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
      open("/proc/self/autogroup", "w").write("19")
    except OSError:
      pass  # no such grouping on this machine
    data, step = Data(o.data, o.seed + 1, 1, 2), 0
    while os.getppid() == first:
      step += 1
      net.refresh()
      gradients, load, stats = work.take(data, step)
      for k, s in self.shared.items():
        s.copy_(gradients[k]) if k in gradients else s.zero_()
      self.load.copy_(torch.stack(load))
      self.state[1], self.state[2] = stats["tokens"], stats["own"]
      self.state[0] = 1
      while self.state[0] and os.getppid() == first:
        time.sleep(0.002)
    os._exit(0)

  def joined(self, gradients, load, stats):
    if not self.state[0]:
      return gradients, load
    mine = stats["own"] / (stats["own"] + self.state[2].item())
    out = {k: g.float() * mine + self.shared[k] * (1 - mine) for k, g in gradients.items()}
    load = [a + b for a, b in zip(load, self.load.clone())]
    stats["tokens"] += int(self.state[1])
    stats["own"] += int(self.state[2])
    self.state[0], self.count = 0, self.count + 1
    return out, load


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
  a.add_argument("--choose", type=int, default=1, help="draw this many times the tokens and train on what is predicted worst")
  a.add_argument("--seed", type=int, default=1)
  a.add_argument("--save-every", type=int, default=200)
  a.add_argument("--second", type=int, metavar="CORE", help="the core of a second process")
  o = a.parse_args()
  torch.manual_seed(o.seed)
  tok = bpe.Tokenizer.load(os.path.join(HERE, "tokenizer.json"))
  profile = chat.profile()
  prefix = np.array(chat.encode(tok, chat.open_pieces(profile["system"], profile["tools"]))[0])
  net = Net(len(tok.tokens), seed=o.seed)
  if o.start:
    start = export.load(o.start) if o.start.endswith(".gguf") else torch.load(o.start)["p"]
    if start.keys() != net.p.keys():
      raise SystemExit(f"{o.start} has other layers than this net; grow.py adds some")
    net.p.update(start)
    net.refresh()
  optimizer = Optimizer(net, INDEXER if o.index == "warm" else None)
  data = Data(o.data, o.seed, 0, 1 if o.second is None else 2)
  print(f"{sum(v.numel() for v in net.p.values()) / 1e6:.2f} M parameters, prefix {len(prefix)} tokens", flush=True)
  work = Gradient(o, net, prefix)
  second = Second(o, net, work) if o.second is not None else None
  mean, mean_right, began, seen, seen_last, own, index_loss = None, 0, time.time(), 0, 0, 0, 0.0
  for step in range(1, o.steps + 1):
    gradients, load, stats = work.take(data, step)
    if second:
      gradients, load = second.joined(gradients, load, stats)
    rate = min(1, step / o.warmup)
    left = (o.steps - step) / max(1, o.steps * o.decay)
    rate *= min(1, max(0.03, left))
    if o.index != "warm":
      for i, l in enumerate(load):
        net.p[f"{i + net.c['dense']}.bias"] += 0.002 * rate * torch.sign(l.mean() - l)
    optimizer.step(gradients, o.muon * rate, o.adam * rate, o.index_gain)
    seen += stats["tokens"]
    own += stats["own"]
    value, right, index_loss = stats["loss"], stats["right"], stats["index"] or index_loss
    mean = value if mean is None else 0.95 * mean + 0.05 * value
    mean_right = right if step == 1 else 0.95 * mean_right + 0.05 * right
    if step % 20 == 0 or step == 1:
      now = time.time()
      extra = f" index {index_loss:.4f}" if o.index != "off" else ""
      extra += f" second {second.count}" if second else ""
      print(f"step {step} tokens {seen / 1e6:.2f} M own {own / 1e6:.2f} M loss {mean:.4f} right {mean_right:.4f}{extra} rate {rate:.2f} {(seen - seen_last) / (now - began):.0f} tokens/s data {len(data.all)} left {len(data.queue)}", flush=True)
      began, seen_last = now, seen
    if step % o.save_every == 0 or step == o.steps:
      torch.save({"p": net.p, "step": step}, o.out + ".tmp")
      os.replace(o.out + ".tmp", o.out)
    if not math.isfinite(value):
      raise SystemExit("the loss is not finite")


if __name__ == "__main__":
  main()
