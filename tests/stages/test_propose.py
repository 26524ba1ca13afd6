"""Problems that the model proposes, end to end with toy parts."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from command import run_command
from killable import files_of, reports
from proposing import FORM, Proposing
from solving import ByMetadata, puzzled, right_sum
from toy import Sums, ToyTrainer, make_toy_model, toy_workflow

from selfimprove import Exact, FunctionVerifier, InlineCluster, KeepMajority, Workflow, improve
from selfimprove.commands.proposal_findings import proposal_findings
from selfimprove.problems.split import question_key
from selfimprove.records import AcceptedTrace, Checkpoint, Outcome, Problem, ProposedQuestion, Request, Trace
from selfimprove.reports.proposed import line as proposed_line
from selfimprove.reports.table import summarize
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored
from selfimprove.tracking.figures import of_report
from selfimprove.workflow.proposer import Proposer

RULE = Proposer(questions=60, samples=10, form=FORM, checker=right_sum)


def proposing(model: Path, **changes: object) -> Workflow:
    made = {"sampler": Proposing(), "proposer": RULE, "eval_problems": Sums(15, 900), "trainer": ToyTrainer(0.004), "answer_only_baseline": False}
    return toy_workflow(model, **{**made, **changes})


def questions_of(run: RunFolder, number: int) -> list[ProposedQuestion]:
    return read_records(run.generation(number) / "proposed" / "questions.parquet", ProposedQuestion)


def accepted_of(run: RunFolder, number: int) -> list[AcceptedTrace]:
    return read_records(run.generation(number) / "accepted.parquet", AcceptedTrace)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("models") / "model", 0.4)


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of three generations; do not write into it."""
    run = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    improve(proposing(model, generations=3), run.root, InlineCluster)
    return run


def test_the_next_generation_learns_from_what_its_champion_proposes(whole: RunFolder) -> None:
    assert whole.reports()[1].proposed is None and not (whole.generation(1) / "proposed").exists()
    taken = {question_key(problem.question) for problem in Sums().load()}
    for number in (2, 3):
        report, questions = whole.reports()[number], questions_of(whole, number)
        figures, kept = report.proposed, [one for one in questions if one.dropped is None]
        assert figures and (figures.proposed, figures.kept) == (60, len(kept)) and kept
        assert figures.dropped == Counter(one.dropped for one in questions if one.dropped)
        assert {"known", "repeated", "contaminated", "malformed: no question", "malformed: another form"} <= figures.dropped.keys()
        assert all(one.agreement and 0.5 <= one.agreement <= 0.8 for one in kept)
        # None is given, evaluated, or proposed before.
        keys = {question_key(one.question) for one in kept}
        assert len(keys) == len(kept) and keys.isdisjoint(taken) and not any("900" in one.question for one in kept)
        taken |= keys
        # The toy's wrong answers agree, so that some labels are false; the checker only counts them.
        assert [one.label_right for one in kept] == [one.label != "-1" for one in kept]
        rows = {row.trace_id: row.problem_id for row in accepted_of(whole, number) if row.problem_id.startswith("proposed-")}
        assert rows and figures.accepted == len(rows) and report.counts and report.counts.problems == 40 + len(kept)
        assert (figures.checked, figures.falsely_labelled) == (len(kept), sum(one.label == "-1" for one in kept))
        assert report.tokens["propose"] >= 60 * 9 and report.seconds["propose"] > 0
    first = whole.reports()[2].proposed
    assert first and first.falsely_labelled and first.accepted_falsely and first.false_labels == first.falsely_labelled / first.kept


def test_the_given_problems_and_the_first_generation_are_as_without_it(whole: RunFolder, model: Path, tmp_path: Path) -> None:
    improve(proposing(model, proposer=None, generations=2), tmp_path / "plain", InlineCluster)
    plain = RunFolder(tmp_path / "plain")
    assert accepted_of(whole, 1) == accepted_of(plain, 1)
    assert [row for row in accepted_of(whole, 2) if not row.problem_id.startswith("proposed-")] == accepted_of(plain, 2)
    assert summarize(plain)["generations"][2]["proposed"] is None and not [key for key in of_report(plain.reports()[2]) if "propos" in key]


@pytest.mark.parametrize("at", [r"/g2-label/s9$", r"^sum-\d+/g2/"])
def test_it_goes_on_byte_for_byte_after_a_stop(at: str, whole: RunFolder, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow, write = proposing(model, generations=2), Proposing._trace

    def stop(self: Proposing, checkpoint: Checkpoint, request: Request) -> Trace:
        if re.search(at, request.id):
            raise InterruptedError(request.id)
        return write(self, checkpoint, request)

    with monkeypatch.context() as stopping, pytest.raises(InterruptedError):
        stopping.setattr(Proposing, "_trace", stop)
        improve(workflow, tmp_path / "run", InlineCluster)
    improve(workflow, tmp_path / "run", InlineCluster)
    stopped, undisturbed = files_of(tmp_path / "run"), files_of(whole.root)
    assert {name: data for name, data in undisturbed.items() if name.startswith("generation-02/")} == {
        name: data for name, data in stopped.items() if name.startswith("generation-02/")
    }
    assert reports(tmp_path / "run") == reports(whole.root)[:3]


def test_every_report_shows_what_became_of_the_questions(whole: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    row, figures = summarize(whole)["generations"][2], of_report(whole.reports()[2])
    found = row["proposed"]
    assert found["proposed"] == 60 == found["kept"] + sum(found["dropped"].values())
    assert (
        figures["proposed/kept"] == found["kept"] and figures["proposed/dropped_malformed__no_question"] == found["dropped"]["malformed: no question"]
    )
    assert figures["proposed/false_labels"] == found["false_labels"] and 0 < figures["proposed/agreement"] < 1 and "6_tokens/propose" in figures
    out, _ = run_command(capfd, 0, "report", whole.root)
    assert f"proposed questions: {found['kept']} of 60 kept; {found['accepted']} accepted traces" in out
    assert f"accepted but falsely labelled by the checker: {found['falsely_labelled']} of {found['checked']}" in out
    assert f"{found['dropped']['known']} known" in out
    both = [report.proposed for report in whole.reports() if report.proposed]
    told = proposed_line(summarize(whole))
    assert told and told.startswith(f"The model proposed {sum(one.kept for one in both)} further problems itself")
    assert told.endswith(f"of {sum(one.kept for one in both)} that were checked, {sum(one.falsely_labelled or 0 for one in both)} are false")
    page = (whole.root / "report.html").read_text()
    assert '"falsely_labelled":' in page and 'id="proposals"' in page
    name = next(row.problem_id for row in accepted_of(whole, 2) if row.problem_id.startswith("proposed-"))
    out, _ = run_command(capfd, 0, "traces", whole.root, "--generation", 2, "--problem", name)
    assert name in out


def test_proposed_problems_alone(model: Path, tmp_path: Path) -> None:
    alone = proposing(model, proposer=replace(RULE, given=False, first=1), selector=KeepMajority(), generations=1)
    improve(alone, tmp_path / "run", InlineCluster)
    (_, report) = RunFolder(tmp_path / "run").reports()
    assert report.proposed and report.counts and report.counts.problems == report.proposed.kept > 0
    assert all(row.problem_id.startswith("proposed-") for row in accepted_of(RunFolder(tmp_path / "run"), 1))


@dataclass(frozen=True)
class WithMetadata(Sums):
    def load(self) -> list[Problem]:
        return [replace(problem, metadata={"sum": problem.answer}) for problem in super().load()]


def test_labels_that_the_verifier_cannot_use_are_dropped_and_given_problems_take_their_place(model: Path, tmp_path: Path) -> None:
    rule = replace(RULE, given=False, first=1, checker=None)
    apart = {"problems": WithMetadata(), "eval_problems": WithMetadata(15, 900), "verifier": ByMetadata()}
    improve(proposing(model, proposer=rule, generations=1, **apart), tmp_path / "run", InlineCluster)
    (_, report) = RunFolder(tmp_path / "run").reports()
    assert report.proposed and not report.proposed.kept and report.proposed.dropped["refused by the verifier"] > 5
    assert (report.proposed.checked, report.proposed.agreement_kept) == (None, None) and report.counts and report.counts.problems == 40


def test_check_tries_the_given_questions_as_if_they_were_proposed(model: Path) -> None:
    given = WithMetadata(5).load()
    (form,) = proposal_findings(proposing(model, proposer=replace(RULE, checker=None)), given)
    assert (
        form.passed
        and form.detail == "60 questions before each generation from 2 on, each answered 10 times; all given questions match proposer.form"
    )
    form, verifier, checker = proposal_findings(
        proposing(model, proposer=replace(RULE, form="Add .*", checker=puzzled), verifier=ByMetadata()), given
    )
    assert not form.passed and form.detail == "5 of 5 given questions do not match proposer.form, first sum-0; correct it"
    assert not verifier.passed and "it gets a question and an answer without metadata; take another verifier, such as Exact()" in verifier.detail
    assert not checker.passed and checker.name == "proposer.checker" and "of 5 reference answers are not accepted" in checker.detail
    (form,) = proposal_findings(proposing(model, proposer=Proposer()), given)
    assert form.passed and form.warning and "form=None takes any text for a question" in form.detail


def test_a_checker_that_fails_decides_nothing_and_a_verifier_without_references_is_not_asked(model: Path, tmp_path: Path) -> None:
    verifier = FunctionVerifier(right_sum, reference=False)
    workflow = proposing(model, proposer=replace(RULE, first=1, checker=puzzled), verifier=verifier, generations=1)
    improve(workflow, tmp_path / "run", InlineCluster)
    (_, report) = RunFolder(tmp_path / "run").reports()
    # Each question and each answer to one would be a crash or a verdict.
    for name in ("asked", "answered"):
        assert {item.verdict.outcome for item in stored(tmp_path / "run/generation-01/proposed" / name)} == {Outcome.UNPARSEABLE}
    assert report.proposed and report.proposed.checked is not None and report.proposed.checked < report.proposed.kept
    assert report.proposed.falsely_labelled == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"agreement": (0.8, 0.3)}, "the first share must not exceed the second"),
        ({"majority": 0.9}, r"majority=0\.9 leaves nothing, since no more than 0\.8 may agree"),
        ({"form": "("}, "is not a regular expression"),
        ({"checker": Exact()}, "the checker exact compares with a reference answer"),
        ({"checker": Exact}, "is a class, not an object"),
        ({"samples": 1}, "greater than or equal to 2"),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(RULE, **change)  # type: ignore[arg-type]


def test_settings_of_the_workflow_that_do_not_go_with_it_are_refused(model: Path) -> None:
    with pytest.raises(ValueError, match=r"proposer\.first=2 is after the last generation, so that nothing is proposed; set generations=2"):
        proposing(model, generations=1)
    with pytest.raises(ValueError, match=r"proposer asks the last champion for questions; set overlap=0"):
        proposing(model, overlap=1)
