#!/usr/bin/env python3
"""Logs in to a real server with `corvid plugins login`, and out again; prints what that said.

    login_command.py CORVID terminal|pipe

At a terminal the browser is a program that notes its arguments and goes where it is sent; else it
is this script, which reads the address. The last lines tell the browser's arguments and the mode
of the file of logins.
"""
import json
import os
import pathlib
import pty
import subprocess
import sys
import tempfile
import urllib.request

corvid, where = sys.argv[1:]
SERVER = pathlib.Path(__file__).resolve().parents[1] / "plugins/oauth_server.py"
BROWSER = """#!/usr/bin/env python3
import sys, urllib.request
open({log!r}, "w").write(repr(sys.argv[1:]))
urllib.request.urlopen(sys.argv[1]).read()
"""

with tempfile.TemporaryDirectory() as folder, \
        subprocess.Popen([sys.executable, "-B", SERVER], stdout=subprocess.PIPE, text=True) as server:
    home = pathlib.Path(folder)
    url = f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}/mcp"
    config = home / "servers.json"
    config.write_text(json.dumps({"mcpServers": {"it": {"url": url}}}))
    log = home / "opened"
    browser = home / "bin/xdg-open"
    browser.parent.mkdir()
    browser.write_text(BROWSER.format(log=str(log)))
    browser.chmod(0o755)
    environment = {"HOME": folder, "PATH": f"{browser.parent}:{os.environ['PATH']}"}

    def plugins(what, **how):
        return subprocess.Popen([corvid, "plugins", what, "it", "--mcp", config], cwd=home,
                                env=environment, **how)

    if where == "terminal":
        ours, theirs = pty.openpty()
        with plugins("login", stdin=theirs, stdout=theirs, stderr=theirs) as login:
            os.close(theirs)
            try:
                while said := os.read(ours, 4096):
                    print(said.decode().replace("\r\n", "\n"), end="")
            except OSError:  # the other end is closed
                pass
    else:
        with plugins("login", stdout=subprocess.PIPE, text=True) as login:
            for line in login.stdout:
                print(line, end="")
                if line.startswith("http"):
                    urllib.request.urlopen(line.strip()).read()
    print("exit code", login.returncode, flush=True)
    opened = log.read_text() if log.exists() else "[]"
    print("opened:", [argument.split("?")[0] for argument in eval(opened)])
    kept = home / ".local/state/corvid/logins.json"
    print(f"mode: {kept.stat().st_mode & 0o777:o}", flush=True)
    plugins("logout").wait()
    plugins("logout").wait()
    server.kill()
