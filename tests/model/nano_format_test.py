#!/usr/bin/env python3
"""The built-in model is prompted with the very tokens that it was trained on.

    tests/model/nano_format_test.py CORVID

What the training data's chat.py makes of a conversation, against `corvid render --ids`.
"""
import json
import pathlib
import subprocess
import sys
import unittest

CORVID = sys.argv.pop()
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "model/nano"))
import chat
import tokenizer

STEPS = [[{"think": "Count them.", "calls": [{"name": "shell", "arguments": {"command": "ls | wc -l"}}],
           "results": ["12\n[exit 0]"]},
          {"think": "There are 12.", "content": "There are 12 files."}],
         [{"think": "Write \"äöü\" there.", "content": "Now.",
           "calls": [{"name": "write", "arguments": {"path": "a b.txt", "content": "äöü <b>\n"}},
                     {"name": "edit", "arguments": {"path": "c", "old": "x", "new": ""}}],
           "results": ["Created a b.txt, 11 bytes.", "Error: c does not exist."]}]]
TASKS = ["How many files are here?", "write it to `a b.txt`"]


def trained(thinking):
    """Ids of both turns up to where the model goes on; thoughts of the first are gone."""
    profile = chat.profile()
    pieces = chat.open_pieces(profile["system"], profile["tools"])
    pieces += chat.turn_pieces(TASKS[0], STEPS[0], reasoning=False)
    pieces += chat.turn_pieces(TASKS[1], STEPS[1], reasoning=True, thinking=thinking)
    pieces += chat.prefix(thinking)
    vocabulary = tokenizer.Tokenizer.load(pathlib.Path(chat.__file__).parent / "tokenizer.json")
    return chat.encode(vocabulary, pieces)[0]


def rendered(thinking):
    profile = chat.profile()
    messages, n = [{"role": "system", "content": profile["system"]}], 0
    for task, steps in zip(TASKS, STEPS):
        messages.append({"role": "user", "content": task})
        for step in steps:
            reply = {"role": "assistant", "content": step.get("content", ""), "reasoning_content": step["think"]}
            results = []
            for call, result in zip(step.get("calls", []), step.get("results", [])):
                n += 1
                reply.setdefault("tool_calls", []).append(
                    {"id": f"c{n}", "type": "function",
                     "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])}})
                results.append({"role": "tool", "tool_call_id": f"c{n}", "content": result})
            messages += [reply, *results]
    tools = [{"type": "function", "function": tool} for tool in profile["tools"]]
    request = json.dumps({"messages": messages, "tools": tools, "thinking": thinking})
    done = subprocess.run([CORVID, "render", "--model", "built-in", "--ids", "-"], input=request,
                          capture_output=True, text=True, check=True)
    return [int(token) for token in done.stdout.split()]


class Format(unittest.TestCase):
    def test_prompts_are_those_of_the_training_data(self):
        for thinking in (True, False):
            with self.subTest(thinking=thinking):
                self.assertEqual(rendered(thinking), trained(thinking))


if __name__ == "__main__":
    unittest.main()
