"""Guards and further prompts: as data for programs, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from selfimprove.evaluation.guards import loss_in_words
from selfimprove.records import GuardLoss, GuardScore
from selfimprove.reports.scores import further, gain, gain_line
from selfimprove.storage.run_folder import RunFolder


def guarded(guards: Mapping[str, GuardScore]) -> dict[str, Any]:
    """What guards say of a generation, by their names; `loss` is a `GuardLoss`, None for the base model."""
    return {
        name: {
            "pass_at_1": one.score.pass_at_1,
            "interval": list(one.score.interval),
            "problems": one.score.problems,
            "evaluation_outcomes": dict(one.score.outcomes),
            "loss": asdict(one.loss) if one.loss else None,
        }
        for name, one in guards.items()
    }


def guard_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """What each guard that does not refuse a candidate says of it; the gate's reason names the others."""
    for name, one in row["guards"].items():
        if one["loss"] and not one["loss"]["refuses"]:
            yield loss_in_words(name, GuardLoss(**one["loss"]))


def further_prompts(run: RunFolder) -> dict[str, Any]:
    """What base and champion score under further prompts, and the champion's paired gain under each, by the prompter's name."""
    return {
        one.prompter: {
            **{
                which: {
                    "pass_at_1": score.pass_at_1,
                    "interval": list(score.interval),
                    "also": further(run.asked_further(one.folder, score.checkpoint_id)),
                }
                for which, score in (("base", one.base), ("champion", one.champion))
            },
            "gain": gain(one.base, one.champion),
        }
        for one in run.prompt_scores()
    }


def prompt_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Base and champion under further prompts, in words."""
    for name, found in summary["further_prompts"].items():
        yield f"asked by {name}: champion against base {gain_line(found['gain'])}"
