#!/usr/bin/python3
"""Writes the seeds of a fuzz target into a folder: seeds.py TARGET FOLDER."""
import json
import os
import struct
import sys

target, folder = sys.argv[1:]
vectors = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors")


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


# One tensor of each quantised type: ggml id, values and bytes of a block.
BLOCKS = [(2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24), (10, 256, 84), (11, 256, 110),
          (12, 256, 144), (13, 256, 176), (14, 256, 210), (16, 256, 66), (20, 32, 18),
          (23, 256, 136), (39, 32, 17)]


def quantised_gguf(kind, values, size):
    tensor = text("q.weight") + struct.pack("<I2qIQ", 2, values, 2, kind, 96)
    return small_gguf([tensor]) + bytes(range(2 * size % 256)) + b"\5" * (2 * size)


# What the keys of a model say, and the type of each.
MODEL = {"block_count": 5, "nextn_predict_layers": 1, "context_length": 4096, "vocab_size": 512,
         "embedding_length": 256, "feed_forward_length": 512, "leading_dense_block_count": 1,
         "attention.head_count": 4, "attention.q_lora_rank": 64, "attention.kv_lora_rank": 128,
         "attention.key_length_mla": 96, "attention.value_length_mla": 64,
         "attention.layer_norm_rms_epsilon": 1e-6, "attention.indexer.head_count": 4,
         "attention.indexer.key_length": 64, "attention.indexer.top_k": 16,
         "rope.dimension_count": 32, "rope.freq_base": 1e4, "rope.scaling.factor": 40.0,
         "rope.scaling.original_context_length": 4096, "rope.scaling.yarn_beta_fast": 32.0,
         "rope.scaling.yarn_beta_slow": 1.0, "rope.scaling.yarn_log_multiplier": 0.1,
         "expert_count": 8, "expert_used_count": 2, "expert_shared_count": 1,
         "expert_feed_forward_length": 64, "expert_group_count": 2, "expert_group_used_count": 1,
         "expert_gating_func": 2, "expert_weights_scale": 2.5}


def model_keys():
    keys = [text("deepseek32." + key) + struct.pack("<If" if isinstance(value, float) else "<II",
                                                    6 if isinstance(value, float) else 4, value)
            for key, value in MODEL.items()]
    return [*keys, text("deepseek32.rope.scaling.type") + struct.pack("<I", 8) + text("yarn")]


def small_gguf(more=(), more_keys=()):
    keys = [text("general.architecture") + struct.pack("<I", 8) + text("deepseek32"),
            text("n") + struct.pack("<II", 4, 7),
            text("f") + struct.pack("<If", 6, 0.5),
            text("words") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b c"),
            text("ints") + struct.pack("<IIQ3i", 9, 5, 3, 1, 2, 3),
            text("tokenizer.ggml.model") + struct.pack("<I", 8) + text("gpt2"),
            text("tokenizer.ggml.pre") + struct.pack("<I", 8) + text("deepseek-v3"),
            text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"),
            text("tokenizer.ggml.merges") + struct.pack("<IIQ", 9, 8, 1) + text("a b"), *more_keys]
    tensors = [text("a.weight") + struct.pack("<I2qIQ", 2, 4, 2, 0, 0),
               text("b.weight") + struct.pack("<IqIQ", 1, 32, 8, 32), *more]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys + tensors)
    return head + b"\0" * (-len(head) % 32) + b"\1" * 96


def replies():
    for case in json.load(open(os.path.join(vectors, "chat-v3.2.json"), encoding="utf-8")).values():
        yield case["prompt"][-600:]


# Calls of each format, by its place in ChatFormat::names(); special tokens as bytes from F8 on.
CALLS = [b"<tool_call>\n{\"name\": \"shell\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>",
         *2 * [b"\xf8\xfafunction\xfcshell\n```json\n{\"command\": \"ls\"}\n```\xfb\xf9"],
         b"\xf8\xfashell\xfc{\"command\": \"ls\"}\xfb\xf9", b"",
         b"\xf8shell\xfacommand\xfb\xfcls\xfd\xfan\xfb\xfc5\xfd\xf9"]


seeds = []
if target == "gguf":
    seeds = [small_gguf(), small_gguf(more_keys=model_keys()),
             *(quantised_gguf(*block) for block in BLOCKS)]
elif target == "tokenizer":
    golden = json.load(open(os.path.join(vectors, "deepseek-v3.2-golden.json"), encoding="utf-8"))
    seeds = [case["text"].encode() for case in golden]
elif target == "turn_parser":
    seeds = [mode + reply.encode() for reply in replies() for mode in (b"\x08\0", b"\x09\2")]
    seeds += [bytes([2 * i, 3]) + call for i, call in enumerate(CALLS)]
elif target == "constraint":
    seeds = [bytes([i]) + call for i, call in enumerate(CALLS)]
    seeds += [b"\4" + reply.encode() for reply in replies()]
    seeds += [bytes([i]) + bytes(range(256)) * 4 for i in range(len(CALLS))]
elif target == "sse":
    call = {"index": 0, "id": "x", "function": {"name": "shell", "arguments": "{}"}}
    delta = {"content": "a", "reasoning_content": "b", "tool_calls": [call]}
    chunk = json.dumps({"choices": [{"delta": delta, "finish_reason": "tool_calls"}]})
    seeds = [f": ping\n\ndata: {chunk}\n\ndata: [DONE]\n\n".encode()]
elif target == "text":
    seeds = [b"int main() {\n  return 0;\n}\n\0return 0;\0return [a-z]+;", b"a/b.c\0**/*.{c,h}\0"]
elif target == "mcp":
    tool = {"name": "a", "description": "b", "inputSchema": {"type": "object"}}
    said = [{"id": 1, "result": {"tools": [tool], "nextCursor": "2"}},
            {"id": 1, "result": {"content": [{"type": "text", "text": "x"}, {"type": "image"}]}},
            {"id": 1, "error": {"code": -32601, "message": "no"}}, {"id": "a", "method": "ping"}]
    seeds = [json.dumps({"jsonrpc": "2.0", **one}).encode() for one in said]
    seeds += [json.dumps({"mcpServers": {"a": {"command": "b", "args": ["c"], "env": {"D": "e"}}}})
              .encode(),
              json.dumps({"api": 1, "description": "d", "tools": [
                  {"name": "a", "description": "b", "command": "c", "timeout": 9,
                   "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}]})
              .encode()]
elif target == "oauth":
    seeds = [json.dumps(one).encode() for one in (
        {"resource": "https://a.example/mcp", "authorization_servers": ["https://i.example"],
         "scopes_supported": ["a"]},
        {"issuer": "https://i.example", "authorization_endpoint": "https://i.example/a?b=c",
         "token_endpoint": "https://i.example/t", "code_challenge_methods_supported": ["S256"],
         "token_endpoint_auth_methods_supported": ["none"]},
        {"client_id": "a", "client_secret": "b", "token_endpoint_auth_method": "none"},
        {"access_token": "a", "token_type": "Bearer", "refresh_token": "b"},
        {"error": "invalid_grant", "error_description": "no"})]
    seeds += [b'Basic realm="x", Bearer error="e", scope="a b", resource_metadata="https://x/y"',
              b"code=a&state=s&iss=https%3A%2F%2Fi.example", b"https://[::1]:80/a?b"]
elif target == "requests":
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    function = {"name": "f", "description": "d", "parameters": schema}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    seeds = [json.dumps(body).encode() for body in (
        {"messages": [{"role": "system", "content": "s"},
                      {"role": "user", "content": [{"type": "text", "text": "u"}]},
                      {"role": "assistant", "content": None, "tool_calls": [call]},
                      {"role": "tool", "tool_call_id": "1", "content": "r"}],
         "tools": [{"type": "function", "function": function}], "tool_choice": "required",
         "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
         "stop": ["x"], "temperature": 0.5, "seed": 1, "max_tokens": 9},
        {"system": [{"type": "text", "text": "s"}], "thinking": {"type": "adaptive"},
         "messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": [
             {"type": "thinking", "thinking": "t"},
             {"type": "tool_use", "id": "1", "name": "f", "input": {"a": "b"}}]},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]}],
         "tools": [{"name": "f", "input_schema": schema}], "tool_choice": {"type": "any"}},
        {"input": [{"role": "user", "content": "u"}, {"type": "reasoning", "content": []},
                   {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                   {"type": "function_call_output", "call_id": "1", "output": "r"}],
         "tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function", **function}]},
                   {"type": "custom", "name": "c"}], "instructions": "i"},
        {"prompt": "p", "stop": "x"},
        {"content": "c", "add_special": True, "with_pieces": True}, {"tokens": [1, 2]},
        {"cwd": "/tmp", "thinking": False, "max_steps": 3, "temperature": 1, "min_p": 0.1},
        {"text": "t"}, {"answer": "once"}, {"asked": {"top_p": 0.5}, "owner": 7})]
    seeds += [b"12.3", b"localhost:80\nhttp://localhost", b"[::1]\nnull", b"so st sto stop <|end|>"]
elif target == "conversation":
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    talk = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a", "reasoning_content": "r", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "t"},
            {"role": "assistant", "content": "b"}, {"role": "user", "content": "v"}]
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    seeds = [json.dumps({"messages": talk, "tools": [{"type": "function", "function": function}]})
             .encode(), json.dumps({"messages": talk[:2], "thinking": False}).encode()]
elif target == "schemas":
    schemas = [
        {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]},
        {"properties": {"a": {"enum": ["x", "xy", 3, None]}, "b": {"$ref": "#/$defs/c"}},
         "$defs": {"c": {"type": "array", "items": {"$ref": "#/$defs/c"}}}},
        {"properties": {"a": {"anyOf": [{"type": "number"}, {"const": "x"}]},
                        "b": {"type": ["object", "null"], "properties": {"c": {}},
                              "required": ["c"], "additionalProperties": False}}}]
    seeds = [bytes([i]) + json.dumps(schema).encode() + b"\0 x\"}]," for schema in schemas
             for i in range(len(CALLS))]
elif target == "settings":
    seeds = [b'model = "a.gguf"\nmax_steps = 9\nthink = false\n[sampling]\ntemperature = 0.5\n'
             b'[sandbox]\nhosts = ["example.com", "*.a.b:80"]\nwritable = ["~/x"]\n'
             b'[remote]\ndialect = "vllm"\nstall_deadline = 1.5\nmax_tokens = 100\n',
             b'sandbox.ask = true\nremote = {ca_file = \'x\'}\n']
elif target == "snapshot":  # without the checksum, which the target adds
    seeds = [struct.pack("<4sI", b"CVKV", 1) + b"".join(
        struct.pack("<I", len(part)) + part for part in (b"0f" * 16, b"f16+i8 1x(16+8+8)")) +
        struct.pack("<I3i", 3, 5, 0, 511) + bytes(range(3 * 60))]
elif target == "terminal":
    seeds = ["(Grö\x1b]52;c;x\x07\u202eße\n\t漢字👩\u200d💻".encode(), b"\x05\xff\xc3("]
elif target == "proxy":
    seeds = [b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"*.example.com:80",
             b"GET http://[::1]:80/a?b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n", b"127.0.0.1:80"]
for i, seed in enumerate(seeds):
    with open(os.path.join(folder, f"seed-{i}"), "wb") as file:
        file.write(seed)
