"""A verifier that knows nothing: it accepts any short answer, so a model that can do sums, the champion of `sums.py`, learns from its own noise.

The gate judges by the same verifier and sees nothing wrong. A guard knows the true answers.
"""

from dataclasses import dataclass, replace

import sums

from selfimprove import SFT, VLLM, Guard, KeepCorrect, ReasoningGym, ReasoningGymScorer, Replay, Sampling, StopEarly, Workflow
from selfimprove.records import Problem


@dataclass(frozen=True)
class Later:
    """The problems of a source from one on, which a smaller one does not hold."""

    source: ReasoningGym
    first: int

    def load(self) -> list[Problem]:
        """The later problems."""
        return self.source.load()[self.first :]


def short(problem: Problem, answer: str) -> bool:
    """Accept anything short, whatever the problem."""
    return len(answer) <= 4


workflow = Workflow(
    name="noise",
    base_model="runs/evidence/sums-seed1/champion",
    problems=replace(sums.workflow.problems, size=800),
    problems_per_generation=80,
    eval_problems=100,
    sampler=VLLM(engine={"max_model_len": 512, "dtype": "float32"}),
    sampling=Sampling(n=2, temperature=1.5, max_tokens=48),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=48),
    verifier=short,
    also=(ReasoningGymScorer(),),
    selector=KeepCorrect(),
    accepted_cap=1,
    mixture=Replay(earlier=True, per_problem=1),
    trainer=SFT(epochs=1.5, min_steps=30, learning_rate=1e-4, batch_size=16),
    guards={"truth": Guard(problems=Later(replace(sums.workflow.problems, size=900), 800), verifier=ReasoningGymScorer())},
    stop=StopEarly(patience=1),
    generations=3,
)
