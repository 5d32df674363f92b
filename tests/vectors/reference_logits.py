#!/usr/bin/python3
"""The forward pass of deepseek2 and deepseek32 in float64, one token at a time, for comparison.

  reference_logits.py MODEL.gguf IDS.txt OUT.f32          raw f32 logits [n_tokens, vocab]
  reference_logits.py MODEL.gguf IDS.txt OUT.json --rows 0,15,199   as the other vectors here
Reads F32, F16, BF16 and Q8_0 tensors. Written for clarity, from the papers; numpy only.
"""
import argparse
import json
import struct

import numpy as np


class Model:
    """Keys and tensors of a GGUF file; tensors as float64 [rows, columns] or [count, rows, columns]."""

    SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def __init__(self, path):
        self.bytes = open(path, "rb").read()
        self.at = 8
        n_tensors, n_keys = self.number("Q"), self.number("Q")
        self.keys = {}
        for _ in range(n_keys):
            name = self.string()
            self.keys[name] = self.value(self.number("I"))
        entries = []
        for _ in range(n_tensors):
            name = self.string()
            ne = [self.number("Q") for _ in range(self.number("I"))]
            entries.append((name, ne, self.number("I"), self.number("Q")))
        base = -(-self.at // 32) * 32
        self.tensors = {name: self.tensor(ne, kind, base + offset) for name, ne, kind, offset in entries}
        self.arch = self.keys["general.architecture"]

    def number(self, code):
        value, = struct.unpack_from("<" + code, self.bytes, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        n = self.number("Q")
        self.at += n
        return self.bytes[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            kind, n = self.number("I"), self.number("Q")
            return [self.value(kind) for _ in range(n)]
        return self.number(self.SCALARS[kind])

    def tensor(self, ne, kind, at):
        n = int(np.prod(ne))
        if kind == 0:
            x = np.frombuffer(self.bytes, np.float32, n, at).astype(np.float64)
        elif kind == 1:
            x = np.frombuffer(self.bytes, np.float16, n, at).astype(np.float64)
        elif kind == 30:
            bits = np.frombuffer(self.bytes, np.uint16, n, at).astype(np.uint32) << 16
            x = bits.view(np.float32).astype(np.float64)
        elif kind == 8:
            blocks = np.frombuffer(self.bytes, np.uint8, n // 32 * 34, at).reshape(-1, 34)
            scale = blocks[:, :2].copy().view(np.float16).astype(np.float64)
            x = scale * blocks[:, 2:].copy().view(np.int8)
        else:
            raise SystemExit(f"tensor type {kind} is not supported here")
        return x.reshape(ne[::-1])

    def __call__(self, name, default=None):
        return self.keys.get(f"{self.arch}.{name}", default)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def frequencies(m):
    rope, base = m("rope.dimension_count"), m("rope.freq_base")
    f = np.array([base ** (-2 * i / rope) for i in range(rope // 2)])
    if m("rope.scaling.type", "none") != "yarn":
        return f, 1.0
    factor, original = m("rope.scaling.factor"), m("rope.scaling.original_context_length")

    def pair(turns):
        return rope * np.log(original / (2 * np.pi * turns)) / (2 * np.log(base))

    low = max(np.floor(pair(m("rope.scaling.yarn_beta_fast", 32))), 0)
    high = min(np.ceil(pair(m("rope.scaling.yarn_beta_slow", 1))), rope - 1)
    stretched = np.clip((np.arange(rope // 2) - low) / max(high - low, 1e-3), 0, 1)
    mscale = 1 + m("rope.scaling.yarn_log_multiplier", 0) * np.log(factor)
    return f * (stretched / factor + 1 - stretched), mscale ** 2


def rotate(x, angles, interleaved):
    """x [..., rope]: pairs (2i, 2i+1) or (i, i + rope/2), turned as complex numbers."""
    half = x.shape[-1] // 2
    if interleaved:
        z = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)
        return np.stack([z.real, z.imag], -1).reshape(x.shape)
    z = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)
    return np.concatenate([z.real, z.imag], -1)


class Layer:
    def __init__(self, m, i):
        self.m, self.i = m, i
        self.latents, self.pes, self.index_keys = [], [], []
        self.freq, self.stretch = frequencies(m)
        self.eps = m("attention.layer_norm_rms_epsilon")
        self.rope = m("rope.dimension_count")
        self.heads, self.kv = m("attention.head_count"), m("attention.kv_lora_rank")
        key_width = m("attention.key_length_mla", m("attention.key_length"))
        self.nope = key_width - self.rope
        self.scale = self.stretch / np.sqrt(key_width)
        if "attn_kv_b.weight" in self:
            both = self["attn_kv_b.weight"].reshape(self.heads, -1, self.kv)
            self.k_up, self.v_up = both[:, :self.nope], both[:, self.nope:]
        else:
            self.k_up = self["attn_k_b.weight"].transpose(0, 2, 1)  # [head, nope, latent]
            self.v_up = self["attn_v_b.weight"]                     # [head, value, latent]

    def __getitem__(self, name):
        return self.m.tensors[f"blk.{self.i}.{name}"]

    def __contains__(self, name):
        return f"blk.{self.i}.{name}" in self.m.tensors

    def rms(self, x, name):
        return x / np.sqrt(np.mean(x * x) + self.eps) * self[name]

    def attend(self, x, position):
        h = self.rms(x, "attn_norm.weight")
        angles = position * self.freq
        query_latent = None
        if "attn_q.weight" in self:
            q = self["attn_q.weight"] @ h
        else:
            query_latent = self.rms(self["attn_q_a.weight"] @ h, "attn_q_a_norm.weight")
            q = self["attn_q_b.weight"] @ query_latent
        q = q.reshape(self.heads, -1)
        q_pe = rotate(q[:, self.nope:], angles, True)
        kv = self["attn_kv_a_mqa.weight"] @ h
        self.latents.append(self.rms(kv[:self.kv], "attn_kv_a_norm.weight"))
        self.pes.append(rotate(kv[self.kv:], angles, True))
        chosen = np.arange(position + 1)
        if self.m.arch == "deepseek32":
            chosen = self.choose(h, query_latent, angles, position)
        c, pe = np.array(self.latents)[chosen], np.array(self.pes)[chosen]
        k = np.einsum("hnr,tr->htn", self.k_up, c)  # the expanded form, unlike the engine
        v = np.einsum("hvr,tr->htv", self.v_up, c)
        p = softmax((np.einsum("hn,htn->ht", q[:, :self.nope], k) + q_pe @ pe.T) * self.scale)
        out = np.einsum("ht,htv->hv", p, v).reshape(-1)
        return self["attn_output.weight"] @ out

    def choose(self, h, query_latent, angles, position):
        heads, top_k = self.m("attention.indexer.head_count"), self.m("attention.indexer.top_k")
        k = self["indexer.attn_k.weight"] @ h
        k = (k - k.mean()) / np.sqrt(k.var() + 1e-6)
        k = k * self["indexer.k_norm.weight"] + self["indexer.k_norm.bias"]
        k[:self.rope] = rotate(k[:self.rope], angles, False)
        self.index_keys.append(k)
        q = (self["indexer.attn_q_b.weight"] @ query_latent).reshape(heads, -1)
        q[:, :self.rope] = rotate(q[:, :self.rope], angles, False)
        w = self["indexer.proj.weight"] @ h / np.sqrt(q.size)
        scores = w @ np.maximum(q @ np.array(self.index_keys).T, 0)
        return np.sort(np.argsort(-scores, kind="stable")[:top_k])

    def feed_forward(self, x):
        h = self.rms(x, "ffn_norm.weight")
        if "ffn_gate.weight" in self:
            return self["ffn_down.weight"] @ (silu(self["ffn_gate.weight"] @ h) * (self["ffn_up.weight"] @ h))
        y = self["ffn_down_shexp.weight"] @ (
            silu(self["ffn_gate_shexp.weight"] @ h) * (self["ffn_up_shexp.weight"] @ h))
        for e, weight in self.route(h):
            gated = silu(self["ffn_gate_exps.weight"][e] @ h) * (self["ffn_up_exps.weight"][e] @ h)
            y += weight * (self["ffn_down_exps.weight"][e] @ gated)
        return y

    def route(self, h):
        m = self.m
        logits = self["ffn_gate_inp.weight"] @ h
        p = sigmoid(logits) if m("expert_gating_func") == 2 else softmax(logits)
        scores = p + self["exp_probs_b.bias"] if "exp_probs_b.bias" in self else p.copy()
        groups = m("expert_group_count", 1)
        if groups > 1:
            grouped = scores.reshape(groups, -1)
            # V3 adds up a group's two best; V2, which has no bias, takes the best.
            highest = np.sort(grouped, -1)[:, -2 if "exp_probs_b.bias" in self else -1:].sum(-1)
            best = np.argsort(-highest)[:m("expert_group_used_count")]
            dropped = np.setdiff1d(np.arange(groups), best)
            grouped[dropped] = -np.inf
        chosen = np.argsort(-scores)[:m("expert_used_count")]
        weights = p[chosen]
        if m("expert_weights_norm"):
            weights = weights / weights.sum()
        return zip(chosen, weights * m("expert_weights_scale"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("ids")
    parser.add_argument("out")
    parser.add_argument("--rows", help="write these rows as JSON")
    parser.add_argument("--make-model", default="", help="arguments of random_model.py, for the record")
    args = parser.parse_args()
    m = Model(args.model)
    ids = [int(i) for i in open(args.ids).read().split()]
    layers = [Layer(m, i) for i in range(m("block_count") - m("nextn_predict_layers", 0))]
    rows = []
    for position, token in enumerate(ids):
        x = m.tensors["token_embd.weight"][token].copy()
        for layer in layers:
            x += layer.attend(x, position)
            x += layer.feed_forward(x)
        x = x / np.sqrt(np.mean(x * x) + layers[0].eps) * m.tensors["output_norm.weight"]
        rows.append(m.tensors["output.weight"] @ x)
    logits = np.array(rows)
    if not args.rows:
        logits.astype(np.float32).tofile(args.out)
        return
    wanted = {row: [round(float(v), 6) for v in logits[int(row)]] for row in args.rows.split(",")}
    with open(args.out, "w") as out:
        json.dump({"make_model": args.make_model, "ids": ids,
                   "argmax": [int(a) for a in logits.argmax(-1)], "logits": wanted}, out)


main()
