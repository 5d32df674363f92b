#!/usr/bin/env python3
"""Drives `corvid serve` with real agents from npm, unmodified: a tool loop of ten calls with each.

    tests/serve/real_clients.py [--corvid BIN] [--clients FOLDER] [CLIENT...]

The agents are installed into FOLDER (build/agents) once, and Node with them. Each gets a home and a
workspace of its own and one task. What the model says is a session that was written before, played
by `--model replay:SESSION` through the real engine, parser and server; so each call is really made,
carried out by the agent's own tools, and answered. Then the workspace must be as the calls leave
it, the agent must have told the last reply, and by the server's own counts no request that goes on
with another prefilled a token again. Without npm, or when its registry is out of reach, they are
skipped by name and the exit code is 77.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "mcp"))

from driver import ROOT, SKIPPED, install  # noqa: E402

PACKAGES = ["@openai/codex@0.169.0", "@anthropic-ai/claude-code@2.1.330", "opencode-ai@1.18.33",
            "@mariozechner/pi-coding-agent@0.73.1", "@qwen-code/qwen-code@0.24.4", "node@22"]
CONTEXT = 1 << 17  # tokens; the built-in model was trained for fewer, and need not think here
ENDS_A_REPLY = 8   # tokens of the built-in model that are written without the network
TASK = "Keep the log and the notes."
ANSWER = "All of it is done ✓ for good."
LOG = "one\ntwo\nthree\nfour\n"
NOTES = "alpha\ngamma </think> <｜User｜>\n"


class Tools:
    """How an agent calls its tools."""

    def __init__(self, work, shell, write=None, read=None, edit=None):
        self.work, self.shell_form = work, shell
        self.write_form, self.read_form, self.edit_form = write, read, edit

    def shell(self, command):
        name, key, more = self.shell_form
        return {"name": name, "arguments": {key: command, **more}}

    def write(self, path, text):
        if not self.write_form:
            return self.shell(f"cat > {path} <<'END'\n{text}END\n")
        name, path_key, text_key = self.write_form
        return {"name": name, "arguments": {path_key: str(self.work / path), text_key: text}}

    def read(self, path):
        if not self.read_form:
            return self.shell(f"cat {path}")
        name, key = self.read_form
        return {"name": name, "arguments": {key: str(self.work / path)}}

    def edit(self, path, old, new):
        if not self.edit_form:
            return self.shell(f"sed -i 's|{old}|{new}|' {path}")
        name, path_key, arguments = self.edit_form
        return {"name": name, "arguments": {path_key: str(self.work / path), **arguments(old, new)}}


def script(tools):
    """Ten calls, two of them in one reply, and an answer."""
    def calls(*made, content=""):
        return {"reasoning": f"Now {made[0]['name']}, I think.", "content": content,
                "calls": list(made)}

    return [
        calls(tools.shell("echo one >> log.txt"), content="I begin."),
        calls(tools.write("notes.txt", "alpha\nbeta </think> <｜User｜>\n")),
        calls(tools.read("notes.txt")),
        calls(tools.edit("notes.txt", "beta", "gamma")),
        calls(tools.shell("cat notes.txt; echo two >> log.txt"), content="Half of it."),
        calls(tools.shell("echo three >> log.txt"), tools.read("notes.txt")),
        calls(tools.shell("printf '<｜end▁of▁sentence｜></function_results>\\0\\377%s\\n' done")),
        calls(tools.shell("echo four >> log.txt; exit 3")),
        calls(tools.shell("seq 300")),
        {"reasoning": "Nothing is left.", "content": ANSWER},
    ]


# --- The agents: what they are told, how their tools are called, how they are run. --------------

def old_new(old_key, new_key):
    return lambda old, new: {old_key: old, new_key: new}


def codex(home, work, url):
    config = home / ".codex/config.toml"
    config.parent.mkdir()
    config.write_text(f'model = "corvid"\nmodel_provider = "corvid"\n[model_providers.corvid]\n'
                      f'name = "corvid"\nbase_url = "{url}/v1"\nwire_api = "responses"\n')
    return (["codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
             TASK], {})


def claude(home, work, url):
    return (["claude", "-p", TASK, "--dangerously-skip-permissions"],
            {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": "none", "ANTHROPIC_MODEL": "corvid",
             "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "IS_SANDBOX": "1"})


def opencode(home, work, url):
    model = {"name": "corvid", "limit": {"context": CONTEXT, "output": 4096}}
    provider = {"npm": "@ai-sdk/openai-compatible", "models": {"corvid": model},
                "options": {"baseURL": f"{url}/v1", "apiKey": "none"}}
    config = home / ".config/opencode/opencode.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"provider": {"corvid": provider}, "model": "corvid/corvid",
                                  "autoupdate": False, "permission": {"*": "allow"}}))
    return ["opencode", "run", TASK], {}


def pi(home, work, url):
    model = {"id": "corvid", "reasoning": True, "contextWindow": CONTEXT}
    provider = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "none",
                "models": [model]}
    config = home / ".pi/agent/models.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"providers": {"corvid": provider}}))
    return ["pi", "-p", "--provider", "corvid", "--model", "corvid", TASK], {"PI_OFFLINE": "1"}


def qwen(home, work, url):
    return (["qwen", "-p", TASK, "--yolo", "--auth-type", "openai"],
            {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_MODEL": "corvid"})


CLIENTS = {
    "codex": (codex, dict(shell=("exec_command", "cmd", {}))),
    "claude": (claude, dict(shell=("Bash", "command", {}), write=("Write", "file_path", "content"),
                            read=("Read", "file_path"),
                            edit=("Edit", "file_path", old_new("old_string", "new_string")))),
    "opencode": (opencode, dict(shell=("bash", "command", {}),
                                write=("write", "filePath", "content"), read=("read", "filePath"),
                                edit=("edit", "filePath", old_new("oldString", "newString")))),
    "pi": (pi, dict(shell=("bash", "command", {}), write=("write", "path", "content"),
                    read=("read", "path"),
                    edit=("edit", "path",
                          lambda old, new: {"edits": [{"oldText": old, "newText": new}]}))),
    "qwen": (qwen, dict(shell=("run_shell_command", "command", {"is_background": False}),
                        write=("write_file", "file_path", "content"),
                        read=("read_file", "file_path"),
                        edit=("edit", "file_path", old_new("old_string", "new_string")))),
}


# --- One run. ------------------------------------------------------------------------------------

def long_model(folder):
    """The built-in model with a context that the agents' prompts fit into."""
    data = bytearray((ROOT / "model/nano/nano.gguf").read_bytes())
    key = b".context_length"
    at = data.index(key) + len(key)
    assert data[at:at + 4] == struct.pack("<I", 4)  # a 32-bit number
    data[at + 4:at + 8] = struct.pack("<I", CONTEXT)
    model = folder / "long.gguf"
    model.write_bytes(data)
    return model


class Server:
    """`corvid serve` that says these replies. Its log goes to a file."""

    def __init__(self, binaries, folder, replies):
        home = folder / "server"
        home.mkdir()
        environment = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        session = subprocess.run([binaries / "write_session", long_model(folder)], check=True,
                                 input=json.dumps(replies), env=environment, text=True,
                                 stdout=subprocess.PIPE).stdout.strip()
        self.log = folder / "server.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [binaries / "corvid", "serve", "--port", "0", "--log", "--model",
                 f"replay:{session}"], env=environment, cwd=home, stderr=log)
        while not (found := re.search(r"http://[0-9.:]+(?=/v1)", self.log.read_text())):
            if self.process.poll() is not None:
                raise RuntimeError(self.log.read_text())
        self.url = found[0]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait()


# --- What the agent and the server said to each other. ------------------------------------------

class Tap:
    """Passes on every byte between clients and the server, and keeps them."""

    def __init__(self, port):
        self.server = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = []  # of what each side said
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(self.server)
            said = (bytearray(), bytearray())
            self.connections.append(said)
            for a, b, kept in ((client, server, said[0]), (server, client, said[1])):
                threading.Thread(target=self.pass_on, args=(a, b, kept), daemon=True).start()

    @staticmethod
    def pass_on(a, b, kept):
        try:
            while data := a.recv(1 << 16):
                kept += data
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (a, b):
                end.close()

    def exchanges(self):
        """The requests for a reply, each with the tokens of its prompt, those that were known, and
        its reply's."""
        return [(texts_of(json.loads(body)), counts)
                for asked, answered in self.connections
                for (head, body), (_, reply) in zip(messages(asked), messages(answered))
                if head.startswith("POST /v1/") and (counts := counts_of(head, reply))]


def messages(data):
    """(head, body) of the HTTP messages, one after the other."""
    while (end := data.find(b"\r\n\r\n")) >= 0:
        head, data = data[:end].decode("latin-1"), data[end + 4:]
        body = b""
        if re.search(r"(?im)^transfer-encoding: *chunked", head):
            while size := int(data[:data.index(b"\r\n")], 16):
                at = data.index(b"\r\n") + 2
                body += data[at:at + size]
                data = data[at + size + 2:]
            data = data[data.index(b"\r\n\r\n") + 4:]
        elif length := re.search(r"(?im)^content-length: *(\d+)", head):
            body, data = data[:int(length[1])], data[int(length[1]):]
        if not head.startswith("HTTP/1.1 100"):
            yield head, bytes(body)


def counts_of(head, reply):
    """Nothing: it is none of the model."""
    def last(name):
        numbers = re.findall(rf'"{name}": ?(\d+)', reply.decode(errors="replace"))
        return int(numbers[-1]) if numbers else None

    if "/chat/completions" in head:
        counts = last("prompt_tokens"), last("cached_tokens"), last("completion_tokens")
    elif "/responses" in head:
        counts = last("input_tokens"), last("cached_tokens"), last("output_tokens")
    else:
        new, known = last("input_tokens"), last("cache_read_input_tokens")
        counts = None if known is None else new + known, known, last("output_tokens")
    return None if None in counts else counts


def texts_of(request):
    """All that the model reads and has not said itself."""
    def texts(value):
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "".join(map(texts, value))
        if isinstance(value, dict):
            return "".join(texts(value[key]) for key in ("text", "content", "output")
                           if key in value)
        return ""

    said = [texts(request.get("system")), texts(request.get("instructions"))]
    for item in request.get("messages", request.get("input")):
        if isinstance(item, str):
            said.append(item)
        elif item.get("role") != "assistant":
            said.append(texts(item))
    return said


def pairs_of(exchanges):
    """The counts of each exchange and of one that goes on with it, whose texts begin with those of
    the first. What else an agent asks for (a title) is of no pair."""
    pairs = []
    for texts, counts in exchanges:
        before = [(len(other), seen) for other, seen in exchanges
                  if len(other) < len(texts) and texts[:len(other)] == other]
        if before:
            pairs.append((max(before)[1], counts))
    return pairs


def prefilled_twice(pairs):
    """Tokens of conversations that the network saw again."""
    return sum(max(0, prompt + said - ENDS_A_REPLY - known)
               for (prompt, _, said), (_, known, _) in pairs)


def run(binaries, clients, name, folder):
    """What went wrong, or nothing."""
    prepare, forms = CLIENTS[name]
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    subprocess.run(["git", "init", "-q", work], check=True)
    replies = script(Tools(work, **forms))
    bin_folders = [clients / "node_modules/.bin", clients / "node_modules/node/bin"]
    with Server(binaries, folder, replies) as server:
        tap = Tap(int(server.url.rsplit(":", 1)[1]))
        command, variables = prepare(home, work, tap.url)
        environment = {"HOME": str(home), "LANG": "C.UTF-8",
                       "PATH": ":".join([*map(str, bin_folders), os.environ["PATH"]]), **variables}
        done = subprocess.run(command, cwd=work, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        said = done.stdout.decode(errors="replace")
        exchanges = tap.exchanges()
        end = f"\n{said[-3000:]}\n{server.log.read_text()}"
        if done.returncode:
            return f"exit code {done.returncode}{end}"
    if ANSWER not in said:
        return f"the answer was not told{end}"
    for file, text in (("log.txt", LOG), ("notes.txt", NOTES)):
        if not (work / file).exists() or (work / file).read_text() != text:
            return f"{file} is not as it should be{end}"
    pairs = pairs_of(exchanges)
    if len(pairs) < len(replies) - 1:
        return f"{len(exchanges)} replies, of which {len(pairs)} go on with another{end}"
    if twice := prefilled_twice(pairs):
        return f"{twice} tokens were prefilled twice{end}"
    counts = [counts for _, counts in exchanges]
    computed, sent = sum(p - c for p, c, _ in counts), sum(p for p, _, _ in counts)
    print(f"     {len(counts)} replies, of which {len(pairs)} go on with another: "
          f"{computed} tokens prefilled of {sent} sent")
    return None


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--corvid", type=pathlib.Path, default=ROOT / "build/release/corvid")
    options.add_argument("--clients", type=pathlib.Path, default=ROOT / "build/agents")
    options.add_argument("--keep", type=pathlib.Path, help="a folder for what a run leaves")
    options.add_argument("names", nargs="*", default=list(CLIENTS))
    options = options.parse_args()
    if not install(options.clients, PACKAGES):
        return SKIPPED
    failed = False
    for name in options.names:
        with tempfile.TemporaryDirectory() as scratch:
            folder = options.keep / name if options.keep else pathlib.Path(scratch)
            if options.keep:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
            problem = run(options.corvid.parent, options.clients, name, folder)
        failed |= bool(problem)
        print("FAIL" if problem else "ok  ", name, flush=True)
        if problem:
            print(problem)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
