"""Runs a chore in a workspace of its own and judges it, whoever answers."""
import contextlib
import pathlib
import shutil
import subprocess
import tempfile

from chore import fill, judge_answer, judge_files, shell_environment, snapshot


@contextlib.contextmanager
def staged(chore):
    """A fresh workspace of the chore: (workspace, facts, judge), gone afterwards.

    `judge` gives the first thing that is wrong with the answers and the files, or None. The
    folder's name tells nothing about the chore.
    """
    home = pathlib.Path(tempfile.mkdtemp(prefix="chore-"))
    workspace = home / "work"
    workspace.mkdir()
    try:
        world, facts = chore.stage()
        world.build(workspace)
        before = snapshot(workspace)

        def judge(answers):
            problems = [judge_answer(t, facts, said) for t, said in zip(chore.turns, answers)]
            problems.append(judge_files(chore, facts, before, workspace))
            return next((p for p in problems if p), None)
        yield workspace, facts, judge
    finally:
        shutil.rmtree(home, ignore_errors=True)


def attempt(chore, answer):
    """Asks `answer(prompt, workspace, number)` for each turn: (problem, [(prompt, answer)])."""
    with staged(chore) as (workspace, facts, judge):
        dialogue = []
        for number, turn in enumerate(chore.turns):
            prompt = fill(turn.wording, facts)
            dialogue.append((prompt, answer(prompt, workspace, number)))
        return judge([said for _, said in dialogue]), dialogue


def oracle(chore):
    """Answers with the chore's own shell commands."""
    _, facts = chore.stage()

    def answer(prompt, workspace, number):
        command = fill(chore.turns[number].oracle, facts, strict=False)
        done = subprocess.run(["bash", "-c", command], cwd=workspace, stdin=subprocess.DEVNULL,
                              env=shell_environment(workspace), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30)
        return done.stdout.decode()
    return answer
