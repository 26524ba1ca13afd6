"""Another model that writes the traces of generation 1, in place of the base model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.protocols import Prompter, Sampler
from selfimprove.records import Checkpoint, JudgedTrace, Selection, Trace
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.sampling.endpoint import Endpoint, refuse_budget
from selfimprove.sampling.sampling import Sampling
from selfimprove.sampling.vllm_engine import VLLM
from selfimprove.settings.objects import no_class
from selfimprove.thinking.traces import parse, parsed


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Teacher:
    """A stronger model, or one that reasons already, as the base case of the bootstrap. From generation 2 on the student samples for itself.

    Thinking between delimiters, or sent as an endpoint's reasoning, is kept as it is. A model that thinks aloud without a block can be asked for one
    (`prompter=ZeroShot()`), or be read by the words that lead to its answer (`answer_after`).
    """

    sampler: Sampler
    """Sampler of the teacher: `VLLM`, or an `Endpoint`."""
    model: str | None = None
    """A Hugging Face id or a local folder; None for an `Endpoint`, which names its own model."""
    prompter: Prompter = PlainQuestion()
    sampling: Sampling | None = None
    """How its traces are sampled; None for the workflow's sampling."""
    delimiters: Delimiters = THINK
    """Delimiters that the teacher writes; rows carry those of the workflow."""
    answer_after: Annotated[str, Field(min_length=1)] | None = None
    """Words such as `Answer:` that separate thinking from answer in a trace without a block; None: such a trace is dropped."""

    _objects = field_validator("*", mode="before")(no_class)

    @model_validator(mode="after")
    def _named_once(self) -> Teacher:
        if isinstance(self.sampler, Endpoint) != (self.model is None):
            raise ValueError("name a teacher's model either by its Endpoint or, for any other sampler, by `model`")
        return self

    def checkpoint(self, decoding: Sampling) -> Checkpoint:
        """The checkpoint that its traces are recorded under.

        Raises:
            UserError: There is no such model, no key for the endpoint, or the endpoint does not support this sampling.
        """
        if isinstance(self.sampler, Endpoint):
            refuse_budget(decoding.budget)
            self.sampler.key()
            return self.sampler.checkpoint()
        return describe_folder(resolve_model(self.model or "", served=isinstance(self.sampler, VLLM)), "teacher")

    def read(self, trace: Trace) -> Trace:
        """The trace with the delimiters that mark its thinking; its text is unchanged."""
        if self.answer_after is None or parsed(trace).thinking is not None:
            return trace
        return replace(trace, opened=True, delimiters=Delimiters(trace.delimiters.begin, self.answer_after))

    def taught(self, selection: Selection, judged: Iterable[JudgedTrace], delimiters: Delimiters) -> Selection:
        """The selected traces as rows for a student: with the student's delimiters, and without the teacher's token ids."""
        chosen = {row.trace_id for row in selection.accepted}
        wrote = {item.trace.id: item.trace for item in judged if item.trace.id in chosen}
        accepted = (
            replace(row, completion=_between(row.completion, wrote[row.trace_id], delimiters), origin="teacher", completion_token_ids=None, forced=())
            for row in selection.accepted
        )
        return replace(selection, accepted=tuple(accepted))


def _between(completion: str, trace: Trace, delimiters: Delimiters) -> str:
    """The completion with its thinking between these delimiters; unchanged where it has them already."""
    parts = parse(completion, trace.delimiters, trace.opened)
    if parts.thinking is None or (trace.delimiters == delimiters and not trace.opened):
        return completion
    return f"{parts.before}{delimiters.begin}\n{parts.thinking.strip()}\n{delimiters.end}\n{parts.after.strip()}"
