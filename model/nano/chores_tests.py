"""Run the tests, name what fails, fix a failing function."""
import os
import re

from chores import *
from phrases import expand
from world import edit, ok, quote, shell

# Names, right expression, wrong ones, value, what it is in words. `a` and `b` stand for the arguments.
NUMBERS = [
    ("add sum plus add_numbers sum_of add_two addition", "a + b", "a - b;a * b;b - a;a + a;a + b + 1",
     lambda a, b: a + b, "the sum of its [two] (arguments|numbers)|both arguments added [up|together]"),
    ("sub subtract minus difference diff_of subtraction", "a - b", "a + b;b - a;a * b;a / b;a - b - 1",
     lambda a, b: a - b, "the first argument minus the second|the difference [of its arguments]"),
    ("mul multiply times product multiplication mult", "a * b", "a + b;a - b;a / b;a * a",
     lambda a, b: a * b, "the product of its [two] (arguments|numbers)|both arguments multiplied"),
    ("div divide quotient division", "a / b", "a * b;b / a;a - b;a % b",
     lambda a, b: a // b, "the first argument divided by the second|the quotient"),
    ("mod modulo remainder rest", "a % b", "a / b;a * b;a - b;b % a",
     lambda a, b: a % b, "the remainder of the division|what is left after dividing"),
    ("double twice times_two dbl", "a * 2", "a * 3;a + 2;a * 4;a / 2;a - 2",
     lambda a, b: a * 2, "twice its argument|two times its (argument|number)|its argument doubled"),
    ("triple thrice times_three", "a * 3", "a * 2;a + 3;a * 4;a / 3",
     lambda a, b: a * 3, "three times its (argument|number)|its argument tripled"),
    ("quadruple times_four", "a * 4", "a * 2;a + 4;a * 3", lambda a, b: a * 4, "four times its argument"),
    ("square squared sq", "a * a", "a + a;a * 2;a * a * a", lambda a, b: a * a,
     "its argument (times itself|squared)|the square of its (argument|number)"),
    ("cube cubed", "a * a * a", "a * a;a * 3;a + a + a", lambda a, b: a ** 3,
     "the cube of its argument|its argument to the third power"),
    ("half halve half_of", "a / 2", "a * 2;a / 3;a - 2;a / 4", lambda a, b: a // 2,
     "half of its (argument|number)|half its argument|its argument divided by two"),
    ("one_third", "a / 3", "a * 3;a / 2;a - 3", lambda a, b: a // 3, "a third of its argument"),
    ("increment inc next succ add_one plus_one", "a + 1", "a - 1;a + 2;a * 1", lambda a, b: a + 1,
     "its argument plus one|one more than its (argument|number)|the next number"),
    ("decrement dec previous prev pred minus_one", "a - 1", "a + 1;a - 2;a * 1", lambda a, b: a - 1,
     "its argument minus one|one less than its (argument|number)|the number before"),
    ("negate neg opposite", "-a", "a;a - 1;a * 1", lambda a, b: -a, "its argument negated|minus its argument"),
    ("max maximum larger bigger max_of", "a > b ? a : b", "a < b ? a : b;a > b ? b : a",
     max, "the larger of (two numbers|its arguments)|the bigger number"),
    ("min minimum smaller lesser min_of", "a < b ? a : b", "a > b ? a : b;a < b ? b : a",
     min, "the smaller of (two numbers|its arguments)|the smaller number"),
    ("is_even even", "a % 2 == 0", "a % 2 == 1;a % 2 != 0;a % 3 == 0", lambda a, b: int(a % 2 == 0),
     "1 for even numbers [and 0 for odd ones]"),
    ("is_odd odd", "a % 2 == 1", "a % 2 == 0;a % 3 == 1;a % 2 != 1", lambda a, b: int(a % 2 == 1),
     "1 for odd numbers [and 0 for even ones]"),
    ("average avg mean", "(a + b) / 2", "(a + b) / 3;(a - b) / 2;(a + b) * 2;(a * b) / 2",
     lambda a, b: (a + b) // 2, "the (mean|average) of its [two] (arguments|numbers)"),
    ("area rect_area", "a * b", "a + b;a - b;2 * (a + b)", lambda a, b: a * b, "width times height"),
    ("perimeter", "2 * (a + b)", "a + b;2 * a + b;2 * (a - b)", lambda a, b: 2 * (a + b),
     "twice the sum of width and height"),
    ("percent percentage", "a * 100 / b", "a * 10 / b;a * b / 100;a * 1000 / b", lambda a, b: a * 100 // b,
     "the first argument in percent of the second"),
    ("to_seconds minutes_to_seconds", "a * 60", "a * 100;a * 6;a / 60", lambda a, b: a * 60,
     "the seconds in that many minutes"),
    ("to_minutes hours_to_minutes", "a * 60", "a * 100;a * 24;a / 60", lambda a, b: a * 60,
     "the minutes in that many hours"),
    ("to_hours days_to_hours", "a * 24", "a * 12;a * 60;a + 24", lambda a, b: a * 24,
     "the hours in that many days"),
    ("to_days weeks_to_days", "a * 7", "a * 5;a + 7;a / 7", lambda a, b: a * 7, "the days in that many weeks"),
]


def number_function(r, name, right, wrong, value):
  """(right body lines, wrong body lines, arguments, expected, got, repaired line) of an arithmetic function."""
  two = "b" in right
  for _ in range(40):
    a, b = r.randrange(2, 21), r.randrange(2, 13)
    if name.startswith(("div", "quot", "half", "halve", "third", "one_third", "percent")):
      a *= b if two else 6
    if name.startswith(("sub", "min", "diff")) and "_of" not in name:
      a, b = max(a, b), min(a, b)
    expected, got = value(a, b), int(calculate(wrong, a, b))
    if expected != got:
      break
  v = lambda e, x, y: "".join({"a": x, "b": y}.get(c, c) for c in e)
  k = r.random()
  if k < 0.62:  # positional
    p = lambda e: v(e, "$1", "$2")
    style = r.choice(["echo $(( {} ))", "echo $(( {} ))", "echo $(( {} ))", "echo $(({}))", "echo $(({}))", 'echo "$(({}))"',
                      'echo "$(( {} ))"', "printf '%d\\n' $(( {} ))", "echo $((tight))", "echo $((tight))"])
    make = lambda e: [style.replace("tight", p(e).replace(" ", "")).replace("{}", p(e))]
  elif k < 0.72 and "?" not in right and "=" not in right and "(" not in right + wrong and right.count(" ") == 2 == wrong.count(" "):
    make = lambda e: ["expr " + v(e, "$1", "$2").replace("*", "\\*")]
  else:
    x, y = r.choice([("a", "b"), ("x", "y"), ("n", "m"), ("first", "second"), ("left", "right")])
    local = f"local {x}=$1 {y}=$2" if two else f"local {x}=$1"
    style = r.choice(["echo $(( {} ))", "echo $(({}))", "echo $((tight))", 'echo "$(( {} ))"'])
    make = lambda e: [local, style.replace("tight", v(e, x, y).replace(" ", "")).replace("{}", v(e, x, y))]
  return make(right), make(wrong), f"{a} {b}" if two else str(a), expected, got, f"echo $(({v(right, '$1', '$2')}))"


def calculate(e, a, b):
  """The value of a shell expression in a and b."""
  if "?" in e:
    condition, x, y = re.match(r"(.*) \? (.*) : (.*)", e).groups()
    return eval(x if eval(condition) else y)
  return int(eval(e.replace("/", "//")))


def word_functions(r, w, g, h, yes, no, end, q):
  """Functions on words or conditions, with fresh arguments: [(names, right line, wrong line, arguments, expected, got, meaning)]."""
  one, two, three = w.term(), w.term(), w.term()
  a, b = r.sample(range(2, 30), 2)
  lo, hi = min(a, b), max(a, b)
  misspelt = g[:2] + g[3:] if end else g[:-1]
  return [
      ("greet hello welcome say_hello greeting salute", f'echo "{g}, $1{end}"', f'echo "{h}, $1{end}"', one, f"{g}, {one}{end}", f"{h}, {one}{end}", f"{g} and the name"),
      ("greet hello salute say_hi", f'echo "{g}, $1{end}"', f'echo "{g}, $2{end}"', f"{one} {two}", f"{g}, {one}{end}", f"{g}, {two}{end}", "a greeting with the first argument"),
      ("greet greeting hello", f'echo {q}{g} $1{q}', f'echo {q}{misspelt} $1{q}', one, f"{g} {one}", f"{misspelt} {one}", f"{g} and the name"),
      ("first first_arg head_of first_word", f"echo {q}$1{q}", f"echo {q}$2{q}", f"{one} {two}", one, two, "its first argument"),
      ("second second_arg second_word", f"echo {q}$2{q}", f"echo {q}$1{q}", f"{one} {two}", two, one, "its second argument"),
      ("third third_arg", f"echo {q}$3{q}", f"echo {q}$2{q}", f"{one} {two} {three}", three, two, "its third argument"),
      ("last last_arg last_word", 'echo "${@: -1}"', 'echo "$1"', f"{one} {two}", two, one, "its last argument"),
      ("swap flip reverse_args swap_words", 'echo "$2 $1"', 'echo "$1 $2"', f"{one} {two}", f"{two} {one}", f"{one} {two}", "its two arguments the other way round"),
      ("join join_words concat glue dash", 'echo "$1-$2"', 'echo "$1_$2"', f"{one} {two}", f"{one}-{two}", f"{one}_{two}", "its arguments joined by a dash"),
      ("full_name pair both", 'echo "$1 $2"', 'echo "$1$2"', f"{one} {two}", f"{one} {two}", f"{one}{two}", "both arguments with a space between"),
      ("upper to_upper uppercase shout", 'echo "${1^^}"', 'echo "${1,,}"', one, one.upper(), one.lower(), "its argument in capitals"),
      ("upper to_upper uppercase", 'echo "$1" | tr a-z A-Z', 'echo "$1" | tr A-Z a-z', one, one.upper(), one.lower(), "its argument in capitals"),
      ("lower to_lower lowercase", 'echo "${1,,}"', 'echo "${1^^}"', one.upper(), one.lower(), one.upper(), "its argument in small letters"),
      ("length len strlen", 'echo "${#1}"', 'echo "${#2}"', one, len(one), 0, "the length of its argument"),
      ("count_args argc nargs", 'echo "$#"', 'echo "$1"', f"{one} {two}", 2, one, "the number of its arguments"),
      ("is_equal same equals", '[ "$1" = "$2" ] && echo yes || echo no', '[ "$1" != "$2" ] && echo yes || echo no', f"{one} {one}", "yes", "no", "yes when both are equal"),
      ("is_empty empty", '[ -z "$1" ] && echo yes || echo no', '[ -n "$1" ] && echo yes || echo no', one, "no", "yes", "yes when there is no argument"),
      ("repeat dup twice_word", 'echo "$1$1"', 'echo "$1"', one, one + one, one, "its argument twice"),
      ("is_even even parity", f'[ $(( $1 % 2 )) -eq 0 ] && echo {yes} || echo {no}', f'[ $(( $1 % 2 )) -eq 1 ] && echo {yes} || echo {no}', str(a), yes if a % 2 == 0 else no, no if a % 2 == 0 else yes, f"{yes} for even numbers"),
      ("is_even even", f'if [ $(($1 % 2)) -eq 0 ]; then echo {yes}; else echo {no}; fi', f'if [ $(($1 % 2)) -ne 0 ]; then echo {yes}; else echo {no}; fi', str(a), yes if a % 2 == 0 else no, no if a % 2 == 0 else yes, f"{yes} for even numbers"),
      ("max maximum larger bigger", 'if [ "$1" -gt "$2" ]; then echo "$1"; else echo "$2"; fi', 'if [ "$1" -lt "$2" ]; then echo "$1"; else echo "$2"; fi', f"{a} {b}", hi, lo, "the larger number"),
      ("max maximum", '[ $1 -gt $2 ] && echo $1 || echo $2', '[ $1 -lt $2 ] && echo $1 || echo $2', f"{a} {b}", hi, lo, "the larger number"),
      ("min minimum smaller", 'if [ "$1" -lt "$2" ]; then echo "$1"; else echo "$2"; fi', 'if [ "$1" -gt "$2" ]; then echo "$1"; else echo "$2"; fi', f"{a} {b}", lo, hi, "the smaller number"),
      ("min minimum", '[ $1 -lt $2 ] && echo $1 || echo $2', '[ $1 -gt $2 ] && echo $1 || echo $2', f"{a} {b}", lo, hi, "the smaller number"),
      ("is_positive positive", f'[ "$1" -gt 0 ] && echo yes || echo no', f'[ "$1" -lt 0 ] && echo yes || echo no', str(a), "yes", "no", "yes for numbers above zero"),
  ]


def word_function(r, w):
  """As `one_function`, of a function on words or conditions."""
  style = (*r.sample(["Hello", "Hi", "Welcome", "Goodbye", "Hey", "Thanks", "Greetings", "Ciao"], 2), *r.choice([("yes", "no"), ("true", "false"), ("even", "odd")]),
           r.choice(["", "!", "."]), r.choice(['"', '"', '"', ""]))
  rows = word_functions(r, w, *style)
  i = r.randrange(len(rows))
  names, right, wrong, args, expected, got, meaning = rows[i]
  return r.choice(names.split()), [right], [wrong], args, expected, got, right, meaning, lambda: word_functions(r, w, *style)[i][3:6]


def one_function(r, w):
  """(name, right body lines, wrong body lines, arguments, expected, got, repaired line, meaning, another (arguments, expected, got))."""
  if r.random() > 0.62:
    return word_function(r, w)
  names, right, wrongs, value, meaning = r.choice(NUMBERS)
  name, wrong = r.choice(names.split()), r.choice(wrongs.split(";"))

  def another():
    a, b = r.randrange(2, 40), r.randrange(2, 13)
    expected = value(a, b)  # rounded as the shell does it, or it does not count
    return f"{a} {b}" if "b" in right else str(a), expected, int(calculate(wrong, a, b)) if calculate(right, a, b) == expected else expected
  return (name,) + number_function(r, name, right, wrong, value) + (meaning, another)


FORMATS = [
    ("ok {n}", "FAIL {n}: expected {e}, got {g}"), ("PASS {n}", "FAIL {n}: expected {e} but got {g}"),
    ("PASS: {n}", "FAIL: {n} (expected {e}, got {g})"), ("ok - {n}", "not ok - {n} (expected {e}, got {g})"),
    ("ok {i} - {n}", "not ok {i} - {n}: wanted {e}, got {g}"), ("[PASS] {n}", "[FAIL] {n}: expected '{e}' got '{g}'"),
    ("{n}: ok", "{n}: FAILED (expected {e}, got {g})"), ("{n} ... ok", "{n} ... FAILED"),
    ("{n} ... ok", "{n} ... FAILED, want {e}, have {g}"), ("test {n} passed", "test {n} failed: expected {e}, got {g}"),
    ("PASS {n}", "FAIL {n}"), ("ok   {n}", "FAIL {n}  expected={e} got={g}"), ("{n} passed", "{n} failed"),
    ("PASS: {n}", "FAIL: {n}"), ("ok {i} - {n}", "not ok {i} - {n}"), ("{n} OK", "{n} FAIL: {g} != {e}"),
    ("pass: {n}", "fail: {n}: expected {e}, got {g}"), ("", "FAIL: {n}"), ("", "{n}: expected {e}, got {g}"),
    ("{n} ok", "{n} FAILED"), ("{n}: PASS", "{n}: FAIL"), ("OK {n}", "ERROR {n}: {g} instead of {e}"),
    ("", "{n} should be {e} but is {g}"), ("ok {n}", "not ok {n}"), ("+ {n}", "- {n}: got {g}, want {e}"),
    ("check {n}: ok", "check {n}: FAIL"), ("PASS {n}", "FAIL {n} expected {e} got {g}"), ("", "FAIL {n}"),
]
PLAIN = [x for x in FORMATS if "{g}" not in x[1]] + [("ok {n}", "FAIL {n}: expected {e}"), ("", "FAIL: {n} should be {e}"), ("", "{n}: wrong")]
SUMMARIES = ["{p} passed, {f} failed", "{f} failed", "{f} of {t} tests failed", "passed: {p}, failed: {f}", "", "", "", "",
             "Results: {p} ok, {f} failed", "{p}/{t} passed", "{t} tests, {f} failures", "{f} failure(s)"]
SCRIPTS = ("test.sh test.sh run_tests.sh tests.sh tests/run.sh tests/test.sh check.sh tests/run_tests.sh test_all.sh run-tests.sh "
           "verify.sh run_checks.sh checks.sh tests/check.sh tests/all.sh selftest.sh spec.sh tests/suite.sh runtests.sh").split()
LIBRARIES = "lib funcs functions utils math strings helpers calc tools mathlib util common numbers".split()


def test_script(w, checks, lib):
  """A script that runs [(label, call, expected)]; returns (path, whether it stops at the first failure)."""
  r = w.rng
  k = r.random()
  script = r.choice(SCRIPTS) if k < 0.75 else r.choice(["test_", "check_", "verify_", "test-"]) + w.term() + ".sh" if k < 0.9 else w.term() + r.choice(["_test.sh", "-check.sh", "_tests.sh"])
  good, bad = r.choice(FORMATS)
  load = ["#!/bin/bash"] if r.random() < 0.7 else ["#!/bin/sh"]
  if lib:
    load.append(r.choice([f". ./{lib}", f". ./{lib}", f"source ./{lib}", f'. "$PWD/{lib}"']))
  esc = lambda s: s.replace('"', '\\"')
  k, stops = r.random(), False
  plain = lambda s, i, n, e: esc(s).replace("{n}", n).replace("{i}", str(i)).replace("{e}", e)
  if k < 0.55:
    say = lambda s: f'echo "{esc(s)}"'.replace("{n}", "$1").replace("{i}", "$i").replace("{e}", "$2").replace("{g}", "$3") if s else ":"
    name = r.choice(["check", "check", "expect", "assert_eq", "t"])
    load += ["pass=0; fail=0; i=0", f'{name}() {{ i=$((i+1)); if [ "$2" = "$3" ]; then pass=$((pass+1)); {say(good)}; else fail=$((fail+1)); {say(bad)}; fi; }}']
    load += [f'{name} "{n}" "{e}" "$({c})"' for n, c, e in checks]
    summary = r.choice(SUMMARIES)
    if summary:
      load.append('echo "' + summary.replace("{p}", "$pass").replace("{f}", "$fail").replace("{t}", "$i") + '"')
    load.append("[ $fail -eq 0 ]" if r.random() < 0.8 else "exit $fail")
  elif k < 0.8:
    good, bad = r.choice(PLAIN)
    load.append("status=0")
    for i, (n, c, e) in enumerate(checks, 1):
      shown = plain(good, i, n, e) if good else ""
      load.append(f'if [ "$({c})" = "{e}" ]; then ' + (f'echo "{shown}"' if shown else ":") + f'; else echo "{plain(bad, i, n, e)}"; status=1; fi')
    load.append("exit $status")
  else:
    good, bad = r.choice(PLAIN)
    stops = True
    for i, (n, c, e) in enumerate(checks, 1):
      if good:
        load.append(f'[ "$({c})" = "{e}" ] && echo "{plain(good, i, n, e)}" || {{ echo "{plain(bad, i, n, e)}"; exit 1; }}')
      else:
        load.append(f'[ "$({c})" = "{e}" ] || {{ echo "{plain(bad, i, n, e)}"; exit 1; }}')
    if r.random() < 0.6:
      load.append('echo "' + r.choice(["all tests passed", "ok", "all good", "PASS", "All tests passed.", "done"]) + '"')
  w.put(script, "\n".join(load) + "\n")
  if r.random() < 0.8:
    w.shell(f"chmod +x {script}")
  return script, stops


class Function:
  """A shell function of a library: its text as it is and as it should be."""

  def __init__(self, made, form, broken):
    self.name, self.right, self.wrong, self.args, expected, got, self.repaired, self.meaning, self.another = made
    self.expected, self.broken, self.label, self.checked = str(expected), broken, self.name, [self.args]
    self.form = form

  def text(self, lines):
    head = self.form.replace("{n}", self.name)
    if self.form.endswith("\n"):
      return head + "".join(f"  {x}\n" for x in lines) + "}\n"
    return head + " " + "; ".join(lines) + "; }\n"

  def change(self):
    """The old and new text for the edit: from the head to the wrong line."""
    drop = 2 if self.form.endswith("\n") else 0
    cut = lambda s: s[:-3] if drop else s[:-1]
    return cut(self.text(self.wrong)), cut(self.text([self.repaired]))


LABELS = ["{n}", "{n}", "{n} {a}", "{n} {a}", "{n} {a}", "test_{n}", "{n}({a})"]


def label_of(label, name, args):
  return label.replace("{n}", name).replace("{a}", args if "(" not in label else args.replace(" ", ", "))


def again(f):
  """Other arguments that a function is checked with, where it fails or passes with them as well: (arguments, expected) or None."""
  for _ in range(20):
    args, expected, got = f.another()
    if args not in f.checked and str(expected) != str(got):
      f.checked.append(args)
      return args, expected
  return None


def suite(w, wrong):
  """A library of functions and a test script, `wrong` of the functions broken. (script, library, functions, stops)."""
  r = w.rng
  form = r.choice(["{n}() {", "{n}() {", "{n}() {", "function {n} {", "{n} () {", "{n}() {\n", "{n}() {\n", "{n}() {\n", "function {n}() {\n", "{n} () {\n"])
  total = r.randrange(max(wrong, 1), 5)
  functions, names = [], set()
  while len(functions) < total:
    made = one_function(r, w)
    if made[0] not in names and str(made[4]) != str(made[5]):
      names.add(made[0])
      functions.append(Function(made, form, False))
  for f in r.sample(functions, wrong):
    f.broken = True
  label = r.choice(LABELS)
  for f in functions:
    f.label = label_of(label, f.name, f.args)
    f.labels = [f.label]
  folder = r.choice(["", "", "", "lib/", "src/", w.folder() + "/" if r.random() < 0.5 else ""])
  lib = folder + (r.choice(LIBRARIES) if r.random() < 0.6 else w.nonsense()) + ".sh"
  head = r.choice(["", "", "#!/bin/bash\n", "#!/bin/sh\n", f"# {w.phrase(1, 4)}\n"])
  gap = r.choice(["", "", "\n"])
  w.put(lib, head + gap.join(f.text(f.wrong if f.broken else f.right) for f in functions))
  checks = []
  for f in functions:
    checks.append((f.label, f"{f.name} {f.args}", f.expected))
    for _ in range(r.choice([0, 1, 1, 1, 2]) if "{a}" in label else 0):
      more = again(f)
      if not more:
        break
      f.labels.append(label_of(label, f.name, more[0]))
      checks.append((f.labels[-1], f"{f.name} {more[0]}", str(more[1])))
  script, stops = test_script(w, checks, lib)
  return script, lib, functions, stops


def run_script(script, named, aim=""):
  """Runs the script: at once when the user named it, else after looking around."""
  if not named:
    yield f"Look for the test script{aim}.", shell("find . -type f -not -path '*/.*'")
  return (yield f"Run {script}{aim}.", shell(f"bash {quote(script)}"))


def printed(w):
  """A test script whose checks are about anything, with random labels: (script, failing labels)."""
  r = w.rng
  label = r.choice([w.term, w.term, w.term, w.nonsense, w.stem, lambda: w.term() + " " + w.term(), lambda: "test_" + w.term(), lambda: w.term() + "_" + w.term()])
  labels = list(dict.fromkeys(label() for _ in range(r.randrange(2, 7))))
  failing = set(r.sample(labels, min(len(labels), r.choice([0, 1, 1, 1, 2, 2, 3]))))
  script, stops = test_script(w, [(x, "echo 1", "0" if x in failing else "1") for x in labels], "")
  bad = [x for x in labels if x in failing]
  return script, bad[:1] if stops else bad


def shown(line, word):
  return re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", line)


def line_of(lines, label):
  """The one line that names a test."""
  found = [x for x in lines if shown(x, label)]
  if len(found) != 1:
    raise ValueError("no line or several for a test")
  return found[0]


# Words that tell the lines of failing and of passing tests from all others, the first that does is taken.
FAILS = ["FAIL", "not ok", "fail:", "failed:", "failed", "ERROR", "wrong", "should be", "expected", "got"]
PASSES = ["PASS", "pass:", "passed", "OK", "^ok", "ok"]


def mark_of(marks, lines, labels):
  """The mark that stands in the lines of these tests and in no other."""
  own = {line_of(lines, x) for x in labels}
  for mark in marks:
    if {x for x in lines if re.search(mark, x)} == own:
      return mark
  raise ValueError("nothing marks these tests")


def verdict(script, lines, bad):
  """Ends a run of tests: the lines of those that fail, which a second run keeps, word for word."""
  if not bad:
    return "All pass.", "All tests pass."
  mark = mark_of(FAILS, lines, bad)
  kept = body((yield f"Some fail. Keep the lines with {mark}.", shell(f"bash {quote(script)} | grep {quote(mark)}")))
  return "Those fail.", "Failing:\n" + "\n".join(kept)


def counted(script, mark):
  """How many lines with a mark the tests print."""
  return (yield f"Count the lines with {mark}.", shell(f"bash {quote(script)} | grep -c {quote(mark)}"))


def run_tests(w):
  r = w.rng
  if r.random() < 0.6:
    script, bad = printed(w)
    functions, lib = [], ""
  else:
    script, lib, functions, stops = suite(w, r.choice([0, 1, 1, 2]))
    bad = [x for f in functions if f.broken for x in f.labels]
    bad = bad[:1] if stops else bad
  w.scatter(0, 2)
  named = r.random() < 0.55
  kind = r.choice(["", "", "", "count", "pass"])
  slots = dict(s=spoken_script(w, script))
  chore = Chore("tests", {}, slots, None, "tests" + (" named" if named else "") + (" " + kind if kind else ""))

  def play():
    lines = body((yield from run_script(script, named, " to count the tests that fail" if kind == "count" else "")))
    if bad and kind == "count":
      yield from counted(script, mark_of(FAILS, lines, bad))
      return f"{len(bad)} of them.", f"{plural(len(bad), 'test')} {'fails' if len(bad) == 1 else 'fail'}."
    return (yield from verdict(script, lines, bad))
  chore.play = play
  chore.facts.update(script=script, bad=bad, functions=functions, library=lib, value="\n".join(bad))
  return chore


def spoken_script(w, script):
  k = w.rng.random()
  if k < 0.5:
    return script
  if k < 0.7:
    return "./" + script
  return w.rng.choice(["`{s}`", "`./{s}`", "the script {s}", "the test script {s}", "'{s}'", "bash {s}", "{s}"]).replace("{s}", script)


def look_at(f):
  """Shows where a function is defined."""
  return shell(f"grep -rnE -A 2 '^(function )?{f.name}\\b.*\\{{' .")


def repair(w, script, lib, functions, result):
  """From the first output of the tests to the end."""
  fixed = []
  while True:
    failing = [f for f in functions if f.broken and re.search(rf"(?<!\w){re.escape(f.label)}(?!\w)", result)]
    if not failing:
      break
    for f in failing:
      yield f"{f.name} fails.", look_at(f)
      yield f"{f.name} in {lib} should be: {f.repaired}", edit(lib, *f.change())
      f.broken = False
      fixed.append(f.name)
    result = yield f"Run {script} again.", shell(f"bash {quote(script)}")
  return "All pass now.", f"Fixed {listing(fixed)} in {lib}; all tests pass now."


FIXES = ["fix", "fix named", "fix named", "fix function", "fix function", "fix plain", "fix plain", "fix file", "fix file named",
         "fix meaning", "fix meaning named", "fix untested"]


def fix_one(w):
  """Fixes a function and runs nothing: short, to learn by heart what each kind of function should be."""
  return fix_tests(w, ["fix plain", "fix untested"], "fix one")


def fix_tests(w, kinds=FIXES, family="fix"):
  r = w.rng
  script, lib, functions, stops = suite(w, r.choice([1, 1, 1, 1, 1, 2]) if kinds is FIXES else 1)
  w.scatter(0, 2)
  bad = [f for f in functions if f.broken]
  kind = r.choice(kinds)
  f = bad[0]
  if len(bad) > 1 and kind not in ("fix", "fix named"):
    kind = "fix named"
  slots = dict(s=spoken_script(w, script), l=spoken_file(w, lib), n=wrap_name(w, f.name), m=expand(f"({f.meaning})", r))
  if kind == "fix untested":
    os.remove(os.path.join(w.root, script))
  chore = Chore(family, {}, slots, None, kind)

  def play():
    if kind in ("fix", "fix named", "fix file", "fix file named"):
      result = yield from run_script(script, kind.endswith("named"), " to fix what fails")
      return (yield from repair(w, script, lib, functions, result))
    runs = kind in ("fix function", "fix meaning named")
    yield f"Look at {f.name} to fix it." + (f" Then run {script}." if runs else ""), look_at(f)
    yield f"{f.name} in {lib} should be: {f.repaired}", edit(lib, *f.change())
    f.broken = False
    if not runs:
      return "It is done.", f"Fixed {f.name} in {lib}."
    yield f"Run {script}.", shell(f"bash {quote(script)}")
    return "All pass now.", f"Fixed {f.name} in {lib}; all tests pass now."
  chore.play = play
  chore.facts.update(file=lib, script=script)
  return chore
