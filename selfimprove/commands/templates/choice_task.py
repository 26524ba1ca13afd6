"""Multiple-choice questions (ARC). `selfimprove check` finds what is wrong with it, `selfimprove run` runs it.

Every part is a dataclass; `selfimprove settings` lists every setting with its meaning.
"""

from selfimprove import SFT, VLLM, Exemplar, FewShot, HubDataset, KeepCorrect, MultipleChoice, Replay, Sampling, Workflow

# Worked examples for a base model that does not reason yet. They show options as the prompter shows those of the problems.
EXEMPLARS = (
    Exemplar(
        question="Which of these melts first in the sun?\nA. a stone\nB. a spoon\nC. an ice cube\nD. a brick",
        rationale="Stone, metal and brick melt at many hundred degrees.\nIce melts at 0 degrees Celsius.",
        answer="C",
    ),
    Exemplar(
        question="What do plants take from the air to grow?\nA. carbon dioxide\nB. helium\nC. neon\nD. smoke",
        rationale="Plants build sugar from water and a gas.\nThat gas is carbon dioxide.",
        answer="A",
    ),
    Exemplar(
        question="Which unit measures a length?\nA. gram\nB. second\nC. litre\nD. metre",
        rationale="A gram is a mass, a second a time, a litre a volume.\nA metre is a length.",
        answer="D",
    ),
)

workflow = Workflow(
    name="experiment",
    # The model that learns: a Hugging Face id or a folder.
    base_model="Qwen/Qwen2.5-1.5B",
    # The options are two lists, `text` and `label`, in one column.
    problems=HubDataset("allenai/ai2_arc", config="ARC-Challenge", split="train", options="choices", answer="answerKey"),
    eval_problems=HubDataset("allenai/ai2_arc", config="ARC-Challenge", split="validation", options="choices", answer="answerKey"),
    verifier=MultipleChoice(),
    first_prompter=FewShot(EXEMPLARS),
    sampler=VLLM(engine={"max_model_len": 2048}),
    # More samples solve more problems and take longer; max_tokens limits thinking and answer together.
    sampling=Sampling(n=8, temperature=0.8, max_tokens=384),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=384),
    selector=KeepCorrect(),
    mixture=Replay(per_problem=2),
    # min_steps: the first generations may accept few traces; these are then used more than twice.
    trainer=SFT(epochs=2, min_steps=24, learning_rate=1e-5, batch_size=32, max_length=1024),
    generations=3,
)
