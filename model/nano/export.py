#!/usr/bin/env python3
"""Writes a checkpoint as the GGUF file that the program embeds, or reads one back to train on.

  export.py CHECKPOINT.pt... nano.gguf      of several checkpoints, the mean of their weights
"""
import argparse
import json
import os

import numpy as np
import torch

import chat
import gguf
import tokenizer as bpe
from net import CONFIG, HERE, Net

A = "deepseek32"


def interleave(x, half):
  """Half-split rope rows (i, i + half) to pairs (2i, 2i + 1), along axis -2."""
  order = np.arange(2 * half).reshape(2, half).T.flatten()
  return x[..., order, :]


def split_halves(x, half):
  order = np.arange(2 * half).reshape(half, 2).T.flatten()
  return x[..., order, :]


def names(i, c):
  """Checkpoint name -> (GGUF name, kind) of a layer where the array is stored as it is."""
  b = f"blk.{i}."
  out = {"attn_norm": ("attn_norm", "f32"), "q_norm": ("attn_q_a_norm", "f32"), "kv_norm": ("attn_kv_a_norm", "f32"), "ffn_norm": ("ffn_norm", "f32"), "q_a": ("attn_q_a", "q8"), "o": ("attn_output", "q8"),
         "iq": ("indexer.attn_q_b", "q8"), "ik": ("indexer.attn_k", "q8"), "iw": ("indexer.proj", "f32"), "ik_norm": ("indexer.k_norm", "f32"), "ik_bias": ("indexer.k_norm.bias", "f32")}
  if i < c["dense"]:
    out["w2"] = ("ffn_down", "q8")
  else:
    out.update(router=("ffn_gate_inp", "f32"), bias=("exp_probs_b.bias", "f32"), e2=("ffn_down_exps", "q8"), s2=("ffn_down_shexp", "q8"))
  return {f"{i}.{k}": (b + n + ("" if n.endswith(".bias") else ".weight"), kind) for k, (n, kind) in out.items()}


def tensors(p, c):
  H, qk, half = c["heads"], c["nope"] + c["rope"], c["rope"] // 2
  out = [("token_embd.weight", p["embed"], "q8"), ("output_norm.weight", p["final_norm"], "f32"), ("output.weight", p["output"], "q8")]
  for i in range(c["layers"]):
    b, k = f"blk.{i}.", f"{i}."
    out += [(name, p[key], kind) for key, (name, kind) in names(i, c).items()]
    q = p[k + "q_b"].reshape(H, qk, -1)
    out.append((b + "attn_q_b.weight", np.concatenate([q[:, :c["nope"]], interleave(q[:, c["nope"]:], half)], 1).reshape(H * qk, -1), "q8"))
    kv = p[k + "kv_a"]
    out.append((b + "attn_kv_a_mqa.weight", np.concatenate([kv[:c["kv_lora"]], interleave(kv[c["kv_lora"]:], half)]), "q8"))
    out.append((b + "attn_k_b.weight", np.ascontiguousarray(p[k + "k_b"].reshape(H, c["nope"], -1).transpose(0, 2, 1)), "q8"))
    out.append((b + "attn_v_b.weight", p[k + "v_b"].reshape(H, c["v"], -1), "q8"))
    for key, end in (("w1", ""),) if i < c["dense"] else (("e1", "_exps"), ("s1", "_shexp")):
      gate, up = np.split(p[k + key], 2, axis=-2)
      out += [(f"{b}ffn_gate{end}.weight", gate, "q8"), (f"{b}ffn_up{end}.weight", up, "q8")]
  return out


def load(path):
  """Masters of a net from a GGUF file: the way to go on from committed weights."""
  meta, t = gguf.read(path)
  c = dict(CONFIG, vocab=len(meta["tokenizer.ggml.tokens"]), layers=meta[f"{A}.block_count"])
  H, qk, half = c["heads"], c["nope"] + c["rope"], c["rope"] // 2
  p = {"embed": t["token_embd.weight"], "final_norm": t["output_norm.weight"], "output": t["output.weight"]}
  for i in range(c["layers"]):
    b, k = f"blk.{i}.", f"{i}."
    p.update({key: t[name] for key, (name, _) in names(i, c).items()})
    q = t[b + "attn_q_b.weight"].reshape(H, qk, -1)
    p[k + "q_b"] = np.concatenate([q[:, :c["nope"]], split_halves(q[:, c["nope"]:], half)], 1).reshape(H * qk, -1)
    kv = t[b + "attn_kv_a_mqa.weight"]
    p[k + "kv_a"] = np.concatenate([kv[:c["kv_lora"]], split_halves(kv[c["kv_lora"]:], half)])
    p[k + "k_b"] = t[b + "attn_k_b.weight"].transpose(0, 2, 1).reshape(H * c["nope"], -1)
    p[k + "v_b"] = t[b + "attn_v_b.weight"].reshape(H * c["v"], -1)
    for key, end in (("w1", ""),) if i < c["dense"] else (("e1", "_exps"), ("s1", "_shexp")):
      p[k + key] = np.concatenate([t[f"{b}ffn_gate{end}.weight"], t[f"{b}ffn_up{end}.weight"]], -2)
  return {k: torch.from_numpy(np.array(v, np.float32)) for k, v in p.items()}


def metadata(c, tok, top_k):
  def key(name, kind, value):
    return (f"{A}.{name}", kind, value)
  kinds = [3 if t in bpe.SPECIALS else 5 if t.startswith("<unused") else 1 for t in tok.tokens]
  return [
      ("general.architecture", gguf.STR, A), ("general.name", gguf.STR, "Corvid nano"), ("general.alignment", gguf.U32, 32),
      key("block_count", gguf.U32, c["layers"]), key("context_length", gguf.U32, c["context"]), key("embedding_length", gguf.U32, c["dim"]),
      key("feed_forward_length", gguf.U32, c["inter"]), key("attention.head_count", gguf.U32, c["heads"]), key("attention.head_count_kv", gguf.U32, 1),
      key("rope.freq_base", gguf.F32, c["rope_base"]), key("rope.dimension_count", gguf.U32, c["rope"]), key("attention.layer_norm_rms_epsilon", gguf.F32, c["eps"]),
      key("expert_used_count", gguf.U32, c["used"]), key("expert_count", gguf.U32, c["experts"]), key("expert_shared_count", gguf.U32, 1),
      key("expert_weights_scale", gguf.F32, c["scale"]), key("expert_weights_norm", gguf.BOOL, True), key("expert_gating_func", gguf.U32, 2),
      key("expert_feed_forward_length", gguf.U32, c["moe_inter"]), key("leading_dense_block_count", gguf.U32, c["dense"]), key("vocab_size", gguf.U32, c["vocab"]),
      key("attention.q_lora_rank", gguf.U32, c["q_lora"]), key("attention.kv_lora_rank", gguf.U32, c["kv_lora"]),
      key("attention.key_length", gguf.U32, c["kv_lora"] + c["rope"]), key("attention.value_length", gguf.U32, c["kv_lora"]),
      key("attention.key_length_mla", gguf.U32, c["nope"] + c["rope"]), key("attention.value_length_mla", gguf.U32, c["v"]),
      key("attention.indexer.head_count", gguf.U32, c["index_heads"]), key("attention.indexer.key_length", gguf.U32, c["index_dim"]), key("attention.indexer.top_k", gguf.U32, top_k),
      ("tokenizer.ggml.model", gguf.STR, "gpt2"), ("tokenizer.ggml.pre", gguf.STR, "deepseek-v3"), ("tokenizer.ggml.tokens", gguf.ARRAY, (gguf.STR, tok.tokens)),
      ("tokenizer.ggml.token_type", gguf.ARRAY, (gguf.I32, kinds)), ("tokenizer.ggml.merges", gguf.ARRAY, (gguf.STR, [f"{a} {b}" for a, b in tok.merges])),
      ("tokenizer.ggml.bos_token_id", gguf.U32, tok.special(bpe.BOS)), ("tokenizer.ggml.eos_token_id", gguf.U32, tok.special(bpe.EOS)),
      ("tokenizer.ggml.padding_token_id", gguf.U32, tok.special(bpe.PAD)), ("tokenizer.ggml.add_bos_token", gguf.BOOL, True),
      ("corvid.profile", gguf.STR, chat.print_json(chat.profile())),
  ]


def main():
  a = argparse.ArgumentParser()
  a.add_argument("checkpoints", nargs="+")
  a.add_argument("out")
  a.add_argument("--top-k", type=int, default=CONFIG["top_k"])
  o = a.parse_args()
  tok = bpe.Tokenizer.load(os.path.join(HERE, "tokenizer.json"))
  c = dict(CONFIG, vocab=len(tok.tokens))
  all_of_them = [Net(len(tok.tokens)).p if x == "random" else torch.load(x)["p"] for x in o.checkpoints]
  p = {k: sum(each[k].float() for each in all_of_them) / len(all_of_them) for k in all_of_them[0]}
  gguf.write(o.out, metadata(c, tok, o.top_k), tensors({k: v.numpy() for k, v in p.items()}, c))
  print(f"{o.out}: {os.path.getsize(o.out) / 1e6:.2f} MB, {sum(v.numel() for v in p.values()) / 1e6:.2f} M parameters, {len(tok.tokens)} tokens")


if __name__ == "__main__":
  main()
