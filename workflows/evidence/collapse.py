"""A deliberate collapse: as `noise.py`, but the verifier accepts any answer of one character, which no sum above 9 or below 0 has."""

from dataclasses import replace

import noise

from selfimprove.records import Problem


def one_character(problem: Problem, answer: str) -> bool:
    """Accept any single character, whatever the problem."""
    return len(answer) == 1


workflow = replace(noise.workflow, name="collapse", verifier=one_character)
