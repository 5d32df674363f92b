"""Chores that write text: create files, append and insert lines, set values, delete lines."""
import os
import re

from chores import *
from chores_look import config_file, expect_line, value_command
from world import edit, ok, quote, shell, write


def payload(w):
  """A line of text as people type it without quotes: one to eight words, known or not, numbers, compound names."""
  r, k = w.rng, w.rng.random()
  if k < 0.14:
    return w.term()
  if k < 0.22:
    return r.choice([w.term() + r.choice("-_.") + w.term(), w.term() + w.term().capitalize(), w.term().upper(), w.code()])
  if k < 0.28:
    return str(r.randrange(1, r.choice([10, 100, 1000, 100000])))
  words = [w.nonsense() if r.random() < 0.35 else w.word() for _ in range(r.choice([2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8]))]
  if r.random() < 0.2:
    words[r.randrange(len(words))] = str(r.randrange(1, 1000))
  if r.random() < 0.1:
    words[r.randrange(len(words))] = w.term() + r.choice("-_") + w.term()
  if r.random() < 0.15:
    words[0] = words[0].capitalize()
  return " ".join(words)


def odd_text(w):
  """A line that needs quotes: marks, code, key and value, prices."""
  r = w.rng
  x, y, n = w.term(), w.term(), r.randrange(1000)
  return r.choice([
      f'{{"{x}": {n}}}', f"echo {x}", f'print("{x}")', f"<b>{x}</b>", f"/{x}/{y}", f"{x}@{y}.org", f"https://{x}.com/{y}",
      f"The {x} of {y} is {n}.", f"{r.randrange(2015, 2027)}-{r.randrange(1, 13):02d}-{r.randrange(1, 29):02d}", f"v{n % 10}.{n % 7}.{n % 13}",
      f"{x} = {n}", f"{x}={y}", f"{x}={n}", f"TODO: {x} {y}", f"{x}|{y}|{n}", f"* {x}", f"- {x} {y}", f"{x}: {y}", f"{x}: {n}", f"{x}; {y}",
      f"{x},{y},{n}", f"{x}, {y}", f"# {x} {y}", f"{x} isn't {y}", f"{x} ({y}) & {w.term()}", f"{w.phrase(2, 6).capitalize()}.",
      f"{w.phrase(1, 4).capitalize()}!", f"{x} -> {y}", f"{x}/{y}", f"export {x.upper()}={y}", f"{x} + {n}", f"${n}.50 {x}", f"[{x}]"])


def said(w, rate=0.62):
  """(text, how it is written in the message, whether without quotes)."""
  r = w.rng
  if r.random() < rate:
    text = payload(w)
    return text, text, True
  text = odd_text(w) if r.random() < 0.45 else payload(w)
  forms = ['"{}"', '"{}"', "`{}`"] + (["'{}'", "'{}'"] if "'" not in text else [])
  if '"' in text:
    forms = ["`{}`", "'{}'"] if "'" not in text else ["`{}`"]
  return text, r.choice(forms).replace("{}", text), False


def said_lines(w, low=2, high=4):
  """(lines, how they are written in the message)."""
  r = w.rng
  rows = [w.term() if r.random() < 0.6 else w.phrase(2, 4) if r.random() < 0.7 else str(r.randrange(1000)) for _ in range(r.randrange(low, high + 1))]
  each = [f"'{x}'" for x in rows] if r.random() < 0.2 else [f'"{x}"' for x in rows] if r.random() < 0.25 else rows
  return rows, r.choice([listing(each), ", ".join(each), listing(each), " / ".join(each) if each is rows else ", ".join(each), "\n".join(rows)])


def new_path(w, ext=None):
  r = w.rng
  folder = "" if r.random() < 0.6 else (w.folder() if r.random() < 0.5 else w.folder(make=False)) + "/"
  return folder + w.file_name(ext or (r.choice(["txt", "txt", "md", "log", "csv"]) if r.random() < 0.4 else None))


COUNT_WORDS = {0: "no", 1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


def create_file(w):
  r = w.rng
  kind = r.choices(["line", "lines", "empty", "script", "nested", "nested empty"], [10, 4, 2, 1.3, 1.3, 1])[0]
  path = new_path(w, "sh" if kind == "script" else None)
  w.scatter(0, 3)
  slots = dict(p=wrap_name(w, path) if r.random() < 0.8 else spoken_new(w, path), open=())
  if kind.startswith("nested"):
    folder, name = w.folder(make=False), w.file_name()
    path = f"{folder}/{name}"
    slots.update(d=wrap_name(w, folder), n=wrap_name(w, name))
  if "empty" in kind:
    content = ""
  elif kind in ("line", "nested"):
    text, slots["t"], is_open = said(w)
    slots["open"] = ("t",) if is_open else ()
    content = text + "\n"
  elif kind == "script":
    text, slots["t"], is_open = said(w)
    if re.search(r"""['"$`\\!&;|<>()*#]""", text):
      text = slots["t"] = w.term()
      is_open = True
    slots["open"] = ("t",) if is_open else ()
    content = f'#!/bin/bash\necho "{text}"\n'
  else:
    rows, slots["t"] = said_lines(w)
    slots["c"] = r.choice([COUNT_WORDS[len(rows)], str(len(rows))])
    slots["open"] = ("t",)
    content = "\n".join(rows) + "\n"
    if "\n" in slots["t"]:
      kind = "block"
  if kind == "script":
    thought = f"Create {path}, a script."
  else:
    thought = f"Create {path} with {COUNT_WORDS[content.count(chr(10))]} line{'s' * (content.count(chr(10)) != 1)}."
  if not content:
    thought = f"Create {path}, empty."

  def play():
    yield thought, write(path, content)
    return "It is written.", f"Created {path}."
  return Chore("create", {}, slots, play, "create " + kind, dict(file=path, content=content, created=True))


def spoken_new(w, path):
  """A new file's place and name apart: 'x.txt in the folder y'."""
  folder, name = os.path.split(path)
  if not folder:
    return w.rng.choice([name, f"{name} here", f"./{name}"]) if w.rng.random() < 0.3 else name
  return w.rng.choice(["{n} in {d}", "{n} in the folder {d}", "{n} in the {d} folder", "{n} inside {d}", "{n} under {d}", "{n} in {d}/", "./{d}/{n}", "{n} in the directory {d}"]).replace("{n}", name).replace("{d}", folder)


def heredoc(text):
  return f"<<'EOF'\n{text}\nEOF"


def append_command(path, text):
  return f"sed -i '$a\\' {quote(path)} && cat >> {quote(path)} {heredoc(text)}"


def appending(w, path, text):
  """Adds lines at the end: the steps and the answer."""
  lines = text.count("\n") + 1
  what = "a line" if lines == 1 else "the lines"
  r = yield f"Append {what} to {path}.", shell(append_command(path, text))
  if not ok(r):
    found = yield from look_for(w, path)
    if found is None:
      return f"{path} is nowhere.", f"There is no {path} here, so nothing was changed."
    path = found
    yield f"It is {path}. Append {what}.", shell(append_command(path, text))
  return "It is done.", f"Appended {what} to {path}."


def some_file(w, low=1, high=7, newline=0.85):
  r = w.rng
  text = w.text(r.randrange(low, high))
  return w.put(w.place() + w.file_name(r.choice(["txt", "md", "log", "csv", None, None])), text if r.random() < newline else text.rstrip("\n"))


def append(w):
  r = w.rng
  path = real = some_file(w)
  w.scatter(0, 3)
  kind = r.choices(["append", "append lines", "prepend", "insert"], [10, 1.5, 1, 0.7])[0]
  slots = dict(open=())
  if kind == "append lines":
    rows, slots["t"] = said_lines(w, 2, 3)
    slots["open"] = ("t",)
    text = "\n".join(rows)
  else:
    text, slots["t"], is_open = said(w)
    slots["open"] = ("t",) if is_open else ()
  if kind.startswith("append"):
    path = maybe_missing(w, path, 0.06)
  slots["f"] = spoken_file(w, path)
  if kind in ("prepend", "insert"):
    text = slots["t"] = payload(w)
    slots["open"] = ("t",)
    n = 1 if kind == "prepend" else r.randrange(2, max(3, open(f"{w.root}/{real}", encoding="utf-8").read().count("\n") + 1))
    slots["n"] = str(n)
    what = f"Put a line at the top of {path}." if n == 1 else f"Put a line at line {n} of {path}."

    def play_insert():
      yield what, shell(f"sed -i '{n}i\\{text}' {quote(path)}")
      return "It is done.", f"Inserted line {n} in {path}."
    return Chore("append", {}, slots, play_insert, kind, dict(file=path))

  def play():
    return (yield from appending(w, path, text))
  return Chore("append", {}, slots, play, kind, dict(file=path if w.exists(path) else None, appended=text))


def is_plain(v):
  return v.isdigit() or v in ("true", "false") or re.fullmatch(r"\d+\.\d+", v)


def new_value(w, old):
  """A value of the same kind as the old one."""
  r = w.rng
  if old in ("true", "false"):
    return "false" if old == "true" else "true"
  if old.isdigit():
    return str(r.randrange(1, r.choice([10, 100, 10000, 70000])))
  if re.fullmatch(r"\d+\.\d+", old):
    return f"{r.randrange(1, 50)}.{r.randrange(1, 10)}"
  if re.fullmatch(r"\d+\.\d+\.\d+", old):
    return f"{r.randrange(10)}.{r.randrange(20)}.{r.randrange(20)}"
  return r.choice([w.term(), w.term(), w.term() + r.choice("-_.") + w.term(), "/" + w.term() + "/" + w.term(), w.code()])


def setting(w):
  """A file with settings: (path, text, section, key, old value, the text that sets it, a maker of that text)."""
  r = w.rng
  for _ in range(30):
    text, ext, items = config_file(w)
    section, key, old = r.choice(items)
    forms = [f'"{key}": {old}', f'"{key}": "{old}"', f"{key} = {old}", f'{key} = "{old}"', f"{key}={old}", f"{key}: {old}"]
    found = [x for x in forms if x in text]
    if len(found) == 1 and text.count(found[0]) == 1 and sum(k == key for s, k, v in items) <= (2 if section else 1):
      known = ["config", "settings", "app", "options", "package", "server", "service"]
      path = w.put(w.place() + (r.choice(known) if r.random() < 0.35 else w.stem()) + "." + ext, text)
      alone = sum(k == key for s, k, v in items) == 1
      return path, text, section if section and (not alone or r.random() < 0.5) else None, key, old, found[0]
  return setting(w)


def spoken_key(w, section, key):
  if not section:
    return wrap_name(w, key)
  return w.rng.choice([f"{section}.{key}", f"{section}.{key}", f"{key} in the {section} section", f"{key} under [{section}]", f"{key} in [{section}]",
                       f"the {section} {key}", f"{key} of {section}", f"{key} in section {section}", f"the {key} of the {section} section", f"`{section}.{key}`"])


def set_value(w):
  """A key gets a new value; the old one is not named."""
  r = w.rng
  path, text, section, key, old, line = setting(w)
  new = new_value(w, old)
  for _ in range(9):
    if new == old:
      new = new_value(w, old)
  w.scatter(0, 2)
  kind = "set"
  if old in ("true", "false"):
    kind = r.choice(["set", "set on" if new == "true" else "set off", "set on" if new == "true" else "set off"])
  elif re.fullmatch(r"\d+\.\d+\.\d+", old) and r.random() < 0.5:
    a, b, c = map(int, old.split("."))
    kind = r.choice(["set major", "set minor", "set patch"])
    new = {"set major": f"{a + 1}.0.0", "set minor": f"{a}.{b + 1}.0", "set patch": f"{a}.{b}.{c + 1}"}[kind]
  tell = kind == "set" and r.random() < 0.25
  full = f"{section}.{key}" if section else key
  plan = f"count up its {kind[4:]} version" if kind in ("set major", "set minor", "set patch") else f"set it to {new}"
  slots = dict(f=spoken_file(w, path), k=spoken_key(w, section, key), v=new if r.random() < 0.7 else r.choice(["`{}`", '"{}"', "'{}'"]).replace("{}", new), open=())
  changed = line.replace(old, new) if line.startswith((f'"{key}": {old}',)) or old not in key else None
  if changed is None or line.count(old) != 1:
    i = line.rindex(old)
    changed = line[:i] + new + line[i + len(old):]

  def play():
    expect_line((yield f"Read {full} in {path}. Then {plan}.", shell(value_command(path, section, key))), key, old)
    yield f"{full} is {old}. Set it to {new}.", edit(path, line, changed)
    return "It is done.", f"Set {full} from {old} to {new} in {path}."
  return Chore("set", {}, slots, play, kind + (" tell" if tell else ""), dict(file=path, key=full, old=old, new=new, line=line, changed=changed))


def drop_line(w):
  """Deletes lines by content or number."""
  r = w.rng
  kind = r.choice(["drop text", "drop text", "drop number", "drop last", "drop first"])
  lines = w.text(r.randrange(2, 8)).splitlines()
  token = w.nonsense() if r.random() < 0.6 else w.code()
  times = r.choice([1, 1, 1, 2]) if kind == "drop text" else 0
  for _ in range(times):
    lines.insert(r.randrange(len(lines) + 1), r.choice(["{}", "{} " + w.phrase(1, 3), w.phrase(1, 3) + " {}", w.word() + " {} " + w.word()]).replace("{}", token))
  path = w.put(w.place() + w.file_name(r.choice(["txt", "md", "csv", None])), "\n".join(lines) + "\n")
  w.scatter(0, 2)
  n = r.randrange(1, len(lines) + 1)
  ordinals = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth".split()
  slots = dict(f=spoken_file(w, path), t=wrap_name(w, token), n=str(n), o=ordinals[n] if n < len(ordinals) else f"{n}th")
  if kind == "drop text":
    def play():
      rows = body((yield f"Find {token} in {path}. Then delete its lines.", shell(f"grep -nF -- {quote(token)} {quote(path)}")))
      if not rows:
        return "It is not there.", f"{path} has no line with {token}, so nothing was changed."
      at = [x.split(":", 1)[0] for x in rows]
      yield f"It is at line {listing(at)}." if len(at) == 1 else f"It is at lines {listing(at)}.", shell(f"sed -i '{';'.join(x + 'd' for x in at)}' {quote(path)}")
      return "It is done.", f"Deleted {'line' if len(at) == 1 else 'lines'} {listing(at)} of {path}."
  else:
    what = {"drop number": f"line {n}", "drop last": "the last line", "drop first": "line 1"}[kind]
    code = {"drop number": f"{n}d", "drop last": "$d", "drop first": "1d"}[kind]

    def play():
      yield f"Delete {what} of {path}.", shell(f"sed -i '{code}' {quote(path)}")
      return "It is done.", f"Deleted {what} of {path}."
  return Chore("drop", {}, slots, play, kind, dict(file=path))
