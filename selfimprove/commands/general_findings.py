"""What `check` finds out about the instruction data that a mixture adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from selfimprove.checkpoints.soundness import encode_chats, load_tokenizer
from selfimprove.checkpoints.tokens import encoder
from selfimprove.commands.finding import Finding
from selfimprove.errors import UserError
from selfimprove.problems.sets import ProblemSets
from selfimprove.problems.split import question_key
from selfimprove.records import Problem
from selfimprove.selection.contamination import EvalIndex
from selfimprove.selection.replay import Replay
from selfimprove.stages.general import as_row, gives_away
from selfimprove.workflow.general import mixtures_with_general, read_general
from selfimprove.workflow.workflow import Workflow

MOST = 500
"""Rows that are looked at, evenly spread over the source."""


def general_findings(workflow: Workflow, sets: ProblemSets, model: Path | None) -> Iterator[Finding]:
    """Whether the instruction data can be read, leaves evaluation problems alone, and fits the trainer; one for each mixture that adds some.

    A chat template that cannot be used is found elsewhere.
    """
    index = None if workflow.contamination is None else EvalIndex(workflow.contamination, sets.untrained)
    asked = {question_key(problem.question) for problem in sets.untrained}
    for mixture in mixtures_with_general(workflow):
        assert mixture.general is not None
        try:
            problems = read_general(mixture.general)
        except UserError as error:
            yield Finding("general", False, str(error))
            continue
        some = problems[:: -(-len(problems) // MOST)]
        clean = [problem for problem in some if not gives_away(problem, index, asked)]
        longest = getattr(workflow.trainer, "max_length", None)
        fitting = _fitting(clean, model, longest) if model and longest else len(clean)
        yield _told(mixture, problems, len(some), len(clean), fitting, longest)


def _told(mixture: Replay, problems: Sequence[Problem], seen: int, clean: int, fitting: int, longest: int | None) -> Finding:
    told = f"{len(problems):,} general rows, {mixture.general_share:.0%} of those trained on"
    passed_over = [f"{seen - clean} give problems of the evaluation away"] if clean < seen else []
    passed_over += [f"{clean - fitting} are longer than trainer.max_length={longest}"] if fitting < clean else []
    if passed_over:
        told += f"; of {seen} looked at, {' and '.join(passed_over)} and would be passed over"
    if not fitting:
        return Finding("general", False, f"{told}: none is left; raise trainer.max_length, or give mixture.general other rows")
    return Finding("general", True, told, warning=fitting < seen / 2)


def _fitting(problems: Sequence[Problem], model: Path, longest: int) -> int:
    """How many rows are short enough to train on."""
    encode = encoder(model)
    try:
        prompts = encode_chats(load_tokenizer(model), [list(as_row(problem, 1).messages) for problem in problems])
    except UserError:
        return len(problems)
    if encode is None:
        return len(problems)
    # The end of the turn is one more.
    return sum(len(prompt) + len(encode(problem.answer)) + 1 <= longest for prompt, problem in zip(prompts, problems, strict=True))
