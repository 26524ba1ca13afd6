"""A run as one self-contained HTML file: its figures, its coverage ledger, and its traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import ceil, inf
from pathlib import Path, PurePath
from typing import Any

from rich.console import Console
from rich.text import Text

from selfimprove.evaluation.ledger import entries
from selfimprove.records import AnnotatedTrace, LedgerEntry, Outcome, Problem
from selfimprove.reports.example import before_and_after
from selfimprove.reports.html_page import packed, page
from selfimprove.reports.table import summarize
from selfimprove.reports.traces import annotated, behaviours_of, described
from selfimprove.storage.averaged import candidate_folder
from selfimprove.storage.complete import complete_or_absent
from selfimprove.storage.files import read_column, read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.safe_text import plain_line
from selfimprove.thinking.behaviours import Behaviour, Behaviours

MOST_TEXT = 50_000_000
"""Maximum number of characters of traces in a page. A longer run shows every second trace, or every third, …, of each sampling and evaluation."""
LONGEST = 20_000
"""Maximum number of characters of one trace's thinking in a page; the page says how many it leaves out."""
BLOCK = 500
"""Number of traces packed together. The page unpacks block after block and can be used meanwhile."""
FILE = "report.html"
"""The name of the page in the run's folder."""

_Lengths = defaultdict[tuple[int, bool, bool], list[int]]
"""Output tokens of each trace, by generation, whether it belongs to an evaluation, and whether it is correct."""


@dataclass(frozen=True)
class _Stage:
    """The sampling or the evaluation of one generation."""

    generation: int
    evaluation: bool
    folder: Path


class _Asked:
    """The problems on the page: each is stored once and referred to by number."""

    def __init__(self, run: RunFolder) -> None:
        self._known = {name: run.problems_by_id(name) for name in ("train", "eval")}
        self._numbers: dict[tuple[str, str], int] = {}

    def problem(self, set_: str, id_: str) -> Problem:
        return self._known[set_][id_]

    def number(self, set_: str, id_: str) -> int:
        return self._numbers.setdefault((set_, id_), len(self._numbers))

    def level(self, set_: str, id_: str) -> int | None:
        return self.problem(set_, id_).level

    def table(self) -> list[tuple[str, str, str]]:
        """Id, question and reference answer by number."""
        named = (self.problem(*name) for name in self._numbers)
        return [(problem.id, problem.question, problem.answer) for problem in named]


def write_html(run: RunFolder, file: Path | None = None) -> dict[str, Any]:
    """Write the page of a run, complete or not, to `file`; by default to `report.html` in its folder.

    Returns:
        `{"file", "bytes", "traces": number of traces, "shown": number of traces in the page}`.

    Raises:
        UserError: the folder holds no run.
    """
    file, summary, settings = file or run.root / FILE, summarize(run), run.settings()
    asked, stages = _Asked(run), list(_stages(run))
    every = max(1, ceil(sum(map(_characters, stages)) / MOST_TEXT))
    lengths: _Lengths = defaultdict(list)
    traces = (trace for stage in stages for trace in _traces(stage, asked, behaviours_of(settings), every, lengths))
    counts, blocks = {"traces": 0, "shown": 0}, []
    for rows in iter(lambda: list(islice(traces, BLOCK)), []):
        blocks.append(packed(rows))
        counts["shown"] += len(rows)
    counts["traces"] = sum(map(len, lengths.values()))
    figures = {
        # A page gets passed on, so it names no folder of this machine.
        **{
            key: summary[key]
            for key in (
                "name",
                "baselines",
                "baseline_details",
                "kept_generation",
                "complete",
                "stopped_early",
                "budget_curve",
                "test",
                "checkpoints",
            )
        },
        "generations": [
            {**{key: value for key, value in row.items() if key != "checkpoint"}, "earlier_rows": _earlier_rows(run, row["generation"])}
            for row in summary["generations"]
        ],
        "further_prompts": summary["further_prompts"],
        "base_model": PurePath(settings["base_model"]).name,
        "eval_problems": len(run.problems("eval")),
        "ledger": _ledger(run, asked),
        "example": _example(run, asked, behaviours_of(settings)),
        "lengths": list(_quantiles(lengths)),
        "behaviours": [behaviour.value for behaviour in Behaviour],
        "outcomes": [outcome.value for outcome in Outcome],
        "every": every,
        **counts,
    }
    with complete_or_absent(file) as half:
        half.write_text(page(summary["name"], {**figures, "problems": asked.table()}, blocks), encoding="utf-8")
        size = half.stat().st_size
    return {"file": str(file), "bytes": size, **counts}


def show_written(written: Mapping[str, Any], console: Console) -> None:
    """Print where the page is, and its size."""
    shown = f"{written['shown']:,} of {written['traces']:,} traces"
    console.print(Text(plain_line(f"{written['file']}: {written['bytes'] / 1e6:.1f} MB, {shown}; open it in a browser")), soft_wrap=True)


def _stages(run: RunFolder) -> Iterator[_Stage]:
    """All samplings, then all evaluations."""
    for evaluation in (False, True):
        for number in run.generations():
            stage = _Stage(number, evaluation, candidate_folder(run, number) / "evaluation" if evaluation else run.generation(number))
            if (stage.folder / "verdicts").is_dir():
                yield stage


def _characters(stage: _Stage) -> int:
    return sum(len(text) for file in (stage.folder / "traces").glob("shard-*.parquet") for text in read_column(file, "text"))


def _traces(stage: _Stage, asked: _Asked, behaviours: Behaviours, every: int, lengths: _Lengths) -> Iterator[dict[str, Any]]:
    """The traces of a stage that go into the page. The lengths of all its traces are added to `lengths`."""
    accepted = set(read_column(file, "trace_id")) if (file := stage.folder / "accepted.parquet").exists() else set()
    for number, item in enumerate(annotated(stage.folder)):
        lengths[stage.generation, stage.evaluation, item.verdict.outcome is Outcome.CORRECT].append(item.trace.output_tokens)
        if number % every == 0:
            yield _shown(item, stage, asked, behaviours, item.trace.id in accepted)


def _shown(item: AnnotatedTrace, stage: _Stage, asked: _Asked, behaviours: Behaviours, accepted: bool = False) -> dict[str, Any]:
    """A trace as the page holds it."""
    set_ = "eval" if stage.evaluation else "train"
    trace = described(item, asked.problem(set_, item.trace.problem_id), behaviours)
    thoughts, left = _shortened(trace["thoughts"])
    return {
        **{key: trace[key] for key in ("trace_id", "before", "after", "answer", "outcome", "finish_reason", "output_tokens")},
        "problem": asked.number(set_, item.trace.problem_id),
        "generation": stage.generation,
        "evaluation": stage.evaluation,
        "accepted": accepted,
        "thoughts": [(thought["behaviour"], thought["text"], thought["probed"]) for thought in thoughts],
        "left": left,
        "also": list(trace["also"].items()),
    }


def _example(run: RunFolder, asked: _Asked, behaviours: Behaviours) -> list[dict[str, Any]] | None:
    """One problem before and after; None where the champion solves none that the base did not."""
    traces = before_and_after(run)
    numbers = (0, run.reports()[-1].kept.generation) if traces else ()
    shown = [
        _shown(item, _Stage(number, True, run.generation(number)), asked, behaviours) for item, number in zip(traces or (), numbers, strict=True)
    ]
    return shown or None


def _earlier_rows(run: RunFolder, number: int) -> int:
    """Number of rows in a generation's training that are of earlier generations."""
    file = run.generation(number) / "rows.parquet"
    return sum(generation < number for generation in read_column(file, "generation")) if file.exists() else 0


def _shortened(thoughts: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The thoughts up to `LONGEST` characters, and the number of characters left out."""
    kept, room = [], LONGEST
    for thought in thoughts:
        if room > 0:
            kept.append({**thought, "text": thought["text"][:room]})
        room -= len(thought["text"])
    return kept, max(0, -room)


def _quantiles(lengths: _Lengths) -> Iterator[dict[str, Any]]:
    """10th, 50th and 90th percentile of the lengths of sampled traces, by generation and correctness."""
    import numpy

    for (generation, evaluation, right), tokens in sorted(lengths.items()):
        if not evaluation:
            low, middle, high = numpy.quantile(tokens, [0.1, 0.5, 0.9]).tolist()
            yield {"generation": generation, "right": right, "traces": len(tokens), "low": low, "middle": middle, "high": high}


def _ledger(run: RunFolder, asked: _Asked) -> dict[str, Any]:
    """For each set: its generations, its problems by level and in the order in which they were first solved, and their solve counts."""
    reports = run.reports()
    rows = entries(reports[0].score.solved, "eval", 0) if reports else []
    for file in sorted(run.root.glob("generation-*/ledger.parquet")):
        rows += read_records(file, LedgerEntry)
    return {
        set_: _heat([row for row in rows if row.set == set_], partial(asked.number, set_), partial(asked.level, set_)) for set_ in ("eval", "train")
    }


def _heat(rows: Sequence[LedgerEntry], number: partial[int], level: Callable[[str], int | None]) -> dict[str, Any]:
    solves: defaultdict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    for row in rows:
        solves[row.problem_id][row.generation] = (row.right, row.samples)

    def place(problem: str) -> tuple[int, float, float, str]:
        mine = solves[problem]
        first = min((generation for generation, (right, _) in mine.items() if right), default=inf)
        return level(problem) or 0, first, -sum(right / samples for right, samples in mine.values()), problem

    order = sorted(solves, key=place)
    generations = sorted({row.generation for row in rows})
    return {
        "generations": generations,
        "problems": [number(problem) for problem in order],
        "solves": [[solves[problem].get(generation) for problem in order] for generation in generations],
    }
