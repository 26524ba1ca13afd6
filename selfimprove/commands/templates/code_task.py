"""Python functions that must pass tests. `selfimprove check` finds what is wrong with it, `selfimprove run` runs it.

Every part is a dataclass; `selfimprove settings` lists every setting with its meaning.
"""

from selfimprove import SFT, VLLM, Exemplar, FewShot, KeepCorrect, PythonTests, Replay, Sampling, Table, Workflow

# A list of dicts here; Table("problems.jsonl") reads a file. The question must name the function that the tests call.
PROBLEMS = [
    {"question": "Write a Python function double(n) that returns twice n.", "tests": "assert double(4) == 8\nassert double(-1) == -2"},
    {"question": "Write a Python function last(items) that returns the last item of a list.", "tests": "assert last([1, 2, 3]) == 3"},
    {"question": "Write a Python function is_even(n) that tells whether n is even.", "tests": "assert is_even(2)\nassert not is_even(3)"},
    {"question": "Write a Python function shout(text) that returns text in capital letters.", "tests": "assert shout('ab') == 'AB'"},
    {"question": "Write a Python function total(items) that returns the sum of a list.", "tests": "assert total([1, 2, 3]) == 6"},
    {"question": "Write a Python function mirror(text) that returns text backwards.", "tests": "assert mirror('abc') == 'cba'"},
]

# Worked examples for a base model that does not reason yet: three to eight, none of them an evaluation problem.
EXEMPLARS = (
    Exemplar(
        question="Write a Python function triple(n) that returns three times n.",
        rationale="Three times n is 3 * n.\nThe function returns that.",
        answer="```python\ndef triple(n):\n    return 3 * n\n```",
    ),
    Exemplar(
        question="Write a Python function first(items) that returns the first item of a list.",
        rationale="The first item has the index 0.\nSo it is items[0].",
        answer="```python\ndef first(items):\n    return items[0]\n```",
    ),
)

workflow = Workflow(
    name="experiment",
    # The model that learns: a Hugging Face id or a folder.
    base_model="Qwen/Qwen2.5-Coder-0.5B",
    # The tests are the reference.
    problems=Table(PROBLEMS, answer=None),
    # Number of problems set aside for the evaluation and never trained on; take a hundred or more.
    eval_problems=2,
    # Runs code and tests in a sandbox.
    verifier=PythonTests(),
    first_prompter=FewShot(EXEMPLARS),
    sampler=VLLM(engine={"max_model_len": 2048}),
    # More samples solve more problems and take longer; max_tokens limits thinking and answer together.
    sampling=Sampling(n=8, temperature=0.8, max_tokens=384),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=384),
    selector=KeepCorrect(),
    mixture=Replay(per_problem=2),
    # min_steps: the first generations may accept few traces; these are then used more than twice.
    trainer=SFT(epochs=2, min_steps=24, learning_rate=1e-5, batch_size=16, max_length=1024),
    generations=2,
)
