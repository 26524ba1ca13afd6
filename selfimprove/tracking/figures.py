"""Reports and settings as flat figures with names that trackers accept."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from selfimprove.records import FurtherScore, GenerationReport, GuardScore, LevelScore, PromptScores, Score, TrainingStep, TriedCandidate
from selfimprove.thinking.behaviours import Behaviour

TRAINING = "0_training"
"""Section of the training curve, so that it comes first on the page of a generation; a run has none."""
EVALUATION, TRACES, THINKING, BEHAVIOURS, SECONDS, TOKENS = "1_evaluation", "2_traces", "3_thinking", "4_behaviours", "5_seconds", "6_tokens"
"""Sections of figures: the part before the slash. Pages sort by name, so these come first and in this order."""
GUARDS, DRIFT, OFF, AVERAGING, LEVELS = "guards", "drift", "thinking_off", "averaging", "levels"
"""Sections of what is measured beside the evaluation problems, of the two candidates of a generation, and of the evaluation by level."""

_OF_BEHAVIOURS = {name for behaviour in Behaviour for name in (behaviour.value, f"{behaviour.value}_share")}


def of_report(report: GenerationReport) -> dict[str, float]:
    """One generation's figures. The part before the slash is the section of the page that shows them.

    `1_evaluation/…` is the candidate's score, `guards/…` its scores by guards, `thinking_off/…` its score after an empty block of
    thinking, `levels/…` its score on each level and the level learnt from, `champion/pass_at_1` the score of the checkpoint that was kept.
    `2_traces/accepted_share` is accepted over sampled traces, `2_traces/distinct_per_1000_tokens` the yield of sampling. `3_thinking/…` and
    `4_behaviours/…` describe the thoughts in the sampled traces, `5_seconds/…` and `6_tokens/…` the cost of each stage, `rationalization/…` and
    `retry/…` problems that were asked again with a hint and after a critique, `proposed/…` questions that the champion proposed, `first_attempts/…`
    what the evaluation's traces do about their first attempt, `difficulty/…` how well solve rates were predicted, `drift/…` how a fixed text reads to
    the candidate, `averaging/…` both candidates where one is averaged with its start, `gpu_memory_left/…` bytes that stages left on a
    GPU, `spent/…` what an endpoint counted.
    """
    figures = of_score(report.score) | of_guards(report.guards) | (of_thinking_off(report.thinking_off, report.score) if report.thinking_off else {})
    thinking = report.anatomy.figures() if report.anatomy else {}
    figures["champion/pass_at_1"] = report.kept_score.pass_at_1
    figures |= of_levels(report.level, report.levels)
    for section, values in (
        (TRACES, report.counts.figures() if report.counts else {}),
        ("outcomes", report.outcomes),
        ("drops", report.drops),
        (SECONDS, report.seconds),
        (TOKENS, report.tokens),
        ("gpu_memory_left", report.gpu_memory_left),
        (THINKING, {name: value for name, value in thinking.items() if name not in _OF_BEHAVIOURS}),
        (BEHAVIOURS, {name: value for name, value in thinking.items() if name in _OF_BEHAVIOURS}),
        ("rationalization", report.rationalization.figures() if report.rationalization else {}),
        ("retry", report.retry.figures() if report.retry else {}),
        ("proposed", report.proposed.figures() if report.proposed else {}),
        ("first_attempts", report.first_attempts.figures() if report.first_attempts else {}),
        ("difficulty", report.difficulty.figures() if report.difficulty else {}),
    ):
        figures |= {f"{section}/{legal(key)}": float(value) for key, value in values.items()}
    if report.coverage is not None:
        figures |= {f"coverage/{name}": float(len(getattr(report.coverage, name))) for name in ("newly_solved", "forgotten", "never_solved")}
    if report.spent is not None:
        figures |= {f"spent/{name}": float(value) for name, value in asdict(report.spent).items()}
    if report.drift is not None:
        figures |= {f"{DRIFT}/nll": report.drift.nll, f"{DRIFT}/kl_from_base": report.drift.kl}
    for name, one in report.tried.items():
        figures |= {f"{AVERAGING}/{name}_{key}": value for key, value in _tried(one).items()}
    if report.saved_tokens is not None:
        figures[f"{TOKENS}/saved"] = float(report.saved_tokens)
    if report.counts and report.counts.sampled:
        figures[f"{TRACES}/accepted_share"] = report.counts.accepted / report.counts.sampled
        figures[f"{TRACES}/samples_per_problem"] = report.samples_per_problem
        figures[f"{TRACES}/distinct_per_1000_tokens"] = report.distinct_per_1000_tokens
    if report.counts and report.counts.accepted:
        figures[f"{TRACES}/false_acceptance"] = report.counts.falsely_accepted / report.counts.accepted
    return figures


def of_score(score: Score) -> dict[str, float]:
    """`1_evaluation/pass_at_<k>` and, from k = 2 on, `majority_at_k/<k>`, each with its interval (`_low`, `_high`); and the undecided share.

    Above 1, only powers of two and the largest k are shown.
    """
    figures = {f"{EVALUATION}/pass_at_1": score.pass_at_1, f"{EVALUATION}/undecided": score.undecided}
    figures |= _bounds(f"{EVALUATION}/pass_at_1", score.interval)
    for name, path in (("pass_at_k", f"{EVALUATION}/pass_at_"), ("majority_at_k", "majority_at_k/")):
        rates, intervals = getattr(score, name), getattr(score, f"{name}_interval")
        for k in (k for k in rates if k > 1 and (k.bit_count() == 1 or k == max(rates))):
            figures |= {f"{path}{k}": rates[k], **_bounds(f"{path}{k}", intervals.get(k))}
    return figures


def of_further(scores: Iterable[FurtherScore]) -> dict[str, float]:
    """`1_evaluation/pass_at_1_by_<verifier>`: pass@1 of the same answers by each further verifier, with its interval (`_low`, `_high`)."""
    found: dict[str, float] = {}
    for one in scores:
        key = by(one.verifier)
        found |= {key: one.score.pass_at_1, **_bounds(key, one.score.interval)}
    return found


def by(verifier: str) -> str:
    """The key of pass@1 by a further verifier."""
    return f"{EVALUATION}/pass_at_1_by_{legal(verifier)}"


def over_generations(reports: Mapping[int, GenerationReport], number: int) -> dict[int, dict[str, float]]:
    """The points that generation `number` adds to the lines over generations, by generation.

    A figure that has been 0 in every generation has no line. Once it is not, its earlier points are added too.
    """
    every = {one: of_report(report) for one, report in reports.items() if one <= number}
    known = {key for one, values in every.items() if one < number for key in telling(values)}
    new = telling(every[number]).keys() - known
    earlier = {one: {key: values[key] for key in new & values.keys()} for one, values in every.items() if one < number}
    return {**earlier, number: telling(every[number], known)}


def telling(figures: Mapping[str, float], known: Iterable[str] = ()) -> dict[str, float]:
    """The figures that are worth a chart: scores, what is not 0, and those `known` not to have been 0 before."""
    scores, seen = (f"{EVALUATION}/pass_at", "champion/", f"{GUARDS}/", f"{OFF}/", f"{LEVELS}/"), set(known)
    return {key: value for key, value in figures.items() if value or key in seen or key.startswith(scores)}


def _bounds(key: str, interval: tuple[float, float] | None) -> dict[str, float]:
    return {f"{key}_low": interval[0], f"{key}_high": interval[1]} if interval else {}


def of_baseline(name: str, score: Score) -> dict[str, float]:
    """`baseline/<name>`, the baseline's pass@1, and the bounds of its interval (`_low`, `_high`)."""
    key = f"baseline/{legal(name)}"
    return {key: score.pass_at_1, **_bounds(key, score.interval)}


def of_guards(guards: Mapping[str, GuardScore]) -> dict[str, float]:
    """`guards/<name>`: pass@1 on each guard's problems, with its interval (`_low`, `_high`), and `guards/<name>_loss` against the base model."""
    found: dict[str, float] = {}
    for name, one in guards.items():
        key = f"{GUARDS}/{legal(name)}"
        found |= {key: one.score.pass_at_1, **_bounds(key, one.score.interval), **({f"{key}_loss": one.loss.loss} if one.loss else {})}
    return found


def of_thinking_off(off: Score, on: Score) -> dict[str, float]:
    """`thinking_off/pass_at_1`, with its interval (`_low`, `_high`), and the tokens of an answer: `thinking_off/tokens`, `…/tokens_on`."""
    key = f"{OFF}/pass_at_1"
    tokens = {f"{OFF}/{name}": one.tokens / max(1, sum(one.outcomes.values())) for name, one in (("tokens", off), ("tokens_on", on))}
    return {key: off.pass_at_1, **_bounds(key, off.interval), **tokens}


def of_levels(level: int | None, levels: Mapping[int, LevelScore]) -> dict[str, float]:
    """`levels/<level>`: pass@1 on each level, with its interval (`_low`, `_high`); and `levels/learnt_from`."""
    found = {} if level is None else {f"{LEVELS}/learnt_from": float(level)}
    for number, one in levels.items():
        key = f"{LEVELS}/{number}"
        found |= {key: one.pass_at_1, **_bounds(key, one.interval)}
    return found


def _tried(one: TriedCandidate) -> dict[str, float]:
    drift = {"kl_from_base": one.drift.kl} if one.drift else {}
    losses = {f"guard_{legal(name)}_loss": guard.loss.loss for name, guard in one.guards.items() if guard.loss}
    return {"pass_at_1": one.score.pass_at_1, **_bounds("pass_at_1", one.score.interval), **drift, **losses}


def of_prompts(scores: Iterable[PromptScores]) -> dict[str, float]:
    """`<prompter>_<base or champion>`: pass@1 of each under each further prompt."""
    return {f"{legal(one.prompter)}_{which}": getattr(one, which).pass_at_1 for one in scores for which in ("base", "champion")}


def of_step(step: TrainingStep) -> dict[str, float]:
    """The figures of one optimizer step: loss, learning rate, tokens so far, and whatever else its trainer measured."""
    own = {"loss": step.loss, "learning_rate": step.learning_rate, "tokens": float(step.tokens)}
    return {f"{TRAINING}/{legal(name)}": value for name, value in (own | dict(step.figures)).items()}


def of_round(settings: Mapping[str, Any], generation: int) -> dict[str, Any]:
    """The settings of one generation: its round's settings replace the workflow's."""
    rounds = settings.get("rounds") or []
    own = rounds[generation - 1] if 0 < generation <= len(rounds) else {}
    changed = {**settings, **{name: value for name, value in own.items() if value is not None}}
    return {name: value for name, value in changed.items() if name not in ("part", "rounds", "generations")}


def of_settings(settings: Mapping[str, Any], most: int = 60, longest: int = 100) -> dict[str, str]:
    """The first `most` scalars of nested settings, outer before inner: `{"sampling": {"top_p": 0.9}}` gives `sampling.top_p`.

    A part is shown under its role: `{"verifier": {"part": "Exact"}}` gives `verifier`. None, lists and values longer than `longest` characters are
    left out.
    """
    scalars: dict[str, str] = {}
    pending: deque[tuple[str, Any]] = deque((str(key), value) for key, value in settings.items() if key != "part")
    while pending and len(scalars) < most:
        path, value = pending.popleft()
        if isinstance(value, Mapping):
            pending.extend((path if key == "part" else f"{path}.{key}", inner) for key, inner in value.items())
        elif isinstance(value, (str, int, float)) and len(str(value)) <= longest:
            scalars[".".join(legal(name) for name in path.split("."))] = str(value)
    return scalars


def legal(name: str) -> str:
    """The name with `_` in place of every character but letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
