"""The folder of a run, which is the truth about what is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.folders import describe_folder
from selfimprove.checkpoints.removed import GENERATION, own_bytes, require_not_removed
from selfimprove.errors import UserError
from selfimprove.errors.redaction import redact, redact_settings
from selfimprove.evaluation.budget_curve import BudgetCurve
from selfimprove.records import Checkpoint, GenerationReport, Problem, PromptScores, Score
from selfimprove.settings.paths import differences
from selfimprove.storage.complete import put_link
from selfimprove.storage.files import read_json, write_json
from selfimprove.storage.hashes import Damaged, remedy, require_folder_unchanged
from selfimprove.storage.kept_settings import read_settings
from selfimprove.storage.lock import LOCK
from selfimprove.storage.proposed import proposed_problems
from selfimprove.storage.remote.mirror import IDENTITY

FIRST = {"logs", "workflow.py", "modules", "overrides.json", "seeds.json", LOCK, IDENTITY}
"""Files that may be in the folder before a run begins."""


class RunFolder:
    """Files and places in a run folder.

    ```
    workflow.json            the settings
    workflow.py              the file that defined them; overrides.json: what --set changed
    problems/                train.json, eval.json, test.json, guard-<name>.json; generation-02.json of a generation that has problems of its own
    seeds.json               the group of runs that this one belongs to, where --seeds made it
    baselines/few_shot/      evaluation of the base model as it is prompted in generation 1
    baselines/answer_only/   checkpoints and evaluation of a control; others likewise
    further-prompts/         evaluations of the base model and the champion with further prompts: scores.json, and a folder for each prompter
    test/                    final test of the base model, the champion and the baselines: test.json, and a folder for each
    generation-00/           evaluation of the base model on the bare question
    generation-01/           traces/ verdicts/ accepted.parquet rows.parquet checkpoint/ evaluation/ guards/ thinking-off/ ledger.parquet
                             report.json difficulty/
                             proposed/: questions.parquet, asked/ answered/ of the questions that were proposed for it
                             averaged/: checkpoint/ evaluation/ guards/ thinking-off/ of its average with the start
                             removed.json in place of a checkpoint that was not to be kept
    champion                 → the checkpoint that is kept
    budget-curve/            traces/ verdicts/ curve.json curve.png: the champion's evaluations at many thinking budgets
    process-reward/          labels/ model/ uses/: the champion's process reward model and what it is good for
    thinking-by-difficulty/  traces/ verdicts/ difficulty/ result.json result.png: its evaluations with budgets by predicted difficulty
    stopped.json             why the run ended before its last generation
    report.html              the run on one page
    logs/                    what the libraries print
    ```
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def __str__(self) -> str:
        """The folder as the user knows it."""
        return str(self.root)

    def settle(self) -> None:
        """Wait until everything in the folder is stored; a folder on this machine needs no wait. Stages call it when they end."""

    def check_store(self) -> None:
        """Raise UserError if nothing more can be stored, so that a long stage need not run to its end; a folder on this machine needs no check."""

    @property
    def logs(self) -> Path:
        """Folder of what the libraries print."""
        return self.root / "logs"

    def generation(self, number: int) -> Path:
        """The folder of one generation."""
        return self.root / f"generation-{number:02d}"

    def checkpoints(self, number: int) -> dict[Path, int]:
        """The folders of a generation's checkpoints, and the bytes that are free once each is removed. A folder that is a link frees nothing."""
        return {folder: own_bytes(folder) for folder in sorted(self.generation(number).rglob("checkpoint"))}

    def forget(self, folder: Path) -> None:
        """Where the run is kept at a URL, let a folder that was removed here go there too; a folder on this machine needs nothing more."""

    def baseline(self, name: str) -> Path:
        """The folder of a baseline."""
        return self.root / "baselines" / name

    @property
    def test(self) -> Path:
        """The folder of the final test."""
        return self.root / "test"

    def tested(self, name: str, checkpoint_id: str) -> Path:
        """The folder of one model's final test; `name` as in `final_test`."""
        return self.test / ("few-shot" if name == "few_shot" else checkpoint_id)

    @property
    def further_prompts(self) -> Path:
        """The folder of evaluations with further prompts."""
        return self.root / "further-prompts"

    def asked_further(self, prompter: str, checkpoint_id: str) -> Path:
        """The folder of one model's evaluation with a further prompt; `prompter` is the name of the prompter's folder."""
        return self.further_prompts / prompter / checkpoint_id

    @property
    def budget_curve(self) -> Path:
        """The folder of the champion's evaluations at many thinking budgets."""
        return self.root / "budget-curve"

    def require_room_for(self, settings: dict[str, Any]) -> None:
        """Refuse a folder that this run must not write into; nothing is written.

        Raises:
            UserError: The folder holds another run or something that is not a run; the message names the difference.
        """
        if (self.root / "workflow.json").exists():
            # The same run with more generations, other measurements that decide nothing, or fewer checkpoints is not another run.
            same = {"generations", "also", "also_prompters", "drift", "keep_checkpoints"}
            changed = [line for line in differences(self.settings(), settings) if line.partition(":")[0].partition(".")[0] not in same]
            if changed:
                more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
                raise UserError(f"{self} holds a run of another workflow: {changed[0]}{more}; use another --run-dir")
        elif self.root.exists() and any(entry.name not in FIRST for entry in self.root.iterdir()):
            raise UserError(f"{self} is not empty and holds no run; use another --run-dir")

    def claim(self, settings: dict[str, Any]) -> bool:
        """Begin or continue a run here; True if it is continued.

        Raises:
            UserError: as `require_room_for`.
        """
        self.require_room_for(settings)
        continued = (self.root / "workflow.json").exists()
        self.logs.mkdir(parents=True, exist_ok=True)
        write_json(self.root / "workflow.json", settings, hashed=False)
        return continued

    def settings(self) -> dict[str, Any]:
        """The settings of the run, without secrets, as `describe` gives them.

        Raises:
            UserError: There is no run here, or its settings were edited so that they cannot be read.
        """
        file = self.root / "workflow.json"
        if not file.is_file():
            raise UserError(f"{self} holds no run: it has no workflow.json; give the folder of a run")
        settings: dict[str, Any] = redact_settings(read_settings(file))
        return settings

    def problems(self, name: str) -> list[Problem]:
        """The problems of a set: `train`, `eval`, or `test`, which is empty where the run has no final test."""
        if self.settings().get("test_problems") is None and name == "test":
            return []
        return read_json(self.root / "problems" / f"{name}.json", list[Problem])

    def own_problems(self) -> dict[int, list[Problem]]:
        """The problems of each generation that has problems of its own in place of those of `train`, by generation."""
        files = sorted((self.root / "problems").glob("generation-*.json"))
        return {int(found[1]): read_json(file, list[Problem]) for file in files if (found := GENERATION.fullmatch(file.stem))}

    def proposed_problems(self) -> list[Problem]:
        """The problems that were proposed, of all generations."""
        return [problem for number in self.generations() for problem in proposed_problems(self.generation(number))]

    def problems_by_id(self, *names: str) -> dict[str, Problem]:
        """The problems of these sets by id, with `train` those of single generations too; an id that they lack is a `UserError`."""
        own = (*self.own_problems().values(), self.proposed_problems()) if "train" in names else ()
        every = chain(*own, *map(self.problems, names))
        return _Problems({problem.id: problem for problem in every}, self.root / "problems" / f"{names[0]}.json")

    def save_problems(self, name: str | int, problems: Sequence[Problem]) -> None:
        """Write the problems of a set, or, given its number, those of a generation that has problems of its own."""
        file = f"generation-{name:02d}" if isinstance(name, int) else name
        write_json(self.root / "problems" / f"{file}.json", [_plain(problem) for problem in problems])

    def reports(self) -> list[GenerationReport]:
        """The reports of the complete generations, in order.

        Raises:
            UserError: a report is damaged, or missing in between.
        """
        numbers = [number for number in self.generations() if (self.generation(number) / "report.json").exists()]
        for place, number in enumerate(numbers):
            if place != number:
                missing = self.generation(place) / "report.json"
                raise Damaged(f"{missing} is missing, though a later generation is complete; {remedy(missing)}")
        return [report for number in numbers if (report := self.report(number))]

    def generations(self) -> list[int]:
        """Numbers of the generations that have a folder, complete or not, in order."""
        return sorted(int(found[1]) for folder in self.root.glob("generation-*") if (found := GENERATION.fullmatch(folder.name)))

    def report(self, number: int) -> GenerationReport | None:
        """The report of one generation; None where it is not complete."""
        file = self.generation(number) / "report.json"
        if not file.exists():
            return None
        told = read_json(file, GenerationReport)
        tried = {name: replace(one, checkpoint=self._here(one.checkpoint)) for name, one in told.tried.items()}
        return replace(told, start=self._here(told.start), candidate=self._here(told.candidate), kept=self._here(told.kept), tried=tried)

    def _here(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint in this folder, which may have been elsewhere when the checkpoint was made."""
        path = Path(checkpoint.path)
        below = [depth for depth, part in enumerate(path.parts) if GENERATION.fullmatch(part)]
        # The base model may be the checkpoint of another run.
        if checkpoint.generation == 0 or path.is_relative_to(self.root) or not below:
            return checkpoint
        return replace(checkpoint, path=str(self.root.joinpath(*path.parts[below[-1] :])))

    def require_intact(self, checkpoint: Checkpoint) -> None:
        """Compare a checkpoint's files with what was written.

        Raises:
            UserError: the checkpoint was removed, or a file was changed, is missing or was added.
        """
        folder = Path(checkpoint.path)
        require_not_removed(folder)
        require_folder_unchanged(folder)
        found = describe_folder(folder, checkpoint.id)
        for what, now, before in (
            ("weights", found.weights_hash, checkpoint.weights_hash),
            ("tokenizer or chat template", found.tokenizer_hash, checkpoint.tokenizer_hash),
        ):
            if now != before:
                raise Damaged(f"the {what} in {folder} differ from those that {self} was made with; {remedy(folder / 'config.json')}")

    def baselines(self) -> dict[str, Score]:
        """The scores of the complete baselines, by name."""
        files = sorted(self.root.glob("baselines/*/evaluation/score.json"))
        return {file.parent.parent.name: read_json(file, Score) for file in files}

    def final_test(self) -> dict[str, Score] | None:
        """The scores of the final test by name: `base`, `champion`, and those of the baselines. None before it, and after it for another champion."""
        file = self.test / "test.json"
        scores = read_json(file, dict[str, Score]) if file.exists() else None
        reports = self.reports()
        return scores if scores and reports and scores["champion"].checkpoint_id == reports[-1].kept.id else None

    def prompt_scores(self) -> list[PromptScores]:
        """What base model and champion score under further prompts. Empty without any, and before the present champion was asked."""
        file, reports = self.further_prompts / "scores.json", self.reports()
        scores = read_json(file, list[PromptScores]) if file.exists() and reports else []
        return [one for one in scores if one.champion.checkpoint_id == reports[-1].kept.id]

    def budget_curves(self) -> list[BudgetCurve]:
        """The curves of `budget-curve/`, one for each method; empty without any."""
        file = self.budget_curve / "curve.json"
        return read_json(file, list[BudgetCurve]) if file.exists() else []

    def stop(self, reason: str) -> None:
        """Record why the run ends early."""
        write_json(self.root / "stopped.json", redact(reason))

    def stopped(self) -> str | None:
        """Why the run ended early; None where it did not."""
        file = self.root / "stopped.json"
        return read_json(file, str) if file.exists() else None

    def champion(self) -> Checkpoint:
        """The checkpoint that the last complete generation kept, compared with what was written.

        Raises:
            UserError: No generation is complete yet, or the checkpoint is damaged.
        """
        reports, folder = self.reports(), self.root / "champion"
        if not reports or not folder.exists():
            raise UserError(f"{self.root} has no champion: no generation is complete; the same `selfimprove run` command continues it")
        kept = reports[-1].kept
        if kept.generation == 0:
            return describe_folder(folder, kept.id, kept.parent_id, kept.generation)
        self.require_intact(kept)
        return kept

    def set_champion(self, checkpoint: Checkpoint) -> None:
        """Point the link `champion` at this checkpoint."""
        target = checkpoint.path
        put_link(self.root / "champion", os.path.relpath(target, self.root) if Path(target).is_relative_to(self.root) else target)


class _Problems(dict[str, Problem]):
    def __init__(self, known: dict[str, Problem], file: Path) -> None:
        super().__init__(known)
        self._file = file

    def __missing__(self, id_: str) -> Problem:
        raise Damaged(f"{self._file} lacks the problem {id_}, which the run has asked; {remedy(self._file)}")


def _plain(problem: Problem) -> dict[str, Any]:
    return {
        "id": problem.id,
        "question": problem.question,
        "answer": problem.answer,
        "source": problem.source,
        "metadata": dict(problem.metadata),
    }
