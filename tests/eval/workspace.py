"""Runs a chore in a workspace of its own and judges it, whoever answers."""
import pathlib
import shutil
import subprocess
import tempfile

from chore import fill, judge_answer, judge_files, shell_environment, snapshot


def attempt(chore, answer, keep=False):
    """Stages the chore, asks `answer(prompt, workspace, turn)` for each turn and judges.

    Returns (problem or None, [(prompt, answer)]). Answers are judged as they come, files at the
    end. The folder's name tells nothing about the chore.
    """
    home = pathlib.Path(tempfile.mkdtemp(prefix="chore-"))
    workspace = home / "work"
    workspace.mkdir()
    try:
        world, facts = chore.stage()
        world.build(workspace)
        before = snapshot(workspace)
        dialogue, problem = [], None
        for number, turn in enumerate(chore.turns):
            prompt = fill(turn.wording, facts)
            said = answer(prompt, workspace, number)
            dialogue.append((prompt, said))
            problem = problem or judge_answer(turn, facts, said)
        return problem or judge_files(chore, facts, before, workspace), dialogue
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


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
