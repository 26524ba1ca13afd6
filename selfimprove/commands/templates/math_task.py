"""Problems whose answer is a formula in a box (MATH). `selfimprove check` finds what is wrong with it, `selfimprove run` runs it.

Every part is a dataclass; `selfimprove settings` lists every setting with its meaning.
"""

from selfimprove import SFT, VLLM, Exemplar, FewShot, HubDataset, KeepCorrect, Mathematical, Replay, Sampling, Workflow

# Worked examples for a base model that does not reason yet.
EXEMPLARS = (
    Exemplar(question=r"Solve $2x + 6 = 10$ for $x$.", rationale="2x = 10 - 6 = 4.\nx = 4 / 2 = 2.", answer=r"\boxed{2}"),
    Exemplar(
        question=r"What is $\frac{1}{2} + \frac{1}{3}$?",
        rationale="The common denominator is 6.\n1/2 = 3/6 and 1/3 = 2/6.\n3/6 + 2/6 = 5/6.",
        answer=r"\boxed{\frac{5}{6}}",
    ),
    Exemplar(
        question=r"What is the area of a circle with radius $3$?",
        rationale="The area is pi times the square of the radius.\n3 * 3 = 9.",
        answer=r"\boxed{9\pi}",
    ),
)

workflow = Workflow(
    name="experiment",
    # The model that learns: a Hugging Face id or a folder.
    base_model="Qwen/Qwen2.5-1.5B",
    # The answers are in the last \boxed{} of the solutions.
    problems=HubDataset("EleutherAI/hendrycks_math", config="algebra", question="problem", answer="solution", answer_from="boxed"),
    # Number of problems set aside for the evaluation and never trained on.
    eval_problems=300,
    verifier=Mathematical(),
    first_prompter=FewShot(EXEMPLARS),
    sampler=VLLM(engine={"max_model_len": 4096}),
    # More samples solve more problems and take longer; max_tokens limits thinking and answer together.
    sampling=Sampling(n=8, temperature=0.8, max_tokens=1024),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=1024),
    selector=KeepCorrect(),
    mixture=Replay(per_problem=4),
    # min_steps: the first generations may accept few traces; these are then used more than twice.
    trainer=SFT(epochs=2, min_steps=24, learning_rate=1e-5, batch_size=32, max_length=2048),
    generations=3,
)
