"""Chores that run a script and read its output: how many tests pass, what a test expected or got, the exit code."""
import os
import re

from chores import *
from chores_tests import FAILS, PASSES, SCRIPTS, counted, mark_of, shown, spoken_script, test_script, verdict
from world import quote, shell


def checks(w, wrong):
  """Tests whose values are shown: [(label, expected, got)], `wrong` of them fail."""
  r = w.rng
  label = r.choice([w.term, w.term, w.nonsense, lambda: "test_" + w.term(), lambda: w.term() + "_" + w.term()])
  value = r.choice([lambda: str(r.randrange(1, r.choice([10, 100, 1000]))), w.term])
  labels = list(dict.fromkeys(label() for _ in range(r.randrange(max(2, wrong), 6))))
  failing = set(r.sample(labels, min(len(labels), wrong)))
  out = []
  for x in labels:
    expected = value()
    got = expected
    while x in failing and got == expected:
      got = value()
    out.append((x, expected, got))
  return out


def script_that(w, wrong, fits):
  """A test script whose output fits: (script, tests)."""
  for _ in range(200):
    tests = checks(w, wrong)
    if any(a in b for a, *_ in tests for b, *_ in tests if a != b):
      continue
    script, _ = test_script(w, [(x, f"echo {got}", expected) for x, expected, got in tests], "")
    lines = body(w.shell(f"bash {quote(script)}"))
    if fits(tests, lines):
      return script, tests
    os.remove(os.path.join(w.root, script))
  raise ValueError("no script fits")


def count_passes(w):
  """How many tests of a script pass."""
  r = w.rng

  def each_seen(tests, lines):
    return all(any(shown(x, label) for x in lines) for label, *_ in tests)
  script, tests = script_that(w, r.choice([0, 0, 1, 1, 2, 3]), each_seen)
  n = sum(expected == got for _, expected, got in tests)
  w.scatter(0, 2)

  def play():
    lines = body((yield f"Run {script} to count the tests that pass.", shell(f"bash {quote(script)}")))
    good = [label for label, expected, got in tests if expected == got]
    if good:
      yield from counted(script, mark_of(PASSES, lines, good))
    return f"{n} of them.", f"{plural(n, 'test')} {'passes' if n == 1 else 'pass'}."
  return Chore("tests", {}, dict(s=spoken_script(w, script)), play, "tests passing", dict(gives="number", value=str(n)))


def test_value(w):
  """Which value the failing test expected, or which it got."""
  r = w.rng
  kind = r.choice(["expected", "got"])

  def both_seen(tests, lines):
    label, expected, got = next(x for x in tests if x[1] != x[2])
    found = [x.replace(label, "", 1) for x in lines if shown(x, label)]
    return len(found) == 1 and shown(found[0], expected if kind == "expected" else got)
  script, tests = script_that(w, 1, both_seen)
  label, expected, got = next(x for x in tests if x[1] != x[2])
  value = expected if kind == "expected" else got
  w.scatter(0, 2)
  named = r.random() < 0.5
  key = f"tests {kind}" + (" of" if named else "")

  def play():
    lines = body((yield f"Run {script} to see the value it {kind}.", shell(f"bash {quote(script)}")))
    mark = mark_of(FAILS, lines, [label])
    yield f"One fails. Keep the line with {mark}.", shell(f"bash {quote(script)} | grep {quote(mark)}")
    return f"It {kind} {value}.", f"{label} fails: it {kind} {value}."
  return Chore("tests", {}, dict(s=spoken_script(w, script), n=wrap_name(w, label)), play, key, dict(gives="value", value=value))


def exit_code(w):
  """With which exit code a script ends."""
  r = w.rng
  script = w.place() + (w.file_name("sh") if r.random() < 0.8 else w.fresh(lambda: r.choice(SCRIPTS).split("/")[-1]))
  n = r.choice([0, 0, 1, 1, 2, 3, r.randrange(4, 20), r.randrange(20, 126)])
  rows = ["#!/bin/bash"] if r.random() < 0.7 else []
  rows += [f"echo {w.phrase(1, 4)}" for _ in range(r.choice([0, 1, 1, 2]))]
  rows += r.choice([[f"exit {n}"], [f"exit {n}"], [f"code={n}", "exit $code"], [f"(exit {n})"], [f"status={n}", f"echo {w.term()}", "exit $status"]])
  w.put(script, "\n".join(rows) + "\n")
  w.scatter(0, 2)

  def play():
    yield f"Run {script} to see its exit code.", shell(f"bash {quote(script)}")
    return f"The exit code is {n}.", f"{script} ends with exit code {n}."
  return Chore("tests", {}, dict(s=spoken_script(w, script)), play, "exit code", dict(gives="number", value=str(n)))


def folder_tests(w):
  """Runs the tests of a folder: the script has to be found there."""
  r = w.rng
  tests = checks(w, r.choice([0, 1, 1, 1, 2]))
  made, stops = test_script(w, [(x, f"echo {got}", expected) for x, expected, got in tests], "")
  d = r.choice(["tests", "test", "t", "checks", "spec"]) if r.random() < 0.4 else w.folder(make=False)
  script = f"{d}/{os.path.basename(made)}"
  if script != made:
    w.shell(f"mkdir -p {quote(d)} && mv {made} {quote(script)}")
  for _ in range(r.choice([0, 0, 1, 2])):
    w.put(f"{d}/{w.file_name(r.choice(['txt', 'md', 'csv', 'json', 'dat']))}")
  w.scatter(0, 2)
  bad = [x for x, expected, got in tests if expected != got]
  bad = bad[:1] if stops else bad

  def play():
    yield f"Look for the test script in {d}.", shell(f"find {quote(d)} -type f")
    lines = body((yield f"Run {script}.", shell(f"bash {quote(script)}")))
    return (yield from verdict(script, lines, bad))
  return Chore("tests", {}, dict(d=spoken_folder(w, d), i=in_folder(w, d)), play, "tests folder", dict(script=script))
