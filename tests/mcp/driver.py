"""What the MCP suites share: servers from npm, and Corvid that uses them for a script."""
import json
import os
import pathlib
import pty
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

from scripted_model import ScriptedModel  # noqa: E402

SKIPPED = 77


def install(folder, packages):
    """False, and a line that names them, when they cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text()) == packages:
        return True
    try:
        subprocess.run(["npm", "install", "--fetch-retries", "0", "--no-audit", "--no-fund",
                        "--prefix", folder, *packages],
                       check=True, timeout=1200, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as why:
        print("skipped:", ", ".join(packages), f"({why})")
        return False
    stamp.write_text(json.dumps(packages))
    return True


def use(corvid, servers, next_call, work=None, home=None, answer=None):
    """`corvid run` with a model that makes the calls that next_call(results) gives, until None.

    Returns their results and the finished process. `home` has what Corvid keeps. With `answer` it
    is `corvid` on a terminal, where each question is answered so.
    """
    def turn(messages):
        results = [message["content"] for message in messages if message["role"] == "tool"]
        call = next_call(results)
        if call is None:
            return {}
        server, tool, arguments = call
        asked = {"server": server, "tool": tool, "arguments": arguments}
        asked = {key: value for key, value in asked.items() if value is not None}
        return {"calls": [{"tool": "mcp", "arguments": asked}]}

    with tempfile.TemporaryDirectory() as scratch, ScriptedModel(turn) as model:
        home = home or scratch
        if work is None:
            work = pathlib.Path(home) / "work"
            work.mkdir(exist_ok=True)
        flags = ["--model", model.url, "--mcp", config_of(home, servers)]
        if answer is None:
            done = subprocess.run([corvid, "run", *flags, "go"], cwd=work, env=environment(home),
                                  capture_output=True, text=True)
        else:
            done = type_to([corvid, *flags], answer, cwd=work,
                           env={**environment(home), "TERM": "dumb"})
        return model.results(), done


def type_to(command, answer, **where):
    """Runs it on a terminal: one prompt, an answer to each question, and the end."""
    keys, terminal = pty.openpty()
    screen, seen = b"", 0

    def sees(*words):  # the first of them that comes
        nonlocal screen, seen
        while not any(word in screen[seen:] for word in words):
            try:
                screen += os.read(keys, 4096)
            except OSError:  # nobody has the terminal any more
                return None
        at, word = min((screen.find(word, seen), word) for word in words
                       if word in screen[seen:])
        seen = at + len(word)
        return word

    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal,
                          start_new_session=True, **where) as process:
        os.close(terminal)
        if sees(b"> "):
            os.write(keys, b"go\n")
        while sees(b"answer: ", b"Done.") == b"answer: ":
            os.write(keys, answer.encode() + b"\n")
        if sees(b"> "):
            os.write(keys, b"\x04")
        while sees(b"\n"):
            pass
    os.close(keys)
    return subprocess.CompletedProcess(command, process.returncode, "", screen.decode())


def config_of(home, servers):
    config = pathlib.Path(home) / "servers.json"
    config.write_text(json.dumps({"mcpServers": servers}))
    return config


def environment(home):
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def log_in(corvid, name, home):
    """`corvid plugins login`, and the browser: the exit code. The servers are those of use()."""
    command = [corvid, "plugins", "login", name, "--mcp", pathlib.Path(home) / "servers.json"]
    with subprocess.Popen(command, cwd=home, env=environment(home), stdout=subprocess.PIPE,
                          text=True) as login:
        for line in login.stdout:
            print(line, end="", flush=True)
            if line.startswith("http"):
                urllib.request.urlopen(line.strip()).read()
    return login.returncode
