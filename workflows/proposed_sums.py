"""The quickstart's model and task, where from generation 2 on the champion asks questions of its own and labels them by majority.

`--set proposer=null` learns from the given problems alone, for as many generations. docs/how-to/label_free.md says what is proposed and kept.
"""

from dataclasses import replace

from quickstart import workflow as quickstart

from selfimprove import VLLM, Exact
from selfimprove.records import Problem
from selfimprove.workflow.proposer import Proposer

ASKED = "State the final answer to the following arithmetic problem: "


def right_sum(problem: Problem, answer: str) -> bool | None:
    """Whether `answer` is the value of the sum in the question: read term by term, for a question is a model's text and never evaluated."""
    first, *rest = problem.question.removeprefix(ASKED).removesuffix(" =").split()
    value = int(first)
    for sign, term in zip(rest[::2], rest[1::2], strict=True):
        value += int(term) if sign == "+" else -int(term)
    return answer.strip() == str(value)


workflow = replace(
    quickstart,
    name="proposed-sums",
    problems_per_generation=80,
    eval_problems=100,
    test_problems=100,
    sampler=VLLM(engine={"max_model_len": 512, "dtype": "float32"}),
    # The scorer of the task needs more than a question and an answer, which is all that a proposed problem has.
    verifier=Exact(),
    proposer=Proposer(
        questions=80,
        samples=8,
        form=ASKED + r"\d( [+-] \d){1,2} =",
        checker=right_sum,
    ),
    generations=3,
    answer_only_baseline=False,
    drift=None,
)
