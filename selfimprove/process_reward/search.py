"""Samples thought by thought, guided by a process reward model: beam search, diverse trees and early stopping in one method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass as record
from dataclasses import replace
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.process_reward.aggregation import Aggregation, aggregate
from selfimprove.records import AnnotatedTrace, JudgedTrace, Request, Trace
from selfimprove.records.numbers import Float, PositiveInt
from selfimprove.seeds import derive_seed
from selfimprove.thinking.thoughts import complete, split
from selfimprove.thinking.traces import parsed

STOPPED = "thought"
"""Finish reason of an output to be continued."""
HOPELESS = "hopeless"
"""Finish reason of a trace that was given up."""


def thoughts_of(trace: Trace) -> tuple[str, ...]:
    """The complete thoughts of a trace, verbatim. In a thinking block that never ends, the last thought counts if its line is complete."""
    parts = parsed(trace)
    return tuple(thought.text for thought in (split if parts.closing else complete)(parts.thinking or ""))


@record(frozen=True, slots=True)
class Branch:
    """A partial or complete answer with its rewards."""

    request: Request
    """The request at the root of the branch's tree."""
    path: str = ""
    """Its place in the tree: `2.0.1` is the second continuation of the first continuation of the third beginning."""
    trace: Trace | None = None
    """Everything written so far; None at the root."""
    judged: JudgedTrace | None = None
    """Its last piece with the verdict, which is on the answer once there is one."""
    rewards: tuple[float, ...] = ()
    """One reward for each of `thoughts`."""

    @property
    def ended(self) -> bool:
        """Whether the branch needs no continuation."""
        return self.trace is not None and self.trace.finish_reason != STOPPED

    @property
    def thoughts(self) -> tuple[str, ...]:
        """Its complete thoughts, verbatim."""
        return thoughts_of(self.trace) if self.trace else ()

    def grown(self, path: str, piece: JudgedTrace) -> Branch:
        """The branch with another piece appended. The token that stopped the output after a thought is left out."""
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
        """The trace under the id `name`, with its verdict and its rewards."""
        assert self.trace is not None and self.judged is not None
        return AnnotatedTrace(replace(self.trace, id=name), replace(self.judged.verdict, trace_id=name), rewards=self.rewards)


@dataclass(frozen=True, config={"extra": "forbid"})
class Search:
    """In every round, each branch is continued by some thoughts, all results are scored, and only the best are kept.

    Each request is the root of its own tree. Beam search over thoughts (Snell et al. 2024, section 5.2): one request per problem, `width` and
    `expansions` above 1. Diverse verifier tree search (DVTS, Beeching et al. 2024): several requests per problem, `width` 1. Early stopping of
    hopeless traces: `width` 1, `expansions` 1, `stop_below`.
    """

    width: PositiveInt = 1
    """Branches of a tree that are kept after each round. A finished branch keeps its place."""
    expansions: PositiveInt = 1
    """Continuations of each branch. In the first round, the root gets `width` times as many."""
    stop_below: Annotated[Float, Field(ge=0, le=1)] | None = None
    """Branches with a lower reward are given up. None: a branch only has to be among the best."""
    thoughts: PositiveInt = 1
    """Thoughts in one continuation."""
    rounds: PositiveInt = 16
    """Number of rounds. The remaining branches are then completed in one step."""
    aggregation: Aggregation = "last"
    """How the rewards of the thoughts become one number."""

    def value(self, branch: Branch) -> float:
        """The reward of a branch; 0 if it has no complete thought."""
        return aggregate(branch.rewards, self.aggregation)

    def requests(self, branch: Branch, number: int) -> dict[str, Request]:
        """The requests that continue a branch in round `number`, counted from 0, by the path of their results."""
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
        """The branches of one tree to continue after this round, and those that have ended in this or an earlier round.

        `grown` are the scored branches of this round, `ended` those that ended before. If all are given up, the best one ends as hopeless, so that
        every tree has a result.
        """
        hopeful = [one for one in grown if one.ended or self.stop_below is None or self.value(one) >= self.stop_below]
        best = sorted(hopeful, key=self.value, reverse=True)[: self.width - len(ended)]
        going, done = [one for one in best if not one.ended], [*ended, *(one for one in best if one.ended)]
        if not going and not done:
            last = max(grown, key=self.value)
            assert last.trace is not None
            done = [replace(last, trace=replace(last.trace, finish_reason=HOPELESS))]
        return going, done
