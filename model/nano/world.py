"""A generated workspace on disk, the three tools that work in it, and random names and contents."""
import os
import re
import shutil
import signal
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = open(os.path.join(HERE, "words.txt"), encoding="utf-8").read().split()
EXTENSIONS = ("txt md log csv json conf ini toml sh py c h cpp js ts html css yml yaml xml dat bak tmp sql rb go rs java out "
              "org cfg lst tsv bin rst tex dump map list data note old").split()
COMMON_FOLDERS = ("src docs data logs build config tests lib assets notes reports backup scripts tmp images archive public drafts "
                  "old inbox app bin include examples tools vendor cache output results input share").split()
COMMON_FILES = ("readme notes todo report config main index data summary draft list log invoice settings utils server client "
                "budget plan recipe journal inventory changelog users orders app setup info letter contacts schedule "
                "total lines words result count names sizes answer output numbers").split()
LETTERS, CONSONANTS = "abcdefghijklmnopqrstuvwxyz", "bcdfghjklmnpqrstvwxz"
SYLLABLES = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
BEGINNINGS, ENDINGS = {}, {}  # the words that begin or end with two or three letters
for _word in WORDS:
  for _n in (2, 3):
    BEGINNINGS.setdefault(_word[:_n], []).append(_word)
    ENDINGS.setdefault(_word[-_n:], []).append(_word)


class World:
  """One workspace. `rng` drives everything, so a seed gives the same conversation."""

  def __init__(self, rng, root):
    self.rng, self.root = rng, root
    self.home = root + ".home"
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    os.makedirs(self.home, exist_ok=True)
    self.names = {}  # in lower case, in their order
    self.clock = rng.randrange(1500000000, 1760000000)

  def close(self):
    shutil.rmtree(self.root, ignore_errors=True)
    shutil.rmtree(self.home, ignore_errors=True)

  # Names.

  def word(self):
    return self.rng.choice(WORDS)

  def nonsense(self):
    """A made-up word: syllables, letters, or the beginning of a known word gone another way."""
    r, k = self.rng, self.rng.random()
    if k < 0.5:
      return self.syllables()
    if k < 0.65:
      return "".join(r.choice(LETTERS) for _ in range(r.randrange(3, 9)))
    if k < 0.75:
      return "".join(r.choice(CONSONANTS) for _ in range(r.randrange(3, 7)))
    word = self.word() if k < 0.93 else r.choice(COMMON_FILES)
    if r.random() < 0.5:
      return word[:r.randrange(2, max(3, len(word)))] + self.syllables(1, 3)
    return self.syllables(1, 3) + word[r.randrange(1, max(2, len(word) - 1)):]

  def syllables(self, low=2, high=4):
    r = self.rng
    text = "".join(r.choice(SYLLABLES) for _ in range(r.randrange(low, high)))
    return text + (r.choice(CONSONANTS) if r.random() < 0.55 else "")

  def term(self):
    """A word for names and values, known or not."""
    return self.word() if self.rng.random() < 0.4 else self.nonsense()

  def like(self, word):
    """Another word that begins or ends as this one: who copies it has to know more than the last token."""
    r, k, n = self.rng, self.rng.random(), self.rng.randrange(2, 4)
    if k < 0.3:
      return r.choice(ENDINGS.get(word[-n:], WORDS))
    if k < 0.45:
      return r.choice(BEGINNINGS.get(word[:n], WORDS))
    if k < 0.8:
      return self.syllables(1, 3) + word[-n:]
    return word[:n] + self.syllables(1, 3)

  def stem(self):
    """A name without extension, in one of many styles, sometimes much like one that is there."""
    r, k = self.rng, self.rng.random()
    if self.names and r.random() < 0.12:
      other = r.choice(list(self.names)).split(".")[0]
      parts = re.split("([_-])", other)
      if parts[-1].isalpha():
        return "".join(parts[:-1]) + self.like(parts[-1]) if r.random() < 0.7 else self.like(parts[0] or other)
    if k < 0.3:
      return self.nonsense()
    if k < 0.42:
      return self.word() + r.choice("_-") + self.word()
    if k < 0.54:
      return self.word()
    if k < 0.61:
      return r.choice(COMMON_FILES)
    if k < 0.75:
      return self.term() + r.choice("_-") + self.term()
    if k < 0.86:
      return self.term() + r.choice(["_", "-", ""]) + str(r.randrange(1, r.choice([10, 100, 3000])))
    if k < 0.89:
      return self.term() + self.term().capitalize()
    if k < 0.92:
      return self.term().capitalize()
    if k < 0.94:
      return "".join(r.choice("0123456789abcdef") for _ in range(r.randrange(4, 9)))
    if k < 0.96:
      return "".join(r.choice(LETTERS + "0123456789") for _ in range(r.randrange(4, 8)))
    if k < 0.975:
      return "%04d-%02d-%02d" % (r.randrange(2015, 2027), r.randrange(1, 13), r.randrange(1, 29))
    return self.term().upper()

  def fresh(self, make):
    for _ in range(50):
      name = make()
      key = name.lower()
      if key not in self.names and not any(key in n or n in key for n in self.names if len(n) > 3 and len(key) > 3):
        self.names[key] = True
        return name
    return make() + str(self.rng.randrange(1000, 9999))

  def folder_name(self):
    r = self.rng
    return self.fresh(lambda: r.choice(COMMON_FOLDERS) if r.random() < 0.4 else self.stem())

  def file_name(self, ext=None):
    if ext is None and self.rng.random() < 0.05:
      r = self.rng
      return self.fresh(lambda: r.choice([self.word().upper(), self.word().capitalize(), self.word(), "Makefile", "README", "LICENSE", "." + self.word(), "TODO", "CHANGES", "Dockerfile", self.stem() + "." + self.word() + "." + r.choice(EXTENSIONS), self.word() + "." + str(r.randrange(1, 20)) + ".log"]))
    ext = ext or self.extension()
    return self.fresh(self.stem) + "." + ext

  def extension(self):
    r = self.rng
    if r.random() < 0.07:
      return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randrange(2, 5)))
    return r.choice(EXTENSIONS[:14] if r.random() < 0.6 else EXTENSIONS)

  def code(self):
    """A token that occurs nowhere else by chance."""
    r, k = self.rng, self.rng.random()
    if k < 0.3:
      return "".join(r.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(r.randrange(2, 5))) + "-" + str(r.randrange(10, 9999))
    if k < 0.5:
      return "".join(r.choice("0123456789abcdef") for _ in range(r.randrange(5, 10)))
    if k < 0.7:
      return self.word() + str(r.randrange(10, 999))
    if k < 0.85:
      return self.word() + "_" + self.word()
    return "".join(r.choice(SYLLABLES) for _ in range(3)).capitalize()

  def phrase(self, low=2, high=7):
    r = self.rng
    unknown = r.choice([0.1, 0.1, 0.4, 1])  # words of a phrase that nobody knows
    words = [self.nonsense() if r.random() < unknown else self.word() for _ in range(r.randrange(low, high))]
    if r.random() < 0.3:
      for i in range(1, len(words)):
        if r.random() < 0.6:
          words[i] = self.like(words[r.randrange(i)])
    return " ".join(words)

  def line(self):
    r, k = self.rng, self.rng.random()
    if r.random() < 0.15:
      x, y, n = self.word(), self.word(), r.randrange(1000)
      return r.choice([
          f"{r.randrange(2018, 2027)}-{r.randrange(1, 13):02d}-{r.randrange(1, 29):02d} {r.choice(['INFO', 'ERROR', 'WARN', 'DEBUG'])} {self.phrase(2, 5)}", f"The {x} is {y}.", f"the {x} {y} of the {self.word()}", f"def {x}({y}):", f"  return {x} + {n}", f"int {x} = {n};",
          f"print(\"{x} {y}\")", f"{x} = {y} + {n}", f"if {x} > {n}:", f"TODO: {self.phrase(1, 4)}", f"\"{x}\": \"{y}\",", f"{x}@{y}.com", f"https://{x}.org/{y}", f"{x} costs ${n}.{r.randrange(10, 99)}", f"[{x}]", f"{n};{x};{y}", f"## {self.phrase(1, 3).title()}",
          f"* {x} ({y})", f"{x}\t{n}", f"{n} {x}", f"{x}, {y} and {self.word()}", f"<{x}>{y}</{x}>", f"echo \"{x} {y}\"", f"#include <{x}.h>", f"{x} -> {y}", f"{x}/{y}/{n}", f"We {x} the {y} today.", f"{x.capitalize()} {y} {n}%", f"{x}: [{n}, {r.randrange(100)}]", f"export {x.upper()}={y}", f"- [ ] {x} {y}", f"{x}'s {y}", f"{x} {y} {x}"])
    if k < 0.5:
      return self.phrase(2, 8)
    if k < 0.6:
      return f"{self.word()}={self.value()}"
    if k < 0.7:
      return f"{self.word()}: {self.phrase(1, 4)}"
    if k < 0.78:
      return "- " + self.phrase(1, 5)
    if k < 0.85:
      return ",".join(self.word() if r.random() < 0.6 else str(r.randrange(1000)) for _ in range(r.randrange(2, 5)))
    if k < 0.92:
      return self.phrase(2, 6).capitalize() + "."
    if k < 0.96:
      return f"{r.randrange(1, 13):02d}:{r.randrange(60):02d} {self.word().upper()} {self.phrase(1, 4)}"
    return self.code()

  def value(self):
    r, k = self.rng, self.rng.random()
    if k < 0.35:
      return str(r.randrange(1, r.choice([10, 100, 10000, 70000])))
    if k < 0.5:
      return self.word()
    if k < 0.6:
      return r.choice(["true", "false"])
    if k < 0.7:
      return f"{r.randrange(10)}.{r.randrange(20)}.{r.randrange(20)}"
    if k < 0.78:
      return f"{self.word()}.{r.choice(['example.com', 'local', 'org', 'net', 'io'])}"
    if k < 0.86:
      return "/" + self.word() + "/" + self.word()
    if k < 0.93:
      return self.code()
    return f"{r.randrange(100)}.{r.randrange(10)}"

  def text(self, lines=None):
    n = lines if lines is not None else self.rng.randrange(1, 9)
    return "".join(self.line() + "\n" for _ in range(n))

  # Files.

  def put(self, path, content=None, age=None):
    """Writes a file with a modification time that no other file has."""
    full = os.path.join(self.root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as f:
      f.write(self.text() if content is None else content)
    self.clock += self.rng.randrange(60, 900000) if age is None else age
    os.utime(full, (self.clock, self.clock))
    return path

  def folder(self, make=True):
    """A folder that exists: one level mostly, sometimes two."""
    name = self.folder_name()
    if self.rng.random() < 0.12:
      name += "/" + self.folder_name()
    if make:
      os.makedirs(os.path.join(self.root, name), exist_ok=True)
    return name

  def place(self):
    """'' (the top) or a new folder with a slash."""
    return "" if self.rng.random() < 0.5 else self.folder() + "/"

  def fill_folder(self, d, low=1, high=6, ext=None):
    base = "" if d == "." else d + "/"
    out = []
    for _ in range(self.rng.randrange(low, high + 1)):
      sub = self.folder_name() + "/" if self.rng.random() < 0.15 else ""
      out.append(self.put(base + sub + self.file_name(ext if ext and self.rng.random() < 0.5 else None)))
    return out

  def scatter(self, low=0, high=4):
    """Bystanders."""
    for _ in range(self.rng.randrange(low, high + 1)):
      self.put(self.place() + self.file_name())

  def exists(self, path):
    return os.path.exists(os.path.join(self.root, path))

  # Tools: what they print is what the program's tools print.

  def run(self, call):
    a = call["arguments"]
    return {"shell": self.shell, "write": self.write, "edit": self.edit}[call["name"]](**a)

  def shell(self, command):
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self.home, "LANG": "C.UTF-8", "TERM": "dumb", "GIT_PAGER": "cat", "PAGER": "cat"}
    p = subprocess.Popen(["/bin/bash", "-c", command], cwd=self.root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, close_fds=False)
    try:
      data = p.communicate(timeout=10)[0]
      end = f"[exit {p.returncode}]" if p.returncode >= 0 else f"[killed by signal {-p.returncode}]"
    except subprocess.TimeoutExpired:
      p.send_signal(signal.SIGKILL)
      data = p.communicate()[0]
      end = "[timed out after 10 s, signal 9]"
    text = data.decode("utf-8", "replace")
    if text and not text.endswith("\n"):
      text += "\n"
    return text + end

  def inside(self, path):
    full = os.path.normpath(os.path.join(self.root, path))
    return full if full.startswith(self.root + "/") else None

  def write(self, path, content):
    full = self.inside(path)
    if full is None or os.path.isdir(full):
      return f"Error: cannot write {path}."
    verb = "Replaced" if os.path.exists(full) else "Created"
    os.makedirs(os.path.dirname(full), exist_ok=True)
    data = content.encode()
    with open(full, "wb") as f:
      f.write(data)
    return f"{verb} {path}, {len(data)} bytes."

  def edit(self, path, old, new):
    full = self.inside(path)
    if full is None or not os.path.isfile(full):
      return f"Error: {path} does not exist."
    with open(full, encoding="utf-8", newline="") as f:
      text = f.read()
    n = text.count(old) if old else 0
    if n == 0:
      return f"Error: the text to replace is not in {path}.\nNothing in the file is close to it."
    if n > 1:
      return f"Error: the text to replace occurs {n} times in {path}; give more context."
    line = text[:text.index(old)].count("\n") + 1
    with open(full, "w", encoding="utf-8", newline="") as f:
      f.write(text.replace(old, new))
    return f"Edited {path} at line {line}."


def shell(command):
  return {"name": "shell", "arguments": {"command": command}}


def write(path, content):
  return {"name": "write", "arguments": {"path": path, "content": content}}


def edit(path, old, new):
  return {"name": "edit", "arguments": {"path": path, "old": old, "new": new}}


def quote(s):
  """Quotes for bash only where needed."""
  if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", s):
    return s
  return "'" + s + "'" if "'" not in s else '"' + s.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`") + '"'


def body(result):
  """The lines of a shell result without its status line."""
  return result.split("\n")[:-1]


def ok(result):
  return result.endswith("[exit 0]")
