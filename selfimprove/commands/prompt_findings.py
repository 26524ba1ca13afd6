"""What `check` finds out about the prompts: options, thinking of exemplars, and lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from selfimprove.checkpoints.soundness import encode_chats, load_tokenizer
from selfimprove.commands.finding import Finding
from selfimprove.commands.shown_options import hidden_options
from selfimprove.errors import UserError
from selfimprove.prompting.chat import FewShot
from selfimprove.protocols import Prompter
from selfimprove.records import Problem
from selfimprove.records.options import options_of
from selfimprove.sampling.engine_options import engine_context
from selfimprove.sampling.vllm_engine import VLLM
from selfimprove.stages.expected_time import Lengths
from selfimprove.workflow.workflow import Workflow


def option_findings(workflow: Workflow, problems: Sequence[Problem]) -> Iterator[Finding]:
    """Whether the model sees the options of problems that have some."""
    if any(options_of(problem) for problem in problems):
        hidden = hidden_options([*filter(None, [workflow.first_prompter]), workflow.prompter], problems)
        yield Finding(
            "options",
            hidden is None,
            f"{hidden}; show them with selfimprove.prompting.options.question_with_options" if hidden else "the prompters show them all",
        )


def thinking_findings(prompter: FewShot, model: Path, problem: Problem) -> Iterator[Finding]:
    """Whether the chat template shows the thinking of exemplars. A tokenizer or template that cannot be used is found elsewhere."""
    try:
        tokenizer = load_tokenizer(model)
        (ids,) = encode_chats(tokenizer, [list(prompter.messages(problem))])
    except UserError:
        return
    prompt = tokenizer.decode(ids)
    if any(exemplar.rationale.strip() not in prompt for exemplar in prompter.exemplars):
        told = "the chat template drops the thinking of exemplars, which are earlier turns; set first_prompter.one_turn=true"
        yield Finding("thinking", False, told)


def prompt_lengths(workflow: Workflow, model: Path, sets: tuple[list[Problem], list[Problem]]) -> Lengths:
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


def context_finding(workflow: Workflow, model: Path, lengths: Lengths) -> Finding:
    """Whether the longest prompts leave room for the longest outputs."""
    context = _context_length(workflow, model)
    for stage, decoding in (("first", workflow.sampling), ("sample", workflow.sampling), ("evaluation", workflow.eval_sampling)):
        longest, problem = max(lengths[stage])
        if longest + decoding.max_tokens > context:
            detail = f"problem {problem}: {longest} prompt tokens and up to {decoding.max_tokens} output tokens exceed the context of {context}"
            return Finding("context", False, detail)
    longest = max(max(stage)[0] for stage in lengths.values())
    return Finding("context", True, f"the longest prompt has {longest} tokens and fits the context of {context} with its output")


def _context_length(workflow: Workflow, model: Path) -> int:
    """Maximum number of tokens of prompt and output together."""
    sampler = workflow.sampler
    return engine_context(model, sampler.engine if isinstance(sampler, VLLM) else {})
