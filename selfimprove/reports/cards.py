"""The cards of a published model and of its traces, written from the figures of a run. Text from models and data sets is never markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from selfimprove.records import AcceptedTrace
from selfimprove.records.delimiters import THINK
from selfimprove.reports import drift as drift_report
from selfimprove.reports import proposed as proposed_report
from selfimprove.reports import thinking_off as thinking_report
from selfimprove.reports.guards import guard_lines, prompt_lines
from selfimprove.reports.markdown import block, code, words
from selfimprove.reports.scores import test_lines
from selfimprove.terminal.safe_text import plain_json, plain_line

TEMPLATES = Path(__file__).parent / "templates"
EMBEDDED = {"smollm2-135m-instruct": ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")}
"""Hub id and license of the model that comes with the package."""
ON_HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
BASELINES = {
    "few_shot": "base model, with worked examples in the prompt",
    "answer_only": "trained on answers without reasoning",
    "random_selection": "trained on traces drawn whatever their verdict",
    "shuffled_answers": "trained on the traces of other questions",
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (float("inf"), "1M<n<10M"))


def model_card(
    figures: Mapping[str, Any], settings: Mapping[str, Any], sources: Sequence[str], example: AcceptedTrace | None, license: str | None
) -> str:
    """The card of the champion.

    Args:
        figures: figures of the run, as `table.summarize` returns them.
        settings: settings of the run, without private values.
        sources: sources of the problems, such as `reasoning-gym:chain_sum`.
        example: a row that it was trained on, which shows its prompt and its output.
        license: license as the hub names it; None for the license of the embedded model if that is the base, else none.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    base, known_license = _base(settings)
    kept = next(row for row in figures["generations"] if row["generation"] == figures["kept_generation"])
    # A test measures the champion without bias; the evaluation chose it.
    measured, by = (figures["test"]["scores"]["champion"], "test") if figures["test"] else (kept, "evaluation")
    low, high = measured["interval"]
    result = EvalResult(
        task_type="text-generation",
        dataset_type=re.sub(r"[^\w.-]+", "-", sources[0]),
        dataset_name=plain_line(f"{', '.join(sources)}, {by} problems"),
        metric_type="pass@1",
        metric_name=f"pass@1 (95% interval {low:.3f}-{high:.3f})",
        metric_value=round(measured["pass_at_1"], 4),
    )
    data = ModelCardData(
        model_name=plain_line(settings["name"]),
        base_model=base if ON_HUB.fullmatch(base) and not Path(base).exists() else None,
        license=plain_line(license) if license else known_license,
        library_name="transformers",
        pipeline_tag="text-generation",
        datasets=[name for kind, _, name in (source.partition(":") for source in sources) if kind == "hub" and ON_HUB.fullmatch(name)] or None,
        tags=["reasoning", "self-improvement", "selfimprove"],
        eval_results=[result],
    )
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATES / "model_card.md"),
        base=code(base),
        chat=block(plain_json(list(example.messages)), "json") if example else None,
        completion=block(example.completion, "text") if example else None,
        drift=drift_report.line(figures),
        thinking=thinking_report.line(figures),
        empty=code("{begin}{end}".format(**(settings.get("delimiters") or asdict(THINK)))),
        **_common(figures, settings, sources),
    )
    return str(card)


def dataset_card(
    figures: Mapping[str, Any], settings: Mapping[str, Any], sources: Sequence[str], counts: Mapping[str, int], license: str | None
) -> str:
    """The card of the traces. `counts` holds the number of traces in `train` and `test`, and of `rows`; the rest is as for `model_card`."""
    from huggingface_hub import DatasetCard, DatasetCardData

    base, _ = _base(settings)
    splits = [{"split": split, "path": f"data/{split}-*.parquet"} for split in ("train", "test") if counts[split]]
    configs = [{"config_name": "traces", "default": True, "data_files": splits}]
    if counts["rows"]:
        configs.append({"config_name": "rows", "data_files": [{"split": "train", "path": "data/rows.parquet"}]})
    data = DatasetCardData(
        pretty_name=plain_line(f"{settings['name']}: traces"),
        license=plain_line(license) if license else None,
        task_categories=["text-generation"],
        size_categories=next(name for most, name in SIZES if counts["train"] + counts["test"] < most),
        tags=["reasoning", "self-improvement", "selfimprove"],
        configs=configs,
    )
    template = str(TEMPLATES / "dataset_card.md")
    return str(DatasetCard.from_template(data, template_path=template, base=code(base), counts=counts, **_common(figures, settings, sources)))


def _base(settings: Mapping[str, Any]) -> tuple[str, str | None]:
    """Hub id or folder name of the base model, and its license if known."""
    return EMBEDDED.get(settings["base_model"], (str(settings["base_model"]), None))


def _common(figures: Mapping[str, Any], settings: Mapping[str, Any], sources: Sequence[str]) -> dict[str, Any]:
    teacher = settings.get("teacher")
    sampler = teacher["sampler"] if teacher else {}
    return {
        "title": words(settings["name"]),
        "hub_name": re.sub(r"[^\w.-]+", "-", settings["name"]),
        "kept": figures["kept_generation"],
        "sources": ", ".join(map(code, sources)),
        "verifier": code(settings["verifier"]["part"]),
        "eval_problems": sum(figures["generations"][0]["evaluation_outcomes"].values()) // settings["eval_sampling"]["n"],
        "greedy": settings["eval_sampling"]["temperature"] == 0,
        "further": [words(name) for name in _further(figures)],
        "table": list(_table(figures)),
        "test": list(map(words, test_lines(figures))),
        "prompts": list(map(words, prompt_lines(figures))),
        "guards": list(map(words, _guarded(figures))),
        "proposed": proposed_report.line(figures),
        "teacher": code(str(teacher["model"] or sampler.get("model"))) if teacher else None,
        "settings": block(plain_json(settings), "json"),
    }


def _further(figures: Mapping[str, Any]) -> list[str]:
    """Names of the further verifiers of the evaluations."""
    return list(dict.fromkeys(name for row in figures["generations"] for name in row["also"]))


def _guarded(figures: Mapping[str, Any]) -> Iterator[str]:
    """What each guard says of the champion; nothing where the base model was kept."""
    kept = next(row for row in figures["generations"] if row["generation"] == figures["kept_generation"])
    for line in guard_lines(kept):
        name = line.split()[1]
        yield f"{line}; base model {figures['generations'][0]['guards'][name]['pass_at_1']:.3f}, this model {kept['guards'][name]['pass_at_1']:.3f}"


def _table(figures: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the table of scores, including the base model and the baselines."""
    further = _further(figures)
    for row in figures["generations"]:
        name = f"generation {row['generation']}" if row["generation"] else "base model"
        mark = " (this model)" if row["generation"] == figures["kept_generation"] else ""
        trained = f"{row['trained_on']:,}" if row["generation"] else ""
        yield f"| {name}{mark} | {_scores(row, further)} | {trained} |"
    for name, row in figures["baseline_details"].items():
        yield f"| {BASELINES.get(name) or words(name)} | {_scores(row, further)} | |"


def _scores(row: Mapping[str, Any], further: Sequence[str]) -> str:
    """The cells of pass@1 by the workflow's verifier and by the further ones."""
    return " | ".join([_score(row), *(_score(row["also"][name]) if name in row["also"] else "" for name in further)])


def _score(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    more = "".join(f", pass@{k} {value:.3f}" for k, value in row.get("pass_at_k", {}).items() if int(k) > 1)
    return f"{row['pass_at_1']:.3f} ({low:.2f}–{high:.2f}){more}"
