#!/usr/bin/env python3
"""Measures the figures of the README: tests/bench/figures.py [--corvid BIN] [--check]

A model server on loopback plays a script: calls of one tool, then an answer. Each figure is a median
of runs. With --check the exit code is 1 when a figure misses its target.
"""
import argparse
import http.server
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CALLS = 20


class Script(http.server.BaseHTTPRequestHandler):
    """Answers the n-th request of a run with its n-th line, as an OpenAI-style stream."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        log = self.server.log
        n = len(log)
        log.append({"arrived": time.monotonic(), "body": body})
        self.server.memory = peak_mb(self.server.pid)
        if n < CALLS:
            name, arguments = self.server.call(n)
            call = {"index": 0, "id": f"call-{n}", "type": "function", "function": {
                "name": name, "arguments": json.dumps(arguments)}}
            deltas = [{"role": "assistant", "reasoning_content": "I look."}, {"tool_calls": [call]}]
        else:
            deltas = [{"role": "assistant", "content": "All done."}]
        reason = "tool_calls" if n < CALLS else "stop"
        chunks = [{"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        text = "".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n\n"
        self.reply("text/event-stream", text)
        log[n]["answered"] = time.monotonic()

    def do_GET(self):
        self.reply("application/json", '{"object":"list","data":[{"id":"script"}]}')

    def reply(self, kind, text):
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, *arguments):
        pass


def peak_mb(pid):
    """Peak resident memory of a running process. (wait4 would count this one's before the exec.)"""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def environment(home):
    own = {f"XDG_{kind}_HOME": str(home / kind) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "NO_COLOR": "1"} | own


def run(command, home, started=lambda pid: None):
    """Start and end of a run and what it said; it must succeed."""
    workspace = home / "work"
    workspace.mkdir(exist_ok=True)
    with open(home / "out", "wb") as out, open(home / "err", "wb") as err:
        start = time.monotonic()
        process = subprocess.Popen(command, cwd=workspace, env=environment(home), stdout=out,
                                   stderr=err, stdin=subprocess.DEVNULL)
        started(process.pid)
        process.wait()
        end = time.monotonic()
    said = (home / "out").read_text()
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}: "
                         f"{(home / 'err').read_text()[-800:]}")
    return start, end, said


def version_ms(corvid):
    with tempfile.TemporaryDirectory() as home:
        times = []
        for _ in range(21):
            start, end, _ = run([corvid, "--version"], pathlib.Path(home))
            times.append((end - start) * 1e3)
    return statistics.median(times)


def echo(n):
    return "shell", {"command": f"echo corvid-{n}"}


def read_line(n):
    return "read", {"path": "lines.txt", "offset": n + 1, "limit": 1}


def remote_run(corvid, call=echo):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Script)
    server.log, server.call = [], call
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1#script"
    with tempfile.TemporaryDirectory() as home:
        work = pathlib.Path(home) / "work"
        work.mkdir()
        (work / "lines.txt").write_text("".join(f"corvid-{n}\n" for n in range(CALLS)))
        start, _, said = run([corvid, "run", "--model", url, "do the script"], pathlib.Path(home),
                             lambda pid: setattr(server, "pid", pid))
    server.shutdown()
    log = server.log
    if said.strip() != "All done." or len(log) != CALLS + 1:
        raise SystemExit(f"the script was not played: {len(log)} requests, {said!r}")
    for n, entry in enumerate(log[1:]):
        if f"corvid-{n}" not in json.loads(entry["body"])["messages"][-1]["content"]:
            raise SystemExit(f"request {n + 1} lacks the result of its call")
    gaps = [(b["arrived"] - a["answered"]) * 1e3 for a, b in zip(log, log[1:])]
    return {"first": (log[0]["arrived"] - start) * 1e3, "bytes": len(log[0]["body"]),
            "gap": statistics.median(gaps), "memory": server.memory}


def builtin_seconds(corvid):
    times = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as home:
            work = pathlib.Path(home) / "work"
            (work / "notes").mkdir(parents=True)
            for name in ("a.txt", "b.txt", "c.txt"):
                (work / "notes" / name).write_text("one\n")
            start, end, _ = run([corvid, "run", "How many files are in notes?"],
                                   pathlib.Path(home))
            times.append(end - start)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corvid", default=str(ROOT / "build/release/corvid"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    corvid = str(pathlib.Path(options.corvid).resolve())

    runs = [remote_run(corvid) for _ in range(5)]
    reads = [remote_run(corvid, read_line) for _ in range(5)]
    median = lambda key, of=runs: statistics.median(r[key] for r in of)
    rows = [
        ("`corvid --version`", version_ms(corvid), 5, "ms"),
        ("start to first request", median("first"), 30, "ms"),
        ("first request", median("bytes"), 6000, "bytes"),
        ("between two model turns, with an `echo` in the sandbox", median("gap"), 10, "ms"),
        ("between two model turns, with a `read`, so no sandbox", median("gap", reads), 2, "ms"),
        ("peak memory with a remote model", median("memory"), 20, "MB"),
        ("a one-call chore with the built-in model, cold", builtin_seconds(corvid), 3, "s"),
    ]
    missed = 0
    print(f"| {'figure':55} | measured     | target       |")
    print(f"|{'-' * 57}|{'-' * 14}|{'-' * 14}|")
    for name, value, target, unit in rows:
        shown = f"{value:.0f}" if value >= 100 else f"{value:.1f}"
        late = "" if value <= target else " missed"
        missed += bool(late)
        print(f"| {name:55} | {shown + ' ' + unit:12} | {f'{target} {unit}':12} |{late}")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
