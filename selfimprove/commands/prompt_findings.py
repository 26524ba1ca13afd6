"""What `check` finds out about the prompts: options, thinking of exemplars, and lengths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from selfimprove.checkpoints.soundness import encode_chats, load_tokenizer
from selfimprove.commands.finding import Finding
from selfimprove.commands.shown_options import hidden_options
from selfimprove.errors import UserError
from selfimprove.problems.sets import ProblemSets
from selfimprove.prompting.chat import FewShot
from selfimprove.protocols import Prompter
from selfimprove.records import Problem
from selfimprove.records.options import options_of
from selfimprove.sampling.engine_options import engine_context, model_context
from selfimprove.sampling.vllm_engine import VLLM
from selfimprove.stages.expected_time import Lengths
from selfimprove.workflow.workflow import Workflow

PROPOSER = "proposer"
"""Stage of the prompt that asks for a question."""


def option_findings(workflow: Workflow, problems: Sequence[Problem]) -> Iterator[Finding]:
    """Whether the model sees the options of problems that have some."""
    if any(options_of(problem) for problem in problems):
        hidden = hidden_options([*filter(None, [workflow.first_prompter]), workflow.prompter, *workflow.also_prompters], problems)
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


def prompt_lengths(workflow: Workflow, model: Path, sets: ProblemSets) -> Lengths:
    """The prompts of the stages `first` (generation 1), `sample` and `evaluation`, of each guard (`guard <name>`) and of further prompts (`also`).

    `proposer` has the longest prompt that asks for a question.
    """
    tokenizer = load_tokenizer(model)

    def lengths(prompter: Prompter, problems: Iterable[Problem]) -> list[tuple[int, str]]:
        chats = [list(prompter.messages(problem)) for problem in problems]
        return [(len(ids), problem.id) for ids, problem in zip(encode_chats(tokenizer, chats), problems, strict=True)]

    first, rule = workflow.first_prompter or workflow.prompter, workflow.proposer
    longest = sorted(sets.training, key=lambda problem: -len(problem.question))[: rule.shown] if rule else []
    return {
        "first": lengths(first, sets.learnable),
        "sample": lengths(workflow.prompter, sets.learnable),
        "evaluation": lengths(workflow.prompter, sets.measured) + lengths(first, sets.measured),
        **{f"guard {name}": lengths(guard.prompter or workflow.prompter, sets.guards[name]) for name, guard in workflow.guards.items()},
        **({PROPOSER: [(len(encode_chats(tokenizer, [list(rule.messages(longest))])[0]), longest[0].id)]} if rule else {}),
        **({"also": [one for prompter in workflow.also_prompters for one in lengths(prompter, sets.evaluation)]} if workflow.also_prompters else {}),
    }


def context_finding(workflow: Workflow, model: Path, lengths: Lengths) -> Finding:
    """Whether the longest prompts leave room for the longest outputs."""
    context = _context_length(workflow, model)
    if (wanted := _beyond_the_model(workflow, model)) is not None:
        own = model_context(model)
        return Finding("context", False, f"sampler.engine.max_model_len={wanted} exceeds the model's own context of {own}; lower it, or leave it out")
    guarded = {f"guard {name}": guard.sampling for name, guard in workflow.guards.items()}
    for stage, prompts in lengths.items():
        decoding = workflow.sampling if stage in ("first", "sample", PROPOSER) else guarded.get(stage) or workflow.eval_sampling
        asked = workflow.proposer.max_tokens if workflow.proposer and stage == PROPOSER else None
        (longest, problem), written = max(prompts), asked or decoding.max_tokens
        if longest + written > context:
            told = f"{longest} prompt tokens and up to {written} output tokens exceed the context of {context}"
            return Finding("context", False, f"proposer: {told}; lower proposer.shown" if stage == PROPOSER else f"problem {problem}: {told}")
    longest = max(max(stage)[0] for stage in lengths.values())
    return Finding("context", True, f"the longest prompt has {longest} tokens and fits the context of {context} with its output")


def _beyond_the_model(workflow: Workflow, model: Path) -> int | None:
    """A chosen context that vLLM refuses because the model has a shorter one; None if there is none."""
    engine = workflow.sampler.engine if isinstance(workflow.sampler, VLLM) else {}
    chosen: int | None = engine.get("max_model_len")
    overridden = "hf_overrides" in engine or os.environ.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1"
    return None if chosen is None or overridden or chosen <= model_context(model) else chosen


def _context_length(workflow: Workflow, model: Path) -> int:
    """Maximum number of tokens of prompt and output together."""
    sampler = workflow.sampler
    return engine_context(model, sampler.engine if isinstance(sampler, VLLM) else {})
