#!/usr/bin/env python3
"""A chat-completions server on loopback whose model says what a script says.

    examples/scripted_model.py SCRIPT.json COMMAND...

Runs COMMAND with {model} replaced by the server's URL and ends as it does. SCRIPT.json is a list of
turns: {"say": "text"}, or {"calls": [{"tool": "shell", "arguments": {...}}, ...]}. One that runs out
of turns says "Done."
"""
import http.server
import json
import subprocess
import sys
import threading


class ScriptedModel:
    """Serves while it is entered; `turn(messages)` gives the next turn."""

    def __init__(self, turn):
        self.messages = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(handler):
                body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
                self.messages = body["messages"]
                handler.reply("text/event-stream", stream_of(turn(self.messages)))

            def do_GET(handler):
                handler.reply("application/json", '{"object":"list","data":[{"id":"scripted"}]}')

            def reply(handler, kind, text):
                handler.send_response(200)
                handler.send_header("Content-Type", kind)
                handler.send_header("Content-Length", str(len(text.encode())))
                handler.end_headers()
                handler.wfile.write(text.encode())

            def log_message(handler, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1#scripted"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *problem):
        self.server.shutdown()
        self.server.server_close()

    def results(self):
        return [message["content"] for message in self.messages if message["role"] == "tool"]


def stream_of(turn):
    delta, reason = {"content": turn.get("say", "Done.")}, "stop"
    if "calls" in turn:
        calls = [{"index": n, "id": f"call-{id(turn)}-{n}", "type": "function",
                  "function": {"name": call["tool"], "arguments": json.dumps(call["arguments"])}}
                 for n, call in enumerate(turn["calls"])]
        delta, reason = {"tool_calls": calls}, "tool_calls"
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
              {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        turns = json.load(file)

    def turn(messages):
        n = sum(message["role"] == "assistant" for message in messages)
        return turns[n] if n < len(turns) else {}

    with ScriptedModel(turn) as model:
        command = [word.replace("{model}", model.url) for word in sys.argv[2:]]
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
