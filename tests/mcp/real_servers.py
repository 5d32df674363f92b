#!/usr/bin/env python3
"""Uses the four reference MCP servers from npm through `corvid run --mcp`.

    tests/mcp/real_servers.py [--corvid BIN] [--servers FOLDER]

A scripted model on loopback makes the calls; what comes back is checked. The servers are installed
into FOLDER (build/mcp) once. Without npm, or when its registry is out of reach, they are skipped by
name and the exit code is 77.
"""
import argparse
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
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


class Script(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        n = sum(message["role"] == "assistant" for message in body["messages"])
        self.server.messages = body["messages"]
        if n < len(CALLS):
            server, tool, arguments, _ = CALLS[n]
            asked = {"server": server, "tool": tool, "arguments": arguments}
            asked = {key: value for key, value in asked.items() if value is not None}
            call = {"index": 0, "id": f"call-{n}", "type": "function",
                    "function": {"name": "mcp", "arguments": json.dumps(asked)}}
            delta, reason = {"tool_calls": [call]}, "tool_calls"
        else:
            delta, reason = {"content": "Done."}, "stop"
        chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                  {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}]
        text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self.reply("text/event-stream", text)

    def do_GET(self):
        self.reply("application/json", '{"object":"list","data":[{"id":"script"}]}')

    def reply(self, kind, text):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass


def install(folder):
    packages = [f"@modelcontextprotocol/server-{name}" for name in SERVERS]
    if all((folder / "node_modules" / package).is_dir() for package in packages):
        return True
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, *packages],
                       check=True, timeout=300, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        return True
    except (OSError, subprocess.SubprocessError) as why:
        print("skipped:", ", ".join(packages), f"({why})")
        return False


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--corvid", default=ROOT / "build/release/corvid")
    options.add_argument("--servers", type=pathlib.Path, default=ROOT / "build/mcp")
    options = options.parse_args()
    if not install(options.servers):
        return 77
    model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Script)
    threading.Thread(target=model.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as home:
        work = pathlib.Path(home) / "work"
        work.mkdir()
        (work / "notes.txt").write_text("remember the milk\n")
        bin_folder = options.servers.resolve() / "node_modules/.bin"
        servers = {name: {"command": str(bin_folder / f"mcp-server-{name}"), "args": []}
                   for name in SERVERS}
        servers["filesystem"]["args"] = [str(work)]
        servers["memory"]["env"] = {"MEMORY_FILE_PATH": str(work / "memory.jsonl")}
        config = pathlib.Path(home) / "servers.json"
        config.write_text(json.dumps({"mcpServers": servers}))
        environment = {"HOME": home, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        url = f"http://127.0.0.1:{model.server_port}/v1#script"
        done = subprocess.run([options.corvid, "run", "--model", url, "--mcp", config, "go"],
                              cwd=work, env=environment, capture_output=True, text=True)
    results = [message["content"] for message in model.messages if message["role"] == "tool"]
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


if __name__ == "__main__":
    sys.exit(main())
