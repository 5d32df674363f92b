"""Chores that look: find, search, read values, parts of files, compare."""
import json
import os

from chores import *
from chores_count import number, some_folder
from world import quote, shell


def find_name(w):
  r = w.rng
  kind = r.choice(["exact", "exact", "ext", "ext", "part", "folder"])
  ext = w.extension()
  d = "." if kind == "exact" and r.random() < 0.7 else some_folder(w, 1, 5, ext, 0.5)
  base = "" if d == "." else d + "/"
  there = r.random() < 0.85
  if kind == "exact":
    name = w.file_name()
    if there:
      for _ in range(r.choice([1, 1, 1, 1, 2])):
        w.put(base + r.choice(["", w.folder_name() + "/", w.folder_name() + "/" + w.folder_name() + "/"]) + name)
    w.scatter(1, 4)
    slots = dict(n=wrap_name(w, name), i=in_folder(w, d))
    moods = {"do": ["find [the file] {n} {i}", "locate [the file] {n} {i}", "find out where {n} is {i}", "search for (the file|a file called|a file named) {n} {i}", "find [the|a] file (called|named) {n} {i}", "look for {n} {i}", "look {i} for a file named {n}",
                    "hunt down {n} {i}", "find me {n} {i}", "track down {n} {i}"],
             "q": ["where is {n} {i}", "where is the file {n} {i}", "in which folder is {n} {i}", "where can I find {n} {i}", "where did {n} go {i}", "is there a file (called|named) {n} {i}", "where {i} is {n}",
                   "which (folder|directory) {i} (has|contains|holds) {n}", "do we have a {n} {i}", "where did I put {n} {i}", "what is the path of {n} {i}"],
             "np": ["the path (to|of) {n} {i}", "the location of {n} {i}", "the folder {i} that has {n}"],
             "iq": ["where {n} is {i}", "in which folder {n} is {i}", "where I can find {n} {i}", "if there is a {n} {i}", "where {n} (lives|went|hides) {i}"]}
    command, what = f"find {quote(d)} -name {quote(name)}", f"file named {name}"
  elif kind == "folder":
    name = w.folder_name()
    if there:
      w.fill_folder(base + r.choice(["", w.folder_name() + "/"]) + name, 1, 2)
    w.scatter(1, 3)
    slots = dict(n=wrap_name(w, name), i=in_folder(w, d))
    moods = {"do": ["find the folder {n} {i}", "locate the {n} folder {i}", "find (a|the) folder (called|named) {n} {i}", "look for the {n} folder {i}"],
             "q": ["where is the {n} folder {i}", "where is the folder {n} {i}", "is there a folder (called|named) {n} {i}", "where can I find the folder {n} {i}"],
             "np": ["the path of the {n} folder {i}", "the location of the folder {n} {i}"], "iq": ["where the {n} folder is {i}", "where the folder {n} is {i}"]}
    command, what = f"find {quote(d)} -type d -name {quote(name)}", f"folder named {name}"
  elif kind == "ext":
    if there:
      for _ in range(r.randrange(1, 4)):
        w.put(base + r.choice(["", w.folder_name() + "/"]) + w.file_name(ext))
    slots = dict(E=r.choice([f".{ext}", f".{ext}", f"*.{ext}", ext, f"`.{ext}`"]), e=ext, i=in_folder(w, d), d=spoken_folder(w, d))
    moods = {"do": ["list [all] [the] {E} files {i}", "find [all] [the] {E} files {i}", "show [all] [the] {E} files {i}", "find (every|each) {E} file {i}", "list every {E} file {i}", "list all files (ending in|ending with|with extension) .{e} {i}", "find all files ending in .{e} {i}", "name [all] the {E} files {i}", "enumerate the {E} files {i}",
                    "search {d} for {E} files"],
             "q": ["which {E} files are {i}", "what {E} files are there {i}", "which {E} files does {d} (contain|have)", "where are the {E} files {i}", "are there [any] {E} files {i}", "what are the {E} files {i} called", "which files {i} end (in|with) .{e}", "do we have any {E} files {i}"],
             "np": ["the {E} files {i}", "a list of [all] [the] {E} files {i}", "the names of the {E} files {i}", "all {E} files {i}", "the paths of all {E} files {i}"],
             "iq": ["which {E} files are {i}", "which {E} files there are {i}", "what the {E} files {i} are called"]}
    command, what = f"find {quote(d)} -type f -name '*.{ext}'", f".{ext} file"
  else:
    part = w.word()
    if there:
      for _ in range(r.randrange(1, 4)):
        w.put(base + r.choice(["", w.folder_name() + "/"]) + r.choice([part + "_" + w.word(), w.word() + "-" + part, part + str(r.randrange(99)), w.word() + "_" + part + "_" + w.word()]) + "." + w.extension())
    slots = dict(n=wrap_name(w, part), i=in_folder(w, d))
    moods = {"do": ["find [all] files {i} with {n} in (the|their) name", "list [all] files {i} whose name contains {n}", "find files with a name containing {n} {i}", "search for files {i} with {n} in the (name|filename|file name)", "list files with names that include {n} {i}"],
             "q": ["which files {i} have {n} in (the|their) name", "which file names {i} contain {n}", "what files {i} have a name containing {n}", "which files {i} are named something with {n}"],
             "np": ["the files {i} with {n} in (the|their) name", "the files {i} whose name contains {n}"], "iq": ["which files {i} have {n} in the name"]}
    command, what = f"find {quote(d)} -type f -name '*{part}*'", f"file with {part} in the name"

  facts = dict(folder_searched=d, kind=kind, ext=ext, gives="path" if kind == "exact" else "")

  def play():
    result = yield f"Find {'the' if kind in ('exact', 'folder') else 'each'} {what} {where(d)}.", shell(command)
    rows = [tidy_path(x) for x in body(result) if x]
    if not rows:
      return "Nothing was found.", f"There is no {what} {where(d)}."
    facts["folder" if kind == "folder" else "file" if len(rows) == 1 else "files"] = rows[0] if len(rows) == 1 else rows
    if len(rows) == 1:
      facts["value"] = rows[0]
      return f"It is {rows[0]}.", f"Found it: {rows[0]}."
    return "Got it.", "Found:\n" + "\n".join(body(result))
  return Chore("find", moods, slots, play, "find " + kind, facts)


def text_name(w, plain=True):
  """A file name; with plain one that no settings have, for there "find X in it" asks for a value."""
  while True:
    name = w.file_name()
    if not plain or os.path.splitext(name)[1][1:] not in SETTINGS:
      return name


SETTINGS = "json conf ini toml cfg yml yaml env properties".split()


def search(w):
  r = w.rng
  text = r.choice([w.code, w.code, lambda: w.phrase(1, 4), lambda: w.word().upper(), lambda: f"{w.word()}={w.value()}", lambda: w.word()])()
  d = some_folder(w, 1, 5, None, 0.5)
  base = "" if d == "." else d + "/"
  there = r.random() < 0.87
  kind = r.choice(["files", "files", "lines", "count", "one", "one", "onecount"])
  paths = []
  if there:
    for _ in range(r.choice([1, 1, 1, 2, 3]) if kind != "one" else 1):
      lines = w.text(r.randrange(1, 7)).splitlines()
      for _ in range(r.choice([1, 1, 1, 2])):
        lines.insert(r.randrange(len(lines) + 1), r.choice(["{}", "{} " + w.phrase(1, 3), w.phrase(1, 3) + " {}", w.word() + ": {} " + w.word(), w.word() + " {} " + w.phrase(1, 3), w.word() + " {}"]).replace("{}", text))
      paths.append(w.put(base + r.choice(["", w.folder_name() + "/"]) + text_name(w, kind in ("one", "onecount")), "\n".join(lines) + "\n"))
  t = wrap_name(w, text) if " " not in text else r.choice(["'{}'", '"{}"', "`{}`", "{}"]).replace("{}", text)
  slots = dict(t=t, i=in_folder(w, d), d=spoken_folder(w, d))
  if kind in ("one", "onecount"):
    f = paths[0] if paths else w.put(base + text_name(w))
    f = maybe_missing(w, f, 0.05)
    slots["f"] = spoken_file(w, f)
  facts = dict(text=text, kind=kind)
  if kind == "files":
    facts["gives"] = "name" if len(paths) == 1 else ""
    moods = {"do": ["find [all] [the] files {i} (containing|that contain|that mention) {t}", "list [all] [the] files {i} that contain {t}", "find out which files {i} contain {t}", "search {d} for {t} and tell me which files contain it", "find (the|which) file {i} that (contains|has) [the text] {t}",
                    "search for {t} {i}", "grep for {t} {i}", "search {d} for [the text] {t}", "look for [the text] {t} {i}", "look through the files {i} for {t}", "find the file {i} where {t} (appears|occurs|is mentioned)"],
             "q": ["which files {i} contain [the text] {t}", "which file {i} contains {t}", "which file {i} mentions {t}", "what file {i} has [the text] {t} in it", "where {i} (is|does someone mention) {t} [mentioned]".replace("does someone mention|", ""), "in which file {i} is {t}",
                   "where {i} does {t} (occur|appear|show up)", "which of the files {i} (contain|mention|have|include) {t}", "does any file {i} contain {t}", "who {i} mentions {t}", "in which files {i} does {t} (occur|appear)", "where is {t} (used|mentioned|referenced) {i}"],
             "np": ["the files {i} that (contain|mention|have) {t}", "the name of the file {i} that contains {t}", "the file {i} containing [the text] {t}"],
             "iq": ["which files {i} contain {t}", "which file {i} contains {t}", "where {t} (occurs|appears|is mentioned) {i}", "which file {i} mentions {t}", "if any file {i} contains {t}"]}

    def play():
      rows = body((yield f"Search for {text} {where(d)}.", shell(f"grep -rlF -- {quote(text)} {quote(d)}")))
      if not rows:
        return "Nothing contains it.", f"No file {where(d)} contains {text}."
      if len(rows) > 1:
        return "Got it.", f"{text} is in:\n" + "\n".join(rows)
      p = facts["value"] = facts["file"] = tidy_path(rows[0])
      return f"It is {p}.", f"{text} is in {p}."
  elif kind == "lines":
    moods = {"do": ["show [all] [the] lines {i} (containing|that contain|with) {t}", "find every line {i} that contains {t}", "search {d} for {t} and show the lines", "print the matching lines for {t} {i}", "list the lines {i} that mention {t}", "find where {t} is {i}, with line numbers"],
             "q": ["which lines {i} contain {t}", "on which (line|lines) {i} is {t}", "which lines mention {t} {i}", "at what line {i} does {t} (occur|appear)", "where exactly {i} is {t}, with file and line"],
             "np": ["the lines {i} that contain {t}", "the lines {i} mentioning {t}", "the file and line (number|) {i} where {t} (is|occurs)"], "iq": ["which lines {i} contain {t}", "on which line {i} {t} (is|appears)", "in which file and line {t} is {i}"]}

    def play():
      rows = body((yield f"Search for lines with {text} {where(d)}.", shell(f"grep -rnF -- {quote(text)} {quote(d)}")))
      if not rows:
        return "Nothing contains it.", f"No file {where(d)} contains {text}."
      return "Got it.", "Found:\n" + "\n".join(rows)
  elif kind == "count":
    moods = {"do": ["count the lines {i} that contain {t}", "count how many lines {i} (contain|mention) {t}", "count the occurrences of {t} {i}", "count the matches for {t} in all files {i}"],
             "q": ["how many lines {i} contain {t}", "how often does {t} (occur|appear) {i}", "how many times does {t} (occur|appear|show up) {i}", "how many times is {t} mentioned {i}", "how many lines mention {t} {i}"],
             "np": ["the number of lines {i} that contain {t}", "the number of times {t} (occurs|appears) {i}"], "iq": ["how often {t} (occurs|appears) {i}", "how many lines {i} contain {t}", "how many times {t} occurs {i}"]}

    def play():
      n = facts["value"] = number((yield f"Count the lines with {text} {where(d)}.", shell(f"grep -rF -- {quote(text)} {quote(d)} | wc -l")))
      return f"The count is {n}.", f"{plural(n, 'line')} {where(d)} {'contains' if n == '1' else 'contain'} {text}."
  elif kind == "one":
    moods = {"do": ["find {t} in {f}", "show the (line|lines) (with|containing) {t} in {f}", "search {f} for {t}", "look for {t} in {f}", "find the line (of|in) {f} that contains {t}", "grep {f} for {t}", "find the line number of {t} in {f}", "find out on which line {t} is in {f}"],
             "q": ["which line of {f} contains {t}", "on which line (of|in) {f} is {t}", "where in {f} is {t}", "does {f} contain {t}", "is {t} in {f}", "what line number has {t} in {f}", "does {f} mention {t} [anywhere]", "at which line does {t} appear in {f}", "in {f}, which line has {t}"],
             "np": ["the line number of {t} in {f}", "the line in {f} that contains {t}", "the lines of {f} containing {t}"], "iq": ["which line of {f} contains {t}", "where {t} is in {f}", "if {f} contains {t}", "whether {t} is in {f}", "on which line of {f} {t} is"]}

    def finish(result, p):
      rows = body(result)
      if not rows:
        return "It is not there.", f"{p} does not contain {text}."
      if len(rows) == 1:
        n, line = rows[0].split(":", 1)
        facts.update(file=p, line=n)
        return f"It is at line {n}.", f"{text} is at line {n} of {p}: {line}"
      return "Got it.", f"Found in {p}:\n" + "\n".join(rows)

    def play():
      return (yield from with_file(w, f, f"Search {f} for {text}.", lambda p: f"grep -nF -- {quote(text)} {quote(p)}", finish))
  else:
    moods = {"do": ["count the lines (of|in) {f} that contain {t}", "count how many lines of {f} (contain|mention) {t}", "count the lines with {t} in {f}", "count {t} in {f}"],
             "q": ["how many lines (of|in) {f} contain {t}", "how many times does {t} (occur|appear) in {f}", "how often is {t} in {f}", "how many lines in {f} have {t}", "how often does {f} mention {t}"],
             "np": ["the number of lines (of|in) {f} that contain {t}", "the number of lines with {t} in {f}"], "iq": ["how many lines of {f} contain {t}", "how often {t} occurs in {f}"]}

    def play():
      return (yield from with_file(w, f, f"Count the lines with {text} in {f}.", lambda p: f"grep -cF -- {quote(text)} {quote(p)}",
                                   finish))

    def finish(result, p):
      n = facts["value"] = body(result)[0]
      facts["file"] = p
      return f"The count is {n}.", f"{plural(n, 'line')} of {p} {'contains' if n == '1' else 'contain'} {text}."
  if kind in ("count", "onecount"):
    facts["gives"] = "number"
  return Chore("search", moods, slots, play, "search " + kind, facts)


KEYS = ("port host name user timeout debug level path title version color theme size width height retries token region mode limit interval "
        "url email password database workers threads language format output input depth rate enabled author license owner address cache_dir "
        "log_level max_size min_size font bucket queue batch ttl backend endpoint prefix suffix secret channel topic scale offset").split()


def deep(r, kind):
  """Sometimes an outer section."""
  return r.choice(["app.", "service.", "main.", "site.", "env."]) if kind in ("json", "toml") and r.random() < 0.15 else ""


def config_file(w):
  """A JSON, TOML, INI or key=value file. Returns (text, extension, [(section or None, key, value)])."""
  r = w.rng
  kind = r.choice(["json", "json", "toml", "ini", "env", "yaml"])
  def key():
    return r.choice(KEYS) if r.random() < 0.6 else (w.word() if r.random() < 0.7 else w.word() + "_" + w.word())
  def block(n):
    return {key(): w.value() for _ in range(n)}
  top, sections = block(r.randrange(0 if kind != "env" else 2, 5)), {}
  if kind != "env":
    for _ in range(r.randrange(0 if top else 1, 4)):
      sections[deep(r, kind) + r.choice(["server", "client", "database", "logging", "cache", "paths", "ui", "auth", "build", w.word(), w.word()])] = block(r.randrange(1, 5))
    shared = key()
    if len(sections) > 1 and r.random() < 0.6:
      for s in sections.values():
        s[shared] = w.value()
  else:
    top = {k.upper() if r.random() < 0.7 else k: v for k, v in top.items()}
  for name in list(top):
    if name in sections:
      del top[name]
  items = [(None, k, v) for k, v in top.items()] + [(s, k, v) for s, b in sections.items() for k, v in b.items()]
  is_number = lambda v: v.isdigit() or v in ("true", "false") or (v.count(".") == 1 and v.replace(".", "").isdigit())
  def bare(v):
    return json.loads(v) if is_number(v) and not (len(v) > 1 and v[0] == "0" and v[1] != ".") else v
  if kind == "json":
    tree = {k: bare(v) for k, v in top.items()}
    for s, b in sections.items():
      at = tree
      for part in s.split("."):
        at = at.setdefault(part, {})
      at.update({k: bare(v) for k, v in b.items()})
    text = json.dumps(tree, indent=r.choice([2, 2, 4, 2]) if r.random() < 0.98 else None) + "\n"
    items = [(s, k, json.dumps(bare(v)) if not isinstance(bare(v), str) else v) for s, k, v in items]
  elif kind in ("toml", "ini"):
    q = '"{}"' if kind == "toml" else "{}"
    eq = r.choice([" = ", " = ", "="]) if kind == "ini" else " = "
    show = lambda v: v if is_number(v) else q.replace("{}", v)
    out = [f"{k}{eq}{show(v)}" for k, v in top.items()]
    for s, b in sections.items():
      out += ([""] if out else []) + [f"[{s}]"] + [f"{k}{eq}{show(v)}" for k, v in b.items()]
    if r.random() < 0.2:
      out.insert(0, ("# " if kind == "toml" else "; ") + w.phrase(1, 4))
    text = "\n".join(out) + "\n"
  elif kind == "yaml":
    out = [f"{k}: {v}" for k, v in top.items()]
    for s, b in sections.items():
      out += [f"{s}:"] + [f"  {k}: {v}" for k, v in b.items()]
    text = "\n".join(out) + "\n"
  else:
    text = "".join(f"{k}={v}\n" for k, v in top.items())
  return text, {"json": "json", "toml": "toml", "ini": r.choice(["ini", "ini", "cfg", "conf"]), "env": r.choice(["env", "conf", "properties", "cfg"]), "yaml": r.choice(["yaml", "yml"])}[kind], items


def value_command(path, section, key):
  """Prints the line of a key: in its section alone, where there is one."""
  if not section:
    return f"grep -w -- {quote(key)} {quote(path)}"
  ext, name = path.rsplit(".", 1)[-1], section.split(".")[-1]
  span = {"json": f'/"{name}"/,/}}/p', "yaml": f"/^{name}:/,/^[^ ]/p", "yml": f"/^{name}:/,/^[^ ]/p"}.get(ext, f"/^\\[{section}\\]/,/^\\[/p")
  return f"sed -n '{span}' {quote(path)} | grep -w -- {quote(key)}"


def expect_line(result, key, value):
  """Exactly one line is to come back, with that value of that key; else the workspace will not do."""
  rows = body(result)
  if len(rows) != 1 or key not in rows[0] or value not in rows[0]:
    raise ValueError("another line has that key as well")


def read_value(w):
  r = w.rng
  text, ext, items = config_file(w)
  name = r.choice(["config", "settings", "app", "package", "conf", "options", w.stem(), w.stem(), w.stem()]) + "." + ext
  path = w.put(w.place() + name, text)
  w.scatter(0, 3)
  path = maybe_missing(w, path)
  section, key, value = r.choice(items)
  f = spoken_file(w, path)
  full = key
  say = wrap_name(w, key)
  if section:
    full = f"{section}.{key}"
    say = r.choice([f"{section}.{key}", f"{section}.{key}", f"{key} in the {section} section", f"{key} under {section}", f"{key} in [{section}]", f"the {section} {key}", f"{key} of {section}", f"the {key} of the {section}", f"{key} in section {section}",
                    f"the {key} in {section}", f"{section} -> {key}", f"`{section}.{key}`", f"the {key} (section {section})", f"{section}/{key}", f"the {section}'s {key}"])
    if sum(k == key for _, k, _ in items) == 1 and r.random() < 0.3:
      say, full = wrap_name(w, key), key
  if section is None and r.random() < 0.1:
    say = r.choice([f"the top-level {key}", f"{key} at the top level", f"the key {key}", f"the {key} key", f"the {key} setting", f"the entry {key}", f"the field {key}", f"the {key} field"])
  elif section and r.random() < 0.1:
    say = r.choice([f"the {key} key of the {section} section", f"the {key} setting under [{section}]", f"the value {key} in the section [{section}]", f"the {section} section's {key}", f"{key} (from {section})", f"the key {key} in the table {section}", f"{key} in the {section} object"])
    full = f"{section}.{key}"
  if r.random() < 0.12:
    say = "the " + say if not say.startswith("the ") else say
  slots = dict(k=say, f=f)
  moods = {"do": ["read [the value of] {k} from {f}", "get [the value of] {k} from {f}", "look up {k} in {f}", "look in {f} and tell me {k}", "fetch {k} from {f}", "read {f} and tell me the value of {k}", "extract {k} from {f}", "check {k} in {f}", "open {f} and read {k}", "find the value of {k} in {f}", "pull {k} out of {f}"],
           "q": ["what is {k} set to in {f}", "what is {k} in {f}", "what value does {k} have in {f}", "what does {f} (say for|set|give for) {k}".replace("set|", ""), "in {f}, what is {k}", "which value is set for {k} in {f}", "what's {k} in {f}", "what is the {k} configured in {f}", "which {k} does {f} (define|use|set|specify)", "what {k} is (configured|set|given|defined) in {f}",
                 "{f}: what is {k}", "what does {k} equal in {f}"],
           "np": ["the value of {k} in {f}", "{k} from {f}", "the setting {k} in {f}", "the value for {k} in {f}", "the {k} value from {f}", "the configured value of {k} in {f}", "the value of key {k} in {f}"],
           "iq": ["what {k} is in {f}", "what {k} is set to in {f}", "which value {k} has in {f}", "what {f} has for {k}"]}

  facts = dict(gives="value", items=items, key=full)

  def finish(result, p):
    if not body(result):
      return f"{full} is not there.", f"{p} has no {full}."
    expect_line(result, key, value)
    facts.update(value=value, file=p)
    return f"{full} is {value}.", f"{full} in {p} is {value}."

  inside = section if full != key else None

  def play():
    return (yield from with_file(w, path, f"Read {full} from {path}.", lambda p: value_command(p, inside, key), finish))
  return Chore("value", moods, slots, play, "value", facts)


def missing_value(w):
  """A key that the file does not have."""
  c = read_value(w)
  r = w.rng
  text, ext, items = config_file(w)
  path = w.put(w.place() + w.file_name(ext), text)
  key = w.word() + r.choice(["", "_" + w.word()])
  if any(key == k or key == s for s, k, _ in items):
    return c
  c.slots = dict(k=wrap_name(w, key), f=spoken_file(w, path))

  def play():
    if body((yield f"Read {key} from {path}.", shell(value_command(path, None, key)))):
      raise ValueError("the file has that word")
    return f"{key} is not there.", f"{path} has no {key}."
  c.play, c.key, c.facts = play, "value", {}
  return c


def part_of_file(w):
  r = w.rng
  path = w.put(w.place() + w.file_name(r.choice(["txt", "log", "md", "csv", None])), w.text(r.randrange(3, 14)))
  w.scatter(0, 2)
  path = maybe_missing(w, path)
  kind = r.choice(["first", "last", "head", "tail", "line", "line", "range", "all"])
  n = r.choice([2, 2, 3, 3, 4, 5, 6, 7, 8, 10])
  if kind == "line":
    n = r.randrange(1, 9)
  m = n + r.randrange(1, 4)
  words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
  ordinals = ["zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
  th = {1: "1st", 2: "2nd", 3: "3rd"}.get(n, f"{n}th")
  slots = dict(f=spoken_file(w, path), n=r.choice([str(n), str(n), words[n]]), o=r.choice([th, ordinals[n]]))
  L = {"first": "the (first|opening|very first|top) line", "last": "the (last|final|very last|bottom) line", "head": "the (first|top) {n} lines", "tail": "the (last|final|bottom) {n} lines", "line": "(line {n}|line number {n}|the {o} line|line #{n})", "range": "", "all": "(the content|the contents|the text|everything in it)"}[kind]
  slots["m"] = str(m)
  if kind == "range":
    slots["n"] = str(n)
    moods = {}
  elif kind == "all":
    moods = {"do": ["show {f}", "print {f}", "cat {f}", "show the (content|contents) of {f}", "display {f}", "read {f}", "read {f} and tell me what it says", "open {f}", "print the contents of {f}", "dump {f}"],
             "q": ["what is in {f}", "what does {f} (say|contain)", "what's (in|inside) {f}", "what's written in {f}"], "np": ["the (content|contents|text) of {f}"], "iq": ["what is in {f}", "what {f} (says|contains)"]}
  else:
    moods = {"do": [f"show {L} of {{f}}", f"print {L} of {{f}}", f"read {L} of {{f}}", f"get {L} of {{f}}", f"display {L} of {{f}}", f"quote {L} of {{f}}", f"show {L} from {{f}}"],
             "q": [f"what is {L} of {{f}}", f"what does {L} of {{f}} say", f"what is {L} in {{f}}", "how does {f} " + {"first": "(start|begin)", "last": "end"}.get(kind, "(start|begin)") if kind in ("first", "last") else f"what's {L} of {{f}}", f"what stands in {L} of {{f}}"] if kind not in ("head", "tail") else [f"what are {L} of {{f}}", f"what do {L} of {{f}} say"],
             "np": [f"{L} of {{f}}", f"{L} in {{f}}"], "iq": [f"what {L} of {{f}} says" if kind not in ("head", "tail") else f"what {L} of {{f}} say"]}
  command = {"first": "head -n 1 {}", "last": "tail -n 1 {}", "head": f"head -n {n} {{}}", "tail": f"tail -n {n} {{}}", "line": f"sed -n {n}p {{}}", "range": f"sed -n {n},{m}p {{}}", "all": "cat {}"}[kind]
  facts = dict(gives="line" if kind in ("first", "last", "line") else "", kind=kind)
  name = {"first": "the first line", "last": "the last line", "head": f"the first {n} lines", "tail": f"the last {n} lines", "line": f"line {n}", "range": f"lines {n} to {m}", "all": "the text"}[kind]

  def finish(result, p):
    rows = body(result)
    if not rows or rows == [""]:
      return "It is empty.", f"{p} has no {name.replace('the ', '')}." if kind != "all" else f"{p} is empty."
    facts["file"] = p
    if kind in ("first", "last", "line"):
      facts["value"] = rows[0]
      return "Got it.", f"{name[0].upper() + name[1:]} of {p} is: {rows[0]}"
    return "Got it.", f"{name[0].upper() + name[1:]} of {p}:\n" + "\n".join(rows)

  def again(p):
    return (yield from with_file(w, p, f"Show {p}." if kind == "all" else f"Show {name} of {p}.", lambda p: command.replace("{}", quote(p)), finish))

  def play():
    return (yield from again(path))
  facts["again"] = again
  return Chore("part", moods, slots, play, "part " + kind, facts)


def list_folder(w):
  r = w.rng
  d = some_folder(w, 1, 5, None, 0.45)
  slots = dict(i=in_folder(w, d), d=spoken_folder(w, d))
  moods = {"do": ["list {d}", "list the (files|contents|entries) (of|in) {d}", "show what is {i}", "list everything {i}", "show the (contents|content) of {d}", "list all files and folders {i}", "ls {d}", "show me the files {i}", "list the files {i}", "name the things {i}"],
           "q": ["what is {i}", "which files are {i}", "what files are {i}", "what does {d} contain", "what's {i}", "what do we have {i}", "what files and folders are {i}", "what can you see {i}"],
           "np": ["the contents of {d}", "a list of the files {i}", "the files {i}", "a listing of {d}", "the names of the files {i}"], "iq": ["what is {i}", "which files are {i}", "what {d} contains"]}

  def play():
    rows = body((yield f"List {'this folder' if d == '.' else d}.", shell("ls" if d == "." else f"ls {quote(d)}")))
    if not rows:
      return "It is empty.", f"Nothing is {where(d)}."
    return "Got it.", f"{where(d)[0].upper() + where(d)[1:]}:\n" + "\n".join(rows)
  return Chore("list", moods, slots, play, "list", dict(folder=d))


def cell(w):
  """A table with a header line: the value of a column for a row."""
  r = w.rng
  columns = list(dict.fromkeys(r.choice(KEYS + ["id", "city", "email", "age", "price", "color", "team", "phone", "status", "date", "amount", "country"]) for _ in range(r.randrange(2, 5))))
  head = r.choice(["name", "id", "name", "user", "item", "key", "product", "host", w.term()])
  columns = [head] + [c for c in columns if c != head]
  if len(columns) < 2:
    columns.append("total")
  keys = list(dict.fromkeys(w.term() if r.random() < 0.8 else str(r.randrange(1, 500)) for _ in range(r.randrange(2, 6))))
  value = lambda: r.choice([w.term(), w.term(), str(r.randrange(1, 1000)), f"{w.term()}@{w.term()}.org", f"{r.randrange(100)}.{r.randrange(10, 99)}"])
  rows = [[k] + [value() for _ in columns[1:]] for k in keys]
  sep = r.choice([",", ",", ",", ";", "\t"])
  path = w.put(w.place() + w.file_name("tsv" if sep == "\t" else "csv"), "".join(sep.join(x) + "\n" for x in [columns] + rows))
  w.scatter(0, 2)
  row, k = r.choice(rows), r.randrange(1, len(columns))
  slots = dict(f=spoken_file(w, path), c=columns[k], k=row[0], h=head)

  def play():
    cut = f"""NR==1{{for(i=1;i<=NF;i++)n[$i]=i}} $1=="{row[0]}" && n["{columns[k]}"]{{print $n["{columns[k]}"]}}"""
    yield f"Read {columns[k]} of {row[0]} from {path}.", shell(f"awk -F '[,;\\t]' {quote(cut)} {quote(path)}")
    return f"It is {row[k]}.", f"{columns[k]} of {row[0]} in {path} is {row[k]}."
  return Chore("cell", {}, slots, play, "cell", dict(file=path, gives="value", value=row[k]))
