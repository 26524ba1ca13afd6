"""General rows: instruction data mixed into training, apart from the accepted traces."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from killable import files_of, reports
from toy import Sums, ToyPractice, ToyTrainer, make_toy_model, toy_workflow

from selfimprove import Exact, Guard, InlineCluster, Jsonl, RandomSelection, Replay, ShuffledAnswers, UserError, Workflow, improve
from selfimprove.checkpoints.bare_prompt import opens_thinking
from selfimprove.checkpoints.soundness import load_tokenizer
from selfimprove.commands.general_findings import general_findings
from selfimprove.problems.sets import load_sets
from selfimprove.records import AcceptedTrace, Checkpoint, Problem, TrainingStep
from selfimprove.records.delimiters import THINK
from selfimprove.reports.table import summarize
from selfimprove.stages.general import as_row
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.run_folder import RunFolder

MARK = "This is a long instruction. "


@dataclass(frozen=True)
class Short(ToyTrainer):
    """Takes rows of fewer than 200 characters, and needs one."""

    def open(self) -> Short:
        return self

    def fitting(self, start: Checkpoint, rows: Sequence[AcceptedTrace]) -> list[int]:
        places = [place for place, row in enumerate(rows) if len(row.messages[-1]["content"]) < 200]
        assert places
        return places


def instructions(folder: Path, rows: int = 60) -> Path:
    """Chats; every third is too long, and one asks an evaluation question, one a guard's."""
    asked = [f"Name colour number {number}.{MARK * 10 * (number % 3 == 0)}" for number in range(rows)] + ["What is 900 + 4?", "what is  600 + 5?"]
    chats = [[{"role": "user", "content": one}, {"role": "assistant", "content": f"It is {one[:24]}"}] for one in asked]
    (file := folder / "instructions.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    return file


def mixed(folder: Path, **changes: object) -> Workflow:
    model = make_toy_model(folder / "models" / "base", 0.4)
    general = Jsonl(instructions(folder), question="messages", answer="messages")
    made = {"trainer": Short(gain=0.002), "eval_problems": Sums(20, 900), "guards": {"far": Guard(problems=Sums(10, 600), verifier=Exact())}}
    return toy_workflow(model, **{**made, "mixture": Replay(general=general, general_share=0.2), **changes})


def rows_of(run: RunFolder, number: int) -> tuple[list[AcceptedTrace], list[AcceptedTrace]]:
    rows = read_records(run.generation(number) / "rows.parquet", AcceptedTrace)
    return [row for row in rows if row.origin != "general"], [row for row in rows if row.origin == "general"]


@given(others=st.integers(1, 10**6), share=st.floats(0.001, 0.99))
def test_the_share_is_exact_to_half_a_row(others: int, share: float) -> None:
    general = Replay(general_share=share).general_rows(others)
    assert abs(general - share * (others + general)) <= 0.5 * (1 - share) + 1e-6


def test_general_rows_come_on_top_and_are_counted_apart(tmp_path: Path) -> None:
    run, alone = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "alone")
    workflow = mixed(tmp_path, controls=(RandomSelection(), ShuffledAnswers()))
    improve(workflow, run.root, InlineCluster)
    improve(replace(workflow, mixture=Replay(), controls=(), answer_only_baseline=False), alone.root, InlineCluster)
    drawn = []
    for number in (1, 2):
        own, general = rows_of(run, number)
        wanted, counts = Replay(general_share=0.2).general_rows(len(own)), run.reports()[number].counts
        assert len(general) == wanted and counts and (counts.general, counts.trained_on) == (wanted, len(own) + wanted)
        assert counts.accepted == len(read_records(run.generation(number) / "accepted.parquet", AcceptedTrace))
        # Whatever is asked in the evaluation or by a guard is passed over, and so is what is too long.
        assert all(row.messages[-1]["content"].startswith("Name colour") and MARK not in row.messages[-1]["content"] for row in general)
        # The bare question, as anybody asks it.
        assert {len(row.messages) for row in general} == {1} and len({row.problem_id for row in general}) == wanted
        assert {row.trace_id for row in own}.isdisjoint(row.trace_id for row in general)
        drawn.append([row.problem_id for row in general])
    assert drawn[0] != drawn[1]
    counts = run.reports()[1].counts
    assert counts and counts.general_too_long and not [reason for reason in run.reports()[1].drops if "general" in reason]
    # What is sampled and accepted first is the same without them.
    assert (run.generation(1) / "accepted.parquet").read_bytes() == (alone.generation(1) / "accepted.parquet").read_bytes()
    own, _ = rows_of(run, 1)
    assert own == rows_of(alone, 1)[0] and not (alone.generation(1) / "general.json").exists()
    assert summarize(alone)["generations"][1]["general"] is None and summarize(run)["generations"][1]["general"] == len(drawn[0])
    # Every control gets the same general rows, and as many steps.
    steps = {
        folder.parent.name: len(read_json(folder / "training.json", list[TrainingStep])) for folder in run.root.glob("baselines/*/generation-02")
    }
    assert steps.keys() == {"random_selection", "shuffled_answers", "answer_only"}
    assert set(steps.values()) == {run.reports()[2].counts.trained_on}  # type: ignore[union-attr]


def test_it_goes_on_byte_for_byte_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = mixed(tmp_path, generations=1, answer_only_baseline=False)
    improve(workflow, tmp_path / "whole", InlineCluster)
    train = ToyTrainer.train
    with monkeypatch.context() as stopping:
        stopping.setattr(ToyTrainer, "train", lambda *_: iter(()).throw(InterruptedError))
        with pytest.raises(BaseException):  # noqa: B017
            improve(workflow, tmp_path / "stopped", InlineCluster)
    assert ToyTrainer.train is train and (tmp_path / "stopped/generation-01/rows.parquet").exists()
    improve(workflow, tmp_path / "stopped", InlineCluster)
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole") and reports(tmp_path / "stopped") == reports(tmp_path / "whole")


def test_a_source_with_too_few_rows_gives_all_and_a_bad_one_is_refused_first(tmp_path: Path) -> None:
    (few := tmp_path / "few").mkdir()
    general = Jsonl(instructions(few, 6), question="messages", answer="messages")
    workflow = mixed(tmp_path, generations=1, answer_only_baseline=False, mixture=Replay(general=general, general_share=0.9))
    improve(workflow, few / "run", InlineCluster)
    assert len(rows_of(RunFolder(few / "run"), 1)[1]) == 4
    with pytest.raises(UserError, match=r"there is no 'question', only 'messages'; did you mean 'messages'\?"):
        improve(replace(workflow, mixture=Replay(general=Jsonl(few / "instructions.jsonl"))), tmp_path / "bad", InlineCluster)
    assert not (tmp_path / "bad" / "workflow.json").exists()


def test_check_reads_the_instructions_and_says_what_would_be_passed_over(tmp_path: Path) -> None:
    workflow = mixed(tmp_path)
    sets = load_sets(**workflow.sets)
    (found,) = general_findings(workflow, sets, None)
    assert found.passed and found.detail == (
        "62 general rows, 20% of those trained on; of 62 looked at, 2 give problems of the evaluation away and would be passed over"
    )
    (found,) = general_findings(replace(workflow, mixture=Replay(general=Jsonl(tmp_path / "none.jsonl"))), sets, None)
    assert not found.passed and "none.jsonl: cannot be read" in found.detail
    assert not list(general_findings(replace(workflow, mixture=Replay()), sets, None))
    with pytest.raises(ValueError, match=r"reinforcement trains on problems; set mixture\.general=None"):
        replace(workflow, reinforcement=ToyPractice())


def test_an_answer_closes_the_thinking_that_the_chat_template_opens(tiny_model: Path, tmp_path: Path) -> None:
    opening = shutil.copytree(tiny_model, tmp_path / "opening")
    template = load_tokenizer(tiny_model).chat_template
    (opening / "chat_template.jinja").write_text(template + "{% if add_generation_prompt %}<think>\n{% endif %}")
    assert opens_thinking(opening, THINK) and not opens_thinking(tiny_model, THINK)
    assert as_row(Problem("one", "Name a colour.", "Red", "toy"), 1, "</think>\n\n").completion == "</think>\n\nRed"
