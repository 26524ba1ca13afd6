"""Your own problems with your own verdict. `selfimprove check` finds what is wrong with it, `selfimprove run` runs it.

Every part is a dataclass; `selfimprove settings` lists every setting with its meaning.
"""

from selfimprove import SFT, VLLM, Exemplar, FewShot, FunctionVerifier, KeepCorrect, Replay, Sampling, Table, Workflow
from selfimprove.records import Problem

# A list of dicts here; Table("problems.csv") reads a file: CSV, TSV, JSON, JSON Lines or Parquet. Other columns become metadata.
PROBLEMS = [
    {"question": f"Write the word `{word}` backwards.", "answer": word[::-1]} for word in ("apple", "river", "stone", "cloud", "table", "green")
]

# Worked examples for a base model that does not reason yet: three to eight, none of them an evaluation problem.
EXEMPLARS = (
    Exemplar(question="Write the word `cat` backwards.", rationale="The letters are c, a, t.\nBackwards they are t, a, c.", answer="tac"),
    Exemplar(question="Write the word `moon` backwards.", rationale="The letters are m, o, o, n.\nBackwards they are n, o, o, m.", answer="noom"),
)


def right(problem: Problem, answer: str) -> bool:
    """Whether the answer, the text after the thinking, is right. It may also return a score from 0 to 1, or None if the answer cannot be read."""
    return answer.strip(" .`").casefold() == problem.answer.casefold()


workflow = Workflow(
    name="experiment",
    # The model that learns: a Hugging Face id, a folder, or this small model, which needs no network.
    base_model="smollm2-135m-instruct",
    problems=Table(PROBLEMS),
    # Number of problems set aside for the evaluation and never trained on; take a hundred or more.
    eval_problems=2,
    verifier=FunctionVerifier(right),
    first_prompter=FewShot(EXEMPLARS),
    # max_model_len: maximum number of tokens of prompt and output together.
    sampler=VLLM(engine={"max_model_len": 512}),
    # More samples solve more problems and take longer; max_tokens limits thinking and answer together.
    sampling=Sampling(n=8, temperature=0.7, max_tokens=64),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=64),
    selector=KeepCorrect(),
    mixture=Replay(per_problem=2),
    # min_steps: the first generations may accept few traces; these are then used more than twice.
    trainer=SFT(epochs=2, min_steps=24, learning_rate=1e-4, batch_size=16),
    generations=2,
)
