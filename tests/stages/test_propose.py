"""Problems that the model proposes, end to end with toy parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from killable import files_of, reports
from proposing import FORM, Proposing, right_sum
from toy import Sums, ToySampler, ToyTrainer, make_toy_model, toy_workflow

from selfimprove import InlineCluster, Workflow, improve
from selfimprove.problems.split import question_key
from selfimprove.records import AcceptedTrace, ProposedQuestion
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.proposer import Proposer

RULE = Proposer(questions=60, samples=10, form=FORM, checker=right_sum)


def proposing(model: Path, **changes: object) -> Workflow:
    made = {"sampler": Proposing(), "proposer": RULE, "eval_problems": Sums(15, 900), "trainer": ToyTrainer(0.004), "answer_only_baseline": False}
    return toy_workflow(model, **{**made, **changes})


def questions_of(run: RunFolder, number: int) -> list[ProposedQuestion]:
    return read_records(run.generation(number) / "proposed" / "questions.parquet", ProposedQuestion)


def test_the_next_generation_learns_from_what_its_champion_proposes(tmp_path: Path) -> None:
    run, workflow = RunFolder(tmp_path / "run"), proposing(make_toy_model(tmp_path / "model", 0.4), generations=3)
    improve(workflow, run.root, InlineCluster)
    assert run.reports()[1].proposed is None and not (run.generation(1) / "proposed").exists()
    given, asked = {question_key(problem.question) for problem in Sums().load()}, set[str]()
    for number in (2, 3):
        report, questions = run.reports()[number], questions_of(run, number)
        figures, kept = report.proposed, [one for one in questions if one.dropped is None]
        assert figures and (figures.proposed, figures.kept) == (60, len(kept)) and kept
        assert figures.dropped == Counter(one.dropped for one in questions if one.dropped)
        assert {"known", "repeated", "contaminated", "malformed: no question", "malformed: another form"} <= figures.dropped.keys()
        assert all(one.agreement and 0.5 <= one.agreement <= 0.8 for one in kept)
        # None is given, evaluated, or proposed before.
        keys = {question_key(one.question) for one in kept}
        assert len(keys) == len(kept) and keys.isdisjoint(given | asked) and not any("900" in one.question for one in kept)
        asked |= keys
        # The checker counts false labels, and they stay.
        false = [one for one in kept if one.label == "-1"]
        assert [one.label_right for one in kept] == [one.label != "-1" for one in kept]
        assert (figures.checked, figures.falsely_labelled) == (len(kept), len(false))
        rows = [row for row in read_records(run.generation(number) / "accepted.parquet", AcceptedTrace) if row.problem_id.startswith("proposed-")]
        assert rows and figures.accepted == len(rows) and report.counts and report.counts.problems == 40 + len(kept)
        assert report.tokens["propose"] >= 60 * 9 and report.seconds["propose"] > 0
    assert run.reports()[2].proposed.falsely_labelled  # type: ignore[union-attr]
