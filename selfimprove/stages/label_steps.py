"""The stage that labels the thoughts of sampled traces by rollouts, in rounds, on disk: it is taken up where it stopped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from selfimprove.checkpoints.tokens import decoder
from selfimprove.errors import UserError
from selfimprove.process_reward.rollouts import Boundary, RolloutCounts, Rollouts, Unlabelled, next_round, unlabelled
from selfimprove.protocols import Prompter
from selfimprove.records import Checkpoint, JudgedTrace, LabelledTrace, Outcome
from selfimprove.seeds import derive_seed
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.stages.probe import draw
from selfimprove.stages.sample import sample
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest
from selfimprove.thinking.traces import parsed


def label_steps(
    context: RunContext, rule: Rollouts, checkpoint: Checkpoint, judged: Iterable[JudgedTrace], prompter: Prompter, folder: Path, label: str
) -> list[LabelledTrace]:
    """Label the thoughts of a draw of these traces with rollouts of `checkpoint`; `prompter` is the one they were sampled with.

    Traces of one problem with identical thinking count once. Problems with both right and wrong traces come first: from the others a model learns
    which problems are hard, but not which thoughts are bad. `labelled.parquet` in `folder` keeps the labels, beside the rollouts of each round.

    Raises:
        UserError: The checkpoint's tokenizer cannot be read apart from its model, or the folder holds labels of something else.
    """
    different = {(item.trace.problem_id, parsed(item.trace).thinking): item for item in judged}
    chosen = _drawn(list(different.values()), rule, derive_seed(context.workflow.seed, "label"))
    made_from = {"rollouts": digest([describe(rule)]), "weights": checkpoint.weights_hash, "traces": digest(item.trace for item in chosen)}
    return keep(
        folder / "labelled.parquet", list[LabelledTrace], made_from, lambda: _labelled(context, rule, checkpoint, chosen, prompter, folder, label)
    )


def _labelled(
    context: RunContext, rule: Rollouts, checkpoint: Checkpoint, chosen: Sequence[JudgedTrace], prompter: Prompter, folder: Path, label: str
) -> list[LabelledTrace]:
    decode = decoder(checkpoint.path)
    if decode is None:
        raise UserError(f"{checkpoint.path} has no tokenizer.json: labelling has to know where thoughts end in tokens; save a fast tokenizer there")
    problems = context.known
    traces = []
    for item in chosen:
        problem = problems[item.trace.problem_id]
        traces.append(unlabelled(item, problem, prompter.messages(problem), decode))
    counts = _roll_out(context, rule, checkpoint, traces, folder, label)
    return [trace.labelled(counts) for trace in traces]


def _drawn(judged: list[JudgedTrace], rule: Rollouts, seed: int) -> list[JudgedTrace]:
    """The traces that the rule chooses of each kind, in the order given."""
    kinds: defaultdict[str, set[bool]] = defaultdict(set)
    for item in judged:
        kinds[item.trace.problem_id].add(item.verdict.outcome is Outcome.CORRECT)
    both = [item for item in judged if len(kinds[item.trace.problem_id]) == 2]
    first = draw(both, rule.wrong, rule.correct, seed)
    of_kind = Counter(item.verdict.outcome is Outcome.CORRECT for item in both if item.trace.id in first)
    wrong, correct = (most if most is None else most - of_kind[right] for most, right in ((rule.wrong, False), (rule.correct, True)))
    drawn = first | draw([item for item in judged if len(kinds[item.trace.problem_id]) == 1], wrong, correct, seed)
    return [item for item in judged if item.trace.id in drawn]


def _roll_out(
    context: RunContext, rule: Rollouts, checkpoint: Checkpoint, traces: list[Unlabelled], folder: Path, label: str
) -> dict[Boundary, RolloutCounts]:
    """Rollouts at all boundaries, round after round until none needs more."""
    problems = list({trace.problem.id: trace.problem for trace in traces}.values())
    counts: dict[Boundary, RolloutCounts] = {}
    for number in count(1):
        wanted = next_round(traces, counts, rule, context.workflow.seed)
        if not wanted:
            break
        requests = [request for several in wanted.values() for request in several]
        place = folder / f"round-{number:02d}"
        shards = sample(context, checkpoint, requests, problems, place, f"{label}, round {number}")
        outcomes = {item.trace.id: item.verdict.outcome for item in shards.read()}
        for boundary, several in wanted.items():
            counts[boundary] = _counted(counts.get(boundary, RolloutCounts()), [outcomes[request.id] for request in several])
    return counts


def _counted(before: RolloutCounts, outcomes: list[Outcome]) -> RolloutCounts:
    """The counts with these rollouts added; undecided rollouts do not count."""
    decided = sum(outcome not in (Outcome.TIMEOUT, Outcome.CRASH) for outcome in outcomes)
    return RolloutCounts(before.asked + len(outcomes), before.decided + decided, before.right + outcomes.count(Outcome.CORRECT))
