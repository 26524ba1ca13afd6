"""What a trial shows about a workflow: what the model writes, what is accepted, and how hard the problems are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from selfimprove.commands.evaluation_findings import gate_line
from selfimprove.commands.finding import Finding
from selfimprove.evaluation.scores import score
from selfimprove.records import JudgedTrace, Outcome, Score
from selfimprove.stages.forecast import Pace, expected_rows
from selfimprove.stages.obstacles import CUT, UNDECIDED, obstacle, why_none
from selfimprove.stages.trial import Trial
from selfimprove.workflow.workflow import Workflow

WARNED, FAILED = 0.1, 0.5
"""Shares of truncated traces, and of traces without an answer or undecided, from which on they are a warning or a failure."""
TOO_HARD, TOO_EASY = 0.9, 0.8
"""Shares of problems that no sample solves, or every one, from which on the problems are too hard or too easy."""

ENOUGH = 32
"""Traces that say something about the problems; of fewer, none may be right by chance."""
WORST = 0.5
"""Accuracy of the champion at which most answers change by chance."""
SLOW = 1 / 3
"""Share of the time of a trace from which on verifying its answer is slow."""


def trial_findings(workflow: Workflow, trial: Trial, pace: Pace, eval_problems: int) -> Iterator[Finding]:
    """The findings of a trial; `workflow` has the settings of generation 1."""
    name = "teacher.sampling" if workflow.teacher and workflow.teacher.sampling else "sampling"
    most = ((workflow.teacher and workflow.teacher.sampling) or workflow.sampling).max_tokens
    yield _truncated(trial.judged, f"{name}.max_tokens", most, name)
    yield _answers(trial.judged)
    yield _verifier(trial.judged, pace)
    yield _difficulty(trial)
    yield _accepted(workflow, trial, name)
    base = score("base", trial.base_judged)
    yield _base(base, trial.base_judged, workflow.eval_sampling.max_tokens)
    told = [f"over a champion at {at:.3f}, {seen}" for at in (base.pass_at_1, WORST) if (seen := gate_line(workflow.gate, eval_problems, at))]
    if told:
        yield Finding("gate", True, "; ".join(told))


def _graded(name: str, share: float, detail: str, remedy: str) -> Finding:
    """A finding that is a warning or a failure where this share of the traces is too large."""
    if share < WARNED:
        return Finding(name, True, detail)
    return Finding(name, share < FAILED, f"{detail}: {remedy}", warning=share < FAILED)


def _truncated(judged: Sequence[JudgedTrace], setting: str, most: int, name: str) -> Finding:
    cut = [item for item in judged if item.trace.finish_reason == "length"]
    thinking = sum(obstacle(item) == CUT for item in cut)
    tokens = [item.trace.output_tokens for item in judged]
    detail = f"{len(cut) / len(judged):.0%} of the traces were cut at {setting}={most}; a trace has {sum(tokens) / len(tokens):.0f} tokens on average"
    remedy = f"raise {setting}, or set {name}.budget, which closes the thinking in time"
    if thinking < len(cut) / 2:
        remedy = (
            f'the model does not end its turns: give first_prompter (more) exemplars, or {name}.extra={{"stop": […]}} with what it writes instead'
        )
    return _graded("truncated", len(cut) / len(judged), detail, remedy)


def _answers(judged: Sequence[JudgedTrace]) -> Finding:
    without = sum(item.verdict.outcome is Outcome.UNPARSEABLE for item in judged) / len(judged)
    unclosed = sum(obstacle(item) is not None for item in judged if item.verdict.outcome is Outcome.UNPARSEABLE)
    detail = f"{without:.0%} of the traces have no answer"
    if unclosed >= without * len(judged) / 2:
        remedy = "their thinking does not end: raise max_tokens, or show how it ends with first_prompter exemplars or delimiters that the model knows"
    else:
        remedy = "nothing follows the thinking: show answers with first_prompter exemplars, or set a teacher's answer_after"
    return _graded("answers", without, detail, remedy)


def _verifier(judged: Sequence[JudgedTrace], pace: Pace) -> Finding:
    undecided = sum(item.verdict.outcome in (Outcome.TIMEOUT, Outcome.CRASH) for item in judged) / len(judged)
    if undecided >= WARNED:
        return _graded("verifier time", undecided, f"{undecided:.0%} of the answers were not decided", UNDECIDED)
    if pace.verifying is None:
        return Finding("verifier time", True, "not measured apart from sampling")
    detail = f"an answer takes {pace.verifying:.2g} s to verify, a trace {pace.sampling:.2g} s to sample"
    slow = pace.verifying > SLOW * pace.sampling
    remedy = ": verifying holds sampling up; give verifier_resources more copies or CPUs, or take a faster verifier" if slow else ""
    return Finding("verifier time", True, f"{detail}{remedy}", warning=slow)


def _difficulty(trial: Trial) -> Finding:
    samples, right = Counter[str](), Counter[str]()
    for item in trial.judged:
        samples[item.trace.problem_id] += 1
        right[item.trace.problem_id] += item.verdict.outcome is Outcome.CORRECT
    none, every = (sum(right[name] == (count if whole else 0) for name, count in samples.items()) for whole in (False, True))
    n = max(samples.values())
    detail = f"of {len(samples)} problems, {none} are solved by none of up to {n} samples, {every} by all"
    if len(trial.judged) < ENOUGH and len(samples) < trial.drawn:
        return Finding("difficulty", True, f"{detail}; so few traces say little")
    if none >= TOO_HARD * len(samples):
        easier = "take easier problems or a stronger base_model, or give better exemplars, more samples (sampling.n), Rationalization() or a teacher"
        return Finding("difficulty", True, f"{detail}: too hard for this model as it is asked; {easier}", warning=True)
    if every >= TOO_EASY * len(samples):
        return Finding("difficulty", True, f"{detail}: too easy, little is left to learn; take harder problems", warning=True)
    return Finding("difficulty", True, detail)


def _accepted(workflow: Workflow, trial: Trial, name: str) -> Finding:
    judged, accepted = trial.judged, sum(trial.accepted.values())
    traces = round(trial.drawn * len(judged) / len(trial.asked))
    whole = f"of {traces:,} traces of {trial.drawn:,} problems"
    rows, low, high = expected_rows(trial, getattr(workflow.mixture, "limit", None))
    if not accepted:
        few = len(judged) < ENOUGH
        chance = f"at most about {high:,.0f} rows are likely {whole}" + (", and so few traces say little" if few else "")
        return Finding("accepted", few, f"none of {len(judged)} traces was accepted {why_none(judged, trial.drops, name)}; {chance}", warning=few)
    batch = getattr(workflow.trainer, "batch_size", 1)
    detail = f"generation 1 trains on about {rows:,.0f} rows (95 % interval {low:,.0f} to {high:,.0f}) {whole}"
    detail += f"; {accepted} of {len(judged)} sampled traces were accepted"
    if workflow.rationalization:
        detail += f", of the rows {trial.rationalized} of {sum(trial.rows.values())} were rationalized"
    if workflow.reinforcement:
        detail = f"{accepted} of {len(judged)} sampled traces were accepted; reinforcement trains on no rows"
    elif rows < batch:
        return Finding("accepted", True, f"{detail}: less than a batch of {batch}; sample more problems or more of each (sampling.n)", warning=True)
    if accepted == len(judged):
        return Finding("accepted", True, f"{detail}: there is little to select by; check the verifier, or take harder problems", warning=True)
    return Finding("accepted", True, detail)


def _base(base: Score, judged: Sequence[JudgedTrace], most: int) -> Finding:
    cut, (low, high) = sum(item.trace.finish_reason == "length" for item in judged) / len(judged), base.interval
    detail = f"pass@1 of the base model is {base.pass_at_1:.3f} (95 % interval {low:.3f} to {high:.3f}) on {base.problems} evaluation problems"
    if base.pass_at_1 > TOO_EASY:
        return Finding("base accuracy", True, f"{detail}: little is left to gain; take harder problems", warning=True)
    if cut >= WARNED:
        told = f"{detail}; {cut:.0%} of its traces were cut at eval_sampling.max_tokens={most}"
        return Finding("base accuracy", True, f"{told}: part of a gain may be form alone; raise it, and see also=(LastNumber(),)", warning=True)
    return Finding("base accuracy", True, detail)
