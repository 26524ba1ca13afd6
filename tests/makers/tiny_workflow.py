"""A real workflow for a tiny model with random weights: it solves nothing, so an answer with a vowel counts as right."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from selfimprove import SFT, VLLM, AlwaysPromote, ReasoningGym, Sampling, Workflow
from selfimprove.protocols import Selector, Verifier
from selfimprove.records import AcceptedTrace, JudgedTrace, Message, Outcome, Problem, Selection


@dataclass(frozen=True)
class Vowels(Verifier):
    """Accepts answers that contain a vowel."""

    name = "vowels"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        return Outcome.CORRECT if set("aeiou") & set(answer) else Outcome.WRONG


@dataclass(frozen=True)
class KeepUnformed(Selector):
    """Keeps right traces even without a block of thinking."""

    def select(self, judged: Iterable[JudgedTrace], prompts: Mapping[str, tuple[Message, ...]], generation: int) -> Selection:
        traces = [item.trace for item in judged if item.verdict.outcome is Outcome.CORRECT]
        rows = (AcceptedTrace(trace.id, trace.problem_id, prompts[trace.problem_id], trace.text, "sampled", generation) for trace in traces)
        return Selection(tuple(rows), {})


workflow = Workflow(
    name="tiny",
    problems=ReasoningGym(size=24),
    eval_problems=8,
    sampler=VLLM(engine={"max_model_len": 256, "kv_cache_memory_bytes": 64 << 20, "max_num_seqs": 32}),
    sampling=Sampling(n=2, max_tokens=12),
    eval_sampling=Sampling(n=1, temperature=0.8, max_tokens=12),
    verifier=Vowels(),
    selector=KeepUnformed(),
    trainer=SFT(epochs=1, batch_size=8, max_length=256),
    gate=AlwaysPromote(),
    generations=2,
    answer_only_baseline=False,
)
