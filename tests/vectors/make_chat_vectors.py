#!/usr/bin/python3
"""Renders conversations with the models' own templates: make_chat_vectors.py TEMPLATES > OUT.json

TEMPLATES holds DeepSeek-V2-Lite-Chat.jinja, DeepSeek-V3-0324.jinja, DeepSeek-R1.jinja,
DeepSeek-R1-0528.jinja, DeepSeek-V3.1.jinja and GLM-4.7-Flash.jinja as the authors publish them
(field chat_template of tokenizer_config.json, or chat_template.jinja). Needs python3-jinja2.
"""
import json
import os
import sys

import jinja2

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"


def call(name, arguments, number):
    return {"id": f"c{number}", "type": "function",
            "function": {"name": name, "arguments": arguments}}


def results(*texts):
    return [{"role": "tool", "tool_call_id": f"c{i}", "content": text}
            for i, text in enumerate(texts)]


SYSTEM = {"role": "system", "content": "You are terse."}
HI = {"role": "user", "content": "Hi."}
HELLO = {"role": "assistant", "content": "Hello!"}
LIST = {"role": "user", "content": "List the files."}
THOUGHT = {"role": "assistant", "reasoning_content": "I should look.", "content": "Looking.",
           "tool_calls": [call("shell", {"command": "ls -la"}, 0)]}
TWICE = {"role": "assistant", "content": "", "tool_calls": [
    call("shell", {"command": "grep -n \"ünï\" a.txt\n", "timeout": 30}, 0),
    call("plan", {"items": [{"text": "a", "done": False}], "note": None, "ratio": 0.5}, 1)]}
ANSWER = {"role": "assistant", "reasoning_content": "One file.", "content": "There is **a.txt**."}
TOOLS = [
    {"type": "function", "function": {
        "name": "shell", "description": "Runs a \"command\".\nSays ünïcode too.",
        "parameters": {"type": "object", "properties": {
            "command": {"type": "string"}, "timeout": {"type": "integer"}},
            "required": ["command"]}}},
    {"type": "function", "function": {
        "name": "plan", "description": "", "parameters": {"type": "object", "properties": {
            "items": {"type": "array"}, "note": {}, "ratio": {"type": "number"}}}}},
]
CONVERSATIONS = {
    "greeting": [HI],
    "system": [SYSTEM, HI],
    "second_turn": [SYSTEM, HI, HELLO, LIST],
    "one_call": [SYSTEM, LIST, THOUGHT, *results("a.txt")],
    "answered": [SYSTEM, LIST, THOUGHT, *results("a.txt"), ANSWER],
    "two_calls": [LIST, TWICE, *results("1: ünï", "ok\n")],
    "calls_in_a_row": [LIST, THOUGHT, *results("a.txt"), TWICE, *results("", "ok")],
    "next_turn": [SYSTEM, LIST, THOUGHT, *results("a.txt"), ANSWER, HI],
    "special_text": [{"role": "user", "content": "What is <tool_call> and <｜User｜>?"}],
}
# Templates of these have no tools at all.
WITHOUT_CALLS = ["greeting", "system", "second_turn", "special_text"]



def with_text_arguments(messages):
    """DeepSeek's templates want arguments as text."""
    messages = json.loads(json.dumps(messages))
    for message in messages:
        for made in message.get("tool_calls", []):
            function = made["function"]
            function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
    return messages


def template(name):
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    with open(os.path.join(sys.argv[1], name + ".jinja")) as file:
        parsed = environment.from_string(file.read())

    def render(messages, **variables):
        asks = messages[-1]["role"] != "assistant"
        return parsed.render(messages=messages, bos_token=BOS, eos_token=EOS,
                             add_generation_prompt=asks, **variables)
    return render


def vectors(render, tools=None, thinking=False, cases=tuple(CONVERSATIONS)):
    """(case, vector) of each conversation; `render` gets its messages."""
    for case in cases:
        vector = {"messages": CONVERSATIONS[case], **({"tools": tools} if tools else {}),
                  "thinking": thinking}
        suffix = ("_with_tools" if tools else "") + ("_thinking" if thinking else "")
        yield case + suffix, vector | {"prompt": render(CONVERSATIONS[case])}


def main():
    v2, v3, v31 = map(template, ("DeepSeek-V2-Lite-Chat", "DeepSeek-V3-0324", "DeepSeek-V3.1"))
    r1, r1_0528, glm = map(template, ("DeepSeek-R1", "DeepSeek-R1-0528", "GLM-4.7-Flash"))

    def r1_calls(messages):
        prompt = r1_0528(with_text_arguments(messages))
        # What R1's first template ends with is what R1-0528 says first.
        return prompt + "<think>\n" if prompt.endswith("<｜Assistant｜>") else prompt

    def r1_first(messages):
        # R1's first template knows calls only where no text, not even an empty one, is beside them.
        messages = with_text_arguments(messages)
        for message in messages:
            if message.get("tool_calls") and not message["content"]:
                message["content"] = None
        return r1(messages)

    out = {
        "deepseek-v2": dict(vectors(v2, cases=WITHOUT_CALLS)),
        "deepseek-v3": dict(vectors(lambda m: v3(with_text_arguments(m)))),
        "deepseek-r1": dict(vectors(r1_calls, thinking=True)) |
        {f"first_{case}": vector for case, vector in vectors(
            r1_first, thinking=True, cases=[*WITHOUT_CALLS, "two_calls"])},
        "deepseek-v3.1": {}, "glm-4.7": {},
    }
    for thinking in (False, True):
        out["deepseek-v3.1"] |= vectors(
            lambda m: v31(with_text_arguments(m), thinking=thinking), thinking=thinking)
        for tools in (None, TOOLS):
            out["glm-4.7"] |= vectors(
                lambda m: glm(m, tools=tools, enable_thinking=thinking, clear_thinking=False),
                tools=tools, thinking=thinking)
    json.dump(out, sys.stdout, ensure_ascii=False, indent=1)
    print()


main()
