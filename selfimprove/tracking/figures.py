"""Reports and settings as the flat, legally named figures that trackers take."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from selfimprove.records import GenerationReport, Score, TrainingStep


def of_report(report: GenerationReport) -> dict[str, float]:
    """One generation's figures; what stands before the slash is the section of the page that shows them.

    `exam/…` is the candidate's score, `champion/pass_at_1` that of the checkpoint that was kept; `traces/accepted_share` is accepted
    over sampled, `traces/distinct_per_1000_tokens` the yield of sampling; `anatomy/…` tells of thoughts and moments in the sampled traces,
    `rationalization/…` of what was asked again with a hint, `difficulty/…` of how well solve rates were predicted, `spent/…` of what an
    endpoint counted.
    """
    figures = of_score("exam", report.score)
    figures["champion/pass_at_1"] = report.kept_score.pass_at_1
    for section, values in (
        ("traces", report.counts),
        ("outcomes", report.outcomes),
        ("drops", report.drops),
        ("seconds", report.seconds),
        ("tokens", report.tokens),
        ("anatomy", report.anatomy),
        ("rationalization", report.rationalization),
        ("difficulty", report.difficulty),
    ):
        figures |= {f"{section}/{legal(key)}": float(value) for key, value in values.items()}
    if report.coverage is not None:
        figures |= {f"coverage/{name}": float(len(getattr(report.coverage, name))) for name in ("newly_solved", "forgotten", "never_solved")}
    if report.spent is not None:
        figures |= {f"spent/{name}": float(value) for name, value in asdict(report.spent).items()}
    if report.counts.get("sampled"):
        figures["traces/accepted_share"] = report.counts.get("accepted", 0) / report.counts["sampled"]
        figures["traces/samples_per_problem"] = report.samples_per_problem
        figures["traces/distinct_per_1000_tokens"] = report.distinct_per_1000_tokens
    if report.counts.get("accepted"):
        figures["traces/false_acceptance"] = report.counts.get("falsely_accepted", 0) / report.counts["accepted"]
    return figures


def of_score(section: str, score: Score) -> dict[str, float]:
    """`pass_at_1` with its interval, and from k = 2 on `pass_at_k/<k>` and `majority_at_k/<k>` with theirs; the share undecided."""
    low, high = score.interval
    figures = {"pass_at_1": score.pass_at_1, "pass_at_1_low": low, "pass_at_1_high": high}
    for name in ("pass_at_k", "majority_at_k"):
        figures |= {f"{name}/{k}": value for k, value in getattr(score, name).items() if k > 1}
        for k, (low, high) in getattr(score, f"{name}_interval").items():
            figures |= {f"{name}_low/{k}": low, f"{name}_high/{k}": high} if k > 1 else {}
    figures["undecided"] = score.undecided
    return {f"{section}/{key}": value for key, value in figures.items()}


def of_baseline(name: str, score: Score) -> dict[str, float]:
    """`baseline/<name>` is the baseline's pass@1; `_low` and `_high` are the bounds of its interval."""
    low, high = score.interval
    key = f"baseline/{legal(name)}"
    return {key: score.pass_at_1, f"{key}_low": low, f"{key}_high": high}


def of_step(step: TrainingStep) -> dict[str, float]:
    """One optimizer step: loss, learning rate, tokens so far, and what else its trainer measured."""
    measured = {f"train/{legal(name)}": value for name, value in step.figures.items()}
    return {"train/loss": step.loss, "train/learning_rate": step.learning_rate, "train/tokens": float(step.tokens), **measured}


def of_settings(settings: Mapping[str, Any], most: int = 12) -> dict[str, str]:
    """The first scalars of nested settings, outer ones before inner ones: `{"sampling": {"top_p": 0.9}}` gives `sampling.top_p`.

    A part is shown under its role: `{"verifier": {"part": "Exact"}}` gives `verifier`. None is left out, and so are lists.
    """
    scalars: dict[str, str] = {}
    waiting: deque[tuple[str, Any]] = deque((str(key), value) for key, value in settings.items() if key != "part")
    while waiting and len(scalars) < most:
        path, value = waiting.popleft()
        if isinstance(value, Mapping):
            waiting.extend((path if key == "part" else f"{path}.{key}", inner) for key, inner in value.items())
        elif isinstance(value, (str, int, float)):
            scalars[".".join(legal(name) for name in path.split("."))] = str(value)[:250]
    return scalars


def legal(name: str) -> str:
    """The name with `_` for everything but letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
