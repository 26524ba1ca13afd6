"""The quickstart: SmolLM2-135M teaches itself to reason about sums, from four worked examples.

Generation 1 sees the exemplars; its verified traces train a model on the plain question. From then on each model samples for the next.
"""

from selfimprove import SFT, VLLM, Exemplar, FewShot, KeepCorrect, LastNumber, ReasoningGym, ReasoningGymScorer, Replay, Sampling, Workflow

EXEMPLARS = (
    Exemplar("State the final answer to the following arithmetic problem: 4 + 3 - 2 =", "4 + 3 = 7.\n7 - 2 = 5.", "5"),
    Exemplar("State the final answer to the following arithmetic problem: 6 + 9 =", "6 + 9 = 15.", "15"),
    Exemplar("State the final answer to the following arithmetic problem: 2 - 8 + 1 =", "2 - 8 = -6.\n-6 + 1 = -5.", "-5"),
    Exemplar("State the final answer to the following arithmetic problem: 7 - 5 - 4 =", "7 - 5 = 2.\n2 - 4 = -2.", "-2"),
)

workflow = Workflow(
    name="quickstart",
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
    sampling=Sampling(n=3, temperature=0.6, max_tokens=48),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=48),
    verifier=ReasoningGymScorer(),
    also=(LastNumber(),),
    selector=KeepCorrect(true_equations=True),
    accepted_cap=1,
    mixture=Replay(earlier=True, per_problem=1),
    trainer=SFT(epochs=1.5, min_steps=30, learning_rate=1e-4, batch_size=16),
    generations=3,
    answer_only_baseline=True,
)
