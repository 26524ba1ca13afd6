"""Sampling thought by thought under a process reward model: beam search, diverse trees and early stopping, as one function of the rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass as record
from dataclasses import replace
from typing import Annotated

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.process_reward.aggregation import Aggregation, aggregate
from selfimprove.records import AnnotatedTrace, JudgedTrace, Request, Trace
from selfimprove.seeds import derive_seed
from selfimprove.thinking.thoughts import complete, split
from selfimprove.thinking.traces import parsed

STOPPED = "thought"
"""How an output ends that is to be gone on with."""
HOPELESS = "hopeless"
"""How a trace ends that is given up."""


def thoughts_of(trace: Trace) -> tuple[str, ...]:
    """The complete thoughts of a trace, verbatim; the last one of a thinking that never ends is complete where its line is."""
    parts = parsed(trace)
    return tuple(thought.text for thought in (split if parts.closing else complete)(parts.thinking or ""))


@record(frozen=True, slots=True)
class Branch:
    """The beginning of an answer, or all of it, and what it is worth."""

    request: Request
    """What was asked: the root of the tree that this branch is of."""
    path: str = ""
    """Which continuation it is of which beginning: `2.0.1` is the second of the first of the third."""
    trace: Trace | None = None
    """All that is written of it; None at the root."""
    judged: JudgedTrace | None = None
    """Its last piece, with the verdict: on the answer, once there is one."""
    rewards: tuple[float, ...] = ()
    """One for each of `thoughts`."""

    @property
    def ended(self) -> bool:
        """Nothing is to come."""
        return self.trace is not None and self.trace.finish_reason != STOPPED

    @property
    def thoughts(self) -> tuple[str, ...]:
        """Its complete thoughts, verbatim."""
        return thoughts_of(self.trace) if self.trace else ()

    def grown(self, path: str, piece: JudgedTrace) -> Branch:
        """With another piece behind it. The token that ended a turn after a thought is no part of what is gone on with."""
        more, before = piece.trace, self.trace
        tokens = more.output_token_ids[:-1] if more.finish_reason == STOPPED else more.output_token_ids
        whole = replace(
            before or more,
            id=self.request.id,
            output_token_ids=(*(before.output_token_ids if before else ()), *tokens),
            text=(before.text if before else "") + more.text,
            forced=(),
            finish_reason=more.finish_reason,
            seed=self.request.seed,
        )
        return Branch(self.request, path, whole, piece)

    def finished(self, name: str) -> AnnotatedTrace:
        """The trace under this id, with its verdict and its rewards."""
        assert self.trace is not None and self.judged is not None
        return AnnotatedTrace(replace(self.trace, id=name), replace(self.judged.verdict, trace_id=name), rewards=self.rewards)


@dataclass(frozen=True, config={"extra": "forbid"})
class Search:
    """In every round each beginning is gone on with for some thoughts, every result is scored, and only the best are kept.

    Each request is a tree of its own. Beam search over thoughts (Snell et al. 2024, section 5.2): one request a problem, `width` and `expansions`
    above 1. Diverse verifier tree search (DVTS, Beeching et al. 2024): several requests a problem, `width` 1. Early stopping of hopeless
    traces: `width` 1, `expansions` 1, `stop_below`.
    """

    width: PositiveInt = 1
    """Beginnings of a tree that are kept after each round; one that has come to its end keeps its place."""
    expansions: PositiveInt = 1
    """Continuations of each of them; in the first round there are `width` times as many of nothing."""
    stop_below: Annotated[float, Field(ge=0, le=1)] | None = None
    """A beginning whose reward is lower is given up; None: it has to be among the best, and no more."""
    thoughts: PositiveInt = 1
    """Thoughts that are sampled in a round."""
    rounds: PositiveInt = 16
    """After so many rounds what is left is gone on with to its end at once."""
    aggregation: Aggregation = "last"
    """What the rewards of the thoughts come to."""

    def value(self, branch: Branch) -> float:
        """The reward of a beginning or a trace; 0 where it has no complete thought."""
        return aggregate(branch.rewards, self.aggregation)

    def requests(self, branch: Branch, number: int) -> dict[str, Request]:
        """What is asked in the round of this number, from 0 on, to go on with a branch; by the path of what comes."""
        root, written = branch.request, branch.trace.output_token_ids if branch.trace else ()
        paths = [f"{branch.path}.{one}" if branch.path else str(one) for one in range(self.expansions * (1 if branch.path else self.width))]
        return {
            path: replace(
                root,
                id=f"{root.id}/{path}",
                seed=derive_seed(root.seed, path),
                prefix=(*root.prefix, *written),
                max_tokens=root.max_tokens - len(written),
                stop_after_thoughts=self.thoughts if number < self.rounds else None,
            )
            for path in paths
        }

    def keep(self, grown: Sequence[Branch], ended: Sequence[Branch]) -> tuple[list[Branch], list[Branch]]:
        """Of one tree: what is gone on with after this round, and what has ended, that of earlier rounds included.

        `grown` are the scored branches of this round, `ended` those that ended before. Where all are given up, the best one ends as hopeless,
        so that every tree comes to something.
        """
        hopeful = [one for one in grown if one.ended or self.stop_below is None or self.value(one) >= self.stop_below]
        best = sorted(hopeful, key=self.value, reverse=True)[: self.width - len(ended)]
        going, done = [one for one in best if not one.ended], [*ended, *(one for one in best if one.ended)]
        if not going and not done:
            last = max(grown, key=self.value)
            assert last.trace is not None
            done = [replace(last, trace=replace(last.trace, finish_reason=HOPELESS))]
        return going, done
