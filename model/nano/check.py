#!/usr/bin/env python3
"""Lets the weights do held-out chores with real tools and says how many they solve, family by family.

  check.py nano.gguf [--chores 200] [--seed 99] [--failures 20] [--own-wording] [--family NAME] [--bare]

A chore is solved when the files in the workspace and the answer are those of the generator's own way. Wordings come from
held_out.py, which training never sees, unless --own-wording asks for the generator's.
"""
import argparse
import collections
import hashlib
import os
import random
import re

import torch

import chat
import decode
import generate
import held_out
import phrases
import tokenizer as bpe
from world import World

torch.set_num_threads(1)
CALL = re.compile(r'<｜DSML｜invoke name="(\w+)">\n(.*?)</｜DSML｜invoke>', re.S)
ARGUMENT = re.compile(r'<｜DSML｜parameter name="(\w+)" string="(true|false)">(.*?)</｜DSML｜parameter>', re.S)
NEEDED = {"shell": ["command"], "write": ["path", "content"], "edit": ["path", "old", "new"]}


class Player:
  """The loop in small: prompt, generate to the end of sentence, run the calls, go on."""

  def __init__(self, path, bare=False):
    here = os.path.dirname(os.path.abspath(__file__))
    self.tok, self.model = bpe.Tokenizer.load(os.path.join(here, "tokenizer.json")), decode.Model(path, 1 << 30 if bare else None)
    profile = chat.profile()
    prefix, _ = chat.encode(self.tok, chat.open_pieces(profile["system"], profile["tools"]))
    self.model.feed(prefix[:1] if bare else prefix)
    if bare:
      self.model.skip(len(prefix))
    self.start = self.model.used

  def solve(self, w, text, earlier=()):
    """(answer, transcript): does the chore in the workspace, after earlier turns."""
    self.model.rewind(self.start)
    eos = self.tok.special(bpe.EOS)
    pieces = [p for told, steps in earlier for p in chat.turn_pieces(told, steps, False)]
    pieces, log = pieces + [(bpe.USER, True, False), (text, False, False), (bpe.ASSISTANT, True, False), (bpe.THINK, True, False)], ""
    for _ in range(12):
      ids = chat.encode(self.tok, pieces)[0]
      if self.model.used + len(ids) > self.model.limit - 512:
        return "(too long)", log
      logits, out = self.model.feed(ids), []
      while len(out) < 500:
        out.append(int(logits.argmax()))
        if out[-1] == eos:
          break
        logits = self.model.feed(out[-1:])
      said = self.tok.decode(out)
      log += said
      self.model.feed([eos])
      content = said.split(bpe.END_THINK, 1)[-1].replace(bpe.EOS, "")
      calls = CALL.findall(content)
      if not calls:
        return content, log
      results = []
      for name, inner in calls:
        arguments = {k: v for k, _, v in ARGUMENT.findall(inner)}
        if sorted(arguments) != sorted(NEEDED.get(name, ["?"])):
          results.append("Error: malformed call.")
        else:
          results.append(w.run({"name": name, "arguments": arguments}))
      pieces = [(chat.result_text(results), False, False), (bpe.THINK, True, False)]
      log += chat.result_text(results)
    return "(gave up)", log


def fingerprint(w):
  """Names and contents of all files, git's inside aside."""
  out = {}
  for folder, names, files in os.walk(w.root):
    names[:] = sorted(n for n in names if n != ".git")
    for f in files:
      full = os.path.join(folder, f)
      out[os.path.relpath(full, w.root)] = hashlib.sha1(open(full, "rb").read()).hexdigest() if not f.endswith(".gz") else ""
    out[os.path.relpath(folder, w.root)] = "folder"
  return out, w.shell("git branch 2>/dev/null; git log --format=%s 2>/dev/null")


def worded(chore, rng, own_wording):
  """The chore's message, and whether there is one that training has not seen."""
  templates = None if own_wording else held_out.TEMPLATES.get(chore.key)
  if templates:
    return phrases.ask(rng, {"free": templates}, chore.slots, generate.WORDS, plain=True)
  return phrases.ask(rng, generate.moods_of(chore), chore.slots, generate.WORDS)


def chore_at(seed, root, own_wording, only):
  """A workspace and the last of its chores: (workspace, family, chore, message, earlier turns)."""
  rng = random.Random(seed)
  w = World(rng, root)
  follow = only == "follow" or not only and rng.random() < 0.15
  name = only if only and not follow else generate.pick(rng)
  chore = generate.FAMILIES[name][0](w)
  text = worded(chore, rng, own_wording)
  if not follow:
    return w, name, chore, text, []
  earlier = [(text, generate.play(w, chore))]
  chore = generate.after(w, chore)
  if chore is None:
    raise ValueError("nothing follows")
  return w, "follow", chore, worded(chore, rng, own_wording), earlier


def main():
  a = argparse.ArgumentParser()
  a.add_argument("model")
  a.add_argument("--chores", type=int, default=200)
  a.add_argument("--seed", type=int, default=99)
  a.add_argument("--failures", type=int, default=20)
  a.add_argument("--own-wording", action="store_true")
  a.add_argument("--family")
  a.add_argument("--bare", action="store_true", help="for weights of the first stage: no profile, dense attention")
  o = a.parse_args()
  player, root = Player(o.model, o.bare), generate.scratch()
  solved, total, shown, seed = collections.Counter(), collections.Counter(), 0, o.seed * 10**14
  while sum(total.values()) < o.chores:
    seed += 1
    try:
      w, name, chore, text, _ = chore_at(seed, root, o.own_wording, o.family)
      wanted = generate.play(w, chore)[-1]["content"]
    except (IndexError, ValueError, FileNotFoundError, UnicodeError):
      continue
    if not o.own_wording and chore.key not in held_out.TEMPLATES:
      w.close()
      continue
    after = fingerprint(w)
    w, name, chore, text, earlier = chore_at(seed, root, o.own_wording, o.family)  # the same workspace anew
    answer, log = player.solve(w, text, earlier)
    total[name] += 1
    if answer == wanted and fingerprint(w) == after:
      solved[name] += 1
    elif shown < o.failures:
      shown += 1
      print(f"--- {name} ({chore.key}): {' | '.join([t for t, _ in earlier] + [text])}\n{log}\n  wanted: {wanted}" + ("" if fingerprint(w) == after else "  (files differ)"), flush=True)
    w.close()
  for name in sorted(total):
    print(f"{name:10} {solved[name]:3} of {total[name]:3}")
  print(f"{'all':10} {sum(solved.values()):3} of {sum(total.values()):3}  {100 * sum(solved.values()) / sum(total.values()):.1f} %")


if __name__ == "__main__":
  main()
