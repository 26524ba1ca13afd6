"""Grade-school word problems (GSM8K). `selfimprove check` finds what is wrong with it, `selfimprove run` runs it.

Every part is a dataclass; `selfimprove settings` lists every setting with its meaning.
"""

from selfimprove import SFT, VLLM, Exemplar, FewShot, HubDataset, KeepCorrect, LastNumber, Replay, Sampling, Workflow

# Worked examples for a base model that does not reason yet.
EXEMPLARS = (
    Exemplar(
        question="Mia has 3 boxes with 8 pencils each. She gives 5 pencils away. How many are left?",
        rationale="3 boxes with 8 pencils each are 3 * 8 = 24 pencils.\n24 - 5 = 19 pencils are left.",
        answer="19",
    ),
    Exemplar(
        question="A train goes 60 miles in an hour. How far does it go in 2 hours and a half?",
        rationale="In 2 hours it goes 60 * 2 = 120 miles.\nIn half an hour it goes 60 / 2 = 30 miles.\n120 + 30 = 150.",
        answer="150",
    ),
    Exemplar(
        question="A shirt costs 20 dollars. It is sold for a quarter less. What does it cost now?",
        rationale="A quarter of 20 dollars is 20 / 4 = 5 dollars.\n20 - 5 = 15.",
        answer="15",
    ),
)

workflow = Workflow(
    name="experiment",
    # The model that learns: a Hugging Face id or a folder.
    base_model="Qwen/Qwen2.5-1.5B",
    problems=HubDataset("openai/gsm8k", config="main", split="train", answer_from="gsm8k"),
    eval_problems=HubDataset("openai/gsm8k", config="main", split="test", answer_from="gsm8k", limit=500),
    verifier=LastNumber(),
    first_prompter=FewShot(EXEMPLARS),
    sampler=VLLM(engine={"max_model_len": 2048}),
    # More samples solve more problems and take longer; max_tokens limits thinking and answer together.
    sampling=Sampling(n=8, temperature=0.8, max_tokens=512),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=512),
    selector=KeepCorrect(),
    mixture=Replay(per_problem=4),
    # min_steps: the first generations may accept few traces; these are then used more than twice.
    trainer=SFT(epochs=2, min_steps=24, learning_rate=1e-5, batch_size=32, max_length=1024),
    problems_per_generation=2000,
    generations=3,
)
