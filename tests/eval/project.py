"""Chores in a project: git, running tests, fixing a function, comparing files."""
from chore import GIT_SETUP, Family, fill
from look import pick_extensions


# --- git ----------------------------------------------------------------------------------------

def repository(w, dirty=True):
    """Three to five commits on one of several branches; maybe changes that are not committed."""
    ext = pick_extensions(w, 1)[0]
    facts = {"branch": w.name(), "author": w.name(), "first_author": w.name(), "ext": ext}
    script = [fill(GIT_SETUP, {"branch": facts["branch"], "author": facts["first_author"]})]
    names, subjects = [], []
    n = w.rng.randint(3, 5)
    for i in range(n):
        name, subject = f"{w.name()}.{ext}", f"{w.word()} {w.name()} {w.words(1)}"
        if i == n - 1:
            script.append(f"git config user.name {facts['author']}")
        text = "\\n".join(w.lines(4).splitlines()) + "\\n"
        script.append(f"printf '{text}' > {name}\ngit add {name}\ngit commit -q -m '{subject}'")
        names.append(name)
        subjects.append(subject)
    branches = [facts["branch"]] + [w.name() for _ in range(w.rng.randint(1, 3))]
    script += [f"git branch {branch}" for branch in branches[1:]]
    some = w.rng.randrange(1, n - 1)
    facts |= {"names": names, "subjects": subjects, "commits": n, "branches": branches,
              "n_branches": len(branches), "first": subjects[0], "last": subjects[-1],
              "last_file": names[-1], "last_three": subjects[-3:], "early": subjects[:-3],
              "some_word": subjects[some].split()[1], "some": subjects[some],
              "changed": names[0], "new_word": w.name(), "untracked": f"{w.name()}.{ext}",
              "staged": f"{w.name()}.{ext}", "extra": w.rng.randint(2, 5), "topic": w.name(),
              "untouched": names[1:]}
    if dirty:
        more = "\\n".join(f"{w.words(1)} {facts['new_word']}" for _ in range(facts["extra"]))
        script.append(f"printf '{more}\\n' >> {names[0]}")
    w.script = script
    return facts


def clean_repository(w):
    return repository(w, dirty=False)


def busy_repository(w):
    facts = repository(w)
    w.script += [f"echo {w.words(2)} > {facts['untracked']}",
                 f"echo {w.words(2)} > {facts['staged']}", f"git add {facts['staged']}"]
    return facts


git = Family("git")
ask = git.ask
ask(repository, "which branch is checked out right now?", "git branch --show-current",
    pick=("{branch}", "@branches"))
ask(repository, "git: current branch?", "git branch --show-current",
    pick=("{branch}", "@branches"))
ask(repository, "list the branches of this repo", "git branch", says=("@branches",))
ask(repository, "how many branches do I have here?", "git branch | wc -l", says=("{n_branches}",))
ask(repository, "What was the message of my last commit?", "git log -1 --format=%s",
    pick=("{last}", "@subjects"))
ask(repository, "under which title does the latest commit run?", "git log -1 --format=%s",
    pick=("{last}", "@subjects"))
ask(repository, "how long is the history of this repo, in commits?", "git rev-list --count HEAD",
    says=("{commits}",))
ask(repository, "behind the most recent commit stands which person?", "git log -1 --format=%an",
    pick=("{author}", "{first_author}"))
ask(repository, "how did the very first commit describe itself?", "git log --format=%s | tail -1",
    pick=("{first}", "@subjects"))
ask(busy_repository, "which tracked files have I modified since the last commit?",
    "git diff --name-only", says=("{changed}",), lacks=("@untouched",))
ask(repository, "is there anything I have not committed yet?", "git status --short",
    says=("{changed}",), lacks=("@untouched",))
ask(clean_repository, "Do I have a clean working tree?", "git status", means="clean", lacks=("@names",))
ask(busy_repository, "which file is not tracked by git yet?", "git status --short | grep '??'",
    says=("{untracked}",), lacks=("@names",))
ask(busy_repository, "what did I stage?", "git diff --cached --name-only", says=("{staged}",),
    lacks=("@names", "{untracked}"))
ask(repository, "what changed in {changed} since the commit?", "git diff", says=("{new_word}",))
ask(repository, "show me the lines I added compared to the last commit", "git diff",
    says=("{new_word}",))
ask(repository, "which file did the last commit touch?", "git show --format= --name-only",
    pick=("{last_file}", "@names"))
ask(repository, "how many lines did I add to {changed} that are not committed?",
    "git diff --numstat | cut -f1", says=("{extra}",))
ask(repository, "give me the short messages of the last three commits",
    "git log -3 --format=%s", says=("@last_three",), lacks=("@early",))
ask(clean_repository, "start a new git branch named {topic} and switch to it",
    "git switch -q -c {topic}; echo done", check="[ \"$(git branch --show-current)\" = {topic} ]")


# --- running tests ------------------------------------------------------------------------------

def suite(w, failing=1, script=None, style=None):
    """A shell test script whose tests call functions of a library that stands beside it."""
    style = style or w.rng.choice(["ok", "PASS", "tap"])
    script, lib = script or f"{w.name()}.sh", f"{w.name()}.sh"
    names = [w.name().replace("-", "_") for _ in range(w.rng.randint(3, 5))]
    bad = w.rng.sample(names, failing)
    folder = script.rsplit("/", 1)[0] + "/" if "/" in script else ""
    rows, functions, facts = [], [], {}
    for name in names:
        want = w.number(100, 9999)
        got = w.number(100, 9999) if name in bad else want
        rows.append(f"check {name} {want}")
        functions.append(f"{name}() {{\n  echo {got}\n}}\n")
        facts |= {"want": want, "got": got} if name in bad else {}
    good, wrong = {"ok": ("ok $1", "FAIL $1: expected $2, got $got"),
                   "PASS": ("PASS: $1", "FAIL: $1 (wanted $2, got $got)"),
                   "tap": ("ok $n - $1", "not ok $n - $1 # expected $2 but got $got")}[style]
    code = w.rng.randint(1, 7)
    text = f"""#!/bin/bash
cd "$(dirname "$0")"
. ./{lib}
n=0
failed=0
check() {{
  n=$((n + 1))
  got=$($1)
  if [ "$got" = "$2" ]; then
    echo "{good}"
  else
    echo "{wrong}"
    failed=$((failed + 1))
  fi
}}
""" + "\n".join(rows) + f"""
echo "$n tests, $failed failed"
[ "$failed" -eq 0 ] || exit {code}
"""
    w.file(script, text)
    w.modes[script] = 0o755
    w.file(folder + lib, "\n".join(functions))
    w.file(f"{w.name()}.md", w.lines(2))
    good_ones = [name for name in names if name not in bad]
    return facts | {"script": script, "bad": bad, "good": good_ones, "n_bad": failing,
                    "n_good": len(good_ones), "code": code, "n": len(names)}


def plain_suite(w):
    return suite(w, script="test.sh")


def green_suite(w):
    return suite(w, failing=0)


def green_plain(w):
    return suite(w, failing=0, script="run_tests.sh")


def two_bad(w):
    return suite(w, failing=2, script="test.sh")


def inner_suite(w):
    return suite(w, script="tests/run.sh")


tests = Family("tests")
ask = tests.ask
RUN, BAD = "bash {script} | grep -iE '^(not ok|FAIL)' || echo all pass", dict(
    says=("@bad",), lacks=("@good",))
ask(plain_suite, "Run the tests and tell me which one fails.", RUN, **BAD)
ask(suite, "run ./{script} - what's broken?", RUN, **BAD)
ask(plain_suite, "do the tests pass? if not, which is the bad one?", RUN, **BAD)
ask(green_suite, "does ./{script} pass?", RUN, means="passes")
ask(suite, "execute {script} and name the failing test", RUN, **BAD)
ask(green_plain, "did every test come out green?", RUN, means="passes")
ask(two_bad, "please run the test suite, I want to know the failures", RUN, **BAD)
ask(two_bad, "of the tests in {script}, how many fail?", "bash {script} | tail -1 | cut -d' ' -f3",
    says=("{n_bad}",))
ask(suite, "when you run {script}, how many of the tests pass?",
    "bash {script} | grep -ciE '^(ok|PASS)'", says=("{n_good}",))
ask(green_plain, "check whether my tests still work", RUN, means="passes")
ask(suite, "which complaint does {script} print?", RUN, **BAD)
ask(inner_suite, "run the checks in the tests folder and say what fails", RUN, **BAD)
ask(plain_suite, "which test is failing, and which value did it expect?", RUN,
    says=("@bad", "{want}"), lacks=("@good",))
ask(suite, "run {script}; what value did the failing test get?",
    "bash {script} | grep -iE '^(not ok|FAIL)'", says=("{got}",))
ask(inner_suite, "start the tests. if something is wrong I need the name of the test", RUN, **BAD)
ask(suite, "with which exit code does ./{script} end?", "bash {script} >/dev/null; echo $?",
    says=("{code}",))


# --- fixing a function --------------------------------------------------------------------------

# name, the wrong body, the right body, cases of (arguments, output)
BUGS = {
    "add": ("echo $(($1 - $2))", "echo $(($1 + $2))", [("3 4", "7"), ("10 5", "15")]),
    "product": ("echo $(($1 + $2))", "echo $(($1 * $2))", [("3 4", "12"), ("5 6", "30")]),
    "minus": ("echo $(($2 - $1))", "echo $(($1 - $2))", [("9 4", "5"), ("20 1", "19")]),
    "double": ("echo $(($1 * 3))", "echo $(($1 * 2))", [("4", "8"), ("15", "30")]),
    "square": ("echo $(($1 + $1))", "echo $(($1 * $1))", [("3", "9"), ("7", "49")]),
    "half": ("echo $(($1 / 3))", "echo $(($1 / 2))", [("8", "4"), ("30", "15")]),
    "next": ("echo $(($1 - 1))", "echo $(($1 + 1))", [("4", "5"), ("99", "100")]),
    "larger": ("[ $1 -lt $2 ] && echo $1 || echo $2", "[ $1 -gt $2 ] && echo $1 || echo $2",
               [("3 8", "8"), ("9 2", "9")]),
    "smaller": ("[ $1 -gt $2 ] && echo $1 || echo $2", "[ $1 -lt $2 ] && echo $1 || echo $2",
                [("3 8", "3"), ("9 2", "2")]),
    "upper": ("echo $1 | tr A-Z a-z", "echo $1 | tr a-z A-Z", [("abc", "ABC"), ("xY", "XY")]),
    "second": ("echo $1", "echo $2", [("a b c", "b"), ("x y", "y")]),
    "greet": ("echo Helo $1", "echo Hello $1", [("Ann", "Hello Ann"), ("Bob", "Hello Bob")]),
    "how_many": ("echo $0", "echo $#", [("a b c", "3"), ("x", "1")]),
    "area": ("echo $(($1 + $2))", "echo $(($1 * $2))", [("3 5", "15"), ("10 4", "40")]),
}


def broken(bug, script="test.sh"):
    def stage(w):
        wrong, right, cases = BUGS[bug]
        lib, other, value = f"{w.name()}.sh", w.name().replace("-", "_"), w.number(100, 999)
        functions = [f"{bug}() {{ {wrong}; }}\n", f"{other}() {{ echo {value}; }}\n"]
        w.rng.shuffle(functions)
        w.file(lib, "".join(functions))
        checks = "".join(f"check '{bug} {args}' '{want}'\n" for args, want in cases)
        w.file(script, f"""#!/bin/bash
. ./{lib}
status=0
check() {{
  got=$($1)
  if [ "$got" = "$2" ]; then echo "ok: $1"; else echo "FAIL: $1 gives $got, not $2"; status=1; fi
}}
{checks}check {other} {value}
exit $status
""")
        w.modes[script] = 0o755
        return {"lib": lib, "bug": bug, "script": script, "wrong": wrong, "right": right,
                "other": other, "value": value}
    return stage


fix = Family("fix")
FIXED = "bash {script} && bash -c '. ./{lib}; [ \"$({other})\" = {value} ]'"


def mend(bug, wording, script="test.sh"):
    # The oracle writes the right body where the wrong one stands, whatever characters they have.
    wrong, right = BUGS[bug][:2]
    oracle = (f"awk -v wrong='{wrong}' -v right='{right}' '{{ at = index($0, wrong); if (at) $0 = "
              "substr($0, 1, at - 1) right substr($0, at + length(wrong)); print }' {lib} > .new; "
              "cat .new > {lib}; rm .new; echo fixed")
    fix.ask(broken(bug, script), wording, oracle, check=FIXED, may_change=("{lib}",))


mend("add", "the function {bug} in {lib} is wrong, please fix it")
mend("product", "./test.sh fails because of {bug} in {lib}. Repair it.")
mend("minus", "{bug} in {lib} mixes up its two arguments, can you correct that")
mend("double", "Make the tests pass. The mistake is in {lib}.")
mend("square", "fix the bug in {lib} so that ./{script} succeeds", "verify.sh")
mend("half", "in {lib}, {bug} should give half of its argument but does not. fix it")
mend("next", "{bug} in {lib} must return its argument plus one, change it so it does")
mend("larger", "something is off in {lib}: {bug} gives the smaller number. please mend it")
mend("smaller", "run ./test.sh, look at what fails and fix {lib}")
mend("upper", "{bug} should print capital letters, repair the function in {lib}")
mend("second", "the {bug} function in {lib} prints the wrong argument, fix that")
mend("greet", "correct the spelling mistake in the output of {bug} in {lib}")
mend("how_many", "{bug} in {lib} should print the number of its arguments. Please fix it.")
mend("area", "a test in {script} is failing, find the faulty function in {lib} and fix it",
     "check.sh")


# --- comparing ----------------------------------------------------------------------------------

def pair(w, change=True):
    ext = pick_extensions(w, 1)[0]
    lines = w.lines(w.rng.randint(5, 9)).splitlines()
    a = w.file(f"{w.name()}.{ext}", "\n".join(lines) + "\n")
    at, old, new = w.rng.randrange(1, len(lines)), w.name(), w.name()
    w.files[a] = "\n".join(lines[:at] + [f"{lines[at]} {old}"] + lines[at + 1:]) + "\n"
    b = w.file(f"{w.name()}.{ext}", w.files[a].replace(old, new) if change else w.files[a])
    return {"a": a, "b": b, "number": at + 1, "old": old, "new": new}


def twins(w):
    return pair(w, change=False)


def one_more(w):
    ext, extra = pick_extensions(w, 1)[0], f"{w.name()} {w.name()}"
    lines = w.lines(w.rng.randint(4, 8)).splitlines()
    at = w.rng.randrange(1, len(lines))
    short = w.file(f"{w.name()}.{ext}", "\n".join(lines) + "\n")
    long = w.file(f"{w.name()}.{ext}", "\n".join(lines[:at] + [extra] + lines[at:]) + "\n")
    return {"short": short, "long": long, "extra": extra}


def changed_lines(w):
    facts, n = pair(w, change=False), w.rng.randint(2, 4)
    lines = w.files[facts["b"]].splitlines()
    for at in w.rng.sample(range(len(lines)), n):
        lines[at] = f"{w.words(2)} {w.name()}"
    w.files[facts["b"]] = "\n".join(lines) + "\n"
    return facts | {"n": n}


def two_folders(w):
    d1, d2 = w.name(), w.name()
    shared = [f"{w.name()}.txt" for _ in range(3)]
    for name in shared:
        text = w.lines(2)
        w.file(f"{d1}/{name}", text)
        w.file(f"{d2}/{name}", text)
    only = f"{w.name()}.txt"
    w.file(f"{d1}/{only}", w.lines(1))
    return {"d1": d1, "d2": d2, "only": only, "shared": shared}


def line_race(w):
    a, b = f"{w.name()}.txt", f"{w.name()}.txt"
    n = w.rng.randint(4, 20)
    w.file(a, w.lines(n))
    w.file(b, w.lines(n + w.rng.randint(1, 9)))
    return {"a": a, "b": b}


compare = Family("compare")
ask = compare.ask
CMP = "cmp -s {a} {b} && echo they are identical || echo they differ"
ask(twins, "would {a} and {b} count as identical?", CMP, means="same")
ask(pair, "does {a} say the same as {b}?", CMP, means="different")
ask(pair, "compare {a} with {b} and tell me which line is different",
    "diff {a} {b} | head -1 | sed 's/c.*//'", any_of=("{number}", "{new}"))
ask(pair, "how do {a} and {b} differ from one another?", "diff {a} {b}", says=("{old}", "{new}"))
ask(pair, "do the files {a} and {b} differ?", CMP, means="different")
ask(one_more, "which line of {long} is not in {short}?", "diff {short} {long}", says=("{extra}",))
ask(one_more, "name what stands in {long} but not in {short}", "diff {short} {long}",
    says=("{extra}",))
ask(pair, "diff {a} {b}, what changed?", "diff {a} {b}", says=("{old}", "{new}"))
ask(changed_lines, "number of lines in which {a} and {b} are not the same?",
    "diff {a} {b} | grep -c '^>'", says=("{n}",))
ask(two_folders, "which file is in {d1} but missing from {d2}?", "diff -rq {d1} {d2}",
    says=("{only}",), lacks=("@shared",))
ask(two_folders, "do the folders {d1} and {d2} hold the same files? name what is not in both",
    "diff -rq {d1} {d2}", says=("{only}",), lacks=("@shared",))
ask(line_race, "between {a} and {b}, where are there more lines?",
    "wc -l {a} {b} | sort -rn | sed -n '2s/.* //p'", pick=("{b}", "{a}"))
ask(twins, "is {a} a true copy of {b}, to the letter?", CMP, means="same")
ask(pair, "{a} and {b} should be equal. are they?", CMP, means="different")

FAMILIES = [git, tests, fix, compare]
