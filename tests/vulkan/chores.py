#!/usr/bin/env python3
"""The quickstart's chores with the built-in model, on the CPU and on a GPU: what they leave and
every sampled token have to be equal.

    tests/vulkan/chores.py [--corvid build/release/corvid] [--backend vulkan]

A minute of Mesa's software device. Exit status 1 where something differs, and the first token that
does is named; 77 where there is no device.
"""
import argparse
import os
import pathlib
import sqlite3
import struct
import subprocess
import sys
import tempfile

CHORES = ["which file in logs is the largest?",
          "create a file called hello.txt with the text good morning",
          "run ./test.sh and fix what fails"]
WORKSPACE = pathlib.Path(__file__).resolve().parents[2] / "examples/quickstart_workspace.sh"


def run(corvid, backend, root):
    """The tokens of every turn, and the files that are there at the end."""
    work, home = root / "work", root / "home"
    work.mkdir(parents=True)
    subprocess.run([WORKSPACE], cwd=work, check=True)
    home.mkdir()
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    environment |= {key: value for key, value in os.environ.items() if key.startswith("VK_")}
    for chore in CHORES:  # what a validation layer finds is printed among the answers
        subprocess.run([corvid, "run", "--backend", backend, chore], cwd=work, env=environment,
                       stdin=subprocess.DEVNULL, check=True)
    journal = next(home.rglob("*.db"))
    with sqlite3.connect(journal) as database:
        blobs = [row[0] for row in database.execute(
            "SELECT tokens FROM steps WHERE kind = 2 ORDER BY session, seq")]
    turns = [struct.unpack(f"<{len(blob) // 4}i", blob) for blob in blobs]
    files = {str(path.relative_to(work)): path.read_bytes()
             for path in sorted(work.rglob("*")) if path.is_file()}
    return turns, files


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--corvid", type=os.path.abspath,
                        default=str(root / "build/release/corvid"))
    parser.add_argument("--backend", default="vulkan")
    options = parser.parse_args()
    devices = subprocess.run([options.corvid, "devices"], capture_output=True, text=True, check=True)
    if "vulkan:" not in devices.stdout:
        print("no Vulkan device:", devices.stdout)
        return 1 if "CORVID_MUST_HAVE_GPU" in os.environ else 77
    with tempfile.TemporaryDirectory() as scratch:
        results = [run(options.corvid, backend, pathlib.Path(scratch) / backend.replace(":", "_"))
                   for backend in ("cpu", options.backend)]
    (turns, files), (gpu_turns, gpu_files) = results
    for i, (turn, gpu_turn) in enumerate(zip(turns, gpu_turns)):
        at = next((j for j, pair in enumerate(zip(turn, gpu_turn)) if pair[0] != pair[1]),
                  min(len(turn), len(gpu_turn)))
        if turn != gpu_turn:
            print(f"turn {i + 1} differs from token {at + 1} on: {turn[at:at + 4]} on the CPU, "
                  f"{gpu_turn[at:at + 4]} on {options.backend}")
            return 1
    if len(turns) != len(gpu_turns) or files != gpu_files:
        print("the chores left other files, or took other turns")
        return 1
    print(f"{len(CHORES)} chores, {len(turns)} turns, {sum(map(len, turns))} tokens: equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
