"""First attempts: whether the traces of an evaluation revise what was wrong and keep what was right."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path

from selfimprove.records import FirstAttempts, JudgedTrace, LooksBack, Outcome, Trace, Verdict
from selfimprove.selection.first_attempt import FirstAttempt, first_attempt
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.storage.files import read_json
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest
from selfimprove.storage.shards import stored
from selfimprove.thinking.behaviours import Behaviours
from selfimprove.verification.stream import stream_verdicts


def first_attempts(context: RunContext, folder: Path) -> FirstAttempts | None:
    """What the traces of a complete evaluation do about their first attempt; None where the workflow has no `reflection`.

    The workflow's verifier judges the results that first attempts state; `first_attempts.parquet` in `folder` keeps its verdicts. An attempt without
    a right result is wrong if it holds a false equation or concludes with its result. Otherwise it may be incomplete, and counts as unknown.
    """
    workflow = context.workflow
    if workflow.reflection is None:
        return None
    behaviours = workflow.behaviours or Behaviours()
    attempts = {item.trace.id: (item, first_attempt(item.trace, behaviours)) for item in stored(folder)}
    stated = [_stating(item.trace, attempt.result) for item, attempt in attempts.values() if attempt and attempt.result]
    made_from = {
        **read_json(folder / "score.manifest.json", dict[str, str]),
        "first attempts": digest(stated),
        "verifier": digest([describe(workflow.verifier), workflow.verifier.version, workflow.verifier_deadline]),
    }

    def make() -> list[Verdict]:
        batches = stream_verdicts(workflow.verifiers, context.eval_problems, [stated] if stated else [], context.cluster)
        found = {item.trace.id: item.verdict for item in chain.from_iterable(batches)}
        return [found[trace.id] for trace in stated]

    verdicts = keep(folder / "first_attempts.parquet", list[Verdict], made_from, make)
    outcomes = {verdict.trace_id: verdict.outcome for verdict in verdicts}
    return _counted([(item, attempt, _first(item, attempt, outcomes.get(name))) for name, (item, attempt) in attempts.items()])


def _stating(trace: Trace, result: str) -> Trace:
    """A trace that answers with this result at once."""
    return Trace(trace.id, trace.problem_id, trace.checkpoint_id, (), (), result, (), "stop", trace.temperature, trace.seed)


def _first(item: JudgedTrace, attempt: FirstAttempt | None, outcome: Outcome | None) -> str:
    """Whether the first attempt was `right`, `wrong` or `unknown`."""
    if attempt is None:
        return {Outcome.CORRECT: "right", Outcome.WRONG: "wrong"}.get(item.verdict.outcome, "unknown")
    if outcome is Outcome.CORRECT:
        return "right"
    return "wrong" if attempt.errs or (attempt.concludes and outcome is Outcome.WRONG) else "unknown"


def _counted(found: list[tuple[JudgedTrace, FirstAttempt | None, str]]) -> FirstAttempts:
    shown = Counter((first, "neither" if attempt is None else "revised" if attempt.revised else "confirmed") for _, attempt, first in found)
    right = Counter((first, item.verdict.outcome is Outcome.CORRECT) for item, _, first in found)
    rows = {first: LooksBack(*(shown[first, kind] for kind in ("revised", "confirmed", "neither"))) for first in ("right", "wrong", "unknown")}
    return FirstAttempts(**rows, corrected=right["wrong", True], spoilt=right["right", False])
