"""The training net: DeepSeek-V3.2's architecture in miniature, in bf16 on one thread.

Matrices live as f32 masters and bf16 working copies; fused elementwise steps are in kernels.c. The main rope is trained
half-split and becomes interleaved by permuting rows at export, which is the same function.
"""
import ctypes
import math
import os
import subprocess
import tempfile

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")  # a new matrix shape costs more than its product
import torch

CONFIG = dict(dim=256, layers=8, dense=1, heads=4, q_lora=128, kv_lora=128, nope=64, rope=32, v=64, inter=768, moe_inter=192, experts=8,
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


class AddNorm(torch.autograd.Function):
  """The residual step: (x + y, RMSNorm(x + y)) for f32 x and bf16 y."""

  @staticmethod
  def forward(ctx, x, y, w, eps):
    n, d = x.shape
    z, h, r = torch.empty_like(x), torch.empty_like(y), torch.empty(n)
    call("add_norm_forward", x, y, w, z, h, r, n, d, eps)
    ctx.save_for_backward(z, w, r)
    return z, h

  @staticmethod
  def backward(ctx, dz, dh):
    z, w, r = ctx.saved_tensors
    dz = torch.zeros_like(z) if dz is None else dz.contiguous()
    dy, dw = torch.empty(z.shape, dtype=torch.bfloat16), torch.zeros_like(w)
    call("add_norm_backward", z, w, r, dh.contiguous(), dz, dy, dw, *z.shape)
    return dz, dy, dw, None


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
    dx = dx.contiguous()  # rotated back in place: nobody else holds it
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
    flat = pick.flatten()
    order = torch.argsort(flat)
    real = torch.bincount(flat, minlength=w1.shape[0])
    padded = (real + 127) // 128 * 128  # few distinct shapes
    shift = (padded.cumsum(0) - padded) - (real.cumsum(0) - real)
    place = torch.arange(n * k) + shift[flat[order]]
    at = torch.empty_like(order)
    at[order] = place
    counts, m = padded.tolist(), int(padded.sum())
    xs = torch.zeros(m, x.shape[1], dtype=torch.bfloat16).index_copy_(0, place, x.index_select(0, order // k))
    gu = torch.empty(m, w1.shape[1], dtype=torch.bfloat16)
    a = torch.empty(m, w2.shape[2], dtype=torch.bfloat16)
    ys = torch.empty(m, x.shape[1], dtype=torch.bfloat16)
    i = 0
    for e, c in enumerate(counts):
      if c:
        torch.mm(xs[i:i + c], w1[e].t(), out=gu[i:i + c])
      i += c
    call("swiglu_forward", gu, a, m, a.shape[1])
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
    dys, dweight = torch.zeros_like(ys), torch.empty_like(weight)
    call("gather_sum_backward", ys, at, weight, dy.contiguous(), dys, dweight, n, k, d)
    da, dgu, dxs = torch.empty_like(a), torch.empty_like(gu), torch.empty_like(xs)
    d1, d2 = torch.zeros_like(w1), torch.zeros_like(w2)
    i = 0
    for e, c in enumerate(ctx.counts):
      if c:
        torch.mm(dys[i:i + c], w2[e], out=da[i:i + c])
        torch.mm(dys[i:i + c].t(), a[i:i + c], out=d2[e])
      i += c
    call("swiglu_backward", gu, da, dgu, a.shape[0], a.shape[1])
    i = 0
    for e, c in enumerate(ctx.counts):
      if c:
        torch.mm(dgu[i:i + c], w1[e], out=dxs[i:i + c])
        torch.mm(dgu[i:i + c].t(), xs[i:i + c], out=d1[e])
      i += c
    dx = torch.empty(n, d, dtype=torch.bfloat16)
    call("gather_sum", dxs, at, None, dx, n, k, d)
    return dx, None, dweight, d1, d2


def heads_in(parts, count, H, length, past=0, prefix=None):
  """Rows of a group from [n, heads or 1, w] parts side by side: [count * H, past + length, sum of w], the prefix in front."""
  width, keys = sum(p.shape[2] for p in parts), past + length
  y = torch.empty(count * H, keys, width, dtype=torch.bfloat16)
  col = 0
  for p in parts:
    call("heads_in", p, y, count, H, length, p.shape[1], p.shape[2], keys, past, width, col)
    col += p.shape[2]
  if prefix is not None:
    call("prefix_in", prefix, y, count, H, past, keys, width)
  return y


def heads_out(y, like, count, H, length, past=0, col=0):
  """The reverse for gradients: fills `like` [count * length, heads or 1, w]."""
  call("heads_out", y.contiguous(), like, count, H, length, like.shape[1], like.shape[2], y.shape[1], past, y.shape[2], col)


class Attention(torch.autograd.Function):
  """Causal attention of groups of equally long conversations, each of which also sees the shared prefix (group 0).

  q [n, H, nope + rope], kn [n, H, nope], kr [n, 1, rope], v [n, H, v]; layout is [(offset, count, length)]. With qi [n, ih,
  id], ki [n, 1, id] and wi [n, ih] the lightning indexer picks the keys; its KL loss against this layer's attention is added
  to options["loss"] and its gradients flow to qi, ki and wi only.
  """

  @staticmethod
  def forward(ctx, q, kn, kr, v, qi, ki, wi, layout, options):
    n, H, width = q.shape
    out = torch.zeros(n, H, v.shape[2], dtype=torch.bfloat16)  # rows past the last group stay zero
    scale, P, kp, vp, kip, saved = width ** -0.5, 0, None, None, None, []
    di = (torch.zeros_like(qi), torch.zeros(ki.shape), torch.zeros_like(wi)) if qi is not None else None
    for g, (at, count, length) in enumerate(layout):
      rows = slice(at, at + count * length)
      past = P if g else 0
      keys = past + length
      Q = heads_in([q[rows]], count, H, length)
      Kc = heads_in([kn[rows], kr[rows]], count, H, length, past, kp)
      V = heads_in([v[rows]], count, H, length, past, vp)
      if g == 0:
        kp, vp, P = Kc, V, length
      S = torch.bmm(Q, Kc.transpose(1, 2)).contiguous()
      keep = None
      if qi is not None:
        ih = qi.shape[1]
        QI = heads_in([qi[rows]], count, ih, length).view(count, ih * length, -1)
        KI = heads_in([ki[rows]], count, 1, length, past, kip)
        kip = KI if g == 0 else kip
        z = torch.bmm(QI, KI.transpose(1, 2)).contiguous()
        W = wi[rows].contiguous()
        score, keep = torch.empty(count, length, keys), torch.empty(count, length, keys, dtype=torch.uint8)
        for c in range(count):
          call("index_top_k", z[c], W[c * length:(c + 1) * length], score[c], keep[c], ih, length, keys, past, options["top_k"])
      call("softmax_forward", S, keep if options["sparse"] else None, count * H, H, length, keys, past, scale)
      if qi is not None and options["train_index"]:
        dW = torch.empty_like(W)
        for c in range(count):
          options["loss"] += call("index_loss", S[c * H:(c + 1) * H], z[c], W[c * length:], score[c], keep[c] if options["sparse"] else None, dW[c * length:], H, ih, length, keys, past, options["scale"] / n)
        options["rows"] += count * length
        call("heads_out", torch.bmm(z, KI), di[0][rows], count, ih, length, ih, qi.shape[2], length, 0, qi.shape[2], 0)
        dKI = torch.bmm(z.transpose(1, 2), QI).float()
        di[1][rows] += dKI[:, past:].reshape(count * length, 1, -1)
        if g:
          di[1][:P] += dKI[:, :P].sum(0).unsqueeze(1)
        di[2][rows] = dW
      heads_out(torch.bmm(S, V), out[rows], count, H, length)
      saved += [Q, Kc, V, S]
    ctx.save_for_backward(*saved)
    ctx.layout, ctx.scale, ctx.di = layout, scale, di
    ctx.shapes = [t.shape for t in (q, kn, kr, v)]
    return out

  @staticmethod
  def backward(ctx, dout):
    dq, dkn, dkr, dv = (torch.zeros(s, dtype=torch.bfloat16) for s in ctx.shapes)
    H, nope, P = dq.shape[1], dkn.shape[2], ctx.layout[0][2]
    dkp, dvp = torch.zeros(H, P, dq.shape[2]), torch.zeros(H, P, dv.shape[2])
    dout = dout.contiguous()
    for g in reversed(range(len(ctx.layout))):
      at, count, length = ctx.layout[g]
      rows, past = slice(at, at + count * length), P if g else 0
      keys = past + length
      Q, Kc, V, S = ctx.saved_tensors[4 * g:4 * g + 4]
      dO = heads_in([dout[rows]], count, H, length)
      dV = torch.bmm(S.transpose(1, 2), dO).contiguous()
      dS = torch.bmm(dO, V.transpose(1, 2)).contiguous()
      call("softmax_backward", S, dS, count * H, length, keys, past, ctx.scale)
      heads_out(torch.bmm(dS, Kc), dq[rows], count, H, length)
      dK = torch.bmm(dS.transpose(1, 2), Q).contiguous()
      if g:
        call("prefix_out", dK, dkp, count, H, P, keys, dK.shape[2])
        call("prefix_out", dV, dvp, count, H, P, keys, dV.shape[2])
      else:
        call("add_into", dK, dkp, dK.numel())
        call("add_into", dV, dvp, dV.numel())
      heads_out(dK, dkn[rows], count, H, length, past)
      heads_out(dK, dkr[rows], count, H, length, past, nope)
      heads_out(dV, dv[rows], count, H, length, past)
    di = ctx.di or (None, None, None)
    return (dq, dkn, dkr, dv, di[0], None if di[1] is None else di[1].to(torch.bfloat16), di[2], None, None)


class CrossEntropy(torch.autograd.Function):
  """Mean cross entropy of h [n, d] against the output matrix [V, d], in chunks; the gradient is made at once."""

  @staticmethod
  def forward(ctx, h, w, target, stats):
    n = int((target >= 0).sum())  # rows with target -1 fill up the last chunk
    dh, dw, loss, right = torch.empty_like(h), torch.zeros_like(w), 0.0, ctypes.c_long(0)
    for i in range(0, h.shape[0], 512):
      z = mm(h[i:i + 512], w)
      loss += K.cross_entropy(ctypes.c_void_p(z.data_ptr()), ctypes.c_void_p(target[i:i + 512].data_ptr()), ctypes.c_long(z.shape[0]), ctypes.c_long(z.shape[1]), ctypes.c_float(1.0 / n), ctypes.byref(right))
      dh[i:i + 512] = z @ w
      dw += z.t() @ h[i:i + 512]
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
    H, KL = c["heads"], c["kv_lora"]
    self.load = []
    h = Norm.apply(x, w["0.attn_norm"], c["eps"])
    for i in range(c["layers"]):
      b = f"{i}."
      qr = Norm.apply(mm(h, w[b + "q_a"]), w[b + "q_norm"], c["eps"])
      q = Rope.apply(mm(qr, w[b + "q_b"]).view(n, H, -1), cosine, sine, c["nope"])
      kv = mm(h, w[b + "kv_a"])
      latent = Norm.apply(kv[:, :KL], w[b + "kv_norm"], c["eps"])
      kr = Rope.apply(kv[:, KL:].contiguous().view(n, 1, -1), cosine, sine, 0)
      qi = ki = wi = None
      if options["index"]:  # the indexer learns from its own loss only
        hd, qd = h.detach(), qr.detach()
        qi = Rope.apply(mm(qd, w[b + "iq"]).view(n, c["index_heads"], -1), cosine, sine, 0)
        ki = torch.nn.functional.layer_norm(mm(hd, w[b + "ik"]).float(), (c["index_dim"],), w[b + "ik_norm"], w[b + "ik_bias"], 1e-6)
        ki = Rope.apply(ki.to(torch.bfloat16).view(n, 1, -1), cosine, sine, 0)
        wi = mm(hd.float(), w[b + "iw"]) * (c["index_heads"] * c["index_dim"]) ** -0.5
      o = Attention.apply(q, mm(latent, w[b + "k_b"]).view(n, H, -1), kr, mm(latent, w[b + "v_b"]).view(n, H, -1), qi, ki, wi, layout, options)
      x, h = AddNorm.apply(x, mm(o.view(n, -1), w[b + "o"]), w[b + "ffn_norm"], c["eps"])
      if i < c["dense"]:
        y = SwiGLU.apply(h, w[b + "w1"], w[b + "w2"])
      else:
        p = torch.sigmoid(mm(h.float(), w[b + "router"]))
        pick = torch.topk(p.detach() + w[b + "bias"], c["used"], dim=1).indices
        self.load.append(torch.bincount(pick.flatten(), minlength=c["experts"]))
        chosen = p.gather(1, pick)
        weight = chosen / chosen.sum(1, keepdim=True) * c["scale"]
        y = Experts.apply(h, pick, weight, w[b + "e1"], w[b + "e2"]) + SwiGLU.apply(h, w[b + "s1"], w[b + "s2"])
      x, h = AddNorm.apply(x, y, w[f"{i + 1}.attn_norm"] if i + 1 < c["layers"] else w["final_norm"], c["eps"])
    return h
