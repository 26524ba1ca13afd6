"""What MLflow's pages show first: a run in words and as a table, and a saved view with charts over generations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from selfimprove.records import FurtherScore, GenerationReport, Score, Stage
from selfimprove.reports.markdown import code, words
from selfimprove.tracking.figures import BEHAVIOURS, DRIFT, EVALUATION, SECONDS, THINKING, TOKENS, TRACES, by, legal
from selfimprove.verification.exact import Exact
from selfimprove.verification.last_number import LastNumber
from selfimprove.verification.mathematical import Mathematical
from selfimprove.verification.multiple_choice import MultipleChoice
from selfimprove.verification.python_tests import PythonTests
from selfimprove.verification.reasoning_gym_scorer import ReasoningGymScorer

VIEW = "generations"
"""Id of the view, used in addresses and in the tag that holds it."""
RUNS = "tags.level != 'generation'"
"""Search that leaves out the runs of single generations."""
SPAN = (f"{EVALUATION}/pass_at_1_low", f"{EVALUATION}/pass_at_1_high")
SHIPPED = (Exact, LastNumber, Mathematical, MultipleChoice, PythonTests, ReasoningGymScorer)
CHARTS = (
    ("pass@1", (f"{EVALUATION}/pass_at_1", *SPAN, *(by(verifier.name) for verifier in SHIPPED))),
    ("pass@k", tuple(f"{EVALUATION}/pass_at_{k}" for k in (2, 4, 8, 16, 32))),
    ("Accepted share", (f"{TRACES}/accepted_share",)),
    ("Tokens per trace", (f"{THINKING}/output_tokens", f"{THINKING}/thinking_tokens")),
    ("Behaviours", tuple(f"{BEHAVIOURS}/{behaviour}_share" for behaviour in ("plan", "reflection", "revision", "conclusion"))),
    ("Useless thinking", (f"{THINKING}/under_thinking", f"{THINKING}/over_thinking")),
    ("KL from base", (f"{DRIFT}/kl_from_base",)),
    ("NLL, fixed text", (f"{DRIFT}/nll",)),
    ("Coverage", ("coverage/newly_solved", "coverage/forgotten")),
    ("Seconds by stage", tuple(f"{SECONDS}/{stage}" for stage in dict.fromkeys((Stage.SAMPLE, Stage.TRAIN, Stage.EVALUATE, *Stage)))),
    ("Tokens by stage", tuple(f"{TOKENS}/{stage}" for stage in (Stage.SAMPLE, Stage.TRAIN, Stage.EVALUATE))),
)
"""Title and figures of each chart in the view, in order. MLflow cuts off titles of more than 16 characters, and hides a chart without figures."""


def view() -> str:
    """A saved view of MLflow's runs page in the form its tag holds: no runs of generations, `CHARTS` first, then every other figure by section."""
    names = [VIEW, EVALUATION, TRACES, THINKING, BEHAVIOURS, SECONDS, TOKENS]
    shown = {"display": True, "isReordered": False, "deleted": False, "isGenerated": True}
    sections: list[dict[str, Any]] = [{"uuid": name, "name": name, **shown} for name in names]
    # Wide enough for the names of the lines.
    sections[0]["columns"] = 2
    charts = [
        {
            "type": "LINE",
            "uuid": f"{VIEW}-{number}",
            "metricSectionId": VIEW,
            "isGenerated": False,
            "deleted": False,
            "runsCountToCompare": 10,
            "metricKey": keys[0],
            "displayName": title,
            # MLflow joins the names of several figures and cuts them off, but for charts of machines' nodes, which keep their title.
            "nodeLevelSystemMetricConfiguration": {"metric": title, "type": "node"},
            "selectedMetricKeys": list(keys),
            "lineSmoothness": 0,
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "range": {},
            "xAxisKey": "step",
            "selectedXAxisMetricKey": "",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "ignoreOutliers": False,
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
        }
        for number, (title, keys) in enumerate(CHARTS)
    ]
    # Sorted by time of creation, MLflow hides nested runs, such as those of several seeds, and their lines. Ours have no user: the newest come first.
    flat = {"orderByKey": "tags.`mlflow.user`", "orderByAsc": False}
    state = {"searchFilter": RUNS, **flat, "compareRunSections": sections, "compareRunCharts": charts, "isAccordionReordered": True}
    return json.dumps({"name": "Generations", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def label(name: str, folder: str) -> str:
    """The name of a run: its workflow's, followed by its folder's unless the folder is named after the workflow."""
    return folder if folder.startswith(name) else f"{name} {folder}"


def told(
    reports: Sequence[GenerationReport],
    baselines: Mapping[str, Score],
    registered: str,
    further: Mapping[int, Sequence[FurtherScore]],
    checkpoints: str | None = None,
) -> dict[str, str]:
    """What the page of a run says, by tag: the description, and the results alone, since a small window shows tags above the description."""
    tags = {f"result by {legal(name)}" if name else "result": f"pass@1 {text}" for name, text in results(reports, further).items()}
    return {"mlflow.note.content": description(reports, baselines, registered, further, checkpoints), **tags}


def results(reports: Sequence[GenerationReport], further: Mapping[int, Sequence[FurtherScore]]) -> dict[str, str]:
    """pass@1 of base and champion by the workflow's verifier, under the empty name, and by each further one."""
    first, last = reports[0], reports[-1]
    before, after = ({one.verifier: one.score.pass_at_1 for one in further.get(n, ())} for n in (first.generation, last.kept.generation))
    scores = {"": (first.kept_score.pass_at_1, last.kept_score.pass_at_1)}
    scores |= {name: (value, after[name]) for name, value in before.items() if name in after}
    return {name: f"{low:.3f} → {high:.3f}" for name, (low, high) in scores.items()}


def description(
    reports: Sequence[GenerationReport],
    baselines: Mapping[str, Score],
    registered: str,
    further: Mapping[int, Sequence[FurtherScore]],
    checkpoints: str | None = None,
) -> str:
    """The run as Markdown: a summary line, then a table row for each generation and each baseline.

    Args:
        registered: The name of the registered model.
        further: Scores by further verifiers, by generation.
        checkpoints: Which checkpoints were removed, in words; None where none was.
    """
    last, champion = reports[-1], code(f"models:/{registered}@champion")
    names = list(dict.fromkeys(one.verifier for scores in further.values() for one in scores))
    heads = ["generation", "pass@1", "95 % interval", *(f"by {words(name)}" for name in names), "sampled", "accepted", "trained on", "gate"]
    scores = results(reports, further)
    also = "".join(f"The same answers by {words(name)}: **{text}**. " for name, text in scores.items() if name)
    lines = [
        f"pass@1 on {last.score.problems:,} evaluation problems: **{scores['']}** by generation {last.generation}. "
        f"{also}Champion: {words(last.kept.id)} ({champion}).",
        "",
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
    ]
    for report in reports:
        counts = [f"{getattr(report.counts, name):,}" if report.counts else "" for name in ("sampled", "accepted", "trained_on")]
        others = {one.verifier: f"{one.score.pass_at_1:.3f}" for one in further.get(report.generation, ())}
        kept = "kept" if report.kept.id == report.candidate.id else "refused"
        gate = f"{kept}: {words(report.why)}" if report.generation else ""
        lines.append(_row(str(report.generation or "base"), report.score, *(others.get(name, "") for name in names), *counts, gate))
    for name, score in baselines.items():
        lines.append(_row(words(name.replace("_", " ")), score, *[""] * (len(names) + 3), "baseline"))
    if checkpoints:
        lines += ["", f"{words(checkpoints[0].upper() + checkpoints[1:])}."]
    lines += ["", "**Model metrics** shows each figure over generations; the nested runs are the generations."]
    return "\n".join(lines)


def _row(name: str, score: Score, *cells: str) -> str:
    low, high = score.interval
    return "| " + " | ".join([name, f"{score.pass_at_1:.3f}", f"{low:.2f}–{high:.2f}", *cells]) + " |"
