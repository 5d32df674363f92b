#!/usr/bin/env python3
"""Makes training conversations: generated workspaces, real commands, their real output.

  generate.py OUT_FOLDER --shards N [--per-shard 2000] [--seed 1] [--tokenizer tokenizer.json]
  generate.py --show 5 [--family NAME]      prints conversations
  generate.py --learn-tokenizer 8000        trains tokenizer.json from that many conversations
"""
import argparse
import atexit
import os
import random
import shutil
import sys
import tempfile
import time

import numpy as np

import chat
import phrases
import tokenizer as bpe
from chores import Chore, planned
from chores_chain import chain
from chores_change import delete, make_folder, move, rename, replace, tidy
from chores_count import count_files, count_lines, disk_use, largest, newest, total_lines
from chores_follow import after
from chores_git import git_branch, git_commit, git_diff, git_log, git_numbers, git_status
from chores_compare import compare
from chores_look import cell, find_name, list_folder, missing_value, part_of_file, read_value, search
from chores_missing import missing
from chores_pairs import append_both, bytes_of_kind, larger_folder, move_some, newer_of_two
from chores_runs import count_passes, exit_code, folder_tests, test_value
from chores_talk import refuse, talk
from chores_tests import fix_one, fix_tests, run_tests
from chores_texts import find_empty, most_lines, search_after, search_file_count, search_function, text_lines
from chores_values import nested_value, switch_value
from chores_write import append, create_file, drop_line, set_value
from world import WORDS, World

FAMILIES = {  # family: (maker, weight)
    "count": (count_files, 8), "lines": (count_lines, 6), "total": (total_lines, 2), "largest": (largest, 6),
    "newest": (newest, 5), "disk": (disk_use, 6), "find": (find_name, 9), "search": (search, 12), "value": (read_value, 9),
    "no value": (missing_value, 1.5), "cell": (cell, 4), "missing": (missing, 6), "part": (part_of_file, 7), "list": (list_folder, 3), "compare": (compare, 11),
    "text lines": (text_lines, 5), "most lines": (most_lines, 3), "find empty": (find_empty, 4),
    "search after": (search_after, 3), "search function": (search_function, 2), "search file count": (search_file_count, 2),
    "newer of two": (newer_of_two, 3), "larger folder": (larger_folder, 2), "bytes of kind": (bytes_of_kind, 2),
    "append both": (append_both, 3), "move some": (move_some, 7),
    "nested value": (nested_value, 7), "switch value": (switch_value, 3),
    "create": (create_file, 12), "append": (append, 13), "rename": (rename, 7), "move": (move, 9), "delete": (delete, 4),
    "mkdir": (make_folder, 4), "replace": (replace, 13), "set": (set_value, 8), "drop": (drop_line, 4), "tidy": (tidy, 2.5),
    "branch": (git_branch, 5), "log": (git_log, 7), "status": (git_status, 6), "diff": (git_diff, 5), "commit": (git_commit, 2), "git numbers": (git_numbers, 2.5),
    "passes": (count_passes, 2), "test value": (test_value, 3), "exit code": (exit_code, 2), "folder tests": (folder_tests, 2),
    "tests": (run_tests, 12), "fix": (fix_tests, 30), "fix one": (fix_one, 100), "chain": (chain, 34), "refuse": (refuse, 7), "talk": (talk, 1.5),
}
GIT = {"branch", "log", "status", "diff", "commit", "git numbers"}
RUNS = {"tests", "fix", "fix one", "passes", "test value", "exit code", "folder tests"}
ALONE = {"refuse", "talk", "chain", "missing"} | GIT | RUNS  # not joined with another chore
LOOKS = ["branch", "log", "status"]  # of a repository: joined with each other
SLOW = GIT | RUNS | {"chain", "missing"}
MAX_TOKENS = 1000


def pick(rng, names=None):
  names = names or list(FAMILIES)
  return rng.choices(names, [FAMILIES[n][1] for n in names])[0]


def moods_of(chore):
  """A chore's own templates and the further ones."""
  extra = phrases.TABLE.get(chore.key, {})
  return {k: chore.moods.get(k, []) + extra.get(k, []) for k in ("do", "q", "np", "iq", "free")}


def play(w, chore, thinking=True):
  """Runs a chore against the real tools. Returns the steps of the turn."""
  steps, game = [], chore.play()
  try:
    thought, call = next(game)
    while True:
      result = w.run(call)
      steps.append({"think": thought, "content": "", "calls": [call], "results": [result]})
      thought, call = game.send(result)
  except StopIteration as end:
    thought, answer = end.value
    steps.append({"think": thought, "content": answer})
  return steps


def joined(w, rng, names):
  """Two chores in one message: the second begins in the thought that ends the first."""
  first, second = (FAMILIES[n][0](w) for n in names)
  a = phrases.ask(rng, moods_of(first), first.slots, WORDS, bare=True)
  ask = moods_of(second)
  b = phrases.ask(rng, {"do": ask["do"]} if ask["do"] and rng.random() < 0.6 else ask, second.slots, WORDS, bare=True)
  if "\n" in a or first.slots.get("open"):  # where unquoted text ends could not be seen
    return None
  a = a.rstrip(".!?")
  text = rng.choice(["{a} and then {b}", "{a}, then {b}", "{a}. Then {b}", "first {a}, then {b}", "{a} and {b}", "{a}. After that, {b}", "{a}; also {b}", "{a}, and {b}", "first {a}, and after that {b}", "{a}. Also {b}", "two things: {a}; {b}", "{a}. And {b}",
                     "{a}, after that {b}", "please {a} and then {b}", "could you {a} and then {b}?", "1. {a}\n2. {b}", "1) {a} 2) {b}", "{a}. Next, {b}", "{a}. When that is done, {b}", "{a}, finally {b}", "{a}. Afterwards {b}"])
  text = text.replace("{a}", a).replace("{b}", b)

  def both():
    game = second.play()
    next_thought, call = next(game)
    thought, answer = yield from planned(first.play(), next_thought[0].lower() + next_thought[1:].rstrip("."))
    try:
      next_thought = f"{thought} Next: {next_thought}"
      while True:
        result = yield next_thought, call
        next_thought, call = game.send(result)
    except StopIteration as end:
      thought2, answer2 = end.value
    return thought2, answer + ("\n" if "\n" in answer else " ") + answer2
  return phrases.sentence_case(text, rng), Chore("two chores", {}, {}, both)


def opening(w, rng, names, pairs):
  """A chore and its message, sometimes two chores in one."""
  name = pick(rng, names)
  if pairs and rng.random() < 0.08:
    mates = LOOKS if name in LOOKS else [n for n in FAMILIES if n not in ALONE] if name not in ALONE else []
    made = mates and joined(w, rng, (name, pick(rng, mates)))
    if made:
      return made[1], made[0]
  chore = FAMILIES[name][0](w)
  return chore, phrases.ask(rng, moods_of(chore), chore.slots, WORDS)


def conversation(seed, root, families=None):
  """A list of (user text, steps, family, other ways to ask) made in one workspace, or None where the chores did not fit together."""
  rng = random.Random(seed)
  w = World(rng, root)
  try:
    turns, before = [], None
    more = 0 if families and families != ["follow"] else rng.choices([0, 1, 2], [55, 31, 14])[0]
    names = [n for n in FAMILIES if n not in ("refuse", "talk")] if families == ["follow"] else families
    for i in range(1 + more):
      chore = after(w, before) if before and (families or rng.random() < 0.85) else None
      if chore is None and i > 0 and families:
        break
      if chore is None:
        chore, text = opening(w, rng, names or [n for n in FAMILIES if i == 0 or n not in SLOW], not families)
      else:
        text = phrases.ask(rng, moods_of(chore), chore.slots, WORDS)
      again = [] if chore.family == "two chores" else [phrases.ask(rng, moods_of(chore), chore.slots, WORDS) for _ in range(1 if turns or chore.family == "fix one" else 10)]
      turns.append((text, play(w, chore), chore.family, again))
      before = chore
    return turns
  finally:
    w.close()


def beginning(text, steps, rng):
  """The turn up to the end of its first thought, sometimes of its first call: what is to be done is decided there."""
  pieces = chat.turn_pieces(text, steps, True, sampled=True)
  if len(steps) > 1:
    text_in_call = steps[0]["calls"][0]["name"] != "shell" or "<<" in steps[0]["calls"][0]["arguments"]["command"]
    if rng.random() > (0.6 if text_in_call else 0.15):
      return pieces[:6]
  return pieces[:8]


def samples(turns, rng):
  """One training sample per turn: earlier turns stripped of their reasoning, loss on the last turn only. Then the beginnings
  of that turn as other words would have asked for it, which are cheap: (pieces, whether it is a whole turn)."""
  thinking = rng.random() >= 0.02
  for i in range(len(turns)):
    pieces = []
    for text, steps, *_ in turns[:i]:
      pieces += chat.turn_pieces(text, steps, False)
    text, steps, _, again = turns[i]
    yield pieces + chat.turn_pieces(text, steps, True, thinking, sampled=True), True
    for other in again:
      yield pieces + beginning(other, steps, rng), False


def scratch():
  base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
  folder = tempfile.mkdtemp(prefix="nano-", dir=base)
  atexit.register(shutil.rmtree, folder, True)
  return folder + "/work"


def many(first_seed, root, families=None):
  seed = first_seed
  while True:
    try:
      turns = conversation(seed, root, families)
    except (IndexError, ValueError, FileNotFoundError, UnicodeError) as problem:  # a chore that did not fit its workspace
      print(f"seed {seed} skipped: {type(problem).__name__}: {problem}", file=sys.stderr)
      turns = None
    if turns:
      yield seed, turns
    seed += 1


def write_shard(path, tok, source, count, rng):
  ids, own, starts, whole = [], [], [0], 0
  while whole < count:
    _, turns = next(source)
    for pieces, is_whole in samples(turns, rng):
      a, b = chat.encode(tok, pieces)
      if len(a) <= MAX_TOKENS:
        ids += a
        own += b
        starts.append(len(ids))
        whole += is_whole
  np.savez(path + ".tmp.npz", ids=np.array(ids, np.uint16), own=np.array(own, np.uint8), starts=np.array(starts, np.int64))
  os.rename(path + ".tmp.npz", path)


def main():
  here = os.path.dirname(os.path.abspath(__file__))
  a = argparse.ArgumentParser()
  a.add_argument("out", nargs="?")
  a.add_argument("--shards", type=int, default=10)
  a.add_argument("--first", type=int, default=0)
  a.add_argument("--per-shard", type=int, default=2000)
  a.add_argument("--seed", type=int, default=1)
  a.add_argument("--tokenizer", default=os.path.join(here, "tokenizer.json"))
  a.add_argument("--show", type=int)
  a.add_argument("--family")
  a.add_argument("--learn-tokenizer", type=int)
  o = a.parse_args()
  root = scratch()
  families = [o.family] if o.family else None
  if o.show:
    source = many(o.seed * 10**9, root, families)
    for _ in range(o.show):
      seed, turns = next(source)
      for text, steps, family, _ in turns:
        print("".join(p[0] for p in chat.turn_pieces(text, steps, True)), f"\n----- {family} {seed}\n")
    return
  if o.learn_tokenizer:
    source = many(7 * 10**12, root)
    profile = chat.profile()
    texts = [(t, 40) for t, special, _ in chat.open_pieces(profile["system"], profile["tools"]) if not special]
    texts += [(" " + word, 3) for word in WORDS]
    for _ in range(o.learn_tokenizer):
      for text, steps, *_ in next(source)[1]:
        texts += [(t, 1) for t, special, _ in chat.turn_pieces(text, steps, True) if not special]
    tok = bpe.train(texts, 2450, 800)
    counts = np.zeros(len(tok.tokens), int)
    for text, weight in texts:
      if weight != 3:  # the bare word list teaches pieces, it is no sign of use
        np.add.at(counts, tok.encode(text), weight)
    bpe.pruned(tok, counts, o.learn_tokenizer // 30).save(o.tokenizer)
    return
  tok = bpe.Tokenizer.load(o.tokenizer)
  os.makedirs(o.out, exist_ok=True)
  for shard in range(o.first, o.first + o.shards):
    began = time.time()
    rng = random.Random(o.seed * 1000 + shard)
    write_shard(os.path.join(o.out, f"shard-{shard:04d}.npz"), tok, many((o.seed * 10000 + shard) * 10**6, root, families), o.per_shard, rng)
    print(f"shard {shard}: {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
  main()
