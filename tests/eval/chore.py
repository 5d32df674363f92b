"""What a chore is: a small workspace, what a person types, and how the outcome is judged.

A *scene* fills a World (files, ages, a git repository, all with seeded random names) and returns
facts: the names and values that the wordings, oracles and expectations refer to as {name}.
A chore is a scene and one or more turns. Each turn has a wording, an oracle (a shell command that
does the chore right and prints an acceptable answer; it tests the checks) and expectations.
"""
import dataclasses
import os
import pathlib
import random
import re
import subprocess

WORDS = """amber anchor apple attic badge barrel basil beacon birch blanket border bottle branch
bridge bucket butter cabin candle canyon carpet cedar cellar chalk cherry cinder clover cobalt
copper coral cotton cradle crystal daisy dancer delta desert dolphin drum eagle ember engine
fabric falcon feather fern fiddle flint forest fountain galaxy garden ginger glacier granite
harbor hazel heron hollow honey island ivory jacket jasper jungle kettle ladder lantern lemon
lilac linen lizard magnet maple marble meadow melon mirror moss mustard needle nickel nutmeg oasis
ocean olive onion orchid otter oyster paddle panda pebble pepper pigeon pillow planet plum pocket
poplar prairie pumpkin quartz rabbit raven ribbon ripple river rocket saddle saffron salmon satin
shadow silver sparrow spider spruce stable summit tablet temple thistle thunder timber topaz tulip
tunnel turtle valley velvet violet walnut willow window winter yellow zebra""".split()

GIT_SETUP = """git init -q -b {branch}
git config user.name {author}
git config user.email {author}@example.org
git config commit.gpgsign false
"""


class World:
    """A workspace in the making. Names never repeat within one world."""

    def __init__(self, seed):
        self.rng = random.Random("corvid-eval/" + seed)
        self.files = {}    # path -> text
        self.folders = set()
        self.ages = {}     # path -> seconds before now
        self.script = []   # shell lines, run in the workspace after the files are there
        self.modes = {}
        self.used = set()

    def name(self):
        rng = self.rng
        while True:
            style = rng.random()
            if style < 0.55:
                name = "".join(rng.choice("bdfghjklmnprstvwz") + rng.choice("aeiou")
                               for _ in range(rng.randint(2, 3))) + rng.choice(["", "n", "r", "x"])
            elif style < 0.75:
                name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(5, 8)))
            elif style < 0.9:
                name = rng.choice(WORDS) + rng.choice(["_", "-"]) + rng.choice(WORDS)
            else:
                name = "".join(rng.choices("abcdefghkmnpqrstuvwxyz", k=4)) + str(rng.randint(2, 99))
            if not any(name in other or other in name for other in self.used):
                self.used.add(name)
                return name

    def word(self):
        while True:
            word = self.rng.choice(WORDS)
            if word not in self.used:
                self.used.add(word)
                return word

    def words(self, n):
        return " ".join(self.rng.choice(WORDS) for _ in range(n))

    def lines(self, n, words=(3, 7)):
        return "".join(self.words(self.rng.randint(*words)) + "\n" for _ in range(n))

    def number(self, low, high):
        """A number whose digits are no other number of this world."""
        while True:
            number = self.rng.randint(low, high)
            if str(number) not in self.used:
                self.used.add(str(number))
                return number

    def file(self, path, text, age=None):
        self.files[path] = text
        if age is not None:
            self.ages[path] = age
        return path

    def build(self, root):
        for path, text in self.files.items():
            full = root / path
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_text(text)
            full.chmod(self.modes.get(path, 0o644))
        for folder in self.folders:
            (root / folder).mkdir(parents=True, exist_ok=True)
        if self.script:
            subprocess.run(["bash", "-ec", "\n".join(self.script)], cwd=root, check=True,
                           env=shell_environment(root), stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)
        now = 1_780_000_000
        for path in self.files:
            os.utime(root / path, (now - self.ages.get(path, 50_000_000),) * 2)


def shell_environment(home):
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8",
            "GIT_PAGER": "cat", "PAGER": "cat", "TERM": "dumb", "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_DATE": "2026-03-04T05:06:07Z", "GIT_COMMITTER_DATE": "2026-03-04T05:06:07Z"}


@dataclasses.dataclass
class Turn:
    wording: str            # as typed, with {facts}
    oracle: str             # a shell command: does it, and prints a good answer
    says: tuple = ()        # each must stand in the answer; an item "@fact" is every one of a list
    any_of: tuple = ()      # at least one must stand in the answer
    lacks: tuple = ()       # none may stand in the answer
    pick: tuple = None      # (right, "@candidates"): named, and before any other candidate
    means: str = None       # one of MEANINGS
    limit: int = 700        # a longer answer answers everything and so nothing


@dataclasses.dataclass
class Chore:
    family: str
    id: str
    turns: list
    scene: object
    after: dict             # path -> text, or None: gone; "folder/" -> "" or None
    check: str = None       # a shell command that must succeed in the workspace afterwards
    may_change: tuple = ()  # paths judged by `check` alone

    def stage(self):
        world = World(self.id)
        facts = self.scene(world)
        return world, facts


MEANINGS = {
    "missing": r"no such|not exist|n't exist|not found|no file|no folder|(cannot|can't|couldn't|"
               r"could not|did not|didn't) (be )?(find|found|locate|read|open|see)|missing|"
               r"there is no|there's no|isn't (there|here|any)|is not (there|here|present|set)|"
               r"has no |no key|doesn't have|does not have|doesn't contain|does not contain|"
               r"nothing (to|called|named)|not (a|in a) git|isn't a git",
    "beyond": r"--model\b",
    "none": r"\bno\b|\bnone\b|\bnot\b|n't\b|\bnothing\b|\bnowhere\b",
    "same": r"\bidentical\b|\bsame\b|\bequal\b|\bmatch|no differen|n't differ|not differ",
    "different": r"\bdiffer|not identical|n't identical|not the same|n't the same|not equal|"
                 r"n't equal|n't match|not match|not an exact|n't an exact|^\W*no\b",
    "passes": r"\bpass|\bgreen\b|\bno (test )?(fail|error)|\bnone\b.*fail|succe|all (ok|good|fine)|"
              r"nothing (fail|is fail|is broken)",
    "clean": r"\bclean\b|\bnothing\b|\bno (uncommitted|changes|local)|\bnot changed|n't changed",
}
NOT_SAME = re.compile(r"not (identical|the same|equal|match)|n't (the same|identical|equal|match)|"
                      r"\bdifferent\b|\bdiffer\b(?<!not differ)(?<!n't differ)", re.I)
NOT_PASSED = re.compile(r"\bnot pass|n't pass|\bfails\b|\bfailed\b(?<!0 failed)(?<!none failed)",
                        re.I)


def fill(text, facts, strict=True):
    def value(match):
        if match[1] in facts:
            return str(facts[match[1]])
        if strict:
            raise KeyError(f"no fact {match[1]} for: {text}")
        return match[0]
    return re.sub(r"\{(\w+)\}", value, text)


def expand(items, facts):
    for item in items:
        if item.startswith("@"):
            yield from (str(value) for value in facts[item[1:]])
        else:
            yield fill(item, facts)


def position(answer, token):
    """Where `token` stands in the answer as a word of its own, or -1."""
    before = ""
    if token[:1].isalnum():
        before = r"(?<![\w.,-])" if token[:1].isdigit() else r"(?<![\w-])"
    after = r"(?![\w-]|[.,]\d)" if token[-1:].isalnum() else ""
    match = re.search(before + re.escape(token) + after, answer)
    return match.start() if match else -1


def judge_answer(turn, facts, answer):
    """The first thing that is wrong with the answer, or None."""
    answer = re.sub(r"(?<=\d),(?=\d{3}\b)", "", answer.strip())
    if not answer:
        return "no answer"
    if len(answer) > turn.limit:
        return f"the answer has {len(answer)} characters"
    for token in expand(turn.says, facts):
        if position(answer, token) < 0:
            return f"the answer lacks {token!r}"
    options = list(expand(turn.any_of, facts))
    if options and all(position(answer, token) < 0 for token in options):
        return f"the answer has none of {options}"
    for token in expand(turn.lacks, facts):
        if position(answer, token) >= 0:
            return f"the answer has {token!r}"
    if turn.pick:
        right, *candidates = expand(turn.pick, facts)
        at = position(answer, right)
        if at < 0:
            return f"the answer does not name {right!r}"
        for other in candidates:
            if other != right and 0 <= position(answer, other) < at:
                return f"the answer names {other!r} before {right!r}"
    if turn.means:
        if not re.search(MEANINGS[turn.means], answer, re.I | re.M):
            return f"the answer does not mean {turn.means!r}"
        if turn.means == "same" and NOT_SAME.search(answer):
            return "the answer does not mean 'same'"
        if turn.means == "passes" and NOT_PASSED.search(answer):
            return "the answer does not mean 'passes'"
    return None


def snapshot(root):
    """path -> bytes, with folders as path/ -> b""; .git is left out."""
    found = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name != ".git"]
        base = pathlib.Path(folder)
        for name in names:
            found[str((base / name).relative_to(root)) + "/"] = b""
        for name in files:
            found[str((base / name).relative_to(root))] = (base / name).read_bytes()
    return found


def judge_files(chore, facts, before, root):
    """The first difference between the workspace and what it should be, or None."""
    want = dict(before)
    exact = set(before)
    for path, text in chore.after.items():
        path = fill(path, facts)
        if text is None:
            folder = path if path.endswith("/") else None
            for other in [p for p in want if p == path or folder and p.startswith(folder)]:
                del want[other]
        else:
            want[path] = fill(text, facts).encode() if text else b""
            exact.discard(path)
            for parent in list(pathlib.PurePosixPath(path).parents)[:-1]:
                want.setdefault(str(parent) + "/", b"")
    allowed = {fill(path, facts) for path in chore.may_change}
    have = snapshot(root)
    for path in sorted(set(want) | set(have)):
        if path in allowed:
            continue
        if path not in have:
            return f"{path} is missing"
        if path not in want:
            return f"{path} should not be there"
        same = want[path] == have[path]
        if not same and path not in exact:  # a text we asked for: the last newline is free
            same = want[path].rstrip(b"\n") == have[path].rstrip(b"\n")
        if not same:
            return f"{path} has the wrong content: {have[path][:200]!r}"
    if chore.check:
        done = subprocess.run(["bash", "-c", fill(chore.check, facts, strict=False)], cwd=root,
                              env=shell_environment(root), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        if done.returncode:
            return f"the check failed: {done.stdout.decode(errors='replace')[:200]}"
    return None


class Family:
    """Collects the chores of one family; ids are counted in the order of the tables."""

    def __init__(self, name):
        self.name = name
        self.chores = []

    def add(self, scene, *turns, after=None, check=None, may_change=()):
        number = len(self.chores) + 1
        self.chores.append(Chore(self.name, f"{self.name}-{number:02}", list(turns), scene,
                                 after or {}, check, tuple(may_change)))

    def ask(self, scene, wording, oracle, after=None, check=None, may_change=(), **expect):
        """A chore of one turn."""
        self.add(scene, Turn(wording, oracle, **expect), after=after, check=check,
                 may_change=may_change)
