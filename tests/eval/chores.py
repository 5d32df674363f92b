#!/usr/bin/env python3
"""All chores of the exam. Run as a program, it prints them with this seed's names."""
import change
import look
import project
import talk
from chore import fill

FAMILIES = look.FAMILIES + change.FAMILIES + project.FAMILIES + talk.FAMILIES
CHORES = [chore for family in FAMILIES for chore in family.chores]

if __name__ == "__main__":
    for chore in CHORES:
        _, facts = chore.stage()
        for turn in chore.turns:
            print(f"{chore.id}  {fill(turn.wording, facts)}")
    print(f"{len(CHORES)} chores in {len(FAMILIES)} families")
