"""Further verifiers judge the traces of evaluations again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy import ToySampler, make_toy_model, toy_workflow

from selfimprove import InlineCluster, LastNumber, Workflow, improve
from selfimprove.__main__ import main
from selfimprove.records import Checkpoint, Outcome, Problem, Request, Trace
from selfimprove.reports.cards import model_card
from selfimprove.reports.table import summarize
from selfimprove.reports.traces import annotated
from selfimprove.stages import verify_again as stage
from selfimprove.storage.run_folder import RunFolder


class Units(ToySampler):
    """Puts a unit behind the answers of a base model that sees no exemplar, which `Exact` does not accept."""

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        trace = super()._trace(checkpoint, request)
        unit = " apples" if checkpoint.generation == 0 and len(request.messages) == 2 else ""
        return Trace(**{name: getattr(trace, name) for name in trace.__slots__} | {"text": trace.text + unit})


class Silent(Units):
    """Is asked for nothing."""

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        raise AssertionError("nothing is sampled again")


def accepts_all(problem: Problem, answer: str) -> bool:
    return True


def workflow(model: Path, **changes: object) -> Workflow:
    return toy_workflow(model, generations=1, answer_only_baseline=False, **{"sampler": Units(), "also": (LastNumber(),), **changes})


def further_files(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.glob("**/evaluation/also/*/*"))}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("model") / "model", 0.4)


@pytest.fixture
def run(model: Path, tmp_path: Path) -> RunFolder:
    improve(workflow(model), tmp_path / "run", InlineCluster)
    return RunFolder(tmp_path / "run")


def test_a_gain_of_form_is_seen_as_one(run: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    summary = summarize(run)
    base, champion = summary["generations"]
    by_value = base["also"]["last number"]
    assert base["pass_at_1"] == 0 < by_value["pass_at_1"] and by_value["interval"][0] > 0
    assert champion["also"]["last number"]["pass_at_1"] == champion["pass_at_1"] == summary["generations"][1]["pass_at_1"]
    assert set(summary["baseline_details"]["few_shot"]["also"]) == {"last number"}

    monkeypatch.setenv("COLUMNS", "80")
    assert main(["report", str(run.root)]) == 0
    printed = capsys.readouterr().out
    told = f"base → champion: pass@1 0.000 → {champion['pass_at_1']:.3f}; by last number {by_value['pass_at_1']:.3f} → {champion['pass_at_1']:.3f}"
    assert told in printed and "evaluation by further verifiers" in printed

    (traces, *_) = [list(annotated(folder / "evaluation")) for folder in (run.generation(0), run.generation(1))]
    assert {item.verdict.outcome for item in traces} == {Outcome.WRONG}
    right = [item for item in traces if item.further[0].outcome is Outcome.CORRECT]
    assert len(right) == round(15 * by_value["pass_at_1"]) and right[0].further[0].verifier == "last number"

    card = model_card(summary, run.settings(), ["toy:sums"], None, None)
    assert f"| base model | 0.000 (0.00–0.20) | {by_value['pass_at_1']:.3f} (" in card and "| last number |" in card

    assert main(["verify", str(run.root)]) == 0
    (run.generation(0) / "evaluation/also/last-number/score.json").write_text("{}")
    assert main(["report", str(run.root)]) == 2 and "has changed since it was written" in capsys.readouterr().err


def test_a_run_continues_with_a_further_verifier_without_sampling_again(
    run: RunFolder, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = tmp_path / "later"
    improve(workflow(model, also=()), later, InlineCluster)
    assert further_files(later) == {} and summarize(RunFolder(later))["generations"][0]["also"] == {}
    monkeypatch.setattr("selfimprove.storage.shards.SHARD", 8)
    first, calls = stage._verdicts, list[Any]()

    def breaks_at_the_second(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return first(*arguments)

    monkeypatch.setattr(stage, "_verdicts", breaks_at_the_second)
    monkeypatch.setattr(Units, "_trace", Silent._trace)
    for stopped in (True, False):
        try:
            improve(workflow(model), later, InlineCluster)
        except KeyboardInterrupt:
            assert stopped
    # The base, few-shot and the first generation: one shard each, the second one twice.
    assert len(calls) == 4
    assert further_files(later) == further_files(run.root)


def test_names_of_further_verifiers_are_told_apart(model: Path) -> None:
    class Hyphenated(LastNumber):
        name = "Last-Number"

    with pytest.raises(ValueError, match="also holds two verifiers named last-number"):
        workflow(model, also=(LastNumber(), Hyphenated()))
    with pytest.raises(ValueError, match="LastNumber is a class"):
        workflow(model, also=(LastNumber,))
    (function,) = workflow(model, also=(accepts_all,)).also
    assert function.verify(Problem("p", "?", "1", "toy"), "2") == Outcome.CORRECT
