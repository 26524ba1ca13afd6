"""Scores of evaluations and of the final test: as data for programs, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfimprove.evaluation.paired import contrast
from selfimprove.records import Score
from selfimprove.storage.further import further_scores
from selfimprove.storage.run_folder import RunFolder


def at_k(name: str, score: Score) -> dict[str, Any]:
    """`pass_at_k` or `majority_at_k` of a score by k, with its intervals."""
    intervals = getattr(score, f"{name}_interval")
    return {
        name: {str(k): value for k, value in getattr(score, name).items()},
        f"{name}_interval": {str(k): list(bounds) for k, bounds in intervals.items()},
    }


def further(folder: Path) -> dict[str, Any]:
    """What further verifiers say of the evaluation in a folder, by their names."""
    return {
        one.verifier: {
            "version": one.version,
            "pass_at_1": one.score.pass_at_1,
            "interval": list(one.score.interval),
            "evaluation_outcomes": dict(one.score.outcomes),
            **at_k("pass_at_k", one.score),
        }
        for one in further_scores(folder / "evaluation")
    }


def written(row: Mapping[str, Any]) -> tuple[str, str]:
    """pass@1 and its interval, as a table shows them."""
    low, high = row["interval"]
    return f"{row['pass_at_1']:.3f}", f"{low:.2f}–{high:.2f}"


def gain(other: Score, champion: Score) -> dict[str, Any]:
    """What the champion gains over another model, problem by problem, as `evaluation.paired.contrast` finds it."""
    found = contrast(other, champion)
    return {"difference": found.difference, "interval": [found.low, found.high], "p": found.p, "test": found.test}


def gain_line(found: Mapping[str, Any]) -> str:
    """A gain in words."""
    low, high = found["interval"]
    return f"{found['difference']:+.3f} ({low:+.2f} to {high:+.2f}), p = {found['p']:.2g} ({found['test']})"


def final_test(run: RunFolder) -> dict[str, Any] | None:
    """The final test: its scores, and the paired difference of the champion and the base model."""
    if (scores := run.final_test()) is None:
        return None
    return {
        "problems": scores["base"].problems,
        "scores": {
            name: {"pass_at_1": score.pass_at_1, "interval": list(score.interval), "also": further(run.tested(name, score.checkpoint_id))}
            for name, score in scores.items()
        },
        "gain": gain(scores["base"], scores["champion"]),
    }


def test_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """The final test in words, or that there was none."""
    if found := summary["test"]:
        scores = ", ".join(f"{name.replace('_', '-')} {' ('.join(written(row))})" for name, row in found["scores"].items())
        yield f"final test, pass@1 on {found['problems']:,} problems that chose nothing: {scores}"
        yield f"  champion against base {gain_line(found['gain'])}"
    elif summary["complete"]:
        yield "no final test: the evaluation chose the champion and also measures it; test_problems sets other problems apart"
