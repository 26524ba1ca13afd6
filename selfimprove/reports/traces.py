"""The traces of a generation, an evaluation or a baseline: each thought with its reasoning behaviour, then the answer and its verdict."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfimprove.errors import UserError
from selfimprove.records import AnnotatedTrace, Outcome, Problem
from selfimprove.reports.trace_sources import SAMPLING, TraceSource, choose
from selfimprove.stages.annotate import annotate
from selfimprove.stages.probe import read_probes
from selfimprove.stages.verify_again import read_further
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import has_ended, stored
from selfimprove.terminal.safe_text import plain_line, plain_text
from selfimprove.thinking.anatomy import dissect
from selfimprove.thinking.behaviours import Behaviour, Behaviours, Cue
from selfimprove.thinking.thoughts import switches
from selfimprove.thinking.traces import parsed

STYLES = {
    Behaviour.PLAN: "cyan",
    Behaviour.CONFIRMATION: "green",
    Behaviour.REFLECTION: "yellow",
    Behaviour.REVISION: "bold magenta",
    Behaviour.CONCLUSION: "bold blue",
    Behaviour.STEP: "dim",
}


def find(
    run: RunFolder,
    generation: int | None = None,
    outcome: str | None = None,
    problem: str | None = None,
    limit: int | None = None,
    source: str | None = None,
) -> dict[str, Any]:
    """Traces of a stage, in the order of their requests. A stage at work gives those that it has written so far.

    `outcome` and `problem` (an id) filter them; `limit` is the maximum number of traces. `source` is as in `TraceSource`; None: what the generation
    sampled to learn from, which generation 0 did not. `generation` is by default the last complete one, and for evaluations the champion's.

    Returns:
        `{"generation": number, None for a baseline, "from": the source, "complete": whether the stage is, "limited": whether there are more,
        "traces": [{"trace_id", "problem_id", "question", "reference", "before": text before the thinking, "thoughts": [{"behaviour", "text",
        "probed": `3/4` if three of four answers after it were correct, None if it was not probed}], "switches", "after": text after the thinking,
        or all of it without thinking, "answer", "outcome", "verifier", "finish_reason", "output_tokens", "also": the outcome by the name of
        each further verifier}]}`; the texts of the thoughts joined are the thinking.

    Raises:
        UserError: the run, source, generation, outcome or problem does not exist.
    """
    settings = run.settings()
    if outcome is not None and outcome not in [known.value for known in Outcome]:
        raise UserError(f"there is no outcome {outcome!r}; choose {', '.join(known.value for known in Outcome)}")
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit}: give at least 1")
    stage = choose(run, source, generation)
    problems = run.problems_by_id(stage.problems)
    if problem is not None and problem not in problems:
        raise UserError(f"{run} has no problem {problem!r}; {_where(run, problem, stage)}")
    behaviours = behaviours_of(settings)
    chosen = (
        item
        for item in annotated(stage.folder)
        if (outcome is None or item.verdict.outcome == outcome) and (problem is None or item.trace.problem_id == problem)
    )
    traces = [described(item, problems[item.trace.problem_id], behaviours) for item in islice(chosen, limit)]
    return {
        "generation": stage.generation,
        "from": stage.source,
        "complete": has_ended(stage.folder),
        "limited": next(chosen, None) is not None,
        "traces": traces,
    }


def _where(run: RunFolder, problem: str, stage: TraceSource) -> str:
    """Where to look for a problem that the stage has not asked."""
    if stage.problems == "train" and problem in run.problems_by_id("eval"):
        return "it is an evaluation problem: add --from evaluation"
    if stage.problems == "eval" and problem in run.problems_by_id("train"):
        return "it is no evaluation problem: take --from sampling"
    close = difflib.get_close_matches(problem, run.problems_by_id(stage.problems), n=1)
    return f"did you mean {close[0]}?" if close else f"problems/{stage.problems}.json lists them"


def behaviours_of(settings: dict[str, Any]) -> Behaviours:
    """The reasoning behaviours and cues in the settings of a run."""
    own = settings.get("behaviours")
    if own is None:
        return Behaviours()
    return Behaviours(cues=tuple(Cue(Behaviour(cue["behaviour"]), cue["pattern"], cue["where"]) for cue in own["cues"]))


def annotated(folder: Path) -> Iterator[AnnotatedTrace]:
    """The stored traces of a stage with their verdicts, joined with their probes and with the verdicts of further verifiers."""
    return annotate(stored(folder), read_probes(folder), further=read_further(folder))


def described(item: AnnotatedTrace, problem: Problem, behaviours: Behaviours) -> dict[str, Any]:
    """One trace in the form that `find` returns."""
    parts, thoughts = parsed(item.trace), dissect(item.trace, behaviours)
    probed: list[str | None] = [f"{probe.right}/{probe.samples}" for probe in item.probes] or [None] * len(thoughts)
    return {
        "trace_id": item.trace.id,
        "problem_id": problem.id,
        "question": problem.question,
        "reference": problem.answer,
        "before": parts.before if parts.thinking is not None else "",
        "thoughts": [
            {"behaviour": behaviour.value, "text": thought.text, "probed": right}
            for (thought, behaviour), right in zip(thoughts, probed, strict=True)
        ],
        "switches": switches([thought for thought, _ in thoughts]),
        "after": parts.after if parts.thinking is not None else parts.before,
        "answer": item.verdict.answer,
        "outcome": item.verdict.outcome.value,
        "verifier": item.verdict.verifier,
        "finish_reason": item.trace.finish_reason,
        "output_tokens": item.trace.output_tokens,
        "also": {verdict.verifier: verdict.outcome.value for verdict in item.further},
    }


def show_traces(found: dict[str, Any], console: Console) -> None:
    """Print the traces one below the other, after a legend of the colours."""
    legend = Text(" ").join(Text(behaviour.value, style) for behaviour, style in STYLES.items())
    of_generation = "" if found["generation"] is None else f"generation {found['generation']}"
    stage = "" if found["from"] == SAMPLING else found["from"] if of_generation else f"{found['from']} baseline"
    name = ", ".join(filter(None, (of_generation, stage, "" if found["complete"] else "so far")))
    console.print(Text.assemble(f"{name}: ", legend))
    for trace in found["traces"]:
        console.print()
        for row in _rows(trace):
            console.print(row)
    console.print()
    count = len(found["traces"])
    console.print(Text(f"{count} {'trace' if count == 1 else 'traces'}{'; there are more (--limit)' if found['limited'] else ''}"))


def _rows(trace: dict[str, Any]) -> Iterator[Text | Table]:
    """The rows of one trace; none of its control characters and markup reaches the terminal."""
    verdict = "green" if trace["outcome"] == Outcome.CORRECT else "red"
    yield Text.assemble((plain_line(trace["trace_id"]), "bold"), "  ", (trace["outcome"], verdict))
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=max(map(len, Behaviour)))
    table.add_column(overflow="fold")
    table.add_row("question", Text(plain_text(trace["question"].strip())))
    if trace["before"].strip():
        table.add_row("before", Text(plain_text(trace["before"].strip())))
    for thought in trace["thoughts"]:
        style = STYLES[Behaviour(thought["behaviour"])]
        probed = f"  → {thought['probed']} correct" if thought["probed"] else ""
        table.add_row(Text(thought["behaviour"], style), Text.assemble((plain_text(thought["text"].strip("\n")), style), (probed, "italic")))
    stopped = "" if trace["finish_reason"] == "stop" else f" ({plain_line(trace['finish_reason'])})"
    table.add_row("answer", Text.assemble(("none" if trace["answer"] is None else plain_text(trace["answer"])) + stopped, style=verdict))
    for name, outcome in trace["also"].items():
        table.add_row("also", Text.assemble(f"{plain_line(name)}: ", (outcome, "green" if outcome == Outcome.CORRECT else "red")))
    if trace["outcome"] != Outcome.CORRECT:
        table.add_row("reference", Text(plain_text(trace["reference"])))
    yield table
