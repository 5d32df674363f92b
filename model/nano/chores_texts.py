"""Chores about the lines of files: empty ones, first and last words, what follows a text, the longest file, empty files."""
import re

from chores import *
from chores_count import number, some_folder
from chores_look import text_name
from chores_tests import NUMBERS
from world import quote, shell

MARKS = {"#": ["a hash", "a hash sign", "a #"], ";": ["a semicolon", "a ;"], ",": ["a comma"], ".": ["a full stop", "a period", "a dot"], ":": ["a colon"],
         "-": ["a dash", "a hyphen", "a minus sign"], "*": ["an asterisk", "a star"], "!": ["an exclamation mark"], "?": ["a question mark"], "}": ["a closing brace"], "@": ["an at sign"]}


def pattern(text):
  """A text as a basic regular expression."""
  return re.sub(r"([\\.*\[\]^$])", r"\\\1", text)


def text_lines(w):
  """How many lines are empty, or start or end with a text."""
  r = w.rng
  kind = r.choice(["blank", "blank", "starts", "starts", "ends"])
  lines = w.text(r.randrange(1, 9)).splitlines()
  text = said = ""
  if kind == "blank":
    for _ in range(r.choice([0, 1, 1, 2, 2, 3, 4])):
      lines.insert(r.randrange(len(lines) + 1), "")
  else:
    k = r.random()
    if k < 0.25:
      text = r.choice(list("#-*;@!") if kind == "starts" else list(";,.:}!?"))
      said = r.choice(MARKS[text] + [f"'{text}'", f'"{text}"', f"`{text}`"])
    else:
      text = w.rng.choice([w.term, w.term, w.code, lambda: w.term().upper(), lambda: w.term() + ":" * (kind == "starts"), lambda: w.phrase(2, 3), lambda: r.choice(["TODO", "ERROR", "//", "INFO", "WARN", "import", "def"])])()
      said = wrap_name(w, text) if " " not in text else r.choice(["'{}'", '"{}"', "`{}`", "{}"]).replace("{}", text)
    for _ in range(r.choice([0, 1, 1, 2, 2, 3, 4])):
      more = w.phrase(1, 4)
      gap = "" if text in MARKS else " "
      lines.insert(r.randrange(len(lines) + 1), text + gap + more if kind == "starts" else more + gap + text)
    if r.random() < 0.4:
      lines.insert(r.randrange(len(lines) + 1), w.word() + " " + text + " " + w.word())
  path = w.put(w.place() + text_name(w), "".join(x + "\n" for x in lines))
  w.scatter(0, 3)
  path = maybe_missing(w, path)
  verb = kind[:-1]
  expression = {"blank": "^$", "starts": "^" + pattern(text), "ends": pattern(text) + "$"}[kind]
  thought = "Count the empty lines" if kind == "blank" else f"Count the lines that {verb} with {text}"
  facts = dict(gives="number")

  def finish(result, p):
    n = facts["value"] = body(result)[0]
    facts["file"] = p
    if kind == "blank":
      return f"The count is {n}.", f"{p} has {plural(n, 'empty line')}."
    return f"The count is {n}.", f"{plural(n, 'line')} of {p} {kind if n == '1' else verb} with {text}" + ("" if text in ".?!" else ".")

  def again(p):
    return (yield from with_file(w, p, f"{thought} in {p}.", lambda p: f"grep -c '{expression}' {quote(p)}", finish))

  def play():
    return (yield from again(path))
  facts["again"] = again
  return Chore("lines", {}, dict(f=spoken_file(w, path), t=said, open=("t",) if " " in said and said == text else ()), play, "lines " + kind, facts)


def most_lines(w):
  """The file of a folder with the most or the fewest lines."""
  r = w.rng
  ext = w.extension() if r.random() < 0.25 else None
  d = some_folder(w, 2, 6, ext)
  base = "" if d == "." else d + "/"
  if ext:
    w.put(base + w.file_name(ext))
  most = r.random() < 0.65
  w.put(base + w.file_name(ext), w.text(r.randrange(9, 20) if most else 1 if r.random() < 0.7 else 0))
  E = f".{ext} " if ext else ""
  word = "most" if most else "fewest"
  slots = dict(i=in_folder(w, d), d=spoken_folder(w, d), E=E, m="most" if most else r.choice(["fewest", "least", "fewest"]), l="longest" if most else "shortest")
  include = f"--include='*.{ext}' " if ext else ""
  facts = dict(folder=d, gives="name")

  def play():
    rows = body((yield f"Find the {E}file with the {word} lines {where(d)}.", shell(f"grep -rc {include}'' {quote(d)} | sort -t: -k2 -{'rn' if most else 'n'} | head -n 1")))
    p, n = rows[0].rsplit(":", 1)
    p = facts["value"] = facts["file"] = tidy_path(p)
    return f"It is {p}.", f"The {E}file with the {word} lines {where(d)} is {p} with {plural(n, 'line')}."
  return Chore("lines", {}, slots, play, "lines " + ("most" if most else "fewest"), facts)


def find_empty(w):
  """Empty files or empty folders."""
  r = w.rng
  kind = r.choice(["file", "file", "folder"])
  d = some_folder(w, 1, 5, None, 0.5)
  base = "" if d == "." else d + "/"
  n = r.choice([0, 1, 1, 1, 2, 2, 3])
  for _ in range(n):
    at = base + (w.folder_name() + "/" if r.random() < 0.3 else "")
    if kind == "file":
      w.put(at + w.file_name(), "")
    else:
      w.shell(f"mkdir -p {quote(at + w.folder_name())}")
  slots = dict(i=in_folder(w, d), d=spoken_folder(w, d))
  command = f"find {quote(d)} -type f -empty" if kind == "file" else f"find {quote(d)} -mindepth 1 -type d -empty"
  facts = dict(folder_searched=d)

  def play():
    rows = [tidy_path(x) for x in body((yield f"Find each empty {kind} {where(d)}.", shell(command)))]
    if not rows:
      return "Nothing was found.", f"There is no empty {kind} {where(d)}."
    if len(rows) == 1:
      facts["file" if kind == "file" else "folder"] = rows[0]
      return f"It is {rows[0]}.", f"Found it: {rows[0]}."
    return "Got it.", f"Found: {series(rows)}."
  return Chore("find", {}, slots, play, f"find empty {kind}", facts)


def search_after(w):
  """What stands after a text on its line."""
  r = w.rng
  text = r.choice([w.code, w.term, w.term, lambda: w.term().capitalize(), lambda: w.term().upper(), lambda: w.phrase(2, 3)])()
  rest = r.choice([lambda: w.phrase(1, 4), w.value, w.term, lambda: str(r.randrange(1, 10000))])()
  lines = [x for x in w.text(r.randrange(1, 7)).splitlines() if text not in x]
  lines.insert(r.randrange(len(lines) + 1), (w.phrase(1, 3) + " " if r.random() < 0.2 else "") + text + r.choice([": ", ": ", ":", " ", " ", "=", " = "]) + rest)
  path = w.put(w.place() + text_name(w), "\n".join(lines) + "\n")
  w.scatter(0, 2)
  path = maybe_missing(w, path, 0.05)
  said = wrap_name(w, text) if " " not in text else r.choice(["'{}'", '"{}"', "`{}`", "{}"]).replace("{}", text)
  facts = dict(gives="text")

  def finish(result, p):
    rows = body(result)
    if not rows:
      return "It is not there.", f"{p} does not contain {text}."
    after = facts["value"] = rows[0].split(text, 1)[1].lstrip(" :=")
    facts["file"] = p
    return f"It is {after}.", f"After {text} in {p} comes: {after}"

  def play():
    return (yield from with_file(w, path, f"Read what follows {text} in {path}.", lambda p: f"grep -F -- {quote(text)} {quote(p)}", finish))
  return Chore("search", {}, dict(f=spoken_file(w, path), t=said), play, "search after", facts)


def search_function(w):
  """Which script defines a shell function."""
  r = w.rng
  make = lambda: r.choice(r.choice(NUMBERS)[0].split()) if r.random() < 0.3 else r.choice([w.term(), w.term() + "_" + w.term()])
  plain = lambda: re.sub(r"\W", "_", make())
  name = plain()
  d = w.folder() if r.random() < 0.5 else "."
  base = "" if d == "." else d + "/"
  there = r.random() < 0.9
  form = r.choice(["{}() {", "{}() {", "{} () {"])
  paths = [base + w.file_name("sh") for _ in range(r.randrange(2, 5))]
  for k, path in enumerate(paths):
    names = [x for x in (plain() for _ in range(r.randrange(0, 3))) if x != name and name not in x] + ([name] if k == 0 and there else [])
    r.shuffle(names)
    rows = ["#!/bin/bash"] if r.random() < 0.5 else []
    for x in names:
      rows += [form.replace("{}", x), f"  echo {w.term()}", "}"]
    if k and r.random() < 0.6:
      rows.append(f"{name} {w.term()}")
    w.put(path, "\n".join(rows or [f"echo {w.term()}"]) + "\n")
  slots = dict(i=in_folder(w, d), d=spoken_folder(w, d), n=r.choice([wrap_name(w, name), wrap_name(w, name), name + "()"]))
  facts = dict(gives="name")

  def play():
    rows = [tidy_path(x) for x in body((yield f"Search for the function {name} {where(d)}.", shell(f"grep -rl '{name} *()' {quote(d)}")))]
    if not rows:
      return "Nothing defines it.", f"No script {where(d)} defines {name}."
    if len(rows) == 1:
      facts["value"] = facts["file"] = rows[0]
    return f"It is in {series(rows)}.", f"{name} is defined in {series(rows)}."
  return Chore("search", {}, slots, play, "search function", facts)


def search_file_count(w):
  """In how many files a text occurs."""
  r = w.rng
  text = r.choice([w.code, w.code, w.nonsense, w.term, lambda: w.phrase(2, 3), lambda: w.word().upper()])()
  d = some_folder(w, 1, 4, None, 0.5)
  base = "" if d == "." else d + "/"
  for _ in range(r.choice([0, 1, 2, 2, 3, 4])):
    lines = w.text(r.randrange(1, 5)).splitlines()
    for _ in range(r.choice([1, 1, 2])):
      lines.insert(r.randrange(len(lines) + 1), r.choice(["{}", "{} " + w.phrase(1, 3), w.phrase(1, 3) + " {}", w.word() + ": {}"]).replace("{}", text))
    w.put(base + w.file_name(), "\n".join(lines) + "\n")
  said = wrap_name(w, text) if " " not in text else r.choice(["'{}'", '"{}"', "`{}`", "{}"]).replace("{}", text)
  facts = dict(text=text, folder=d, gives="number")

  def play():
    n = facts["value"] = number((yield f"Count the files with {text} {where(d)}.", shell(f"grep -rlF -- {quote(text)} {quote(d)} | wc -l")))
    return f"The count is {n}.", f"{plural(n, 'file')} {where(d)} {'contains' if n == '1' else 'contain'} {text}."
  return Chore("search", {}, dict(t=said, i=in_folder(w, d), d=spoken_folder(w, d)), play, "search file count", facts)
