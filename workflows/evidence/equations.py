"""`words.py` with a task of algebra: linear equations with one unknown. The thought isolates the unknown, a step at a time."""

from dataclasses import replace

import words

from selfimprove import Exemplar, FewShot, LastNumber, ReasoningGym

SETTINGS = {"min_terms": 2, "max_terms": 2, "max_value": 9}
EXEMPLARS = (
    Exemplar("Find the value of x in the equation: 3*x = 12", "x = 12 / 3 = 4.", "4"),
    Exemplar("Solve for b: 2*b + 5 = 11", "2*b = 11 - 5 = 6.\nb = 6 / 2 = 3.", "3"),
    Exemplar("Determine the value of k that satisfies: 7*k - 2 = 47", "7*k = 47 + 2 = 49.\nk = 49 / 7 = 7.", "7"),
    Exemplar("Find the value of m in the equation: m + 4 = 9", "m = 9 - 4 = 5.", "5"),
)

workflow = replace(
    words.workflow,
    name="equations",
    problems=ReasoningGym(task="simple_equations", size=900, seed=1, settings=SETTINGS),
    first_prompter=FewShot(EXEMPLARS),
    sampling=replace(words.workflow.sampling, max_tokens=48),
    eval_sampling=replace(words.workflow.eval_sampling, max_tokens=48),
    also=(LastNumber(),),
)
