"""The server of mcp_server.py over streamable HTTP, on a port of its own choice that it prints.

    mcp_http_server.py ERA [MISCHIEF]

MISCHIEF, besides what mcp_server.py knows: see the code. Each request's method and headers go to
standard output, one JSON object a line.
"""
import http.server
import json
import queue
import sys
import threading
import time

import mcp_server
from mcp_server import era, mischief

sessions = []
ended = set()
waiting = {}  # by event id: the answer that a broken stream still owes
unasked = queue.Queue()  # what it says on the stream that is open for that
form = queue.Queue()  # what the user filled in
tokens = {"Bearer hush-hush-hush"}
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def note(self, method):
        with lock:
            print(json.dumps({"http": self.command, "method": method, **dict(self.headers.items())}),
                  flush=True)

    def reply(self, status, body=b"", kind="application/json", **headers):
        self.send_response(status)
        if body:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def reply_json(self, message, status=200, **headers):
        self.reply(status, json.dumps({"jsonrpc": "2.0", **message}).encode(), **headers)

    def open_stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, message=None, **fields):
        data = "" if message is None else json.dumps({"jsonrpc": "2.0", **message})
        text = "".join(f"{name}: {value}\n" for name, value in fields.items())
        self.wfile.write(f"{text}data: {data}\n\n".encode())
        self.wfile.flush()

    def do_GET(self):
        last = self.headers.get("Last-Event-ID")
        self.note(None)
        if mischief.startswith("unasked") and last not in waiting:
            return self.speak_unasked(last)
        if last not in waiting:
            return self.reply(405)
        self.open_stream()
        if mischief == "always breaks":
            return self.event(id=last, retry=1)
        self.event(waiting.pop(last), id=last + "'")

    def speak_unasked(self, last):
        self.open_stream()
        if mischief == "unasked: hangs up":
            return None
        if mischief == "unasked: breaks off" and last is None:
            return self.event({"method": "notifications/message"}, id="u1", retry=1)
        if mischief == "unasked: floods":
            while True:
                self.wfile.write(b"data: " + b"x" * 1_000_000)
        self.wfile.write(b": here\n\n")
        while True:
            self.event(unasked.get())

    def do_DELETE(self):
        self.note(None)
        if mischief == "never lets go":
            time.sleep(1000)
        self.reply(200)

    def do_POST(self):
        try:
            self.post()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def post(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method, params = message.get("method"), message.get("params", {})
        self.note(method)
        if mischief == "wants a token" and self.headers.get("Authorization") not in tokens:
            return self.reply(401, b"<h1>who are you?</h1>", "text/html")
        if mischief == "redirects":
            return self.reply(307, Location="http://elsewhere.invalid/mcp")
        if mischief == "web page":
            return self.reply(200, b"<h1>hello</h1>", "text/html")
        if mischief == "breaks down":
            return self.reply(500, b"oops", "text/plain")
        if method == "server/discover" and era != "new":
            if era == "mute":  # some answer no request without a session
                return self.reply(400, b"no session", "text/plain")
            return self.reply_json({"id": None, "error": {"code": -32000, "message": "Bad"}}, 400)
        if mischief == "slow to answer" and method == "server/discover":
            time.sleep(3)
        if mischief == "slow to answer" and method == "initialize":
            error = {"code": -32020, "message": "Missing MCP-Protocol-Version header"}
            return self.reply_json({"id": message["id"], "error": error}, 400)
        if era == "new":
            assert self.headers["MCP-Protocol-Version"] == mcp_server.NEW
            assert self.headers["Mcp-Method"] == method
        if method == "initialize":
            sessions.append(f"session-{len(sessions)}")
            result = mcp_server.answer(method, params)
            return self.reply_json({"id": message["id"], "result": result},
                                   Mcp_Session_Id=sessions[-1])
        if era != "new":
            assert self.headers["MCP-Protocol-Version"] == "2025-11-25"
            if self.headers["Mcp-Session-Id"] != sessions[-1]:
                return self.reply(404)
        if message.get("id") == "form":
            form.put(message["result"])
        if "id" not in message or "method" not in message:
            return self.reply(202)
        if method == "tools/call":
            return self.call(message["id"], params)
        self.reply_json({"id": message["id"], "result": mcp_server.answer(method, params)})

    def call(self, number, params):
        if mischief == "forgets" and sessions[-1] not in ended and len(sessions) == 1:
            ended.add(sessions[-1])
            sessions.append("another")
            return self.reply(404)
        if mischief == "echoes":
            return self.reply_json({"id": number, "error": {
                "code": 1, "message": "refused: " + self.headers["Authorization"]}})
        if mischief == "drops":
            self.connection.close()
            self.close_connection = True
            return None
        if mischief == "long answer":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while True:
                self.wfile.write(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        if mischief == "long event":
            self.open_stream()
            while True:
                self.wfile.write(b"data: " + b"x" * 1_000_000)
        if mischief == "garbage":
            self.open_stream()
            while True:
                self.wfile.write(b"data: this is no message\n\n")
        if mischief == "wrong answer":
            return self.reply_json({"id": number + 1000, "result": {"content": []}})
        if mischief == "hangs in the stream":
            self.open_stream()
            while True:
                self.wfile.write(b": still here\n\n")
                self.wfile.flush()
                time.sleep(0.05)
        if mischief == "asks":
            self.open_stream()
            for i in range(1_000_000):
                self.event({"id": i, "method": "roots/list"})
        if mischief == "unasked: a form" or mischief == "unasked: breaks off":
            unasked.put({"id": "form", "method": "elicitation/create", "params": mcp_server.FORM})
            text = json.dumps(form.get())
            return self.reply_json({"id": number, "result": {
                "content": [{"type": "text", "text": text}]}})
        result = mcp_server.answer("tools/call", params)
        if mischief in ("breaks off", "always breaks"):
            waiting["e1"] = {"id": number, "result": result}
            self.open_stream()
            return self.event(id="e1", retry=1)
        if mischief == "breaks for good":
            self.open_stream()
            return self.event({"method": "notifications/progress", "params": {}})
        self.open_stream()
        self.event({"method": "notifications/progress", "params": {"progress": 1}})
        if era != "new":
            self.event({"id": "theirs", "method": "ping"})
        self.event({"id": 7777, "result": {}})
        self.event({"id": number, "result": result})


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
