"""Champions of several runs, compared on the same problems: as data for programs, as tables for people, and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfimprove.errors import UserError
from selfimprove.evaluation.paired import contrast
from selfimprove.records import Problem
from selfimprove.reports.scores import written
from selfimprove.settings.paths import contrasts, short
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.safe_text import plain_line

MEASURE = ("verifier", "eval_sampling", "prompter", "chat_template", "delimiters", "verifier_deadline")
"""Settings that decide how an evaluation is done, besides its problems."""
SETTINGS = "settings that differ"
TableOf: TypeAlias = tuple[str, list[str], list[list[str]]]
"""Title, header and rows of a table."""


def compare_runs(runs: Sequence[RunFolder]) -> dict[str, Any]:
    """The champions of these runs on the problems of their final test, or else of their evaluation, and each compared with that of the first run.

    Returns:
        `{"runs": [{"name", "run_dir", "base", "base_interval", "generation", "generations", "pass_at_1", "interval", "complete"}, …], "measure":
        `final test` if all runs have one, else `evaluation`, "problems": their number, "contrasts": [{"first", "second": names, "gained", "lost":
        ids of problems, "difference", "low", "high", "p", "p_holm", "test"}, …], "settings": {path: [a value for each run]},
        "measured_differently": [path, …]}`. `p_holm` is `p` after Holm's correction (Holm 1979) for the number of contrasts; `measured_differently`
        lists the settings by which an evaluation differs from the first run's.

    Raises:
        UserError: there are fewer than two runs, a folder holds no evaluated run, or two runs were measured on different problems.
    """
    if len(runs) < 2:
        raise UserError("compare needs at least two runs; name them one after the other")
    settings, reports = [run.settings() for run in runs], [run.reports() for run in runs]
    for run, told in zip(runs, reports, strict=True):
        if not told:
            raise UserError(f"{run} has no evaluation yet; the same `selfimprove run` command continues it")
    tests = [run.final_test() for run in runs]
    measure = "final test" if all(tests) else "evaluation"
    problems = [run.problems("test" if all(tests) else "eval") for run in runs]
    for other, asked in zip(runs[1:], problems[1:], strict=True):
        if difference := other_problems(problems[0], asked):
            setting = "test_problems" if all(tests) else "eval_problems"
            raise UserError(f"{runs[0]} and {other} were measured on different problems: {difference}; compare runs with the same {setting}")
    names = _names(runs)
    scores = [
        (test["base"], test["champion"]) if test and all(tests) else (told[0].score, told[-1].kept_score)
        for test, told in zip(tests, reports, strict=True)
    ]
    found = [asdict(contrast(scores[0][1], champion)) for _, champion in scores[1:]]
    corrected = _holm([one["p"] for one in found])
    # Names of the runs differ in any case.
    differing = {path: list(values) for path, values in contrasts(settings) if path != "name"}
    return {
        "runs": [
            {
                "name": name,
                "run_dir": str(run),
                "base": base.pass_at_1,
                "base_interval": list(base.interval),
                "generation": told[-1].kept.generation,
                "generations": len(told) - 1,
                "pass_at_1": champion.pass_at_1,
                "interval": list(champion.interval),
                "complete": len(told) > setting["generations"] or run.stopped() is not None,
            }
            for name, run, setting, told, (base, champion) in zip(names, runs, settings, reports, scores, strict=True)
        ],
        "measure": measure,
        "problems": len(problems[0]),
        "contrasts": [{"first": names[0], "second": name, **one, "p_holm": p} for name, one, p in zip(names[1:], found, corrected, strict=True)],
        "settings": differing,
        "measured_differently": [path for path in differing if path.split(".")[0] in MEASURE],
    }


def other_problems(first: Sequence[Problem], second: Sequence[Problem]) -> str | None:
    """The first difference between two sets of problems; None if they are equal, in any order."""
    one, other = ({problem.id: problem for problem in several} for several in (first, second))
    if one.keys() != other.keys():
        only = sorted(one.keys() - other.keys() or other.keys() - one.keys())
        place = "the first" if one.keys() - other.keys() else "the second"
        return f"{len(one):,} and {len(other):,} problems, {len(only):,} of them only in {place}, such as {only[0]}"
    for name, problem in one.items():
        for field in ("question", "answer"):
            mine, theirs = getattr(problem, field), getattr(other[name], field)
            if mine != theirs:
                return f"the {field} of {name} is {short(mine)} in one, {short(theirs)} in the other"
    return None


def _names(runs: Sequence[RunFolder]) -> list[str]:
    """The last part of each run's place; the whole place where two runs would have the same name."""
    last = [Path(str(run)).name for run in runs]
    seen = Counter(last)
    return [name if name and seen[name] == 1 else str(run) for name, run in zip(last, runs, strict=True)]


def _holm(values: Sequence[float]) -> list[float]:
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(values, method="holm")[1]]


def show_comparison(found: dict[str, Any], console: Console) -> None:
    """Print the champions, their differences from the first, and the settings in which the runs differ."""
    print_tables(tables(found), remarks(found), console)


def print_tables(several: Sequence[TableOf], lines: Sequence[str], console: Console) -> None:
    """Print tables, and remarks below them."""
    for title, header, rows in several:
        # A title of the table's own would be broken at the table's width.
        console.print(Text(plain_line(title), style="table.title"), soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, pad_edge=False)
        for place, name in enumerate(header):
            table.add_column(Text(plain_line(name)), justify="left" if place == 0 or title == SETTINGS else "right", overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain_line(cell)) for cell in row))
        console.print(table, Text())
    for line in lines:
        console.print(Text(plain_line(line)), soft_wrap=True)


def tables(found: dict[str, Any]) -> list[TableOf]:
    """The tables of a comparison."""
    champions = [
        [
            run["name"],
            f"{run['base']:.3f}",
            "base" if run["generation"] == 0 else f"{run['generation']} of {run['generations']}",
            *written(run),
        ]
        for run in found["runs"]
    ]
    changes = [
        [
            one["second"],
            f"{len(one['gained'])}",
            f"{len(one['lost'])}",
            f"{one['difference']:+.3f}",
            f"{one['low']:+.2f} to {one['high']:+.2f}",
            *(f"{one[name]:.2g}" for name in _ps(found)),
        ]
        for one in found["contrasts"]
    ]
    header = ["", "gained", "lost", "difference", "95 % interval", *("p" if name == "p" else "p (Holm)" for name in _ps(found))]
    settings = [[path, *map(short, values)] for path, values in found["settings"].items()]
    shown = [
        (f"pass@1 on {found['problems']:,} problems of the {found['measure']}", ["", "base", "champion", "pass@1", "95 % interval"], champions),
        (f"compared with {found['runs'][0]['name']} ({found['contrasts'][0]['test']}, two-sided)", header, changes),
        (SETTINGS, ["", *(run["name"] for run in found["runs"])], settings),
    ]
    return [one for one in shown if one[2]]


def remarks(found: dict[str, Any]) -> list[str]:
    """What a reader of the tables has to know, a line each."""
    lines = []
    if found["measure"] == "evaluation":
        lines.append("The evaluation chose the champions; only a final test (test_problems) measures them without bias.")
    if found["measured_differently"]:
        lines.append(f"The evaluations differ in {', '.join(found['measured_differently'])}: a difference may not come from the models alone.")
    if not found["settings"]:
        lines.append("The settings are the same: a difference comes from chance, the code or the machine.")
    lines += [f"{run['name']} is not complete: its champion may still change." for run in found["runs"] if not run["complete"]]
    return lines


def _ps(found: dict[str, Any]) -> tuple[str, ...]:
    return ("p", "p_holm") if len(found["contrasts"]) > 1 else ("p",)
