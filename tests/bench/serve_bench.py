#!/usr/bin/env python3
"""What serving costs, and a race of two servers on one file.

  serve_bench.py [--corvid BIN] [--model MODEL.gguf] [--llama-server BIN] [--check]
Prints the overhead of a request over the steps of the engine that it takes, the memory of idle
connections, and with --llama-server (of llama.cpp, built for this machine) four streams at once:
tokens per second, time to the first token and peak memory as ratios, in turns on the same file.
Run it on an idle machine. With --check the exit code is 1 when a bar is missed.
"""
import argparse
import http.client
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OVERHEAD_MS = 1.0
IDLE_MB = 10.0
STREAMS = 4


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server of its own for one measurement."""

    def __init__(self, *command):
        self.port = free_port()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*command, "--port", str(self.port)], stdout=self.log,
                                        stderr=self.log)
        deadline = time.monotonic() + 600
        while not self.is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                sys.exit(f"{command[0]} does not start:\n{self.log.read().decode()[-2000:]}")
            time.sleep(0.05)

    def is_up(self):
        try:
            return self.get("/health") == 200
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

    def get(self, path):
        connection = self.connect()
        connection.request("GET", path)
        status = connection.getresponse().status
        connection.close()
        return status

    def status_kb(self, key):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(key):
                return int(line.split()[1])
        return 0


def completion(connection, **more):
    body = {"prompt": "The files of this folder are", "temperature": 0, "ignore_eos": True, **more}
    connection.request("POST", "/v1/completions", json.dumps(body),
                       {"Content-Type": "application/json"})
    return connection.getresponse()


def overhead_ms(server, rounds):
    """Of a request with its prompt in the cache: its time for n tokens is overhead + n steps."""
    connection = server.connect()

    def least_ms(n_tokens):
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            answer = json.loads(completion(connection, max_tokens=n_tokens).read())
            times.append(1e3 * (time.perf_counter() - start))
            if answer["usage"]["completion_tokens"] != n_tokens:
                sys.exit(f"the model stopped before {n_tokens} tokens")
        return min(times)

    least_ms(1)
    one, many = least_ms(1), least_ms(9)
    return one - (many - one) / 8


def idle_mb(server, n):
    """What n connections cost that have been used and are kept open."""
    before = server.status_kb("VmRSS")
    connections = [server.connect() for _ in range(n)]
    for connection in connections:
        connection.request("GET", "/health")
        connection.getresponse().read()
    return (server.status_kb("VmRSS") - before) / 1024


class Stream(threading.Thread):
    """One of the streams: when its text came."""

    def __init__(self, server, number, n_tokens, n_words):
        super().__init__()
        self.server, self.n_tokens = server, n_tokens
        self.prompt = f"{number}: " + " ".join(f"word{number}{i}" for i in range(n_words))
        self.first, self.tokens = None, 0

    def run(self):
        start = time.perf_counter()
        response = completion(self.server.connect(), prompt=self.prompt, stream=True,
                              max_tokens=self.n_tokens, stream_options={"include_usage": True})
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if self.first is None and any(c.get("text") for c in event.get("choices", [])):
                self.first = time.perf_counter() - start
            self.tokens = (event.get("usage") or {}).get("completion_tokens", self.tokens)


def four_streams(command, args):
    with Server(*command) as server:
        streams = [Stream(server, i, args.generate, args.prompt) for i in range(STREAMS)]
        start = time.perf_counter()
        for stream in streams:
            stream.start()
        for stream in streams:
            stream.join()
        seconds = time.perf_counter() - start
        if any(stream.first is None or stream.tokens != args.generate for stream in streams):
            said = ", ".join(str(stream.tokens) for stream in streams)
            sys.exit(f"{command[0]} said {said} tokens, not {args.generate} in each stream")
        return {"tokens per second": sum(s.tokens for s in streams) / seconds,
                "time to first token": statistics.mean(s.first for s in streams),
                "peak memory": server.status_kb("VmHWM")}


def race(args):
    commands = {
        "corvid": [args.corvid, "serve", "--model", args.model, "--threads", str(args.threads),
                   "--contexts", str(STREAMS)],
        "llama-server": [args.llama_server, "-m", args.model, "-t", str(args.threads),
                         "-np", str(STREAMS), *args.llama_options.split()],
    }
    results = {name: [] for name in commands}
    for turn in range(args.turns):
        for name, command in commands.items():
            results[name].append(four_streams(command, args))
            print(f"  turn {turn + 1} of {args.turns}: {name}", file=sys.stderr)
    for what, better in (("tokens per second", "more"), ("time to first token", "less"),
                         ("peak memory", "less")):
        own, other = (statistics.median(r[what] for r in results[name]) for name in commands)
        print(f"{STREAMS} streams, {what}: {own / other:.2f} of llama-server's ({better} is better)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corvid", default=str(ROOT / "build/release/corvid"))
    parser.add_argument("--model", help="a GGUF file; without it the built-in model, and no race")
    parser.add_argument("--llama-server", help="llama.cpp's llama-server")
    parser.add_argument("--llama-options", default="", help="more of its options, as one string")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=100, help="words of a stream's prompt")
    parser.add_argument("--generate", type=int, default=64, help="tokens of a stream's answer")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    missed = 0
    with Server(args.corvid, "serve", "--threads", str(args.threads)) as server:
        overhead = overhead_ms(server, args.rounds)
        idle = idle_mb(server, 100)
    print(f"a request over its steps: {overhead:.2f} ms (bar {OVERHEAD_MS})")
    print(f"100 idle connections: {idle:.1f} MB (bar {IDLE_MB})")
    missed = (overhead > OVERHEAD_MS) + (idle > IDLE_MB)
    if args.llama_server and args.model:
        race(args)
    return 1 if args.check and missed else 0


sys.exit(main())
