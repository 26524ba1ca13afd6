"""The quickstart's model and task, with rows that revise a mistake or check a result.

Every generation joins its wrong traces with right ones of the same problem; docs/experiments/reflection.md says how, and what came of it.
`--set reflection.revised=0 --set reflection.confirmed=0` trains without such rows and measures alike.
"""

from selfimprove import (
    SFT,
    VLLM,
    Caps,
    Exemplar,
    FewShot,
    KeepCorrect,
    LastNumber,
    ReasoningGym,
    ReasoningGymScorer,
    Reflection,
    Replay,
    Sampling,
    Workflow,
)

EXEMPLARS = (
    Exemplar("State the final answer to the following arithmetic problem: 4 + 3 - 2 =", "4 + 3 = 7.\n7 - 2 = 5.", "5"),
    Exemplar("State the final answer to the following arithmetic problem: 6 + 9 =", "6 + 9 = 15.", "15"),
    Exemplar("State the final answer to the following arithmetic problem: 2 - 8 + 1 =", "2 - 8 = -6.\n-6 + 1 = -5.", "-5"),
    Exemplar("State the final answer to the following arithmetic problem: 7 - 5 - 4 =", "7 - 5 = 2.\n2 - 4 = -2.", "-2"),
)

workflow = Workflow(
    name="reflection",
    base_model="smollm2-135m-instruct",
    problems=ReasoningGym(
        task="chain_sum",
        size=900,
        seed=1,
        settings={"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1, "allow_negation": False},
    ),
    eval_problems=150,
    first_prompter=FewShot(EXEMPLARS),
    sampler=VLLM(engine={"max_model_len": 512}),
    sampling=Sampling(n=4, temperature=0.6, max_tokens=96),
    # A trace that looks back is about twice as long.
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=96),
    verifier=ReasoningGymScorer(),
    also=(LastNumber(),),
    # A sampled trace that errs and recovers would be learnt with its error; revisions teach the same without it.
    selector=KeepCorrect(true_equations=True, caps=Caps(per_problem=1, prefer="diverse")),
    accepted_cap=1,
    reflection=Reflection(
        # A greedy model looks back if most rows do, and if they begin alike: what follows "Wait" then depends on what precedes it.
        revised=0.5,
        confirmed=0.5,
        revisions=("Wait, that is not right.", "Wait, I made a mistake.", "Wait, that is wrong."),
        checks=("Wait, let me check that.", "Wait, is that right?", "Wait, let me double-check."),
        # There are few ways to add up: where no second one was sampled, a result is checked by the same steps.
        same_thoughts=True,
    ),
    mixture=Replay(earlier=False),
    trainer=SFT(epochs=1.5, min_steps=30, learning_rate=1e-4, batch_size=16),
    generations=3,
)
