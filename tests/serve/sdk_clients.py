#!/usr/bin/env python3
"""Drives `corvid serve` with the official SDKs from npm: a tool loop of ten calls through each API.

    tests/serve/sdk_clients.py [--corvid BIN] [--clients FOLDER]

The SDKs are installed into FOLDER (build/clients) once, and Node with them. The built-in model makes
the calls, because each request requires one. Besides what the SDKs check themselves, the server's
own counts must show that no token was prefilled twice. Without npm, or when its registry is out of
reach, they are skipped by name and the exit code is 77.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "mcp"))

from driver import ROOT, SKIPPED, install  # noqa: E402

PACKAGES = ["openai@6", "@anthropic-ai/sdk", "ai", "@ai-sdk/openai-compatible", "@ai-sdk/openai",
            "@ai-sdk/anthropic", "zod", "node@22"]
ENDS_A_CALL = 8  # tokens of the built-in model
LOOPS = ["openai-chat", "openai-responses", "anthropic", "ai-compatible", "ai-openai",
         "ai-anthropic"]


def counts(url):
    with urllib.request.urlopen(url + "/metrics") as answer:
        text = answer.read().decode()
    return {name: int(value) for name, value in re.findall(r"^corvid_(\w+) (\d+)$", text, re.M)}


def run(corvid, clients, loop):
    """What went wrong, or nothing."""
    server = subprocess.Popen([corvid, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        for line in server.stderr:
            if found := re.search(r"http://[0-9.:]+", line):
                break
        url = found[0]
        node = clients / "node_modules/node/bin/node"
        done = subprocess.run([node, clients / "loops.mjs", loop, url], capture_output=True,
                              text=True, timeout=300)
        if done.returncode:
            return done.stdout[-500:] + done.stderr[-1500:]
        total = counts(url)
        computed = total["prompt_tokens_total"] - total["prompt_cached_tokens_total"]
        once = int(done.stdout.split()[-1])  # the last prompt and reply: all that was ever said
        # What ends a call is written without the network, which sees it with the next request.
        twice = computed + total["reply_tokens_total"] - once
        if twice > ENDS_A_CALL * (total["replies_total"] - 1):
            return f"of {computed} tokens prefilled, {twice} had been said or prefilled before"
        print(f"     {total['replies_total']} replies, {computed} tokens prefilled of "
              f"{total['prompt_tokens_total']} sent")
        return None
    finally:
        server.terminate()
        server.wait()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--corvid", default=ROOT / "build/release/corvid")
    options.add_argument("--clients", type=pathlib.Path, default=ROOT / "build/clients")
    options.add_argument("loops", nargs="*", default=LOOPS)
    options = options.parse_args()
    if not install(options.clients, PACKAGES):
        return SKIPPED
    # Beside its packages, where Node finds them.
    (options.clients / "loops.mjs").write_text((HERE / "loops.mjs").read_text())
    failed = False
    for loop in options.loops:
        problem = run(options.corvid, options.clients, loop)
        failed |= bool(problem)
        print("FAIL" if problem else "ok  ", loop)
        if problem:
            print(problem)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
