"""Write `docs/evidence.md` from run folders: `python -m benchmarks.evidence runs/evidence`. Every figure on the page comes from them."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.evidence_texts import HEAD, TEXTS
from benchmarks.machine import describe_machine
from selfimprove.evaluation.over_seeds import OverSeeds, over_seeds
from selfimprove.evaluation.paired import contrast
from selfimprove.evaluation.scores import interval
from selfimprove.records import GenerationReport, Score
from selfimprove.reports.markdown import words
from selfimprove.reports.table import summarize
from selfimprove.storage.further import further_scores
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.stopwatch import Stopwatch

PAGE = Path(__file__).parent.parent / "docs" / "evidence.md"


@dataclass(frozen=True)
class Model:
    """What one model of a run scored."""

    score: Score
    also: Mapping[str, Score]
    """Scores of the same traces by further verifiers."""

    def by(self, verifier: str | None) -> Score | None:
        """The score by a further verifier; None for the workflow's own."""
        return self.score if verifier is None else self.also.get(verifier)


def page(root: Path, machine: str) -> str:
    """The page on all runs in a folder; those of several seeds, `NAME-seedN`, are one experiment."""
    experiments = defaultdict[str, list[RunFolder]](list)
    for file in root.glob("*/workflow.json"):
        if (run := RunFolder(file.parent)).reports():
            experiments[re.sub(r"-seed\d+$", "", file.parent.name)].append(run)
    ordered = {name: sorted(experiments[name], key=_seed) for name in sorted(experiments, key=_place)}
    sections = [section(name, runs) for name, runs in ordered.items()]
    return "\n\n".join([HEAD.format(machine=machine), summary(ordered), *sections]) + "\n"


def models(run: RunFolder) -> dict[str, Model]:
    """The models of a run by name: `base`, `champion`, and baselines; of the final test, or of the evaluation where there was none."""
    if tested := run.final_test():
        return {name: _model(score, run.tested(name, score.checkpoint_id)) for name, score in tested.items()}
    reports = run.reports()
    kept = run.generation(reports[-1].kept.generation)
    found = {"base": _model(reports[0].score, run.generation(0)), "champion": _model(reports[-1].kept_score, kept)}
    return found | {name: _model(score, run.baseline(name)) for name, score in run.baselines().items()}


def summary(experiments: Mapping[str, Sequence[RunFolder]]) -> str:
    """The table that opens the page."""
    rows = []
    for name, runs in experiments.items():
        every = [models(run) for run in runs]
        lenient = next(iter(every[0]["champion"].also), None)
        refused = sum(report.candidate.id != report.kept.id for run in runs for report in run.reports()[1:])
        rows.append(
            [
                f"[{_title(name)}](#{_title(name).lower().replace(' ', '-')})",
                len(runs),
                _mean(every, "base"),
                _mean(every, "champion"),
                f"{_mean(every, 'base', lenient)} → {_mean(every, 'champion', lenient)}" if lenient else "",
                _difference(every, "random_selection"),
                f"{refused} of {sum(len(run.reports()) - 1 for run in runs)}",
            ]
        )
    header = [
        "experiment",
        "seeds",
        "base",
        "champion",
        "by a further verifier, base → champion",
        "champion − random selection",
        "candidates refused",
    ]
    return table(header, rows)


def section(name: str, runs: Sequence[RunFolder]) -> str:
    """One experiment: what was asked, what came out, what it took."""
    text, every = TEXTS.get(name), [models(run) for run in runs]
    parts = [f"## {_title(name)}", *((text.why, f"```\n{text.commands}\n```") if text else ()), _setting(runs)]
    parts += [_scores(runs, every), _differences(runs, every), _guards(runs), _generations(runs), _drift(runs), _time(runs)]
    return "\n\n".join(part for part in parts if part)


def _setting(runs: Sequence[RunFolder]) -> str:
    one, seeds = runs[0].settings(), ", ".join(str(run.settings()["seed"]) for run in runs)
    problems, drawn = one["problems"], one["problems_per_generation"] or "all"
    settings = ", ".join(f"`{key}={value}`" for key, value in problems.get("settings", {}).items())
    told = f"`{problems.get('task', problems['part'])}`{f' ({settings})' if settings else ''}"
    base = Path(one["base_model"]).parts[-3:] if one["base_model"].startswith(("/", ".")) else (one["base_model"],)
    counts = f"{drawn} problems a generation, {one['sampling']['n']} traces of each, {len(runs[0].problems('eval'))} evaluation problems"
    test = f", {len(runs[0].problems('test'))} test problems" if runs[0].final_test() else ""
    return f"`{'/'.join(base)}` on {told}; {counts}{test}; seed {seeds}."


def _scores(runs: Sequence[RunFolder], every: Sequence[Mapping[str, Model]]) -> str:
    verifiers = [None, *every[0]["champion"].also]
    rows = []
    for name in every[0]:
        cells = []
        for verifier in verifiers:
            if found := _over_seeds([_rates(one[name].by(verifier)) for one in every if name in one]):
                cells.append(f"{found.mean:.3f} ({_interval([one[name] for one in every if name in one], verifier, found)})")
            else:
                cells.append("")
        rows.append([_plain(name), *cells])
    where = "the final test" if runs[0].final_test() else "the evaluation, which also chose the champion: this run had no final test"
    told = "mean (95 % interval; lowest to highest seed)" if len(every) > 1 else "mean (95 % interval)"
    heads = ["pass@1" if verifier is None else f"by {words(verifier)}" for verifier in verifiers]
    return f"On {where}, {told}:\n\n" + table(["model", *heads], rows)


def _interval(seeds: Sequence[Model], verifier: str | None, found: OverSeeds) -> str:
    scores = [score for one in seeds if (score := one.by(verifier))]
    if len(scores) == 1:
        return "{:.2f}–{:.2f}".format(*scores[0].interval)
    low, high = found.low, found.high
    if low == high:
        # Resamples of equal values have no width.
        problems = sum(one.problems for one in scores)
        low, high = interval([found.mean] * problems, problems)
    return f"{low:.2f}–{high:.2f}; {found.smallest:.3f} to {found.largest:.3f}"


def _differences(runs: Sequence[RunFolder], every: Sequence[Mapping[str, Model]]) -> str:
    rows = []
    for name in every[0]:
        if name == "champion":
            continue
        found = [contrast(one[name].score, one["champion"].score) for one in every if name in one]
        each = "; ".join(f"+{len(one.gained)} −{len(one.lost)}, p = {one.p:.2g}" for one in found)
        rows.append([f"champion − {_plain(name)}", _difference(every, name), each])
    return "Paired on the same problems; each seed: problems gained and lost, McNemar's exact test, two-sided:\n\n" + table(
        ["", "difference (95 % interval)", "each seed"], rows
    )


def _guards(runs: Sequence[RunFolder]) -> str:
    rows = []
    for run, report in _candidates(runs):
        base = run.reports()[0].guards
        for name, one in report.guards.items():
            if one.loss:
                said = f"{-one.loss.loss:+.3f} ({-one.loss.high:+.2f} to {-one.loss.low:+.2f})"
                told = "refused" if one.loss.refuses else "passed"
                scores = f"{base[name].score.pass_at_1:.3f}", f"{one.score.pass_at_1:.3f}"
                rows.append([_seed(run), report.generation, words(name), one.score.problems, *scores, said, f"{one.loss.margin:g}", told])
    header = ["seed", "generation", "guard", "problems", "base", "candidate", "change (90 % interval)", "margin", "verdict"]
    return "Guards, which watch over what the base model could do before:\n\n" + table(header, rows) if rows else ""


def _generations(runs: Sequence[RunFolder]) -> str:
    verifiers = [one.verifier for one in further_scores(runs[0].generation(0) / "evaluation")]
    rows = []
    for run, report in _candidates(runs):
        also = {one.verifier: f"{one.score.pass_at_1:.3f}" for one in further_scores(run.generation(report.generation) / "evaluation")}
        counts = [getattr(report.counts, name) for name in ("sampled", "verified", "accepted", "trained_on")]
        kept = "kept" if report.kept.id == report.candidate.id else "**refused**"
        scores = f"{report.score.pass_at_1:.3f}", *(also.get(name, "") for name in verifiers)
        rows.append([_seed(run), report.generation, *counts, *scores, kept, words(report.why)])
    stops = [f"Seed {_seed(run)} stopped early: {words(reason)}." for run in runs if (reason := run.stopped())]
    unfinished = [f"Seed {_seed(run)} is not complete." for run in runs if not summarize(run)["complete"]]
    header = ["seed", "generation", "sampled", "verified", "accepted", "rows", "pass@1", *(f"by {words(name)}" for name in verifiers), "gate", "why"]
    return "\n\n".join(["Candidates on the evaluation, and what the gate said:\n\n" + table(header, rows), *stops, *unfinished])


def _drift(runs: Sequence[RunFolder]) -> str:
    measured = [(run, report.generation, drift) for run in runs for report in run.reports() if (drift := getattr(report, "drift", None))]
    rows = [[_seed(run), generation, f"{drift.nll:.3f}", f"{drift.kl:.3f}"] for run, generation, drift in measured]
    header = ["seed", "generation", "negative log-likelihood", "KL from the base model"]
    return "On a fixed text, in nats a token:\n\n" + table(header, rows) if rows else ""


def _time(runs: Sequence[RunFolder]) -> str:
    told = []
    for run in runs:
        stages = sum(sum(Stopwatch(file).seconds.values()) for file in run.root.rglob("seconds.json"))
        files = [file.stat().st_mtime for file in run.root.rglob("*.json") if "checkpoint" not in file.parts]
        # A run that is continued rewrites this file, so the time before that would be missing.
        whole = max(files) - (run.root / "problems" / "train.json").stat().st_mtime
        clock = f"{whole / 60:.1f} min" if whole > stages else "stopped and continued"
        told.append(f"{clock} (seed {_seed(run)}; {stages / 60:.1f} in stages)")
    return f"Wall-clock from the first file of a run to its last: {', '.join(told)}."


def _candidates(runs: Iterable[RunFolder]) -> Iterator[tuple[RunFolder, GenerationReport]]:
    return ((run, report) for run in runs for report in run.reports()[1:])


def _model(score: Score, folder: Path) -> Model:
    return Model(score, {one.verifier: one.score for one in further_scores(folder / "evaluation")})


def _mean(every: Sequence[Mapping[str, Model]], name: str, verifier: str | None = None) -> str:
    found = _over_seeds([_rates(one[name].by(verifier)) for one in every])
    return f"{found.mean:.3f}" if found else ""


def _difference(every: Sequence[Mapping[str, Model]], name: str) -> str:
    pairs = [(_rates(one[name].score), _rates(one["champion"].score)) for one in every if name in one]
    found = _over_seeds([{problem: champion[problem] - other[problem] for problem in champion} for other, champion in pairs])
    return f"{found.mean:+.3f} ({found.low:+.2f} to {found.high:+.2f})" if found else ""


def _over_seeds(values: Sequence[Mapping[str, float]]) -> OverSeeds | None:
    several = [one for one in values if one]
    return over_seeds(several, shared=all(one.keys() == several[0].keys() for one in several)) if several else None


def _rates(score: Score | None) -> dict[str, float]:
    return {problem: right / samples for problem, (right, samples) in score.solved.items()} if score else {}


def _title(name: str) -> str:
    return TEXTS[name].title if name in TEXTS else name


def _place(name: str) -> tuple[int, str]:
    return (list(TEXTS).index(name) if name in TEXTS else len(TEXTS)), name


def _plain(name: str) -> str:
    return words(name.replace("_", " "))


def _seed(run: RunFolder) -> int:
    return int(run.settings()["seed"])


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (header, ["---"] * len(header), *rows))


if __name__ == "__main__":
    written = Path(sys.argv[2]) if len(sys.argv) > 2 else PAGE
    written.write_text(page(Path(sys.argv[1]), describe_machine()), encoding="utf-8")
    print(written)
