#!/usr/bin/env python3
"""Tests of the exam itself: every chore can be solved, and nothing cheap solves one.

    tests/eval/eval_test.py [--conversations N]

N: how many conversations the training data's generator is asked for, to compare wordings.
"""
import pathlib
import re
import subprocess
import sys
import unittest

from chore import fill
from chores import CHORES
from shared_wording import normal, shared
from workspace import attempt, oracle, staged

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONVERSATIONS = 600


def wording_pattern(turn, facts):
    """Matches every text that could come from this wording, whatever names stand in it."""
    def hole(match):
        return " TEXT " if " " in str(facts[match[1]]) else " NAME "
    holes = {"name": r"\S+", "text": r"\S+( \S+)*"}
    words = normal(re.sub(r"\{(\w+)\}", hole, turn.wording)).split()
    return re.compile(" ".join(holes.get(word) or re.escape(word) for word in words))


def training_prompts():
    """What users say in the training data, from the conversations that its generator shows."""
    generator = ROOT / "model/nano/generate.py"
    done = subprocess.run([python_with_numpy(), generator, "--show", str(CONVERSATIONS)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{generator} --show failed: {done.stderr[-500:]}")
    found = re.findall("<｜User｜>(.*?)<｜Assistant｜>", done.stdout, re.S)
    return sorted({normal(prompt) for prompt in found})


def python_with_numpy():
    for python in (sys.executable, "/usr/bin/python3"):
        probe = subprocess.run([python, "-c", "import numpy"], stderr=subprocess.DEVNULL)
        if probe.returncode == 0:
            return python
    raise RuntimeError("numpy is missing: tests/packages.sh test")


def recital(prompt, workspace):
    """Every file of the workspace."""
    texts = (p for p in sorted(workspace.rglob("*")) if p.is_file() and ".git" not in p.parts)
    return "\n".join(f"{p.relative_to(workspace)}:\n{p.read_text()}" for p in texts)


CHEAP = {
    "silence": lambda prompt, workspace: "",
    "an empty promise": lambda prompt, workspace: "Done, I have done that for you.",
    "an echo": lambda prompt, workspace: prompt,
    "a recital": recital,
    "a plea": lambda prompt, workspace: "That is beyond me, use a bigger model with --model.",
}


class Exam(unittest.TestCase):
    def test_has_300_chores_with_wordings_of_their_own(self):
        self.assertEqual(len(CHORES), 300)
        self.assertEqual(len({chore.id for chore in CHORES}), 300)
        wordings = [normal(turn.wording) for chore in CHORES for turn in chore.turns]
        twice = {w for w in wordings if wordings.count(w) > 1}
        self.assertFalse(twice)

    def test_staging_is_the_same_every_time(self):
        for chore in CHORES:
            (a, facts_a), (b, facts_b) = chore.stage(), chore.stage()
            self.assertEqual((a.files, a.ages, a.script, facts_a),
                             (b.files, b.ages, b.script, facts_b), chore.id)

    def test_every_oracle_passes(self):
        for chore in CHORES:
            with self.subTest(chore.id):
                problem, dialogue = attempt(chore, oracle(chore))
                self.assertIsNone(problem, dialogue)

    def test_nothing_cheap_solves_a_chore(self):
        passed = {name: [] for name in CHEAP}
        for chore in CHORES:
            with staged(chore) as (workspace, facts, judge):
                for name, answer in CHEAP.items():
                    said = [answer(fill(t.wording, facts), workspace) for t in chore.turns]
                    if judge(said) is None:
                        passed[name].append(chore.id)
        self.assertEqual(passed["silence"], [])
        self.assertEqual(passed["an empty promise"], [])
        # To name the first of two options is luck: the either-or chores.
        self.assertLessEqual(len(passed["an echo"]), 6, passed["an echo"])
        self.assertLessEqual(len(passed["a recital"]), 30, passed["a recital"])
        # Less than a twentieth: what the program with shuffled weights must stay below, too.
        self.assertLess(len(passed["a plea"]), 15, passed["a plea"])

    def test_no_template_of_the_training_data_makes_a_wording(self):
        found = shared(turn.wording for chore in CHORES for turn in chore.turns)
        self.assertFalse(found, "\n" + "\n".join(f"{k}: {v}" for k, v in found.items()))

    def test_finds_a_template_that_makes_a_wording(self):
        for wording in ("Could you tell me where {file} is in {d}?", "count {ext} files in {d}!",
                        "shift {file} into the folder {d}", "move that to {d}"):
            self.assertTrue(shared([wording]), wording)
        self.assertFalse(shared(["{file} has had its day in {d}, so to speak"]))

    def test_shares_no_wording_with_the_training_data(self):
        prompts = training_prompts()
        self.assertGreater(len(prompts), CONVERSATIONS // 2)
        shared = {}
        for chore in CHORES:
            _, facts = chore.stage()
            for turn in chore.turns:
                pattern = wording_pattern(turn, facts)
                hit = next((p for p in prompts if pattern.fullmatch(p)), None)
                if hit:
                    shared[f"{chore.id}: {turn.wording}"] = hit
        self.assertFalse(shared, "\n" + "\n".join(f"{k}: {v}" for k, v in shared.items()))


if __name__ == "__main__":
    if "--conversations" in sys.argv:
        at = sys.argv.index("--conversations")
        CONVERSATIONS = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    unittest.main()
