"""The quickstart's task in one generation, with all that a sceptic asks for: a final test, controls, and the same answers by value.

Guards watch over two other tasks. They show exemplars, since the base model solves neither without.
"""

from dataclasses import replace

import words

from selfimprove import Exemplar, FewShot, Guard, KeepCorrect, LastNumber, ReasoningGym, ReasoningGymScorer

SETTINGS = {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1, "allow_negation": False}
ASKED = "State the final answer to the following arithmetic problem:"
EXEMPLARS = (
    Exemplar(f"{ASKED} 4 + 3 - 2 =", "4 + 3 = 7.\n7 - 2 = 5.", "5"),
    Exemplar(f"{ASKED} 6 + 9 =", "6 + 9 = 15.", "15"),
    Exemplar(f"{ASKED} 2 - 8 + 1 =", "2 - 8 = -6.\n-6 + 1 = -5.", "-5"),
    Exemplar(f"{ASKED} 7 - 5 - 4 =", "7 - 5 = 2.\n2 - 4 = -2.", "-2"),
)

COUNTED = "How many times does the letter"
LETTERS = (
    Exemplar(f'{COUNTED} "e" appear in the text: "tree"?', "t, r, e, e.\ne appears 2 times.", "2"),
    Exemplar(f'{COUNTED} "o" appear in the text: "good moon"?', "g, o, o, d.\nm, o, o, n.\no appears 4 times.", "4"),
    Exemplar(f'{COUNTED} "s" appear in the text: "sun"?', "s, u, n.\ns appears 1 time.", "1"),
    Exemplar(f'{COUNTED} "a" appear in the text: "a banana"?', "a.\nb, a, n, a, n, a.\na appears 4 times.", "4"),
)
GUARDS = {
    "words": Guard(
        problems=ReasoningGym(task="needle_haystack", size=60, seed=3, settings=words.SETTINGS),
        prompter=FewShot(words.EXEMPLARS),
        verifier=ReasoningGymScorer(),
    ),
    "letters": Guard(
        problems=ReasoningGym(task="letter_counting", size=60, seed=3, settings={"min_words": 1, "max_words": 2}),
        prompter=FewShot(LETTERS),
        verifier=ReasoningGymScorer(),
    ),
}

workflow = replace(
    words.workflow,
    name="sums",
    problems=ReasoningGym(task="chain_sum", size=900, seed=1, settings=SETTINGS),
    first_prompter=FewShot(EXEMPLARS),
    sampling=replace(words.workflow.sampling, max_tokens=48),
    eval_sampling=replace(words.workflow.eval_sampling, max_tokens=48),
    also=(LastNumber(),),
    selector=KeepCorrect(true_equations=True),
    guards=GUARDS,
)
