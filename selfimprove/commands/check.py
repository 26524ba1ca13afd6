"""What can be found out about a workflow before compute is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.errors import UserError
from selfimprove.evaluation.paired import smallest_improvement
from selfimprove.problems.sets import load_sets
from selfimprove.problems.split import question_key
from selfimprove.prompting.chat import FewShot
from selfimprove.protocols import Prompter
from selfimprove.records import Outcome, Problem
from selfimprove.records.delimiters import Delimiters
from selfimprove.terminal.safe_text import printable
from selfimprove.thinking.traces import parse
from selfimprove.verification.pool import OpenVerifierPool, VerifierPool
from selfimprove.verification.references import rejected_references
from selfimprove.workflow.teacher import Teacher
from selfimprove.workflow.workflow import Workflow

TYPICAL_OUTPUT = 0.5
"""Share of `max_tokens` that an output takes, for the estimate."""
ACHIEVED = 0.3
"""Share of the measured matrix speed that sampling and training reach, for the estimate."""

SIZE = 2048
"""Rows and columns of the matrices whose product is timed."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    name: str
    passed: bool
    detail: str


def check(workflow: Workflow) -> dict[str, Any]:
    """Check problems, references, exemplars, model and prompts, and estimate what a run costs.

    Returns:
        `{"passed": bool, "findings": [{"name", "passed", "detail"}, …], "estimate": {"sampled_tokens", "trained_tokens", "minutes"} or None}`;
        once the problems cannot be read, or there is no model, what needs them is left out.
    """
    findings: list[Finding] = []
    estimate = None
    sets = _attempt("problems", findings, lambda: load_sets(workflow.problems, workflow.eval_problems, workflow.seed, workflow.needs_reference))
    model = _attempt("model", findings, lambda: resolve_model(workflow.base_model, workflow.chat_template))
    if sets is not None:
        problems, eval_problems = sets
        findings.append(Finding("problems", True, f"{len(problems)} to learn from, {len(eval_problems)} held out, disjoint by question"))
        findings += _with_verifier(workflow, problems, eval_problems)
        findings.append(_evaluation(eval_problems))
    if model is not None:
        findings.append(Finding("model", True, str(model)))
    if workflow.teacher is not None:
        findings.append(_teacher(workflow, workflow.teacher))
    if sets is not None and model is not None:
        lengths = _prompt_lengths(workflow, model, sets)
        findings.append(_room(workflow, model, lengths))
        estimate = _estimate(workflow, model, sets, lengths)
    return {
        "passed": all(finding.passed for finding in findings),
        "findings": [asdict(finding) for finding in findings],
        "estimate": estimate,
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Print what `check` found."""
    for finding in result["findings"]:
        mark = "[green]ok  [/]" if finding["passed"] else "[red]FAIL[/]"
        console.print(f"{mark} {printable(finding['name'])}: {printable(finding['detail'])}", highlight=False, soft_wrap=True)
    if result["estimate"]:
        estimate = result["estimate"]
        console.print(
            f"about {estimate['sampled_tokens']:,} tokens to sample and {estimate['trained_tokens']:,} to train on at most: "
            f"roughly {estimate['minutes']:.0f} minutes on this machine",
            highlight=False,
            soft_wrap=True,
        )


def _attempt(name: str, findings: list[Finding], load: Callable[[], Any]) -> Any:
    try:
        return load()
    except UserError as error:
        findings.append(Finding(name, False, str(error)))
        return None


def _with_verifier(workflow: Workflow, problems: Sequence[Problem], eval_problems: Sequence[Problem]) -> Iterator[Finding]:
    try:
        pool = VerifierPool(workflow.verifier, deadline=workflow.verifier_deadline).open()
    except UserError as error:
        yield Finding("verifier", False, str(error))
        return
    try:
        everything = [problem for problem in (*problems, *eval_problems) if problem.answer]
        rejected = rejected_references(pool, everything)
        if rejected:
            problem, outcome = rejected[0]
            detail = f"{len(rejected)} of {len(everything)} reference answers are not accepted; first: {problem.id}, {problem.answer!r} is {outcome}"
        else:
            detail = f"{workflow.verifier.name} accepts all {len(everything)} reference answers"
        yield Finding("references", not rejected, detail)
        if isinstance(workflow.first_prompter, FewShot):
            yield _exemplars(workflow.first_prompter, workflow.delimiters, pool, problems, eval_problems)
    finally:
        pool.close()


def _exemplars(
    prompter: FewShot, delimiters: Delimiters, pool: OpenVerifierPool, problems: Sequence[Problem], eval_problems: Sequence[Problem]
) -> Finding:
    """Exemplars must read as traces do, be right by the verifier, and not come from the evaluation."""
    evaluation = {question_key(problem.question) for problem in eval_problems}
    known = {question_key(problem.question): problem for problem in problems}
    for number, exemplar in enumerate(prompter.exemplars, start=1):
        parsed = parse(exemplar.completion(prompter.delimiters), delimiters)
        if parsed.flags or parsed.answer is None:
            return Finding("exemplars", False, f"exemplar {number} does not parse as a trace: {', '.join(sorted(parsed.flags)) or 'no answer'}")
        if question_key(exemplar.question) in evaluation:
            return Finding("exemplars", False, f"exemplar {number} asks a held-out question: take another")
        # Judged against the reference of the same question where there is one; else by a neighbour's metadata and the exemplar's own answer.
        model = known.get(question_key(exemplar.question), problems[0])
        reference = model.answer if question_key(exemplar.question) in known else exemplar.answer
        problem = Problem(f"exemplar-{number}", exemplar.question, reference, "exemplar", model.metadata)
        (outcome,) = pool.verify_answers([(problem, parsed.answer)])
        if outcome is not Outcome.CORRECT:
            return Finding("exemplars", False, f"exemplar {number}: the verifier says {outcome} of its answer {parsed.answer!r}")
    return Finding("exemplars", True, f"all {len(prompter.exemplars)} verify and none is held out")


def _teacher(workflow: Workflow, teacher: Teacher) -> Finding:
    """Whether it can be asked, and whether what it may write can be trained on: its traces cost too much to find out afterwards."""
    decoding = teacher.sampling or workflow.sampling
    longest = min(decoding.max_tokens, getattr(workflow.selector, "max_tokens", None) or math.inf)
    room = getattr(workflow.trainer, "max_length", math.inf)
    if longest >= room:
        detail = f"traces of up to {longest} tokens exceed trainer.max_length={room}: raise it, or let the selector drop what is longer (max_tokens)"
        return Finding("teacher", False, detail)
    try:
        return Finding("teacher", True, teacher.checkpoint(decoding).path)
    except UserError as error:
        return Finding("teacher", False, str(error))


def _evaluation(eval_problems: Sequence[Problem]) -> Finding:
    """What the size of the evaluation can show."""
    counts, likely = smallest_improvement(len(eval_problems))
    found = f"one of {likely:.3f} is found four times in five" if likely <= 1 else "no improvement is found with any certainty"
    detail = (
        f"{len(eval_problems)} problems, one sample each: the smallest improvement of pass@1 that a strict gate can detect is {counts:.3f}; {found}"
    )
    return Finding("evaluation", counts <= 1, detail)


def _prompt_lengths(workflow: Workflow, model: Path, sets: tuple[list[Problem], list[Problem]]) -> dict[str, list[tuple[int, str]]]:
    """Tokens of every prompt with the problem's id, for the stages `first`, `sample` and `evaluation`."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)

    def lengths(prompter: Prompter, problems: Iterable[Problem]) -> list[tuple[int, str]]:
        chats = [list(prompter.messages(problem)) for problem in problems]
        encoded = tokenizer.apply_chat_template(chats, add_generation_prompt=True, return_dict=False) if chats else []
        return [(len(ids), problem.id) for ids, problem in zip(encoded, problems, strict=True)]

    problems, eval_problems = sets
    first = workflow.first_prompter or workflow.prompter
    return {
        "first": lengths(first, problems),
        "sample": lengths(workflow.prompter, problems),
        "evaluation": lengths(workflow.prompter, eval_problems) + lengths(first, eval_problems),
    }


def _room(workflow: Workflow, model: Path, lengths: dict[str, list[tuple[int, str]]]) -> Finding:
    """Whether the longest prompts leave room for the longest outputs."""
    context = context_length(workflow, model)
    for stage, decoding in (("first", workflow.sampling), ("sample", workflow.sampling), ("evaluation", workflow.eval_sampling)):
        longest, problem = max(lengths[stage])
        if longest + decoding.max_tokens > context:
            detail = f"problem {problem}: {longest} prompt tokens and up to {decoding.max_tokens} of output exceed the context of {context}"
            return Finding("context", False, detail)
    longest = max(max(stage)[0] for stage in lengths.values())
    return Finding("context", True, f"the longest prompt has {longest} tokens; with its output it fits the context of {context}")


def context_length(workflow: Workflow, model: Path) -> int:
    """Tokens that prompt and output may take together."""
    from selfimprove.sampling.engine_options import engine_context
    from selfimprove.sampling.vllm_engine import VLLM

    sampler = workflow.sampler
    return engine_context(model, sampler.engine if isinstance(sampler, VLLM) else {})


def _estimate(
    workflow: Workflow, model: Path, sets: tuple[list[Problem], list[Problem]], lengths: dict[str, list[tuple[int, str]]]
) -> dict[str, float]:
    """Upper bounds of tokens, and minutes from the matrix speed of this machine, measured now."""
    from safetensors import safe_open

    problems, eval_problems = sets
    drawn = min(workflow.problems_per_generation or len(problems), len(problems))
    output = TYPICAL_OUTPUT * workflow.sampling.max_tokens
    samples = drawn * workflow.sampling.n
    evaluations = (workflow.generations + 2 + workflow.answer_only_baseline) * len(eval_problems) * workflow.eval_sampling.n
    sampled = samples * workflow.generations * output + evaluations * TYPICAL_OUTPUT * workflow.eval_sampling.max_tokens
    prompt = sum(length for length, _ in lengths["sample"]) / len(lengths["sample"])
    epochs = getattr(workflow.trainer, "epochs", 1)
    limit, per_problem = getattr(workflow.mixture, "limit", None), getattr(workflow.mixture, "per_problem", None)
    most = min(limit or math.inf, (per_problem or math.inf) * len(problems))
    rows = [min(samples * generation, most) for generation in range(1, workflow.generations + 1)]
    trained = sum(rows) * epochs * (prompt + output)
    parameters = 0
    for file in model.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            parameters += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    flops = 2 * parameters * sampled + 6 * parameters * trained
    return {"sampled_tokens": round(sampled), "trained_tokens": round(trained), "minutes": flops / (ACHIEVED * _matrix_speed()) / 60}


def _matrix_speed() -> float:
    """FLOP/s of a bfloat16 matrix product, measured for a quarter of a second."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    factor = torch.ones(SIZE, SIZE, dtype=torch.bfloat16, device=device)
    product = factor @ factor  # The first one waits for its kernel to be made.
    runs, start = 0, time.monotonic()
    while time.monotonic() - start < 0.25:
        torch.mm(factor, factor, out=product)[0, 0].item()
        runs += 1
    return 2 * SIZE**3 * runs / (time.monotonic() - start)
