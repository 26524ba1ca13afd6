"""Runs of one workflow with several seeds: means over seeds and problems, as data for programs and as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from selfimprove.errors import UserError
from selfimprove.evaluation.over_seeds import over_seeds
from selfimprove.evaluation.scores import interval
from selfimprove.records import Score
from selfimprove.reports.comparison import TableOf, other_problems, print_tables
from selfimprove.reports.comparison_page import write_tables
from selfimprove.reports.table import is_complete
from selfimprove.settings.paths import contrasts, short
from selfimprove.storage.run_folder import RunFolder

SEED, NAME = "seed", "name"


def summarize_seeds(runs: Sequence[RunFolder], failed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Base, champion and baselines over the complete runs of a workflow with several seeds, and what the champion gains over each.

    Measured on the final test where there is one, else on the evaluation. Gains are paired: problem by problem within each seed.

    Args:
        failed: Why runs failed, by their place; for those that are not complete.

    Returns:
        `{"name", "runs": [{"seed", "run_dir", "generation": the champion's, "generations", "scores": {name: pass@1}}, …], "left_out": [{"seed",
        "run_dir", "why"}, …], "measure": `final test` or `evaluation`, "problems": their number, of all seeds together unless "same_problems",
        "scores": {`base`, `champion`, baselines: {"mean", "low", "high", "smallest", "largest"}}, "gains": {`base`, baselines: likewise}}`. The
        formulas are those of `evaluation.over_seeds`. A score that is the same for every problem and seed, such as 0, has Wilson's interval.

    Raises:
        UserError: no run is complete, two runs have the same seed, or they differ in more than the seed.
    """
    settings = [run.settings() for run in runs]
    _require_same(runs, settings)
    complete = [run for run in runs if is_complete(run)]
    why = {str(run): (failed or {}).get(str(run), "not complete") for run in runs if run not in complete}
    if not complete:
        raise UserError(f"no run is complete ({'; '.join(f'{place}: {reason}' for place, reason in why.items())}); the same command continues them")
    tested = settings[0].get("test_problems") is not None
    problems = [run.problems("test" if tested else "eval") for run in complete]
    shared = all(other_problems(problems[0], others) is None for others in problems[1:])
    scores = [_scores(run) for run in complete]
    names = [name for name in scores[0] if all(name in of_seed for of_seed in scores)]
    asked = len(problems[0]) if shared else sum(map(len, problems))
    return {
        "name": settings[0][NAME],
        "runs": [_row(run, of_seed) for run, of_seed in zip(complete, scores, strict=True)],
        "left_out": [{"seed": run.settings()[SEED], "run_dir": str(run), "why": why[str(run)]} for run in runs if str(run) in why],
        "measure": "final test" if tested else "evaluation",
        "problems": asked,
        "same_problems": shared,
        "scores": {name: _score([of_seed[name] for of_seed in scores], shared, asked) for name in names},
        "gains": {name: _gain([(of_seed[name], of_seed["champion"]) for of_seed in scores], shared) for name in names if name != "champion"},
    }


def _require_same(runs: Sequence[RunFolder], settings: Sequence[Mapping[str, Any]]) -> None:
    for place, (other, of_other) in enumerate(zip(runs, settings, strict=True)):
        for path, (mine, theirs) in contrasts([settings[0], of_other]):
            if path not in (SEED, NAME):
                told = f"{runs[0]} and {other} differ in more than the seed: {path}: {short(mine)} → {short(theirs)}"
                raise UserError(f"{told}; `selfimprove compare` shows runs with different settings")
        for earlier, before in zip(runs[:place], settings[:place], strict=True):
            if before[SEED] == of_other[SEED]:
                raise UserError(f"{earlier} and {other} have the same seed, {of_other[SEED]}: leave out one of them")


def _scores(run: RunFolder) -> dict[str, Score]:
    """The scores of base, champion and baselines: of the final test where there is one, else of the evaluation."""
    if test := run.final_test():
        return test
    reports = run.reports()
    return {"base": reports[0].score, "champion": reports[-1].kept_score, **run.baselines()}


def _row(run: RunFolder, scores: Mapping[str, Score]) -> dict[str, Any]:
    settings, reports = run.settings(), run.reports()
    return {
        "seed": settings[SEED],
        "run_dir": str(run),
        "generation": reports[-1].kept.generation,
        "generations": len(reports) - 1,
        "interval": list(scores["champion"].interval),
        "scores": {name: score.pass_at_1 for name, score in scores.items()},
    }


def _rates(score: Score) -> dict[str, float]:
    return {problem: right / samples for problem, (right, samples) in score.solved.items()}


def _score(scores: Sequence[Score], shared: bool, problems: int) -> dict[str, float]:
    found = over_seeds([_rates(score) for score in scores], shared)
    if found.low == found.high:
        # Resamples of equal values have no width.
        low, high = interval([found.mean] * problems, problems)
        return {**asdict(found), "low": low, "high": high}
    return asdict(found)


def _gain(pairs: Sequence[tuple[Score, Score]], shared: bool) -> dict[str, float]:
    differences = []
    for other, champion in pairs:
        before, after = _rates(other), _rates(champion)
        differences.append({problem: after[problem] - before[problem] for problem in before})
    return asdict(over_seeds(differences, shared))


def show_seeds(found: dict[str, Any], console: Console) -> None:
    """Print the means, the gains, each seed, and what a reader has to know."""
    print_tables(tables(found), list(remarks(found)), console)


def write_seeds_page(found: dict[str, Any], file: Path) -> dict[str, Any]:
    """Write the tables as a page, with a chart of the champions.

    Returns:
        `{"file", "bytes"}`.
    """
    champion, base = found["scores"]["champion"], found["scores"]["base"]["mean"]
    rows = [
        {"name": f"seed {run['seed']}", "base": run["scores"]["base"], "pass_at_1": run["scores"]["champion"], "interval": run["interval"]}
        for run in found["runs"]
    ]
    rows.append({"name": f"{found['name']}, mean", "base": base, "pass_at_1": champion["mean"], "interval": [champion["low"], champion["high"]]})
    how = "pass@1 of each seed's champion with its 95 % interval over problems; the mean's is over seeds too. The hollow point is the base model."
    return write_tables(rows, how, tables(found), list(remarks(found)), file)


def tables(found: Mapping[str, Any]) -> list[TableOf]:
    """The tables: scores, gains, and the seeds."""
    seeds = "1 seed" if len(found["runs"]) == 1 else f"{len(found['runs'])} seeds"
    problems = f"{found['problems']:,} problems{'' if found['same_problems'] else ' of all seeds'}"
    title = f"{found['name']}, {seeds}: pass@1 on the {found['measure']}, {problems}"
    scores = [
        [_shown(name), f"{one['mean']:.3f}", f"{one['smallest']:.3f} to {one['largest']:.3f}", f"{one['low']:.2f} to {one['high']:.2f}"]
        for name, one in found["scores"].items()
    ]
    gains = [
        [_shown(name), f"{one['mean']:+.3f}", f"{one['smallest']:+.3f} to {one['largest']:+.3f}", f"{one['low']:+.2f} to {one['high']:+.2f}"]
        for name, one in found["gains"].items()
    ]
    header = ["", "mean", "range of seeds", "95 % interval"]
    each = [
        [str(run["seed"]), *(f"{run['scores'][name]:.3f}" for name in found["scores"]), "base" if run["generation"] == 0 else str(run["generation"])]
        for run in found["runs"]
    ]
    return [
        (title, header, scores),
        ("what the champion gains, paired within each seed, over", header, gains),
        ("each seed", ["seed", *map(_shown, found["scores"]), "kept"], each),
    ]


def remarks(found: Mapping[str, Any]) -> Iterator[str]:
    """What a reader of the tables has to know, a line each."""
    if len(found["runs"]) > 1:
        yield "Intervals of means are over seeds and problems. With fewer than five seeds, look at the range too."
    else:
        yield "One seed: its interval is over problems alone and says nothing of how much another seed would differ."
    if not found["same_problems"]:
        setting = "test_problems" if found["measure"] == "final test" else "eval_problems"
        yield f"Each seed has other problems, and gains are paired within a seed; {setting}=SOURCE in place of a number gives all seeds the same."
    if found["measure"] == "evaluation":
        yield "The evaluation chose the champions; only a final test (test_problems) measures them without bias."
    for one in found["left_out"]:
        yield f"seed {one['seed']} is left out ({one['why']}): {one['run_dir']}"
    if found["left_out"]:
        yield "Means without the seeds that failed may be too good."


def _shown(name: str) -> str:
    return name.replace("_", "-")
