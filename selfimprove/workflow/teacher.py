"""Another model that writes the traces of generation 1, in place of the base model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.protocols import Prompter, Sampler
from selfimprove.records import Checkpoint, JudgedTrace, Selection, Trace
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.sampling.endpoint import Endpoint, refuse_budget
from selfimprove.sampling.sampling import Sampling
from selfimprove.thinking.traces import parse, parsed


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Teacher:
    """A stronger model, or one that reasons already: the base case of the bootstrap; from generation 2 on the student samples for itself.

    Its thinking is kept as it is where it stands between delimiters, or comes as an endpoint's reasoning. A model that thinks aloud without a
    block is either asked for one (`prompter=ZeroShot()`), or read by the words that lead to its answer (`answer_after`).
    """

    sampler: Sampler
    """VLLM, or an Endpoint."""
    model: str | None = None
    """A Hugging Face id or a local folder; None for an Endpoint, which names its own."""
    prompter: Prompter = PlainQuestion()
    sampling: Sampling | None = None
    """How its traces are decoded; None: as the workflow's."""
    delimiters: Delimiters = THINK
    """What it writes around its thinking; rows carry those of the workflow."""
    answer_after: Annotated[str, Field(min_length=1)] | None = None
    """A trace without a block is thinking up to these words, such as `Answer:`, and the answer is all that follows; None: such a trace is dropped."""

    @model_validator(mode="after")
    def _named_once(self) -> Teacher:
        if isinstance(self.sampler, Endpoint) != (self.model is None):
            raise ValueError("a teacher's model is named either by its Endpoint or, for any other sampler, by `model`")
        return self

    def checkpoint(self, decoding: Sampling) -> Checkpoint:
        """What its traces are recorded under.

        Raises:
            UserError: there is no such model, no key for the endpoint, or it cannot be decoded from like this.
        """
        if isinstance(self.sampler, Endpoint):
            refuse_budget(decoding.budget)
            self.sampler.key()
            return self.sampler.checkpoint()
        return describe_folder(resolve_model(self.model or ""), "teacher")

    def read(self, trace: Trace) -> Trace:
        """The trace with the delimiters by which its thinking is found; its text stays as it was written."""
        if self.answer_after is None or parsed(trace).thinking is not None:
            return trace
        return replace(trace, opened=True, delimiters=Delimiters(trace.delimiters.begin, self.answer_after))

    def taught(self, selection: Selection, judged: Iterable[JudgedTrace], delimiters: Delimiters) -> Selection:
        """What was selected of its traces as rows for a student: the student's delimiters, and no token ids, which would be the teacher's."""
        chosen = {row.trace_id for row in selection.accepted}
        wrote = {item.trace.id: item.trace for item in judged if item.trace.id in chosen}
        accepted = (
            replace(row, completion=_between(row.completion, wrote[row.trace_id], delimiters), origin="teacher", completion_token_ids=None, forced=())
            for row in selection.accepted
        )
        return replace(selection, accepted=tuple(accepted))


def _between(completion: str, trace: Trace, delimiters: Delimiters) -> str:
    """The completion with its thinking between these delimiters; to the letter where it stands there already."""
    parts = parse(completion, trace.delimiters, trace.opened)
    if parts.thinking is None or (trace.delimiters == delimiters and not trace.opened):
        return completion
    return f"{parts.before}{delimiters.begin}\n{parts.thinking.strip()}\n{delimiters.end}\n{parts.after.strip()}"
