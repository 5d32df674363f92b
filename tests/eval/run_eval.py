#!/usr/bin/env python3
"""Runs the 300 held-out chores with the real program and prints what it solved.

    tests/eval/run_eval.py [--corvid BIN] [--model F] [--shuffled] [--jobs N] [--family F]
                           [--limit N] [--id ID] [--min PERCENT] [--max PERCENT]
                           [--report FILE] [--verbose]

Each chore has a workspace and a home of its own; a follow-up resumes the session of the turn
before. The exit code is 1 when less than --min percent (or more than --max) is solved.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from chores import FAMILIES
from shuffle_weights import shuffle
from workspace import attempt

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "model/nano/nano.gguf"


class Corvid:
    """The program as a person uses it: `run` starts a session, `resume` goes on."""

    def __init__(self, program, model, timeout):
        self.command = [str(program)]
        self.options = ["--json"] + (["--model", str(model)] if model else [])
        self.timeout = timeout
        self.session = None
        self.steps = []  # what it called, for --verbose

    def answer(self, prompt, workspace, number):
        verb = ["resume", self.session] if number and self.session else ["run"]
        try:
            done = subprocess.run(self.command + verb + self.options + [prompt], cwd=workspace,
                                  env=self.environment(workspace.parent), timeout=self.timeout,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        except subprocess.TimeoutExpired:
            self.steps.append(f"timed out after {self.timeout} s")
            return ""
        answer = ""
        for line in done.stdout.decode(errors="replace").splitlines():
            event = json.loads(line)
            self.session = event.get("session") or self.session
            kind = event["type"]
            if kind == "call_started":
                call = event["call"]
                self.steps.append(f"{call['name']} {json.dumps(call['arguments'])[:300]}")
            elif kind == "call_finished":
                self.steps.append("  " + event["text"][:300].rstrip().replace("\n", "\n  "))
            elif kind == "turn_finished":
                answer = event["answer"]
            elif kind == "failed":
                self.steps.append("failed: " + event["message"])
        if done.returncode:
            self.steps.append(f"exit {done.returncode}: {done.stderr.decode()[-300:]}")
            return ""
        return answer

    def environment(self, home):
        own = {f"XDG_{kind}_HOME": str(home / kind.lower())
               for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR")}
        return kept | own | {"HOME": str(home), "NO_COLOR": "1"}


def sit(chore, options, model):
    corvid = Corvid(options.corvid, model, options.timeout)
    start = time.monotonic()
    problem, dialogue = attempt(chore, corvid.answer)
    return {"chore": chore, "problem": problem, "dialogue": dialogue, "steps": corvid.steps,
            "seconds": time.monotonic() - start}


def table(results):
    rows = [("family", "solved", "of", "seconds a chore")]
    for family in FAMILIES:
        mine = [r for r in results if r["chore"].family == family.name]
        if mine:
            mean = sum(r["seconds"] for r in mine) / len(mine)
            rows.append((family.name, str(sum(not r["problem"] for r in mine)), str(len(mine)),
                         f"{mean:.1f}"))
    return rows


def show(results, verbose):
    for name, solved, of, seconds in table(results):
        print(f"{name:10} {solved:>7} {of:>5} {seconds:>17}")
    failures = [r for r in results if r["problem"]]
    for r in failures:
        print(f"\n{r['chore'].id}: {r['problem']}")
        for prompt, answer in r["dialogue"]:
            print(f"  > {prompt}\n  < {answer[:300]}")
        if verbose:
            print("\n".join("    " + line for step in r["steps"] for line in step.splitlines()))


def report(results, path, headline):
    """The same as Markdown, for the model card."""
    head, *rows = table(results)
    lines = [headline, "", "| " + " | ".join(head) + " |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", "Not solved:", ""]
    for r in results:
        if r["problem"]:
            asked = " / ".join(prompt for prompt, _ in r["dialogue"])
            lines.append(f"- `{r['chore'].id}` {asked}: {r['problem']}")
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corvid", default=ROOT / "build/release/corvid")
    parser.add_argument("--model", type=os.path.abspath,  # chores have folders of their own
                        help="a GGUF file instead of the built-in model")
    parser.add_argument("--shuffled", action="store_true",
                        help="the built-in model with its weights shuffled within each tensor")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--family")
    parser.add_argument("--id")
    parser.add_argument("--limit", type=int, help="only the first N chores of each family")
    parser.add_argument("--min", type=float, default=0, help="fail below this percentage")
    parser.add_argument("--max", type=float, default=100, help="fail above this percentage")
    parser.add_argument("--timeout", type=float, default=120, help="seconds a turn")
    parser.add_argument("--report", help="write a Markdown table")
    parser.add_argument("--verbose", action="store_true", help="show the calls of failed chores")
    options = parser.parse_args()
    options.corvid = pathlib.Path(options.corvid).resolve()

    chores = [c for f in FAMILIES for c in f.chores[:options.limit]
              if options.family in (None, c.family) and options.id in (None, c.id)]
    if not chores:
        parser.error("no such chore")
    with tempfile.TemporaryDirectory() as scratch:
        model = options.model
        if options.shuffled:
            model = pathlib.Path(scratch) / "shuffled.gguf"
            shuffle(options.model or WEIGHTS, model)
        results = []
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for r in pool.map(lambda chore: sit(chore, options, model), chores):
                results.append(r)
                print("\r" * sys.stderr.isatty() + f"{len(results)}/{len(chores)} "
                      f"{r['chore'].id} {'failed' if r['problem'] else 'solved'}   ",
                      end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
    solved = sum(not r["problem"] for r in results)
    percent = 100 * solved / len(results)
    headline = f"{solved} of {len(results)} chores solved, {percent:.1f}%"
    show(results, options.verbose)
    print("\n" + headline)
    if options.report:
        report(results, options.report, headline)
    if not options.min <= percent <= options.max:
        print(f"outside of the bar: {options.min:g}% to {options.max:g}%")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
