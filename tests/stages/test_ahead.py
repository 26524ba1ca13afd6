"""overlap=1: the next generation is sampled while a candidate trains, and only the time changes."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from apart import Apart
from killable import files_of, reports
from rich.console import Console
from toy import EXEMPLAR, ToyPractice, ToyPreference, ToySampler, ToyTrainer, make_toy_model, toy_workflow, write_tokenizer

from selfimprove import (
    DifficultyModel,
    ExpectedGain,
    FewShot,
    InlineCluster,
    PreferencePairs,
    Rationalization,
    Round,
    Sampling,
    StopEarly,
    StrictGate,
    Teacher,
    Workflow,
    improve,
)
from selfimprove.records import AcceptedTrace, Trace
from selfimprove.reports.table import show, summarize
from selfimprove.settings.paths import describe
from selfimprove.storage.files import read_records
from selfimprove.storage.fork import fork
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import NoProgress
from selfimprove.tracking.figures import of_report


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_toy_model(tmp_path_factory.mktemp("models") / "model", 0.2)
    write_tokenizer(folder)
    return folder


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfimprove.storage.shards.SHARD", 16)


def overlapped(model: Path, **changes: Any) -> Workflow:
    return toy_workflow(model, **{"overlap": 1, "generations": 3, "answer_only_baseline": False, **changes})


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run with sampler and trainer side by side; do not write into it."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("selfimprove.storage.shards.SHARD", 16)
        improve(overlapped(model), folder, Apart)
    return folder


@dataclass(frozen=True)
class Hinted(ToySampler):
    """Finds the sum in a question with a hint."""

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        question = re.findall(r"What is \d+ \+ \d+\?", request.messages[-1]["content"])[-1]
        return super()._trace(checkpoint, replace(request, messages=(*request.messages[:-1], {"role": "user", "content": question})))


class Lines(NoProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def writers(run: Path, number: int) -> set[str]:
    """Ids of the checkpoints that wrote a generation's traces."""
    return {trace.checkpoint_id for file in run.glob(f"generation-0{number}/traces/*.parquet") for trace in read_records(file, Trace)}


def origins(run: Path, number: int) -> set[str]:
    return {row.origin for row in read_records(run / f"generation-0{number}" / "accepted.parquet", AcceptedTrace)}


COMBINATIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "plain": dict,
    "waves from the champion": lambda: {"allocator": ExpectedGain(wave=8), "sampling": Sampling(n=4, max_tokens=32), "start_from": "champion"},
    "hints, pairs, a cap, a draw, rounds": lambda: {
        "sampler": Hinted(),
        "rationalization": Rationalization(resolve=0),
        "preference_pairs": PreferencePairs(trainer=ToyPreference()),
        "accepted_cap": 2,
        "problems_per_generation": 20,
        "rounds": (Round(sampling=Sampling(n=3, max_tokens=32)), Round(problems_per_generation=10), Round(trainer=ToyTrainer(0.01))),
    },
}


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_side_by_side_and_in_turns_give_the_same_files(combination: str, model: Path, whole: Path, tmp_path: Path) -> None:
    workflow, said, beside = overlapped(model, **COMBINATIONS[combination]()), Lines(), whole
    improve(workflow, tmp_path / "turns", InlineCluster, progress=said)
    if combination != "plain":
        beside = tmp_path / "beside"
        improve(workflow, beside, Apart)
    assert files_of(beside) == files_of(tmp_path / "turns")
    assert reports(beside) == reports(tmp_path / "turns")
    assert [writers(beside, number) for number in (1, 2, 3)] == [{"base"}, {"base"}, {"generation-1"}]
    assert [line for line in said.lines if "overlap=1" in line] == [
        "overlap=1 saves no time here, as sampler and trainer have no GPU each: they take turns, on traces one step off-policy"
    ]


def test_a_generation_is_sampled_from_the_champion_before_the_last_and_its_rows_say_so(whole: Path) -> None:
    run = RunFolder(whole)
    assert [origins(run.root, number) for number in (1, 2, 3)] == [{"sampled"}, {"sampled, off-policy"}, {"sampled, off-policy"}]
    counts = [report.counts for report in run.reports()[1:]]
    assert [one.off_policy for one in counts if one] == [0, *(one.accepted for one in counts[1:] if one)]
    summary = summarize(run)
    rows = summary["generations"]
    assert [row.get("off_policy") for row in rows] == [None, *(one.off_policy for one in counts if one)]
    # The base model, which samples generation 2 too, sees the exemplars again.
    assert rows[2]["verified"] > 0.3 * rows[2]["sampled"]
    console = Console(width=120, record=True, file=io.StringIO())
    show(summary, console)
    told = f"off-policy: {rows[2]['off_policy']} of {rows[2]['accepted']} accepted traces are from the champion before the last"
    assert told in console.export_text()
    assert of_report(run.reports()[2])["2_traces/off_policy"] == rows[2]["off_policy"] > 0


def test_after_a_refused_candidate_nothing_is_off_policy(tmp_path: Path) -> None:
    able = make_toy_model(tmp_path / "able", 0.7)
    improve(overlapped(able, trainer=ToyTrainer(gain=-0.05)), tmp_path / "run", Apart)
    assert [writers(tmp_path / "run", number) for number in (1, 2, 3)] == [{"base"}] * 3
    assert [report.counts.off_policy for report in RunFolder(tmp_path / "run").reports()[1:] if report.counts] == [0, 0, 0]


def test_after_a_teacher_the_first_student_samples_its_own_generation(model: Path, tmp_path: Path) -> None:
    teacher = Teacher(sampler=ToySampler(help=0.7), model=str(make_toy_model(tmp_path / "teacher", 0.6)), prompter=FewShot((EXEMPLAR,)))
    improve(overlapped(model, teacher=teacher), tmp_path / "run", Apart)
    assert [writers(tmp_path / "run", number) for number in (2, 3)] == [{"generation-1"}] * 2


def test_without_overlap_nothing_speaks_of_policies(model: Path, tmp_path: Path) -> None:
    improve(overlapped(model, overlap=0, generations=2), tmp_path / "run", Apart)
    assert {origin for number in (1, 2) for origin in origins(tmp_path / "run", number)} == {"sampled"}
    assert writers(tmp_path / "run", 2) == {"generation-1"}
    assert not any("off_policy" in row for row in summarize(RunFolder(tmp_path / "run"))["generations"])


@dataclass(frozen=True)
class Meeting:
    """Two threads that wait for each other."""

    sampled: ClassVar[threading.Event] = threading.Event()
    trained: ClassVar[threading.Event] = threading.Event()


@dataclass(frozen=True)
class WaitingSampler(ToySampler):
    """Samples generation 2 only once generation 1 is in training."""

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        if "/g2/" in request.id:
            Meeting.sampled.set()
            assert Meeting.trained.wait(60), "no training began meanwhile"
        return super()._trace(checkpoint, request)


@dataclass(frozen=True)
class WaitingTrainer(ToyTrainer):
    """Trains only once generation 2 is being sampled."""

    def train(self, start, rows, into, seed):  # type: ignore[no-untyped-def]
        Meeting.trained.set()
        assert Meeting.sampled.wait(60), "nothing was sampled meanwhile"
        yield from super().train(start, rows, into, seed)


def test_sampler_and_trainer_work_at_the_same_time(model: Path, tmp_path: Path) -> None:
    said = Lines()
    improve(overlapped(model, generations=2, sampler=WaitingSampler(), trainer=WaitingTrainer()), tmp_path / "run", Apart, progress=said)
    assert Meeting.sampled.is_set() and Meeting.trained.is_set() and not any("overlap" in line for line in said.lines)
    # What was sampled ahead counts for the generation that it belongs to.
    assert {"sample", "train"} <= json.loads((tmp_path / "run/generation-02/seconds.json").read_text()).keys()


class Breaks(Exception):
    """What stops a run in these tests."""


class BreakingSampler(ToySampler):
    """Fails at its n-th trace."""

    left = 0

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        type(self).left -= 1
        if type(self).left == 0:
            raise Breaks("the engine died")
        return super()._trace(checkpoint, request)


class BreakingTrainer(ToyTrainer):
    """Fails in the middle of its n-th training, by the given exception."""

    left = 0
    by: type[BaseException] = Breaks

    def train(self, start, rows, into, seed):  # type: ignore[no-untyped-def]
        type(self).left -= 1
        steps = super().train(start, rows, into, seed)
        if type(self).left == 0:
            next(steps)
            raise type(self).by
        yield from steps


def differing(broken: Path, whole: Path) -> set[str]:
    one, other = files_of(broken), files_of(whole)
    assert one.keys() == other.keys()
    return {Path(name).name for name in one if one[name] != other[name]}


@pytest.mark.parametrize(("traces", "cluster"), [(100, Apart), (165, Apart), (100, InlineCluster)])
def test_a_run_whose_sampling_broke_keeps_the_training_and_ends_as_an_undisturbed_one(
    traces: int, cluster: type[InlineCluster], model: Path, whole: Path, tmp_path: Path
) -> None:
    BreakingSampler.left, said = traces, Lines()
    workflow = overlapped(model, sampler=BreakingSampler())
    with pytest.raises(Breaks):
        improve(workflow, tmp_path / "broken", cluster, progress=said)
    if cluster is Apart:
        number = 1 if traces == 100 else 2
        assert f"sampling generation {number + 1} failed, and the run will end after this training: the engine died" in said.lines
        assert (tmp_path / f"broken/generation-0{number}/training.json").exists() and len(RunFolder(tmp_path / "broken").reports()) == number
    # It may continue where the two take turns, or no longer do.
    improve(workflow, tmp_path / "broken", InlineCluster if cluster is Apart else Apart)
    assert differing(tmp_path / "broken", whole) == set()


@pytest.mark.parametrize(("training", "by"), [(1, KeyboardInterrupt), (2, Breaks)])
def test_a_run_whose_training_broke_ends_both_and_then_ends_as_an_undisturbed_one(
    training: int, by: type[BaseException], model: Path, whole: Path, tmp_path: Path
) -> None:
    BreakingTrainer.left, BreakingTrainer.by = training, by
    workflow = overlapped(model, trainer=BreakingTrainer())
    with pytest.raises(by):
        improve(workflow, tmp_path / "broken", Apart)
    assert not any(thread.name.startswith("sampling-ahead") for thread in threading.enumerate())
    improve(workflow, tmp_path / "broken", Apart)
    assert differing(tmp_path / "broken", whole) <= {"training.manifest.json", "fitting.manifest.json", "SHA256SUMS"}


def test_more_generations_and_a_fork_go_on_as_an_undisturbed_run(model: Path, whole: Path, tmp_path: Path) -> None:
    improve(overlapped(model, generations=2), tmp_path / "more", Apart)
    improve(overlapped(model), tmp_path / "more", Apart)
    assert differing(tmp_path / "more", whole) == set()
    fork(RunFolder(whole), RunFolder(tmp_path / "forked"), 3, describe(overlapped(model)))
    improve(overlapped(model), tmp_path / "forked", Apart)
    assert differing(tmp_path / "forked", whole) == set()


def test_a_run_that_stops_early_leaves_what_was_sampled_ahead(tmp_path: Path) -> None:
    able = make_toy_model(tmp_path / "able", 0.7)
    stop = {"trainer": ToyTrainer(gain=0.0), "gate": StrictGate(), "stop": StopEarly(patience=2), "generations": 5}
    improve(overlapped(able, **stop), tmp_path / "run", Apart)
    run = RunFolder(tmp_path / "run")
    assert [report.generation for report in run.reports()] == [0, 1, 2] and run.generations() == [0, 1, 2, 3]
    assert summarize(run)["complete"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"difficulty": DifficultyModel()}, "difficulty"),
        ({"reinforcement": ToyPractice()}, "reinforcement"),
        ({"rounds": (Round(), Round(reinforcement=ToyPractice()))}, "reinforcement"),
    ],
)
def test_what_needs_the_last_champion_is_refused(changes: dict[str, Any], name: str, model: Path) -> None:
    with pytest.raises(ValueError, match=rf"overlap=1 samples while the generation before trains, but {name} .*; set overlap=0"):
        toy_workflow(model, overlap=1, **changes)
    assert toy_workflow(model, **changes).overlap == 0


@pytest.mark.parametrize("overlap", [2, -1, 0.5, "yes"])
def test_overlap_is_0_or_1(overlap: Any, model: Path) -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        toy_workflow(model, overlap=overlap)
