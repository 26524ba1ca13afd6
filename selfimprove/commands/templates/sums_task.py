"""An experiment: the parts and their settings. `selfimprove check` finds what is wrong with it, `selfimprove run` runs it.

Every part is a dataclass; `selfimprove settings` lists every setting with its meaning.
"""

from selfimprove import SFT, VLLM, Exemplar, FewShot, KeepCorrect, LastNumber, ReasoningGym, Replay, Sampling, Workflow

# Worked examples for the base model, which does not reason yet: three to eight, similar to your problems, none of them an evaluation problem.
EXEMPLARS = (
    Exemplar(question="What is 4 + 3 - 2?", rationale="4 + 3 = 7.\n7 - 2 = 5.", answer="5"),
    Exemplar(question="What is 6 + 9?", rationale="6 + 9 = 15.", answer="15"),
    Exemplar(question="What is 7 - 5 - 4?", rationale="7 - 5 = 2.\n2 - 4 = -2.", answer="-2"),
)

workflow = Workflow(
    name="experiment",
    # The model that learns: a Hugging Face id, a folder, or this small model, which needs no network.
    base_model="smollm2-135m-instruct",
    # Your own problems: `selfimprove init --task custom` shows how.
    problems=ReasoningGym(task="chain_sum", size=600, settings={"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1}),
    # Number of problems set aside for the evaluation and never trained on.
    eval_problems=100,
    # What decides whether an answer is right: LastNumber, Exact, Mathematical, MultipleChoice, PythonTests, ReasoningGymScorer, or your own.
    verifier=LastNumber(),
    first_prompter=FewShot(EXEMPLARS),
    # max_model_len: maximum number of tokens of prompt and output together.
    sampler=VLLM(engine={"max_model_len": 512}),
    # More samples solve more problems and take longer; max_tokens limits thinking and answer together.
    sampling=Sampling(n=4, temperature=0.7, max_tokens=64),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=64),
    # Which correct traces to train on, and how many for each problem.
    selector=KeepCorrect(),
    mixture=Replay(per_problem=1),
    # min_steps: the first generations may accept few traces; these are then used more than twice.
    trainer=SFT(epochs=2, min_steps=24, learning_rate=1e-4, batch_size=16),
    generations=2,
)
