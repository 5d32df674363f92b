"""Run the tests, name what fails, fix a failing one-line function."""
import os

from chores import *
from world import edit, ok, quote, shell

NUMBERS = [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20]


def bug_table(r, w):
  """(name, right body, wrong body, arguments, expected, got) of a one-line shell function."""
  a, b = r.sample(NUMBERS, 2)
  word, other, third = w.word(), w.word(), w.word()
  lo, hi = min(a, b), max(a, b)
  k = r.randrange(2, 9)
  style = r.choice(["echo $(( {} ))", "echo $(( {} ))", "echo $(({}))", "echo $(({}))", 'echo "$(({}))"', 'echo "$(( {} ))"', "printf '%d\\n' $(( {} ))", "local r=$(( {} )); echo $r", "local r=$(({})); echo \"$r\"", "echo $((tight))"])
  E = lambda e: style.replace("tight", e.replace(" ", "")).replace("{}", e)
  greetings = ["Hello", "Hi", "Welcome", "Goodbye", "Bye", "Good morning", "Thanks"]
  g = r.choice(greetings)
  typo = g.replace("ll", "l", 1) if "ll" in g else g[:-1]
  rows = [
      (["add", "sum", "plus", "add_numbers", "sum_of", "sum2"], E("$1 + $2"), E("$1 - $2"), f"{a} {b}", a + b, a - b),
      (["add", "sum", "plus", "total"], E("$1 + $2"), E("$1 * $2"), f"{a} {b}", a + b, a * b),
      (["sub", "subtract", "minus", "difference", "diff_of"], E("$1 - $2"), E("$1 + $2"), f"{hi} {lo}", hi - lo, hi + lo),
      (["sub", "subtract", "minus", "difference"], E("$1 - $2"), E("$2 - $1"), f"{hi} {lo}", hi - lo, lo - hi),
      (["mul", "multiply", "times", "product", "area"], E("$1 * $2"), E("$1 + $2"), f"{a} {b}", a * b, a + b),
      (["div", "divide", "quotient"], E("$1 / $2"), E("$1 * $2"), f"{a * b} {b}", a, a * b * b),
      (["mod", "modulo", "remainder", "rest"], E("$1 % $2"), E("$1 / $2"), f"{a * 3 + 1} {a}", 1 % a, 3),
      (["double", "twice", "times_two"], E("$1 * 2"), E("$1 * 3"), f"{a}", a * 2, a * 3),
      (["double", "twice"], E("$1 * 2"), E("$1 + 2"), f"{a + 3}", (a + 3) * 2, a + 5),
      (["triple", "thrice", "times_three"], E("$1 * 3"), E("$1 * 2"), f"{a}", a * 3, a * 2),
      (["square", "squared"], E("$1 * $1"), E("$1 + $1"), f"{a + 1}", (a + 1) ** 2, 2 * a + 2),
      (["square", "squared"], E("$1 * $1"), E("$1 * 2"), f"{a + 1}", (a + 1) ** 2, 2 * a + 2),
      (["cube", "cubed"], E("$1 * $1 * $1"), E("$1 * $1"), f"{a}", a ** 3, a ** 2),
      (["half", "halve"], E("$1 / 2"), E("$1 * 2"), f"{a * 2}", a, a * 4),
      (["inc", "increment", "next", "succ", "add_one"], E("$1 + 1"), E("$1 - 1"), f"{a}", a + 1, a - 1),
      (["inc", "increment", "next", "add_one", "plus_one"], E("$1 + 1"), E("$1 + 2"), f"{a}", a + 1, a + 2),
      (["dec", "decrement", "prev", "pred", "minus_one"], E("$1 - 1"), E("$1 + 1"), f"{a}", a - 1, a + 1),
      (["neg", "negate"], E("-$1"), E("$1"), f"{a}", -a, a),
      (["max", "maximum", "larger", "bigger"], E("$1 > $2 ? $1 : $2"), E("$1 < $2 ? $1 : $2"), f"{a} {b}", hi, lo),
      (["min", "minimum", "smaller"], E("$1 < $2 ? $1 : $2"), E("$1 > $2 ? $1 : $2"), f"{a} {b}", lo, hi),
      (["is_even", "even"], E("$1 % 2 == 0"), E("$1 % 2 == 1"), f"{a * 2}", 1, 0),
      (["is_odd", "odd"], E("$1 % 2 == 1"), E("$1 % 2 == 0"), f"{a * 2}", 0, 1),
      (["perimeter", "circumference"], E("2 * ($1 + $2)"), E("$1 + $2"), f"{a} {b}", 2 * (a + b), a + b),
      (["minutes", "to_minutes", "hours_to_minutes"], E("$1 * 60"), E("$1 * 6"), f"{a}", a * 60, a * 6),
      (["seconds", "to_seconds", "minutes_to_seconds"], E("$1 * 60"), E("$1 * 100"), f"{a}", a * 60, a * 100),
      (["days", "weeks_to_days", "to_days"], E("$1 * 7"), E("$1 * 5"), f"{a}", a * 7, a * 5),
      (["percent", "percentage"], E("$1 * 100 / $2"), E("$1 * 10 / $2"), f"{lo} {lo * 2}", 50, 5),
      (["greet", "hello", "welcome", "say_hello", "greeting"], f'echo "{g}, $1"', f'echo "{typo}, $1"', word, f"{g}, {word}", f"{typo}, {word}"),
      (["greet", "hello", "salute", "say_hi"], f'echo "{g}, $1!"', f'echo "{g}, $2!"', f"{word} {other}", f"{g}, {word}!", f"{g}, {other}!"),
      (["first", "first_arg", "head_of"], 'echo "$1"', 'echo "$2"', f"{word} {other}", word, other),
      (["second", "second_arg"], 'echo "$2"', 'echo "$1"', f"{word} {other}", other, word),
      (["third", "third_arg"], 'echo "$3"', 'echo "$2"', f"{word} {other} {third}", third, other),
      (["swap", "flip", "reverse_args"], 'echo "$2 $1"', 'echo "$1 $2"', f"{word} {other}", f"{other} {word}", f"{word} {other}"),
      (["join", "join_words", "concat", "glue"], 'echo "$1-$2"', 'echo "$1_$2"', f"{word} {other}", f"{word}-{other}", f"{word}_{other}"),
      (["join", "concat", "full_name", "pair"], 'echo "$1 $2"', 'echo "$1$2"', f"{word} {other}", f"{word} {other}", f"{word}{other}"),
      (["upper", "to_upper", "uppercase", "shout"], 'echo "${1^^}"', 'echo "${1,,}"', word, word.upper(), word),
      (["lower", "to_lower", "lowercase", "whisper"], 'echo "${1,,}"', 'echo "${1^^}"', word.upper(), word, word.upper()),
      (["length", "len", "strlen", "size_of"], 'echo "${#1}"', 'echo "${#2}"', f"{word}", len(word), 0),
      (["capitalize", "ucfirst", "title"], 'echo "${1^}"', 'echo "${1,}"', word, word.capitalize(), word),
      (["count_args", "argc", "nargs"], 'echo "$#"', 'echo "$1"', f"{word} {other}", 2, word),
      (["last", "last_arg"], 'echo "${@: -1}"', 'echo "$1"', f"{word} {other}", other, word),
      (["is_equal", "same", "equals"], '[ "$1" = "$2" ] && echo yes || echo no', '[ "$1" != "$2" ] && echo yes || echo no', f"{word} {word}", "yes", "no"),
      (["is_empty", "empty"], '[ -z "$1" ] && echo yes || echo no', '[ -n "$1" ] && echo yes || echo no', word, "no", "yes"),
      (["ext", "extension", "suffix"], 'echo "${1##*.}"', 'echo "${1%%.*}"', f"{word}.{other}", other, word),
      (["stem", "basename_of", "strip_ext"], 'echo "${1%.*}"', 'echo "${1##*.}"', f"{word}.{other}", word, other),
      (["repeat", "twice_word", "dup"], 'echo "$1$1"', 'echo "$1"', word, word + word, word),
      ([w.word(), w.word() + "_" + w.word()], f'echo "{other}"', f'echo "{third}"', word, other, third),
      ([w.word(), w.word()], f'echo "{other}: $1"', f'echo "{third}: $1"', word, f"{other}: {word}", f"{third}: {word}"),
      ([w.word(), w.word()], f"echo {k * 11}", f"echo {k * 7}", word, k * 11, k * 7),
      ([w.word(), "discount", "offset", "shift"], E(f"$1 + {k}"), E(f"$1 - {k}"), f"{a}", a + k, a - k),
  ]
  return r.choice(rows)


FORMATS = [
    ("ok {n}", "FAIL {n}: expected {e}, got {g}"), ("PASS {n}", "FAIL {n}: expected {e} but got {g}"), ("PASS: {n}", "FAIL: {n} (expected {e}, got {g})"),
    ("ok - {n}", "not ok - {n} (expected {e}, got {g})"), ("ok {i} - {n}", "not ok {i} - {n}: wanted {e}, got {g}"), ("[PASS] {n}", "[FAIL] {n}: expected '{e}' got '{g}'"),
    ("{n}: ok", "{n}: FAILED (expected {e}, got {g})"), ("{n} ... ok", "{n} ... FAILED, want {e}, have {g}"), ("test {n} passed", "test {n} failed: expected {e}, got {g}"), ("PASS {n}", "FAIL {n}"),
    ("ok   {n}", "FAIL {n}  expected={e} got={g}"), ("✓ {n}", "✗ {n}: expected {e}, got {g}"), ("{n} passed", "{n} failed"), ("PASS: {n}", "FAIL: {n}"),
    ("ok {i} - {n}", "not ok {i} - {n}"), ("{n} OK", "{n} FAIL: {g} != {e}"), ("pass: {n}", "fail: {n}: expected \"{e}\", got \"{g}\""),
]
SUMMARIES = ["{p} passed, {f} failed", "{f} failed", "{f} of {t} tests failed", "passed: {p}, failed: {f}", "", "", "Results: {p} ok, {f} failed", "{p}/{t} passed"]


def suite(w, wrong):
  """A library of one-line functions and a test script. `wrong` of the functions are broken."""
  r = w.rng
  rows, used = [], set()
  total = r.randrange(max(wrong, 1), 6)
  while len(rows) < total:
    names, right, bad, args, expected, got = bug_table(r, w)
    if str(expected) == str(got):
      continue
    free = [n for n in names if n not in used]
    if free:
      name = r.choice(free)
      used.add(name)
      rows.append((name, right, bad, args, str(expected), str(got)))
  broken = set(r.sample(range(total), wrong))
  form = r.choice(["{n}() { {b}; }", "{n}() { {b}; }", "{n}() { {b}; }", "function {n} { {b}; }", "{n} () { {b}; }"])
  def source(i):
    name, right, bad = rows[i][:3]
    return form.replace("{b}", bad if i in broken else right).replace("{n}", name)
  lib = r.choice(["", "", "lib/", "src/", w.folder() + "/" if r.random() < 0.3 else ""]) + r.choice(["lib", "funcs", "functions", "utils", "math", "strings", "helpers", w.word(), w.word()]) + ".sh"
  head = r.choice(["", "#!/bin/bash\n", "#!/bin/bash\n# " + w.phrase(1, 4) + "\n", "# " + w.phrase(1, 4) + "\n"])
  w.put(lib, head + "".join(source(i) + "\n" + ("\n" if r.random() < 0.2 else "") for i in range(total)))
  script = r.choice(["test.sh", "test.sh", "run_tests.sh", "tests.sh", "tests/run.sh", "tests/test.sh", "check.sh", "tests/run_tests.sh", "test_all.sh", "run-tests.sh"])
  good, bad = r.choice(FORMATS)
  prefix = r.choice(["", "", "", "test_"])
  show = lambda n: prefix + n
  lines = ["#!/bin/bash", f". ./{lib}" if r.random() < 0.7 else f"source ./{lib}", "pass=0; fail=0; i=0",
           "check() { i=$((i+1)); if [ \"$2\" = \"$3\" ]; then pass=$((pass+1)); echo \"" + good.replace('"', '\\"').replace("{n}", "$1").replace("{i}", "$i") + "\"; else fail=$((fail+1)); echo \"" +
           bad.replace('"', '\\"').replace("{n}", "$1").replace("{i}", "$i").replace("{e}", "$2").replace("{g}", "$3") + "\"; fi; }"]
  for name, _, _, args, expected, _ in rows:
    lines.append(f"check {show(name)} \"{expected}\" \"$({name} {args})\"")
  end = r.choice(SUMMARIES)
  if end:
    lines.append("echo \"" + end.replace("{p}", "$pass").replace("{f}", "$fail").replace("{t}", "$i") + "\"")
  if r.random() < 0.2:  # stops at the first failure, no harness
    lines = lines[:2]
    say_ok, say_bad = r.choice([("ok {n}", "FAIL {n}"), ("PASS: {n}", "FAIL: {n} expected {e}"), ("{n} ok", "{n} failed"), ("ok - {n}", "not ok - {n}")])
    for name, _, _, args, expected, _ in rows:
      text = lambda s: s.replace("{n}", show(name)).replace("{e}", expected.replace('"', ""))
      lines.append(f'[ "$({name} {args})" = "{expected}" ] && echo "{text(say_ok)}" || {{ echo "{text(say_bad)}"; exit 1; }}')
    broken = set(sorted(broken)[:1])  # a second one would hide behind the first
    w.put(lib, head + "".join(source(i) + "\n" for i in range(total)))
    w.put(script, "\n".join(lines) + "\n")
    return script, lib, [(show(rows[i][0]), rows[i][0], rows[i], source(i), form.replace("{b}", rows[i][1]).replace("{n}", rows[i][0])) for i in sorted(broken)], [show(x[0]) for x in rows]
  lines.append("[ $fail -eq 0 ]" if r.random() < 0.85 else "exit $fail")
  w.put(script, "\n".join(lines) + "\n")
  if r.random() < 0.8:
    w.shell(f"chmod +x {script}")
  return script, lib, [(show(rows[i][0]), rows[i][0], rows[i], source(i), form.replace("{b}", rows[i][1]).replace("{n}", rows[i][0])) for i in sorted(broken)], [show(x[0]) for x in rows]


def find_script(w, script, named):
  """Runs the script: at once when the user named it, else after looking around."""
  if named:
    return (yield f"Run {script}.", shell(f"bash {script}"))
  yield "Look for the test script.", shell("find . -name '*test*' -o -name 'check*' -o -path './tests/*'")
  return (yield f"Run {script}.", shell(f"bash {script}"))


def run_tests(w):
  r = w.rng
  script, lib, broken, names = suite(w, r.choice([0, 1, 1, 1, 2, 2]))
  w.scatter(0, 2)
  named = r.random() < 0.5
  s = r.choice(["./" + script, script, script, f"`{script}`", f"`./{script}`", f"the script {script}"])
  slots = dict(s=s)
  if named:
    moods = {"do": ["run {s}", "run {s} and (tell me|report|say) (which tests fail|what fails)", "execute {s} and tell me what fails", "run the tests (in|with) {s}", "run {s} and name the failing (test|tests)", "run {s} and list the tests that fail", "start {s} and tell me the result"],
             "q": ["which tests (in|of) {s} fail", "which tests fail when (I|you) run {s}", "does {s} pass", "what fails in {s}", "do the tests in {s} pass", "what does {s} report"], "np": ["the result of {s}", "the failing tests (of|in) {s}"], "iq": ["which tests fail in {s}", "(if|whether) {s} passes", "what fails when you run {s}"]}
  else:
    moods = {"do": ["run the [project's] tests", "run the tests and (tell me|report|say) (which fail|what fails|which ones fail)", "run the test (suite|script) [and report failures]", "run all tests", "run the tests and name the (failing|broken) (one|ones|test|tests)", "execute the tests", "execute the test suite and list the failures", "check (if|whether) the tests pass", "run the tests here and tell me what is broken", "test this project", "run the unit tests [and tell me what fails]"],
             "q": ["do the tests pass", "which tests fail", "which test fails", "which tests are failing [here]", "what tests are broken", "are [all] the tests (green|passing|ok)", "which test is failing", "do all tests pass", "is any test (failing|broken|red)", "what fails when you run the tests"],
             "np": ["the failing (test|tests)", "the names of the failing tests", "the result of the tests", "the test results"], "iq": ["which tests fail", "(if|whether) the tests pass", "which test is failing", "what fails in the tests"]}

  def play():
    yield from find_script(w, script, named)
    bad = [x[0] for x in broken]
    if not bad:
      return "All pass.", "All tests pass."
    return f"{plural(len(bad), 'test')} failed.", f"{listing(bad)} {'fails' if len(bad) == 1 else 'fail'}."
  return Chore("tests", moods, slots, play, "tests named" if named else "tests")


def fix_tests(w):
  r = w.rng
  script, lib, broken, names = suite(w, r.choice([1, 1, 1, 1, 2]))
  w.scatter(0, 2)
  named, knows = r.random() < 0.45, r.random() < 0.4
  shown, name, row, old, new = broken[0]
  slots = dict(s=r.choice(["./" + script, script, f"`{script}`"]), l=spoken_file(w, lib), n=wrap_name(w, name))
  if knows and len(broken) == 1:
    moods = {"do": ["fix [the function] {n} in {l} so that {s} passes", "fix the function {n} in {l} [and run {s}]", "fix the bug in {n} ({l}) and (check|verify) with {s}".replace("({l})", "in {l}"), "repair {n} in {l}, {s} must pass", "make {s} pass by fixing {n} in {l}"], "free": ["{n} in {l} is (broken|wrong), fix it so that {s} passes", "{s} fails because of {n} in {l}, (please fix it|fix it)", "the function {n} in {l} is wrong; fix it and rerun {s}"]}
    named = True
  elif named:
    moods = {"do": ["make {s} pass", "fix the code so that {s} passes", "fix what makes {s} fail", "run {s} and fix (what fails|the failing function|the failure)", "get {s} to pass", "fix the (bug|failing function) that {s} (reports|finds|shows)", "debug and fix what {s} complains about"],
             "free": ["{s} fails, (please fix it|fix it|fix the function)", "{s} is failing. (Fix the code|Please fix the bug|Repair it)[.]", "something makes {s} fail, fix it"]}
  else:
    moods = {"do": ["fix the failing (test|function|tests)", "make the tests pass", "fix the (bug|code) so [that] the tests pass", "run the tests and fix (what fails|what is broken|the failing function|the bug)", "get the tests (green|passing|to pass)", "repair the (broken|failing) function", "find and fix the bug that breaks the tests", "fix the broken function [and rerun the tests]", "correct the function that fails its test", "fix whatever makes the tests fail"],
             "free": ["the tests fail, (please fix it|fix it|fix the function|fix the code)", "a test is failing, (please repair it|fix the function behind it)", "one (function|test) is broken, fix it", "the tests are red, make them green"]}

  def play():
    yield from find_script(w, script, named)
    fixed = []
    for k, (shown, name, row, old, new) in enumerate(broken):
      thought = f"{shown} fails. Look at {name}."
      yield thought, shell(f"grep -rnI {quote(name)} .")
      yield f"{name} should be: {new}", edit(lib, old, new)
      fixed.append(name)
    yield f"Run {script} again.", shell(f"bash {script}")
    return "All pass now.", f"Fixed {listing(fixed)} in {lib}; all tests pass now."
  return Chore("fix", moods, slots, play, "fix function" if knows and len(broken) == 1 else "fix named" if named else "fix")
