"""What MLflow's pages show first: a run in words and as a table, and a saved view with charts over generations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from selfimprove.records import GenerationReport, Score, Stage
from selfimprove.reports.markdown import code, words
from selfimprove.tracking.figures import BEHAVIOURS, EVALUATION, SECONDS, THINKING, TOKENS, TRACES

VIEW = "generations"
"""Id of the view, used in addresses and in the tag that holds it."""
RUNS = "tags.level = 'run'"
"""Search that leaves out the runs of single generations."""
CHARTS = (
    (f"{EVALUATION}/pass_at_1", f"{EVALUATION}/pass_at_1_low", f"{EVALUATION}/pass_at_1_high"),
    tuple(f"{EVALUATION}/pass_at_{k}" for k in (2, 4, 8, 16, 32)),
    (f"{TRACES}/accepted_share",),
    (f"{THINKING}/output_tokens", f"{THINKING}/thinking_tokens"),
    tuple(f"{BEHAVIOURS}/{behaviour}_share" for behaviour in ("plan", "reflection", "revision", "conclusion")),
    (f"{THINKING}/under_thinking", f"{THINKING}/over_thinking"),
    ("coverage/newly_solved", "coverage/forgotten"),
    tuple(f"{SECONDS}/{stage}" for stage in dict.fromkeys((Stage.SAMPLE, Stage.TRAIN, Stage.EVALUATE, *Stage))),
    tuple(f"{TOKENS}/{stage}" for stage in (Stage.SAMPLE, Stage.TRAIN, Stage.EVALUATE)),
)
"""Figures of each chart in the view, in order. A chart is hidden if the runs have none of its figures."""


def view() -> str:
    """A saved view of MLflow's runs page in the form its tag holds: parent runs only, `CHARTS` first, then every other figure by section."""
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
        for number, keys in enumerate(CHARTS)
    ]
    state = {"searchFilter": RUNS, "compareRunSections": sections, "compareRunCharts": charts, "isAccordionReordered": True}
    return json.dumps({"name": "Generations", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def label(name: str, folder: str) -> str:
    """The name of a run: its workflow's, followed by its folder's unless the folder is named after the workflow."""
    return folder if folder.startswith(name) else f"{name} {folder}"


def description(reports: Sequence[GenerationReport], baselines: Mapping[str, Score], registered: str) -> str:
    """The run as Markdown: a summary line, then a table row for each generation and each baseline.

    `registered` is the name of the registered model.
    """
    first, last, champion = reports[0], reports[-1], code(f"models:/{registered}@champion")
    lines = [
        f"pass@1 on {last.score.problems:,} evaluation problems: **{first.kept_score.pass_at_1:.3f} → {last.kept_score.pass_at_1:.3f}** "
        f"by generation {last.generation}. Champion: {words(last.kept.id)} ({champion}).",
        "",
        "| generation | pass@1 | 95 % interval | sampled | accepted | trained on | gate |",
        "|---|---|---|---|---|---|---|",
    ]
    for report in reports:
        counts = [f"{getattr(report.counts, name):,}" if report.counts else "" for name in ("sampled", "accepted", "trained_on")]
        kept = "kept" if report.kept.id == report.candidate.id else "refused"
        lines.append(_row(str(report.generation or "base"), report.score, *counts, f"{kept}: {words(report.why)}" if report.generation else ""))
    lines += [_row(words(name.replace("_", " ")), score, "", "", "", "baseline") for name, score in baselines.items()]
    lines += ["", "**Model metrics** shows each figure over generations; the nested runs are the generations."]
    return "\n".join(lines)


def _row(name: str, score: Score, *cells: str) -> str:
    low, high = score.interval
    return "| " + " | ".join([name, f"{score.pass_at_1:.3f}", f"{low:.2f}–{high:.2f}", *cells]) + " |"
