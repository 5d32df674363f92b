#!/usr/bin/python3
"""Writes a random model of the DeepSeek family as GGUF: random_model.py OUT.gguf --preset NAME [...]

The weights are normal variates of numpy's default_rng(seed), drawn tensor by tensor in file order:
norms around 1, biases around 0 (both 0.1 wide), embeddings of unit width, matrices 1/sqrt(columns).
"""
import argparse
import struct

import numpy as np

import encode_blocks

COMMON = dict(ctx=4096, shared=1, groups=1, gused=1, ih=0, idim=0, topk=0, vocab=512,
              yarn=1, eps=1e-6, kvb=0)
PRESETS = {
    "tiny": dict(dim=256, layers=4, dense=1, heads=4, q_lora=128, kv_lora=128, nope=64, rope=32,
                 v=64, inter=512, moe_inter=256, experts=8, used=2, ih=16, idim=64, topk=16),
    "lite": dict(dim=256, layers=27, dense=1, heads=2, q_lora=0, kv_lora=64, nope=32, rope=16, v=32,
                 inter=256, moe_inter=32, experts=8, used=3, shared=2),
    "v3": dict(dim=256, layers=4, dense=1, heads=4, q_lora=128, kv_lora=128, nope=64, rope=32, v=64,
               inter=512, moe_inter=256, experts=16, used=4, groups=4, gused=2),
    # The shape of GLM-4.7-Flash: no YaRN, values wider than keys, a larger eps.
    "flash": dict(dim=128, layers=3, dense=1, heads=5, q_lora=96, kv_lora=64, nope=48, rope=16,
                  v=80, inter=160, moe_inter=96, experts=6, used=2, yarn=0, eps=1e-5),
    # The shape of the built-in model.
    "nano": dict(dim=256, layers=6, dense=1, heads=8, q_lora=192, kv_lora=128, nope=32, rope=32,
                 v=32, inter=768, moe_inter=256, experts=8, used=2, ih=8, idim=64, topk=256,
                 vocab=4096),
    "bench": dict(dim=2048, layers=8, dense=1, heads=16, q_lora=768, kv_lora=512, nope=128, rope=64,
                  v=128, inter=10944, moe_inter=1408, experts=64, used=6, shared=2, ih=16, idim=128,
                  topk=2048, vocab=32768, ctx=163840),
}
TYPES = encode_blocks.TYPES | {"f32": (0, 1, 4), "f16": (1, 1, 2), "bf16": (30, 1, 2)}


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name, value):
    head = text(name)
    if isinstance(value, bool):
        return head + struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return head + struct.pack("<II", 4, value)
    if isinstance(value, float):
        return head + struct.pack("<If", 6, value)
    return head + struct.pack("<I", 8) + text(value)


def keys_of(m, arch, lite):
    own = {
        "block_count": m["layers"] + m["mtp"], "context_length": m["ctx"],
        "embedding_length": m["dim"], "feed_forward_length": m["inter"],
        "attention.head_count": m["heads"], "attention.head_count_kv": 1,
        "rope.freq_base": 10000.0, "attention.layer_norm_rms_epsilon": m["eps"],
        "expert_used_count": m["used"], "expert_count": m["experts"],
        "expert_shared_count": m["shared"], "expert_weights_scale": 1.0 if lite else 2.5,
        "expert_weights_norm": not lite, "expert_gating_func": 1 if lite else 2,
        "expert_feed_forward_length": m["moe_inter"], "leading_dense_block_count": m["dense"],
        "vocab_size": m["vocab"],
    }
    if not lite:
        own["attention.q_lora_rank"] = m["q_lora"]
    own |= {
        "attention.kv_lora_rank": m["kv_lora"],
        "attention.key_length": m["kv_lora"] + m["rope"], "attention.value_length": m["kv_lora"],
        "attention.key_length_mla": m["nope"] + m["rope"], "attention.value_length_mla": m["v"],
        "rope.dimension_count": m["rope"],
    }
    if m["yarn"]:
        own |= {
            "rope.scaling.type": "yarn", "rope.scaling.factor": 40.0,
            "rope.scaling.original_context_length": 4096,
            "rope.scaling.yarn_log_multiplier": 0.0707 if lite else 0.1,
        }
    if m["topk"]:
        own |= {
            "attention.indexer.head_count": m["ih"], "attention.indexer.key_length": m["idim"],
            "attention.indexer.top_k": m["topk"],
        }
    last = {}
    if m["groups"] > 1:
        last |= {"expert_group_count": m["groups"], "expert_group_used_count": m["gused"]}
    if m["mtp"]:
        last["nextn_predict_layers"] = m["mtp"]
    first = {"general.architecture": arch, "general.name": "random-" + m["name"],
             "general.alignment": 32}
    return [*first.items(), *((f"{arch}.{k}", v) for k, v in own.items()),
            ("tokenizer.ggml.model", "none"), *((f"{arch}.{k}", v) for k, v in last.items())]


def layer(m, i, lite):
    """(name, ne, kind) of one layer's tensors; kind: norm, bias, plain (always F32) or weight."""
    d, kv, heads = m["dim"], m["kv_lora"], m["heads"]
    width = heads * (m["nope"] + m["rope"])
    yield "attn_norm.weight", (d,), "norm"
    yield "attn_kv_a_norm.weight", (kv,), "norm"
    if lite:
        yield "attn_q.weight", (d, width), "weight"
    else:
        yield "attn_q_a_norm.weight", (m["q_lora"],), "norm"
        yield "attn_q_a.weight", (d, m["q_lora"]), "weight"
        yield "attn_q_b.weight", (m["q_lora"], width), "weight"
    yield "attn_kv_a_mqa.weight", (d, kv + m["rope"]), "weight"
    if m["kvb"]:
        yield "attn_kv_b.weight", (kv, heads * (m["nope"] + m["v"])), "weight"
    else:
        yield "attn_k_b.weight", (m["nope"], kv, heads), "weight"
        yield "attn_v_b.weight", (kv, m["v"], heads), "weight"
    yield "attn_output.weight", (heads * m["v"], d), "weight"
    yield "ffn_norm.weight", (d,), "norm"
    if m["topk"]:
        yield "indexer.k_norm.weight", (m["idim"],), "norm"
        yield "indexer.k_norm.bias", (m["idim"],), "bias"
        yield "indexer.proj.weight", (d, m["ih"]), "plain"
        yield "indexer.attn_k.weight", (d, m["idim"]), "weight"
        yield "indexer.attn_q_b.weight", (m["q_lora"], m["ih"] * m["idim"]), "weight"
    if i < m["dense"]:
        yield "ffn_gate.weight", (d, m["inter"]), "weight"
        yield "ffn_up.weight", (d, m["inter"]), "weight"
        yield "ffn_down.weight", (m["inter"], d), "weight"
    else:
        f, e = m["moe_inter"], m["experts"]
        yield "ffn_gate_inp.weight", (d, e), "plain"
        if not lite:
            yield "exp_probs_b.bias", (e,), "bias"
        yield "ffn_gate_exps.weight", (d, f, e), "weight"
        yield "ffn_up_exps.weight", (d, f, e), "weight"
        yield "ffn_down_exps.weight", (f, d, e), "weight"
        yield "ffn_gate_shexp.weight", (d, f * m["shared"]), "weight"
        yield "ffn_up_shexp.weight", (d, f * m["shared"]), "weight"
        yield "ffn_down_shexp.weight", (f * m["shared"], d), "weight"
    if i >= m["layers"]:
        yield "nextn.eh_proj.weight", (2 * d, d), "weight"
        for name in ("enorm", "hnorm", "shared_head_norm"):
            yield f"nextn.{name}.weight", (d,), "norm"


def tensors(m, lite):
    yield "token_embd.weight", (m["dim"], m["vocab"]), "embedding"
    yield "output_norm.weight", (m["dim"],), "norm"
    yield "output.weight", (m["dim"], m["vocab"]), "weight"
    for i in range(m["layers"] + m["mtp"]):
        for name, ne, kind in layer(m, i, lite):
            yield f"blk.{i}.{name}", ne, kind


def encode(x, kind):
    if kind == "f16":
        return x.astype(np.float16).tobytes()
    if kind == "bf16":
        bits = x.view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16).tobytes()
    if kind in encode_blocks.TYPES:
        return encode_blocks.encode(x, kind)
    return x.tobytes()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--preset", default="tiny", choices=PRESETS)
    parser.add_argument("--type", default="f32", choices=TYPES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mtp", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    m = COMMON | PRESETS[args.preset] | {"name": args.preset, "mtp": int(args.mtp)}
    m |= {k: int(v) for k, v in (pair.split("=") for pair in args.set)}
    lite = m["q_lora"] == 0
    arch = "deepseek32" if m["topk"] else "deepseek2"

    plan, infos, offset = [], b"", 0
    for name, ne, kind in tensors(m, lite):
        stored = args.type if kind in ("weight", "embedding") else "f32"
        if ne[0] % TYPES[stored][1] != 0:  # as files of 256-blocks do where rows are shorter
            stored = "q8_0" if ne[0] % 32 == 0 else "f32"
        number, block, size = TYPES[stored]
        count = int(np.prod(ne))
        infos += text(name) + struct.pack(f"<I{len(ne)}QIQ", len(ne), *ne, number, offset)
        plan.append((ne, kind, stored, count))
        offset += -(-count // block * size // 32) * 32
    keys = keys_of(m, arch, lite)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(plan), len(keys))
    head += b"".join(key(k, v) for k, v in keys) + infos
    rng = np.random.default_rng(args.seed)
    with open(args.out, "wb") as out:
        out.write(head + bytes(-len(head) % 32))
        for ne, kind, stored, count in plan:
            x = rng.standard_normal(count, dtype=np.float32)
            if kind == "norm":
                x = 1 + 0.1 * x
            elif kind == "bias":
                x = 0.1 * x
            elif kind != "embedding":
                x = x * (1.0 / np.sqrt(ne[0]))
            data = encode(x.astype(np.float32, copy=False), stored)
            out.write(data + bytes(-len(data) % 32))


main()
