"""What `check` finds out about a workflow before compute is spent."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.chat_form import notes
from selfimprove.checkpoints.soundness import encode_chats, load_tokenizer
from selfimprove.commands.estimate import Lengths, estimate
from selfimprove.commands.shown_options import hidden_options
from selfimprove.commands.training_room import gpu_memory, training_room
from selfimprove.errors import UserError
from selfimprove.errors.redaction import redact
from selfimprove.evaluation.paired import smallest_improvement
from selfimprove.problems.sets import load_sets
from selfimprove.problems.split import question_key
from selfimprove.prompting.chat import FewShot
from selfimprove.prompting.options import question_with_options
from selfimprove.protocols import Confinement, Prompter
from selfimprove.records import Outcome, Problem
from selfimprove.records.delimiters import Delimiters
from selfimprove.records.options import options_of
from selfimprove.sampling.engine_options import engine_context
from selfimprove.sampling.sampling_parameters import require_known
from selfimprove.sampling.vllm_engine import VLLM
from selfimprove.terminal.safe_text import printable
from selfimprove.thinking.traces import parse
from selfimprove.training.sft import SFT
from selfimprove.verification.nonsense import Guess, accepted_guesses
from selfimprove.verification.pool import OpenVerifierPool
from selfimprove.verification.reference_check import rejected_references
from selfimprove.verification.report import Report
from selfimprove.workflow.decontaminate import decontaminated
from selfimprove.workflow.teacher import Teacher
from selfimprove.workflow.workflow import Workflow


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    passed: bool
    detail: str


def check(workflow: Workflow) -> dict[str, Any]:
    """Check problems, references, exemplars, model and prompts, and estimate the cost of a run.

    Returns:
        `{"passed": bool, "findings": [{"name", "passed", "detail"}, …], "estimate": {"sampled_tokens", "trained_tokens", "minutes"} or None}`.
        Without readable problems or without a model, the checks that need them are left out.
    """
    findings: list[Finding] = []
    cost = None
    sets = _attempt("problems", findings, lambda: load_sets(*workflow.sets))
    model = _attempt("model", findings, lambda: resolve_model(workflow.base_model, workflow.chat_template, isinstance(workflow.sampler, VLLM)))
    if sets is not None:
        problems, eval_problems = sets
        clean = _attempt("contamination", findings, lambda: decontaminated(workflow, problems, eval_problems)[0])
        kept = problems if clean is None else clean
        detail = f"{len(kept)} for training, {len(eval_problems)} for evaluation; no question is in both"
        if dropped := len(problems) - len(kept):
            detail += f"; contamination leaves out {dropped} others, which give evaluation problems away"
        findings.append(Finding("problems", True, detail))
        findings += _with_verifier(workflow, kept, eval_problems)
        findings += _options(workflow, [*kept, *eval_problems])
        findings.append(_evaluation(eval_problems))
        sets = kept, eval_problems
    if model is not None:
        findings.append(Finding("model", True, "; ".join([str(model), *notes(model)])))
        if isinstance(trainer := workflow.trainer, SFT):
            room = _attempt("memory", findings, lambda: training_room(trainer, model, gpu_memory()))
            findings += [Finding("memory", *room)] if room else []
    if workflow.teacher is not None:
        findings.append(_teacher(workflow, workflow.teacher))
    if any(one.extra for one in (workflow.sampling, workflow.eval_sampling)) and isinstance(workflow.sampler, VLLM):
        findings.append(_extra(workflow))
    if sets is not None and model is not None:
        if isinstance(workflow.first_prompter, FewShot):
            findings += _shown_thinking(workflow.first_prompter, model, sets[0][0])
        lengths = _attempt("prompts", findings, lambda: _prompt_lengths(workflow, model, sets))
        if lengths is not None:
            findings.append(_room(workflow, model, lengths))
            cost = estimate(workflow, model, sets, lengths)
    return {
        "passed": all(finding.passed for finding in findings),
        "findings": [{**asdict(finding), "detail": redact(finding.detail)} for finding in findings],
        "estimate": cost,
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Print the result of `check`."""
    for finding in result["findings"]:
        mark = "[green]ok  [/]" if finding["passed"] else "[red]FAIL[/]"
        console.print(f"{mark} {printable(finding['name'])}: {printable(finding['detail'])}", highlight=False, soft_wrap=True)
    if cost := result["estimate"]:
        console.print(
            f"at most about {cost['sampled_tokens']:,} tokens to sample and {cost['trained_tokens']:,} to train on: "
            f"roughly {cost['minutes']:.0f} minutes on this machine",
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
        pool = workflow.verifiers.open()
    except UserError as error:
        yield Finding("verifier", False, str(error))
        return
    try:
        yield Finding("confinement", True, _confinement(workflow.verifier.confinement))
        everything = [*problems, *eval_problems]
        answered = [problem for problem in everything if problem.answer]
        if answered:
            yield _references(workflow.verifier.name, rejected_references(pool, answered), len(answered))
        yield _guesses(workflow.verifier.name, accepted_guesses(pool, answered if workflow.verifier.needs_reference else everything))
        if isinstance(workflow.first_prompter, FewShot):
            yield _exemplars(workflow.first_prompter, workflow.delimiters, pool, problems, eval_problems)
    finally:
        pool.close()


def _references(verifier: str, rejected: Sequence[tuple[Problem, Report]], answered: int) -> Finding:
    """Whether the verifier accepts the reference answers."""
    if not rejected:
        return Finding("references", True, f"{verifier} accepts all {answered} reference answers")
    problem, report = rejected[0]
    detail = f"{len(rejected)} of {answered} reference answers are not accepted; first: {problem.id}, {problem.answer!r} is {report}"
    return Finding("references", False, detail)


def _options(workflow: Workflow, problems: Sequence[Problem]) -> Iterator[Finding]:
    """Whether the model sees the options of problems that have some."""
    if any(options_of(problem) for problem in problems):
        hidden = hidden_options([*filter(None, [workflow.first_prompter]), workflow.prompter], problems)
        yield Finding(
            "options",
            hidden is None,
            f"{hidden}; show them with selfimprove.prompting.options.question_with_options" if hidden else "the prompters show them all",
        )


def _guesses(verifier: str, guesses: Sequence[Guess]) -> Finding:
    """Whether the verifier accepts answers without a thought."""
    refused = [guess for guess in guesses if guess.refused]
    told = ", ".join(f"{guess.answer} for {guess.accepted} of {guess.tried} problems" for guess in refused or guesses)
    if refused:
        return Finding("guesses", False, f"{verifier} accepts {told}; use another verifier or other problems, since a model would learn such answers")
    return Finding("guesses", True, f"{verifier} accepts {told}: no more than guessing gives" if guesses else f"{verifier} accepts no nonsense")


def _confinement(declared: Confinement) -> str:
    """What the verifier may do besides computing."""
    if declared.when == "never":
        return "the verifier is not confined: it runs with your rights"
    may = {
        "read files": declared.read,
        "write in a temporary folder": declared.scratch,
        "use the network": declared.network,
        "start programs": declared.processes,
    }
    allowed = [what for what, declares in may.items() if declares] + [f"see {name}" for name in declared.environment]
    return f"the verifier may {', '.join(allowed)}" if allowed else "the verifier may only compute"


def _exemplars(
    prompter: FewShot, delimiters: Delimiters, pool: OpenVerifierPool, problems: Sequence[Problem], eval_problems: Sequence[Problem]
) -> Finding:
    """Whether exemplars parse as traces, verify, and are not evaluation problems."""
    evaluation = {question_key(asked) for problem in eval_problems for asked in (problem.question, question_with_options(problem))}
    known = {question_key(asked): problem for problem in problems for asked in (problem.question, question_with_options(problem))}
    for number, exemplar in enumerate(prompter.exemplars, start=1):
        parsed = parse(exemplar.completion(prompter.delimiters), delimiters)
        if parsed.flags or parsed.answer is None:
            return Finding("exemplars", False, f"exemplar {number} does not parse as a trace: {', '.join(sorted(parsed.flags)) or 'no answer'}")
        if question_key(exemplar.question) in evaluation:
            return Finding("exemplars", False, f"exemplar {number} is an evaluation problem: take another")
        # A problem with the same question has the reference. Without one, the exemplar's own answer is the reference, and the first problem gives
        # the metadata that the verifier may need.
        model = known.get(question_key(exemplar.question), problems[0])
        reference = model.answer if question_key(exemplar.question) in known else exemplar.answer
        problem = Problem(f"exemplar-{number}", exemplar.question, reference, "exemplar", model.metadata)
        (report,) = pool.reports([(problem, parsed.answer)])
        if report.outcome is not Outcome.CORRECT:
            return Finding("exemplars", False, f"exemplar {number}: the verifier finds its answer {parsed.answer!r} {report}")
    return Finding("exemplars", True, f"all {len(prompter.exemplars)} verify; none is an evaluation problem")


def _shown_thinking(prompter: FewShot, model: Path, problem: Problem) -> Iterator[Finding]:
    """Whether the chat template shows the thinking of exemplars. A template that cannot be used is found elsewhere."""
    tokenizer = load_tokenizer(model)
    try:
        (ids,) = encode_chats(tokenizer, [list(prompter.messages(problem))])
    except UserError:
        return
    prompt = tokenizer.decode(ids)
    if any(exemplar.rationale.strip() not in prompt for exemplar in prompter.exemplars):
        told = "the chat template drops the thinking of exemplars, which are earlier turns; set first_prompter.one_turn=true"
        yield Finding("thinking", False, told)


def _teacher(workflow: Workflow, teacher: Teacher) -> Finding:
    """Whether the teacher can be asked. Traces that may be dropped for their length are noted, since they are paid for."""
    decoding = teacher.sampling or workflow.sampling
    longest = min(decoding.max_tokens, workflow.selector.max_tokens or math.inf)
    try:
        detail = teacher.checkpoint(decoding).path
    except UserError as error:
        return Finding("teacher", False, str(error))
    if isinstance(workflow.trainer, SFT) and longest >= workflow.trainer.max_length:
        detail += f"; traces have up to {longest} tokens, and rows longer than trainer.max_length={workflow.trainer.max_length} are dropped"
    return Finding("teacher", True, detail)


def _evaluation(eval_problems: Sequence[Problem]) -> Finding:
    """The smallest improvement that an evaluation of this size can show."""
    counts, likely = smallest_improvement(len(eval_problems))
    power = f"an improvement of {likely:.3f} is detected four times in five" if likely <= 1 else "no improvement is detected reliably"
    smallest = f"with one sample each, a strict gate detects improvements of pass@1 from {counts:.3f} on"
    return Finding("evaluation", counts <= 1, f"{len(eval_problems)} problems: {smallest}; {power}")


def _prompt_lengths(workflow: Workflow, model: Path, sets: tuple[list[Problem], list[Problem]]) -> Lengths:
    """The prompts of the stages `first` (generation 1), `sample` and `evaluation`."""
    tokenizer = load_tokenizer(model)

    def lengths(prompter: Prompter, problems: Iterable[Problem]) -> list[tuple[int, str]]:
        chats = [list(prompter.messages(problem)) for problem in problems]
        return [(len(ids), problem.id) for ids, problem in zip(encode_chats(tokenizer, chats), problems, strict=True)]

    problems, eval_problems = sets
    first = workflow.first_prompter or workflow.prompter
    return {
        "first": lengths(first, problems),
        "sample": lengths(workflow.prompter, problems),
        "evaluation": lengths(workflow.prompter, eval_problems) + lengths(first, eval_problems),
    }


def _room(workflow: Workflow, model: Path, lengths: Lengths) -> Finding:
    """Whether the longest prompts leave room for the longest outputs."""
    context = _context_length(workflow, model)
    for stage, decoding in (("first", workflow.sampling), ("sample", workflow.sampling), ("evaluation", workflow.eval_sampling)):
        longest, problem = max(lengths[stage])
        if longest + decoding.max_tokens > context:
            detail = f"problem {problem}: {longest} prompt tokens and up to {decoding.max_tokens} output tokens exceed the context of {context}"
            return Finding("context", False, detail)
    longest = max(max(stage)[0] for stage in lengths.values())
    return Finding("context", True, f"the longest prompt has {longest} tokens and fits the context of {context} with its output")


def _extra(workflow: Workflow) -> Finding:
    """Whether vLLM accepts the sampling's further settings."""
    os.environ.update(workflow.sampler.environment())
    try:
        for sampling in (workflow.sampling, workflow.eval_sampling):
            require_known(sampling.extra)
    except UserError as error:
        return Finding("sampling", False, str(error))
    return Finding("sampling", True, "vLLM accepts its further settings")


def _context_length(workflow: Workflow, model: Path) -> int:
    """Maximum number of tokens of prompt and output together."""
    sampler = workflow.sampler
    return engine_context(model, sampler.engine if isinstance(sampler, VLLM) else {})
