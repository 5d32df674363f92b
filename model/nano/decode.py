"""Runs nano.gguf in f32: prefill, greedy decoding, rewind. A plain second implementation to check weights with, not the engine."""
import numpy as np
import torch

import gguf

A = "deepseek32"


class Model:
  """A model and one timeline. `feed` appends tokens and returns the logits of the last; `rewind` cuts back."""

  def __init__(self, path, top_k=None):
    self.meta, t = gguf.read(path)
    self.t = {k: torch.from_numpy(np.array(v, np.float32)) for k, v in t.items()}
    g = self.g = lambda k: self.meta[f"{A}.{k}"]
    self.layers, self.heads, self.rope, self.eps = g("block_count"), g("attention.head_count"), g("rope.dimension_count"), g("attention.layer_norm_rms_epsilon")
    self.latent, self.top_k = g("attention.kv_lora_rank"), top_k or g("attention.indexer.top_k")
    n = self.limit = 4096  # positions
    angle = torch.arange(n)[:, None] * g("rope.freq_base") ** (-torch.arange(0, self.rope, 2) / self.rope)
    self.cosine, self.sine = angle.cos(), angle.sin()
    width = [self.latent, self.rope, g("attention.indexer.key_length")]
    self.cache = [[torch.zeros(n, w) for w in width] for _ in range(self.layers)]
    self.used, self.gap = 0, slice(0, 0)

  def skip(self, n):
    """The next positions up to n stay empty: what was trained with --bare knows only the first token of the profile."""
    self.gap, self.used = slice(self.used, n), n

  def rewind(self, n):
    self.used = n

  def norm(self, x, name):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.t[name]

  def pairs(self, x, c, s):
    out = torch.empty_like(x)
    a, b = x[..., 0::2], x[..., 1::2]
    out[..., 0::2], out[..., 1::2] = a * c - b * s, a * s + b * c
    return out

  def halves(self, x, c, s):
    h = self.rope // 2
    a, b = x[..., :h], x[..., h:self.rope]
    return torch.cat([a * c - b * s, a * s + b * c, x[..., self.rope:]], -1)

  @torch.no_grad()
  def feed(self, ids):
    t, H, m, at = self.t, self.heads, len(ids), self.used
    end = at + m
    c, s = self.cosine[at:end], self.sine[at:end]
    x = t["token_embd.weight"][torch.tensor(ids)]
    causal = torch.arange(end)[None, :] <= torch.arange(at, end)[:, None]
    causal[:, self.gap] = False
    for i in range(self.layers):
      w = lambda name: t[f"blk.{i}.{name}.weight"]
      latent, roped, index = self.cache[i]
      h = self.norm(x, f"blk.{i}.attn_norm.weight")
      qr = self.norm(h @ w("attn_q_a").T, f"blk.{i}.attn_q_a_norm.weight")
      q = (qr @ w("attn_q_b").T).view(m, H, -1)
      qn, qp = q[..., :-self.rope], self.pairs(q[..., -self.rope:], c[:, None], s[:, None])
      kv = h @ w("attn_kv_a_mqa").T
      latent[at:end] = self.norm(kv[:, :self.latent], f"blk.{i}.attn_kv_a_norm.weight")
      roped[at:end] = self.pairs(kv[:, self.latent:], c, s)
      iw = w("indexer.attn_k")
      k = torch.nn.functional.layer_norm(h @ iw.T, (iw.shape[0],), w("indexer.k_norm"), t[f"blk.{i}.indexer.k_norm.bias"], 1e-6)
      index[at:end] = self.halves(k, c, s)
      keep = causal
      if end > self.top_k:
        heads = self.g("attention.indexer.head_count")
        qi = self.halves((qr @ w("indexer.attn_q_b").T).view(m, heads, -1), c[:, None], s[:, None])
        score = torch.einsum("mhs,mh->ms", torch.relu(torch.einsum("mhd,sd->mhs", qi, index[:end])), h @ w("indexer.proj").T)
        best = score.masked_fill(~causal, -1e30).topk(self.top_k, 1).indices
        keep = torch.zeros_like(causal).scatter_(1, best, True) & causal
      qa = torch.einsum("mhn,hrn->mhr", qn, w("attn_k_b"))
      z = (torch.einsum("mhr,sr->hms", qa, latent[:end]) + torch.einsum("mhp,sp->hms", qp, roped[:end])) * q.shape[-1] ** -0.5
      p = torch.softmax(z.masked_fill(~keep[None], -1e30), -1)
      o = torch.einsum("mhr,hvr->mhv", torch.einsum("hms,sr->mhr", p, latent[:end]), w("attn_v_b"))
      x = x + o.reshape(m, -1) @ w("attn_output").T
      h = self.norm(x, f"blk.{i}.ffn_norm.weight")
      x = x + (self.experts(h, i) if f"blk.{i}.ffn_gate_inp.weight" in t else self.swiglu(h, *(w(f"ffn_{n}") for n in ("gate", "up", "down"))))
    self.used = end
    return self.norm(x[-1:], "output_norm.weight")[0] @ t["output.weight"].T

  def swiglu(self, h, gate, up, down):
    return (torch.nn.functional.silu(h @ gate.T) * (h @ up.T)) @ down.T

  def experts(self, h, i):
    w = lambda name: self.t[f"blk.{i}.{name}.weight"]
    p = torch.sigmoid(h @ w("ffn_gate_inp").T)
    pick = (p + self.t[f"blk.{i}.exp_probs_b.bias"]).topk(self.g("expert_used_count"), 1).indices
    weight = p.gather(1, pick)
    weight = weight / weight.sum(1, keepdim=True) * self.g("expert_weights_scale")
    y = self.swiglu(h, w("ffn_gate_shexp"), w("ffn_up_shexp"), w("ffn_down_shexp"))
    for e in pick.unique().tolist():
      rows, slot = (pick == e).nonzero(as_tuple=True)
      y[rows] += weight[rows, slot, None] * self.swiglu(h[rows], *(w(f"ffn_{n}_exps")[e] for n in ("gate", "up", "down")))
    return y
