#!/usr/bin/env python3
"""How a model's rates fall when other programs compute, too: in proportion, or off a cliff.

  loaded.py MODEL.gguf [--corvid BIN] [--threads N] [--busy 1,2] [--turns N] [--check]
Measures prefill and decode on the otherwise idle machine and beside BUSY processes that spin, in
turns. N threads beside B busy ones have N / (N + B) of N cores, which is what a rate can fall to
at most; with --check the exit code is 1 when it falls below 0.75 of that.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BAR = 0.75


def rates(args):
    text = subprocess.run(
        [args.corvid, "bench", "--model", args.model, "--backend", "cpu", "--threads",
         str(args.threads), "--prompt", "256", "--generate", "64", "--repeats", "1", "--json"],
        check=True, capture_output=True, text=True).stdout
    run = json.loads(text)["runs"][0]
    return {phase: run[f"{phase}_tokens_per_second"] for phase in ("prefill", "decode")}


def beside(busy, args):
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        return rates(args)
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--corvid", default=str(ROOT / "build/release/corvid"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--busy", default="1,2", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    counts = [0, *args.busy]
    found = {busy: [] for busy in counts}
    for _ in range(args.turns):
        for busy in counts:
            found[busy].append(beside(busy, args))
    missed = 0
    for phase in ("prefill", "decode"):
        alone = statistics.median(result[phase] for result in found[0])
        print(f"{phase}: {alone:.1f} tokens/s alone")
        for busy in args.busy:
            rate = statistics.median(result[phase] for result in found[busy])
            due = args.threads / (args.threads + busy)
            low = rate / alone < BAR * due
            missed += low
            print(f"  beside {busy} busy: {rate:.1f}, {rate / alone:.2f} of it; in proportion "
                  f"{due:.2f}{', MISSED' if low and args.check else ''}")
    return 1 if args.check and missed else 0


sys.exit(main())
