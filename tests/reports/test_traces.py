"""Reading the traces of a run: filters, display and errors."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from toy import Sums, ToySampler, make_toy_model, toy_workflow

from selfimprove import InlineCluster, improve
from selfimprove.__main__ import main
from selfimprove.records import Trace
from selfimprove.reports.traces import find, show_traces
from selfimprove.storage.files import read_records
from selfimprove.storage.lock import LOCK, locked
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored
from selfimprove.storage.unfinished import Unfinished
from selfimprove.thinking.behaviours import Behaviour, Behaviours, Cue
from selfimprove.tracking import figures

HOSTILE = "[bold red]4[/] [link=http://x]l[/link] \x1b[2J\x1b]0;t\x07 \r:smile: [/nothing]"


@dataclass(frozen=True)
class Musing(ToySampler):
    """Adds a plan, hostile control characters and a revision."""

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        trace = super()._trace(checkpoint, request)
        text = trace.text.replace("<think>\n", f"<think>\nOkay, so I need to add.\n{HOSTILE}\n").replace("\n</think>", " Wait, is it?\n</think>")
        return replace(trace, text=text)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    workflow = toy_workflow(make_toy_model(folder / "model", 0.3), sampler=Musing(), answer_only_baseline=False)
    improve(workflow, folder / "run", InlineCluster)
    return folder / "run"


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `selfimprove traces`: its status, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["traces", *map(str, arguments)])
        return status, *capsys.readouterr()

    return call


def test_thoughts_are_shown_beside_their_behaviours_with_answer_and_verdict(run: Path, shown: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = shown(run, "--limit", 2, "--outcome", "wrong")
    assert status == 0 and out.startswith("generation 2: plan confirmation reflection revision conclusion step\n")
    # The width of a column differs between versions of rich.
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert sum(line.startswith("question What is") for line in lines) == sum(line.endswith(" wrong") for line in lines) == 2
    assert lines.count("plan Okay, so I need to add.") == lines.count("revision Wait, is it?") == 2
    assert "answer -1" in lines and "2 traces; there are more (--limit)" in lines


def test_json_holds_the_thinking_to_the_letter_and_filters_apply(run: Path, shown: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = shown(run, "--generation", 1, "--json", "--limit", 1000)
    found = json.loads(out)
    stored = {trace.id: trace for file in (run / "generation-01/traces").glob("*.parquet") for trace in read_records(file, Trace)}
    assert (status, found["generation"], found["limited"], len(found["traces"])) == (0, 1, False, len(stored))
    for trace in found["traces"]:
        thinking = "".join(thought["text"] for thought in trace["thoughts"])
        assert f"<think>{thinking}</think>" in stored[trace["trace_id"]].text
    problem = found["traces"][0]["problem_id"]
    of_one = find(RunFolder(run), 1, problem=problem)["traces"]
    assert of_one == [trace for trace in found["traces"] if trace["problem_id"] == problem] and len(of_one) == 2
    correct = find(RunFolder(run), 1, outcome="correct", limit=3)
    assert correct["limited"] and {trace["outcome"] for trace in correct["traces"]} == {"correct"} and len(correct["traces"]) == 3
    assert find(RunFolder(run), outcome="crash") == {
        "generation": 2,
        "from": "sampling",
        "complete": True,
        "limited": False,
        "traces": [],
    }


def test_control_characters_and_markup_of_a_model_are_not_interpreted(run: Path) -> None:
    screen = StringIO()
    show_traces(find(RunFolder(run), limit=1), Console(file=screen, force_terminal=True, width=200, color_system="standard"))
    text = screen.getvalue()
    assert "[bold red]4[/]" in text and "[link=http://x]l[/link]" in text and ":smile:" in text and "\\x1b[2J\\x1b]0;t\\x07" in text
    assert "\x1b[2J" not in text and "\x1b]" not in text and "\r" not in text
    assert "\x1b[36mOkay, so I need to add." in text, "a plan is cyan"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--generation", 7], "generation 7 of .* holds no sampled traces; available: 1, 2"),
        (["--generation", 0, "--from", "sampling"], "generation 0 of .* holds no sampled traces; available: 1, 2"),
        (["--from", "answer-only"], "holds no traces from 'answer-only'; choose sampling"),
        (["--from", "few-shot", "--generation", 1], "--from few-shot is one evaluation of the run; leave out --generation"),
        (["--outcome", "bad"], "there is no outcome 'bad'; choose correct, wrong, unparseable, timeout, crash"),
        (["--problem", "sun-3"], "has no problem 'sun-3'; did you mean sum-"),
        (["--limit", 0], "--limit 0: give at least 1"),
    ],
)
def test_unknown_values_are_refused_in_one_line(run: Path, shown: Callable[..., tuple[int, str, str]], arguments: list[object], line: str) -> None:
    status, out, error = shown(run, *arguments)
    assert status == 2 and out == "" and error.count("\n") == 1 and re.match(f"selfimprove: .*{line}", error)


def test_what_the_champion_gets_wrong_is_read_from_its_evaluation(run: Path, shown: Callable[..., tuple[int, str, str]]) -> None:
    report = RunFolder(run).reports()[-1]
    found = find(RunFolder(run), outcome="wrong", source="evaluation", limit=1000)
    assert (found["from"], found["generation"], found["complete"]) == ("evaluation", report.kept.generation, True)
    unsolved = {problem for problem, (right, _) in report.kept_score.solved.items() if not right}
    assert unsolved and {trace["problem_id"] for trace in found["traces"]} == unsolved
    problem = min(unsolved)
    status, out, _ = shown(run, "--from", "evaluation", "--problem", problem)
    assert status == 0 and out.startswith(f"generation {report.kept.generation}, evaluation: ") and f"\n{problem}/" in out
    assert "it is an evaluation problem: add --from evaluation" in shown(run, "--problem", problem)[2]

    base = find(RunFolder(run), 0, limit=1000)
    assert (base["from"], base["generation"], len(base["traces"])) == ("evaluation", 0, 15)
    assert shown(run, "--from", "few-shot", "--limit", 1)[1].startswith("few-shot baseline: ")


def test_traces_of_a_stage_at_work_are_read_while_its_first_shard_fills(run: Path, tmp_path: Path) -> None:
    begun = shutil.copytree(run, tmp_path / "run")
    working = begun / "generation-02"
    judged = list(stored(working))[:7]
    shutil.rmtree(working)
    Unfinished(working).write(judged)
    found = find(RunFolder(begun), 2, limit=1000)
    assert not found["complete"] and [trace["trace_id"] for trace in found["traces"]] == [item.trace.id for item in judged]
    screen = StringIO()
    show_traces(found, Console(file=screen, width=120))
    assert screen.getvalue().startswith("generation 2, so far: ")


def test_the_report_of_a_run_at_work_tells_its_stage(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun = shutil.copytree(run, tmp_path / "run")
    (begun / "logs/progress.txt").write_text("generation 3, training: 12/46, 2.0 steps/s\n")
    assert main(["report", str(begun)]) == 0
    assert "at work" not in capsys.readouterr().out, "nobody writes there"
    with locked(begun):
        (begun / LOCK).write_text(json.dumps({"process": os.getppid(), "host": "here", "since": "now"}))
        assert main(["report", str(begun)]) == 0
        assert capsys.readouterr().out.endswith("the run is at work\n  generation 3, training: 12/46, 2.0 steps/s\n")
        assert main(["report", str(begun), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["at_work"] == ["generation 3, training: 12/46, 2.0 steps/s"]


def test_a_folder_without_a_run_is_named(tmp_path: Path, shown: Callable[..., tuple[int, str, str]]) -> None:
    status, _, error = shown(tmp_path / "nowhere")
    assert status == 2 and "holds no run" in error and error.count("\n") == 1


def test_each_generation_is_reported_with_its_anatomy(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, first, second = RunFolder(run).reports()
    assert base.anatomy is None
    one = first.anatomy
    assert one.traces == first.counts.sampled and one.thoughts == second.anatomy.thoughts == 4
    assert one.behaviours["plan"] == one.behaviour_shares["plan"] == one.behaviour_shares["revision"] == 1 and one.output_tokens == 12
    assert figures.of_report(first)["4_behaviours/revision_share"] == 1
    assert main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["generations"][1]["anatomy"] == first.anatomy.figures()
    assert main(["report", str(run)]) == 0
    out = capsys.readouterr().out
    assert out.count("  4.0 thoughts, 12 tokens per trace; revision in 100%\n  1.0 switches to another thought per trace\n") == 2


def test_cues_of_the_workflow_mark_its_traces(tmp_path: Path) -> None:
    mine = Behaviours(cues=(Cue(Behaviour.REFLECTION, "sum", "anywhere"), Cue(Behaviour.PLAN, r"\d+ \+")))
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.3), problems=Sums(20), eval_problems=5, behaviours=mine, generations=1)
    improve(workflow, tmp_path / "run", InlineCluster)
    run = RunFolder(tmp_path / "run")
    assert run.reports()[1].anatomy.figures()["plan_share"] == 1
    assert {thought["behaviour"] for trace in find(run)["traces"] for thought in trace["thoughts"]} == {"plan"}
