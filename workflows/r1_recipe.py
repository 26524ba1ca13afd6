"""DeepSeek-R1's mixture (DeepSeek-AI 2025, section 2.3) on sums: three rounds of different kinds in one run, each before the same gate.

Cold start: the base model is fine-tuned on a few traces, here its own, sampled with exemplars. Reinforcement: the checkpoint answers problems, and
the verifier rewards it. Rejection sampling: the champion's verified traces train the base model again.
"""

from selfimprove import (
    GRPO,
    SFT,
    VLLM,
    Exemplar,
    FewShot,
    KeepCorrect,
    LastNumber,
    ReasoningGym,
    ReasoningGymScorer,
    Replay,
    Round,
    Sampling,
    Workflow,
)

EXEMPLARS = (
    Exemplar("State the final answer to the following arithmetic problem: 4 + 3 - 2 =", "4 + 3 = 7.\n7 - 2 = 5.", "5"),
    Exemplar("State the final answer to the following arithmetic problem: 6 + 9 =", "6 + 9 = 15.", "15"),
    Exemplar("State the final answer to the following arithmetic problem: 2 - 8 + 1 =", "2 - 8 = -6.\n-6 + 1 = -5.", "-5"),
    Exemplar("State the final answer to the following arithmetic problem: 7 - 5 - 4 =", "7 - 5 = 2.\n2 - 4 = -2.", "-2"),
)
SUMS = {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1, "allow_negation": False}

cold_start = Round(trainer=SFT(min_steps=20, epochs=1, learning_rate=1e-4, batch_size=16))
reinforcement = Round(
    start_from="champion",
    sampling=Sampling(n=4, temperature=1.0, max_tokens=48),
    reinforcement=GRPO(steps=12, problems_per_step=8, group_size=8, max_tokens=48, learning_rate=2e-5, format_reward=0.1),
)
rejection_sampling = Round(mixture=Replay(earlier=False, per_problem=1))

workflow = Workflow(
    name="r1-recipe",
    base_model="smollm2-135m-instruct",
    problems=ReasoningGym(task="chain_sum", size=900, seed=1, settings=SUMS),
    eval_problems=150,
    problems_per_generation=300,
    first_prompter=FewShot(EXEMPLARS),
    sampler=VLLM(engine={"max_model_len": 512}),
    sampling=Sampling(n=3, temperature=0.6, max_tokens=48),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=48),
    verifier=ReasoningGymScorer(),
    also=(LastNumber(),),
    selector=KeepCorrect(true_equations=True),
    trainer=SFT(epochs=1.5, min_steps=30, learning_rate=1e-4, batch_size=16),
    rounds=(cold_start, reinforcement, rejection_sampling),
    generations=3,
)
