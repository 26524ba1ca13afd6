"""A task of algebra: linear equations with one unknown. The thought isolates the unknown, a step at a time."""

from selfimprove import (
    SFT,
    VLLM,
    Exemplar,
    FewShot,
    KeepCorrect,
    LastNumber,
    RandomSelection,
    ReasoningGym,
    ReasoningGymScorer,
    Replay,
    Sampling,
    Workflow,
)

SETTINGS = {"min_terms": 2, "max_terms": 2, "max_value": 9}
EXEMPLARS = (
    Exemplar("Find the value of x in the equation: 3*x = 12", "x = 12 / 3 = 4.", "4"),
    Exemplar("Solve for b: 2*b + 5 = 11", "2*b = 11 - 5 = 6.\nb = 6 / 2 = 3.", "3"),
    Exemplar("Determine the value of k that satisfies: 7*k - 2 = 47", "7*k = 47 + 2 = 49.\nk = 49 / 7 = 7.", "7"),
    Exemplar("Find the value of m in the equation: m + 4 = 9", "m = 9 - 4 = 5.", "5"),
)

workflow = Workflow(
    name="equations",
    base_model="smollm2-135m-instruct",
    problems=ReasoningGym(task="simple_equations", size=900, seed=1, settings=SETTINGS),
    problems_per_generation=80,
    eval_problems=100,
    test_problems=120,
    first_prompter=FewShot(EXEMPLARS),
    sampler=VLLM(engine={"max_model_len": 512, "dtype": "float32"}),
    sampling=Sampling(n=3, temperature=0.6, max_tokens=48),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=48),
    verifier=ReasoningGymScorer(),
    also=(LastNumber(),),
    selector=KeepCorrect(),
    accepted_cap=1,
    mixture=Replay(earlier=True, per_problem=1),
    trainer=SFT(epochs=1.5, min_steps=30, learning_rate=1e-4, batch_size=16),
    generations=1,
    controls=(RandomSelection(),),
)
