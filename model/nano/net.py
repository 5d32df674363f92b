"""The training net: DeepSeek-V3.2's architecture in miniature, in bf16 on one thread.

Matrices live as f32 masters and bf16 working copies; fused elementwise steps are in kernels.c. The main rope is trained
half-split and becomes interleaved by permuting rows at export, which is the same function.
"""
import ctypes
import math
import os
import subprocess
import tempfile

import torch

CONFIG = dict(dim=256, layers=6, dense=1, heads=4, q_lora=128, kv_lora=128, nope=64, rope=32, v=64, inter=768, moe_inter=192, experts=8,
              used=2, index_heads=4, index_dim=64, top_k=256, context=4096, rope_base=10000.0, eps=1e-6, scale=2.5)
HERE = os.path.dirname(os.path.abspath(__file__))


def build_kernels():
  out = os.path.join(tempfile.mkdtemp(prefix="nano-kernels-"), "k.so")
  subprocess.run(["cc", "-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-shared", "-fPIC",
                  os.path.join(HERE, "kernels.c"), "-o", out, "-lm"], check=True)
  lib = ctypes.CDLL(out)
  lib.cross_entropy.restype = ctypes.c_double
  lib.index_loss.restype = ctypes.c_double
  libc = ctypes.CDLL(None)
  libc.mallopt(-4, 0)  # M_MMAP_MAX: keep big blocks, page faults cost more than the arithmetic
  libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
  return lib


K = build_kernels()


def call(name, *args):
  """Tensors become pointers, ints longs, floats C floats."""
  out = []
  for a in args:
    if a is None:
      out.append(ctypes.c_void_p(0))
    elif isinstance(a, torch.Tensor):
      assert a.is_contiguous(), name
      out.append(ctypes.c_void_p(a.data_ptr()))
    elif isinstance(a, float):
      out.append(ctypes.c_float(a))
    else:
      out.append(ctypes.c_long(a))
  return getattr(K, name)(*out)


class Norm(torch.autograd.Function):
  """RMSNorm of f32 or bf16 [n, d] to bf16."""

  @staticmethod
  def forward(ctx, x, w, eps):
    x = x.contiguous()
    n, d = x.shape
    h, r = torch.empty(n, d, dtype=torch.bfloat16), torch.empty(n)
    call("norm32_forward" if x.dtype == torch.float32 else "norm16_forward", x, w, h, r, n, d, eps)
    ctx.save_for_backward(x, w, r)
    return h

  @staticmethod
  def backward(ctx, dh):
    x, w, r = ctx.saved_tensors
    dx, dw = torch.empty_like(x), torch.zeros_like(w)
    call("norm32_backward" if x.dtype == torch.float32 else "norm16_backward", x, w, r, dh.contiguous(), dx, dw, *x.shape)
    return dx, dw, None


class Rope(torch.autograd.Function):
  """Rotates, in place, the `2 * half` values at `at` of x [n, heads, width]."""

  @staticmethod
  def forward(ctx, x, cosine, sine, at):
    ctx.mark_dirty(x)
    ctx.save_for_backward(cosine, sine)
    ctx.at = at
    n, heads, width = x.shape
    call("rope", x, cosine, sine, n, heads, width, at, cosine.shape[1], 1.0)
    return x

  @staticmethod
  def backward(ctx, dx):
    cosine, sine = ctx.saved_tensors
    dx = dx.clone(memory_format=torch.contiguous_format)
    n, heads, width = dx.shape
    call("rope", dx, cosine, sine, n, heads, width, ctx.at, cosine.shape[1], -1.0)
    return dx, None, None, None


def mm(x, w):
  """x [n, in] times w [out, in]."""
  return torch.nn.functional.linear(x, w)


class SwiGLU(torch.autograd.Function):
  """down(silu(gate x) * up x); w1 [2f, d] holds gate then up, w2 is [d, f]."""

  @staticmethod
  def forward(ctx, x, w1, w2):
    gu = mm(x, w1)
    a = torch.empty(x.shape[0], gu.shape[1] // 2, dtype=torch.bfloat16)
    call("swiglu_forward", gu, a, x.shape[0], a.shape[1])
    ctx.save_for_backward(x, w1, w2, gu, a)
    return mm(a, w2)

  @staticmethod
  def backward(ctx, dy):
    x, w1, w2, gu, a = ctx.saved_tensors
    dx, d1, d2 = swiglu_backward(x, w1, w2, gu, a, dy.contiguous())
    return dx, d1, d2


def swiglu_backward(x, w1, w2, gu, a, dy):
  da = dy @ w2
  dgu = torch.empty_like(gu)
  call("swiglu_backward", gu, da, dgu, a.shape[0], a.shape[1])
  return dgu @ w1, dgu.t() @ x, dy.t() @ a


class Experts(torch.autograd.Function):
  """Routed experts: x [n, d], pick [n, k], weight f32 [n, k], w1 [E, 2f, d], w2 [E, d, f]."""

  @staticmethod
  def forward(ctx, x, pick, weight, w1, w2):
    n, k = pick.shape
    order = torch.argsort(pick.flatten())
    at = torch.empty_like(order)
    at[order] = torch.arange(n * k)
    counts = torch.bincount(pick.flatten(), minlength=w1.shape[0]).tolist()
    xs = x.index_select(0, order // k)
    gu = torch.empty(n * k, w1.shape[1], dtype=torch.bfloat16)
    a = torch.empty(n * k, w2.shape[2], dtype=torch.bfloat16)
    ys = torch.empty(n * k, x.shape[1], dtype=torch.bfloat16)
    i = 0
    for e, c in enumerate(counts):
      if c:
        torch.mm(xs[i:i + c], w1[e].t(), out=gu[i:i + c])
      i += c
    call("swiglu_forward", gu, a, n * k, a.shape[1])
    i = 0
    for e, c in enumerate(counts):
      if c:
        torch.mm(a[i:i + c], w2[e].t(), out=ys[i:i + c])
      i += c
    y = torch.empty_like(x)
    call("gather_sum", ys, at, weight, y, n, k, x.shape[1])
    ctx.save_for_backward(xs, gu, a, ys, at, weight, w1, w2)
    ctx.counts = counts
    return y

  @staticmethod
  def backward(ctx, dy):
    xs, gu, a, ys, at, weight, w1, w2 = ctx.saved_tensors
    n, k = weight.shape
    d = xs.shape[1]
    dys, dweight = torch.empty_like(ys), torch.empty_like(weight)
    call("gather_sum_backward", ys, at, weight, dy.contiguous(), dys, dweight, n, k, d)
    da, dgu, dxs = torch.empty_like(a), torch.empty_like(gu), torch.empty_like(xs)
    d1, d2 = torch.zeros_like(w1), torch.zeros_like(w2)
    i = 0
    for e, c in enumerate(ctx.counts):
      if c:
        torch.mm(dys[i:i + c], w2[e], out=da[i:i + c])
        torch.mm(dys[i:i + c].t(), a[i:i + c], out=d2[e])
      i += c
    call("swiglu_backward", gu, da, dgu, n * k, a.shape[1])
    i = 0
    for e, c in enumerate(ctx.counts):
      if c:
        torch.mm(dgu[i:i + c], w1[e], out=dxs[i:i + c])
        torch.mm(dgu[i:i + c].t(), xs[i:i + c], out=d1[e])
      i += c
    dx = torch.empty(n, d, dtype=torch.bfloat16)
    call("gather_sum", dxs, at, None, dx, n, k, d)
    return dx, None, dweight, d1, d2


def heads_first(x, count, length):
  """[count * length, H, w] to [count * H, length, w]."""
  H, w = x.shape[1:]
  return x.view(count, length, H, w).transpose(1, 2).reshape(count * H, length, w).contiguous()


def heads_last(x, count, length):
  H = x.shape[0] // count
  return x.view(count, H, length, -1).transpose(1, 2).reshape(count * length, H, -1).contiguous()


def with_prefix(x, prefix, count):
  """Keys of the shared prefix in front of each conversation's own: [count * H, P + length, w]."""
  H, P, w = prefix.shape
  return torch.cat([prefix.unsqueeze(0).expand(count, H, P, w).reshape(count * H, P, w), x], 1)


class Attention(torch.autograd.Function):
  """Causal attention of groups of equally long conversations, each of which also sees the shared prefix (group 0).

  q, k [n, H, 96], v [n, H, 64]; layout is [(offset, count, length)]. With `index` = (qI [n, ih, id], kI [n, id], w [n, ih],
  options) the lightning indexer picks the keys and its KL loss against this layer's attention is put in options["loss"];
  its gradients flow to qI, kI and w only.
  """

  @staticmethod
  def forward(ctx, q, k, v, qi, ki, wi, layout, options):
    n, H, width = q.shape
    out = torch.empty(n, H * v.shape[2], dtype=torch.bfloat16)
    scale = width ** -0.5
    saved, kp, vp, kip, P = [], None, None, None, 0
    di = None
    if qi is not None:
      di = (torch.zeros_like(qi), torch.zeros_like(ki), torch.zeros_like(wi))
      dkip = None
    for g, (at, count, length) in enumerate(layout):
      rows = count * length
      Q, Kc, V = (heads_first(x[at:at + rows], count, length) for x in (q, k, v))
      if g == 0:
        kp, vp, P, past = Kc, V, length, 0
      else:
        Kc, V, past = with_prefix(Kc, kp, count), with_prefix(V, vp, count), P
      S = torch.bmm(Q, Kc.transpose(1, 2))
      keys, keep, z = past + length, None, None
      if qi is not None:
        QI = heads_first(qi[at:at + rows], count, length)
        KI = ki[at:at + rows].view(count, length, -1)
        if g == 0:
          kip = KI
        else:
          KI = torch.cat([kip.expand(count, P, KI.shape[2]), KI], 1)
        ih = qi.shape[1]
        z = torch.bmm(QI.view(count, ih * length, -1), KI.transpose(1, 2)).view(count, ih, length, keys)
        score, keep = torch.empty(count, length, keys), torch.empty(count, length, keys, dtype=torch.uint8)
        W = wi[at:at + rows].view(count, length, ih)
        for c in range(count):
          call("index_top_k", z[c], W[c], score[c], keep[c], ih, length, keys, past, options["top_k"])
      call("softmax_forward", S, keep if options["sparse"] and keep is not None else None, count * H, H, length, keys, past, scale)
      if qi is not None and options["train_index"]:
        dW = torch.empty_like(W)
        S4 = S.view(count, H, length, keys)
        for c in range(count):
          mask = keep[c] if options["sparse"] else None
          options["loss"] += K.index_loss(*[ctypes.c_void_p(t.data_ptr()) for t in (S4[c], z[c], W[c], score[c])], ctypes.c_void_p(mask.data_ptr() if mask is not None else 0),
                                          ctypes.c_void_p(dW[c].data_ptr()), *[ctypes.c_long(x) for x in (H, ih, length, keys, past)], ctypes.c_float(options["scale"] / rows))
        options["rows"] += rows
        Z = z.view(count, ih * length, keys)
        dQI = torch.bmm(Z, KI)
        dKI = torch.bmm(Z.transpose(1, 2), QI.view(count, ih * length, -1))
        di[0][at:at + rows] = dQI.view(count, ih, length, -1).transpose(1, 2).reshape(rows, ih, -1)
        di[1][at:at + rows] += dKI[:, past:].reshape(rows, -1)
        if g:
          di[1][:P] += dKI[:, :P].sum(0)
        di[2][at:at + rows] = dW.view(rows, ih)
      out[at:at + rows] = heads_last(torch.bmm(S, V), count, length).view(rows, -1)
      saved += [Q, Kc, V, S]
    ctx.save_for_backward(*saved)
    ctx.layout, ctx.scale, ctx.shapes, ctx.di = layout, scale, (q.shape, v.shape), di
    return out

  @staticmethod
  def backward(ctx, dout):
    (n, H, width), vs = ctx.shapes
    dq, dk = torch.empty(n, H, width, dtype=torch.bfloat16), torch.empty(n, H, width, dtype=torch.bfloat16)
    dv = torch.empty(vs, dtype=torch.bfloat16)
    dout = dout.view(n, H, -1)
    P = ctx.layout[0][2]
    dkp = dvp = 0
    for g in reversed(range(len(ctx.layout))):
      at, count, length = ctx.layout[g]
      rows, past = count * length, P if g else 0
      Q, Kc, V, S = ctx.saved_tensors[4 * g:4 * g + 4]
      dO = heads_first(dout[at:at + rows], count, length)
      dV = torch.bmm(S.transpose(1, 2), dO)
      dP = torch.bmm(dO, V.transpose(1, 2))
      call("softmax_backward", S, dP, count * H, length, past + length, past, ctx.scale)
      dq[at:at + rows] = heads_last(torch.bmm(dP, Kc), count, length)
      dK = torch.bmm(dP.transpose(1, 2), Q)
      if g:
        dkp = dkp + dK[:, :P].view(count, H, P, width).sum(0)
        dvp = dvp + dV[:, :P].view(count, H, P, -1).sum(0)
        dK, dV = dK[:, P:].contiguous(), dV[:, P:].contiguous()
      else:
        dK, dV = dK + dkp, dV + dvp
      dk[at:at + rows] = heads_last(dK, count, length)
      dv[at:at + rows] = heads_last(dV, count, length)
    return (dq, dk, dv) + (ctx.di if ctx.di is not None else (None, None, None)) + (None, None)


class CrossEntropy(torch.autograd.Function):
  """Mean cross entropy of h [n, d] against the output matrix [V, d], in chunks; the gradient is made at once."""

  @staticmethod
  def forward(ctx, h, w, target, stats):
    n = h.shape[0]
    dh, dw, loss, right = torch.empty_like(h), torch.zeros_like(w), 0.0, ctypes.c_long(0)
    for i in range(0, n, 1024):
      z = mm(h[i:i + 1024], w)
      loss += K.cross_entropy(ctypes.c_void_p(z.data_ptr()), ctypes.c_void_p(target[i:i + 1024].data_ptr()), ctypes.c_long(z.shape[0]), ctypes.c_long(z.shape[1]), ctypes.c_float(1.0 / n), ctypes.byref(right))
      dh[i:i + 1024] = z @ w
      dw += z.t() @ h[i:i + 1024]
    ctx.save_for_backward(dh, dw)
    stats["right"] = right.value / n
    return torch.tensor(loss / n)

  @staticmethod
  def backward(ctx, _):
    dh, dw = ctx.saved_tensors
    return dh, dw, None, None


class Net:
  """Holds f32 masters `p` and, for what `is_matrix` says, bf16 leaves; `w` is what the forward pass reads."""

  def __init__(self, vocab, config=CONFIG, seed=1):
    c = self.c = dict(config, vocab=vocab)
    g = torch.Generator().manual_seed(seed)
    d, H, qk = c["dim"], c["heads"], c["nope"] + c["rope"]
    self.p = {}
    def matrix(name, *shape, gain=1.0):
      self.p[name] = torch.randn(*shape, generator=g) * gain * shape[-1] ** -0.5
    def ones(name, n):
      self.p[name] = torch.ones(n)
    self.p["embed"] = torch.randn(vocab, d, generator=g) * 0.5
    matrix("output", vocab, d, gain=0.5)
    ones("final_norm", d)
    small = 0.5 / math.sqrt(2 * c["layers"])
    for i in range(c["layers"]):
      b = f"{i}."
      ones(b + "attn_norm", d); ones(b + "q_norm", c["q_lora"]); ones(b + "kv_norm", c["kv_lora"]); ones(b + "ffn_norm", d)
      matrix(b + "q_a", c["q_lora"], d); matrix(b + "q_b", H * qk, c["q_lora"]); matrix(b + "kv_a", c["kv_lora"] + c["rope"], d)
      matrix(b + "k_b", H * c["nope"], c["kv_lora"]); matrix(b + "v_b", H * c["v"], c["kv_lora"]); matrix(b + "o", d, H * c["v"], gain=small)
      matrix(b + "iq", c["index_heads"] * c["index_dim"], c["q_lora"]); matrix(b + "ik", c["index_dim"], d); matrix(b + "iw", c["index_heads"], d)
      ones(b + "ik_norm", c["index_dim"]); self.p[b + "ik_bias"] = torch.zeros(c["index_dim"])
      if i < c["dense"]:
        matrix(b + "w1", 2 * c["inter"], d); matrix(b + "w2", d, c["inter"], gain=small)
      else:
        E, f = c["experts"], c["moe_inter"]
        matrix(b + "router", E, d); self.p[b + "bias"] = torch.zeros(E)
        matrix(b + "e1", E, 2 * f, d); matrix(b + "e2", E, d, f, gain=small); matrix(b + "s1", 2 * f, d); matrix(b + "s2", d, f, gain=small)
    self.refresh()

  @staticmethod
  def is_matrix(name):
    return name.split(".")[-1] in ("output", "q_a", "q_b", "kv_a", "k_b", "v_b", "o", "iq", "ik", "w1", "w2", "e1", "e2", "s1", "s2")

  def refresh(self):
    """New working copies after the masters changed."""
    self.w = {}
    for name, t in self.p.items():
      self.w[name] = (t.to(torch.bfloat16) if self.is_matrix(name) else t.detach()).requires_grad_(not name.endswith(".bias"))
    n, half = self.c["context"], self.c["rope"] // 2
    if not hasattr(self, "cosine"):
      angle = torch.arange(n)[:, None] * self.c["rope_base"] ** (-torch.arange(half) / half)
      self.cosine, self.sine = angle.cos(), angle.sin()

  def forward(self, ids, positions, layout, options):
    """ids [n] in groups; group 0 is the shared prefix. Returns the final hidden state, normed, bf16."""
    c, w, n = self.c, self.w, len(ids)
    cosine, sine = self.cosine[positions], self.sine[positions]
    x = torch.nn.functional.embedding(ids, w["embed"])
    H, qk, KL = c["heads"], c["nope"] + c["rope"], c["kv_lora"]
    self.load = []
    for i in range(c["layers"]):
      b = f"{i}."
      h = Norm.apply(x, w[b + "attn_norm"], c["eps"])
      qr = Norm.apply(mm(h, w[b + "q_a"]), w[b + "q_norm"], c["eps"])
      q = Rope.apply(mm(qr, w[b + "q_b"]).view(n, H, qk), cosine, sine, c["nope"])
      kv = mm(h, w[b + "kv_a"])
      latent = Norm.apply(kv[:, :KL], w[b + "kv_norm"], c["eps"])
      kr = Rope.apply(kv[:, KL:].reshape(n, 1, -1).clone(), cosine, sine, 0)
      k = torch.cat([mm(latent, w[b + "k_b"]).view(n, H, -1), kr.expand(n, H, c["rope"])], 2)
      v = mm(latent, w[b + "v_b"]).view(n, H, -1)
      qi = ki = wi = None
      if options["index"]:  # the indexer learns from its own loss only
        hd, qd = h.detach(), qr.detach()
        qi = Rope.apply(mm(qd, w[b + "iq"]).view(n, c["index_heads"], c["index_dim"]), cosine, sine, 0)
        ki = torch.nn.functional.layer_norm(mm(hd, w[b + "ik"]).float(), (c["index_dim"],), w[b + "ik_norm"], w[b + "ik_bias"], 1e-6).to(torch.bfloat16)
        ki = Rope.apply(ki.view(n, 1, -1), cosine, sine, 0).view(n, -1)
        wi = mm(hd.float(), w[b + "iw"]) * (c["index_heads"] * c["index_dim"]) ** -0.5
      o = Attention.apply(q, k, v, qi, ki, wi, layout, options)
      x = x + mm(o, w[b + "o"])
      h = Norm.apply(x, w[b + "ffn_norm"], c["eps"])
      if i < c["dense"]:
        x = x + SwiGLU.apply(h, w[b + "w1"], w[b + "w2"])
        continue
      p = torch.sigmoid(mm(h.float(), w[b + "router"]))
      pick = torch.topk(p.detach() + w[b + "bias"], c["used"], dim=1).indices
      self.load.append(torch.bincount(pick.flatten(), minlength=c["experts"]))
      chosen = p.gather(1, pick)
      weight = chosen / chosen.sum(1, keepdim=True) * c["scale"]
      x = x + (Experts.apply(h, pick, weight, w[b + "e1"], w[b + "e2"]) + SwiGLU.apply(h, w[b + "s1"], w[b + "s2"]))
    return Norm.apply(x, w["final_norm"], c["eps"])
