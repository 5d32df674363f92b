#!/usr/bin/env python3
"""Uses the four reference MCP servers from npm through `corvid run --mcp`.

    tests/mcp/real_servers.py [--corvid BIN] [--servers FOLDER]

A scripted model on loopback makes the calls; what comes back is checked. The servers are installed
into FOLDER (build/mcp) once. Without npm, or when its registry is out of reach, they are skipped by
name and the exit code is 77.
"""
import argparse
import pathlib
import sys
import tempfile

from driver import ROOT, SKIPPED, install, use

SERVERS = ["everything", "filesystem", "memory", "sequential-thinking"]

# server, tool, arguments, what must be in the result
CALLS = [
    ("everything", None, None, "echo: "),
    ("everything", "echo", {"message": "hello"}, "Echo: hello"),
    ("everything", "get-sum", {"a": 2, "b": 40}, "42"),
    ("everything", "get-sum", {"a": "two"}, "Error: get-sum was not called."),
    ("filesystem", None, None, "read_text_file: "),
    ("filesystem", "read_text_file", {"path": "notes.txt"}, "remember the milk"),
    ("filesystem", "write_file", {"path": "new.txt", "content": "written"}, "new.txt"),
    ("filesystem", "read_text_file", {"path": "/etc/passwd"}, "Access denied"),
    ("memory", "create_entities", {"entities": [
        {"name": "Corvid", "entityType": "bird", "observations": ["uses tools"]}]}, "Corvid"),
    ("memory", "read_graph", {}, "uses tools"),
    ("sequential-thinking", "sequentialthinking", {
        "thought": "one", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
     "thoughtNumber"),
]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--corvid", default=ROOT / "build/release/corvid")
    options.add_argument("--servers", type=pathlib.Path, default=ROOT / "build/mcp")
    options = options.parse_args()
    if not install(options.servers, [f"@modelcontextprotocol/server-{name}" for name in SERVERS]):
        return SKIPPED
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "notes.txt").write_text("remember the milk\n")
        bin_folder = options.servers.resolve() / "node_modules/.bin"
        servers = {name: {"command": str(bin_folder / f"mcp-server-{name}"), "args": []}
                   for name in SERVERS}
        servers["filesystem"]["args"] = [str(work)]
        servers["memory"]["env"] = {"MEMORY_FILE_PATH": str(work / "memory.jsonl")}
        results, done = use(options.corvid, servers, next_call, work)
    failed = done.returncode != 0 or len(results) != len(CALLS)
    for (server, tool, _, wanted), result in zip(CALLS, results):
        good = wanted in result
        failed |= not good
        print("ok  " if good else "FAIL", server, tool or "(its tools)")
        if not good:
            print("     wanted", repr(wanted), "in", repr(result[:300]))
    if done.returncode:
        print(done.stderr[-1000:])
    return 1 if failed else 0


def next_call(results):
    return CALLS[len(results)][:3] if len(results) < len(CALLS) else None


if __name__ == "__main__":
    sys.exit(main())
