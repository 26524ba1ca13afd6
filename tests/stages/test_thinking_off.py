"""`direct_share`: some traces are also trained without their thinking, and each candidate is evaluated with thinking on and off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from command import run_command
from killable import files_of, reports
from safetensors.numpy import load_file
from toy import SIGNS, ToyPractice, ToySampler, ToyTrainer, make_toy_model, toy_workflow, write_tokenizer

from selfimprove import InlineCluster, Jsonl, Rationalization, Replay, Sampling, ShuffledAnswers, Workflow, improve
from selfimprove.errors import UserError
from selfimprove.records import AcceptedTrace, Checkpoint, Request, Trace, TrainingStep
from selfimprove.records.budgets import Budget
from selfimprove.reports.cards import model_card
from selfimprove.reports.html_report import write_html
from selfimprove.reports.table import summarize
from selfimprove.reports.trace_sources import choose
from selfimprove.settings.paths import describe
from selfimprove.stages.rationalize import RATIONALIZED
from selfimprove.storage.averaged import candidate_folder
from selfimprove.storage.files import read_records
from selfimprove.storage.fork import fork
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored
from selfimprove.tracking.figures import of_report


@dataclass(frozen=True)
class Toggled(ToySampler):
    """One token per character. After an empty block it is right half as often, and the base model never; fails at its n-th trace if asked to."""

    left: ClassVar[int] = 0
    asked: ClassVar[Counter[str]] = Counter()

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        skill = super()._skill(checkpoint, request)
        return skill if request.budget is None else skill / 2 if checkpoint.generation else 0.0

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        type(self).left -= 1
        if type(self).left == 0:
            raise InterruptedError
        self.asked[request.id] += 1
        asked = {**request.messages[-1], "content": request.messages[-1]["content"].partition("\n(The answer is")[0]}
        trace = super()._trace(checkpoint, replace(request, messages=(*request.messages[:-1], asked)))
        text = trace.text if request.budget is None else f"<think></think>\n{trace.text.rpartition(chr(10))[2]}"
        forced = () if request.budget is None else ((0, 15),)
        return replace(trace, text=text, output_token_ids=tuple(map(SIGNS.index, text)), forced=forced)


@dataclass(frozen=True)
class Noting(ToyTrainer):
    """Keeps the rows of each training by the checkpoint's folder."""

    rows: ClassVar[dict[Path, Sequence[AcceptedTrace]]] = {}

    def open(self) -> Noting:
        return self

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        self.rows[into] = rows
        return super().train(start, rows, into, seed)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = make_toy_model(tmp_path / "models" / "base", 0.3)
    write_tokenizer(folder)
    return folder


def toggled(model: Path, share: float = 0.2, **changes: object) -> Workflow:
    Toggled.left = 0
    return toy_workflow(model, **{"sampler": Toggled(), "direct_share": share, **changes})


def rows_of(folder: Path, name: str = "rows") -> list[AcceptedTrace]:
    return read_records(folder / f"{name}.parquet", AcceptedTrace)


def test_a_share_of_the_rows_has_no_thinking_and_nothing_else_changes(model: Path, tmp_path: Path) -> None:
    improve(toggled(model, 0.0, generations=1), tmp_path / "plain", InlineCluster)
    Toggled.asked.clear()
    improve(toggled(model, trainer=Noting(), controls=(ShuffledAnswers(),)), tmp_path / "run", InlineCluster)
    run = RunFolder(tmp_path / "run")
    plain, first = tmp_path / "plain/generation-01", run.generation(1)
    assert rows_of(first, "accepted") == rows_of(plain, "accepted") and set(Toggled.asked.values()) == {1}
    for number in (1, 2):
        rows = rows_of(run.generation(number))
        direct = [row for row in rows if row.origin == "direct"]
        thinking = rows[: len(rows) - len(direct)]
        assert len(direct) == round(len(thinking) / 4) and direct == rows[len(thinking) :]
        sources = {row.trace_id: row for row in thinking}
        for row in direct:
            source = sources[row.trace_id.removesuffix("/direct")]
            assert row.completion == f"<think></think>{source.completion.partition('</think>')[2]}" and row.messages == source.messages
            assert row.completion_token_ids == tuple(map(SIGNS.index, row.completion)) and row.forced == ((0, len("<think></think>")),)
        counts = run.reports()[number].counts
        assert counts is not None and counts.direct == len(direct) and counts.trained_on == len(rows)
        if number == 1:
            assert thinking == rows_of(plain)
    # Controls get as many rows: the answers alone, or traces of other questions and as many of these without their thinking.
    answered, shuffled = (Noting.rows[run.baseline(name) / "generation-02" / "checkpoint"] for name in ("answer_only", "shuffled_answers"))
    assert len(answered) == len(shuffled) == len(rows) and not any(row.forced for row in answered)
    assert Counter(row.origin for row in shuffled) == {"shuffled": len(rows) - len(direct), "direct": len(direct)}
    others = {row.trace_id: row for row in shuffled}
    assert all(others[row.trace_id.removesuffix("/direct")].completion.endswith(row.completion[15:]) for row in shuffled if row.origin == "direct")
    assert all(row.forced for row in shuffled if row.origin == "direct")


def test_base_and_candidates_are_evaluated_with_thinking_off_too(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    workflow = toggled(model, generations=1)
    improve(workflow, tmp_path / "run", InlineCluster)
    run = RunFolder(tmp_path / "run")
    base, first = run.reports()
    for report in (base, first):
        traces = [item.trace for item in stored(run.generation(report.generation) / "thinking-off")]
        assert {trace.problem_id for trace in traces} == {problem.id for problem in run.problems("eval")} and len(
            {trace.id for trace in traces}
        ) == 15
        off = report.thinking_off
        assert off is not None and all(trace.text.startswith("<think></think>\n") for trace in traces) and off.tokens < report.score.tokens
        assert report.tokens["evaluate"] == off.tokens + report.score.tokens
    assert base.thinking_off is not None and base.thinking_off.pass_at_1 == 0 and first.thinking_off is not None
    # The gate goes by thinking alone.
    assert first.thinking_off.pass_at_1 < first.score.pass_at_1 == first.kept_score.pass_at_1 and first.kept.id == "generation-1"
    figures, each = of_report(first), first.thinking_off.tokens / 15
    assert (figures["thinking_off/pass_at_1"], figures["thinking_off/tokens"]) == (first.thinking_off.pass_at_1, each)
    assert figures["thinking_off/pass_at_1_low"] <= figures["thinking_off/pass_at_1"] and figures["thinking_off/tokens_on"] > each

    out = " ".join(run_command(capfd, 0, "report", run.root)[0].split())
    counts = first.counts
    assert counts is not None and f"{counts.direct} of {counts.trained_on} rows were trained on without their thinking" in out
    assert "pass@1 by thinking generation thinking on tokens thinking off tokens" in out and f"; {each:.1f} tokens, not " in out
    thinking = summarize(run)["generations"][1]["thinking"]
    assert thinking["off"]["pass_at_1"] == first.thinking_off.pass_at_1 and thinking["difference"]["difference"] < 0
    told = json.loads(run_command(capfd, 0, "traces", run.root, "--from", "thinking-off", "--generation", "0", "--limit", "99", "--json")[0])
    assert told["from"] == "thinking-off" and len(told["traces"]) == 15 and {one["outcome"] for one in told["traces"]} == {"wrong"}
    assert "thinking-off" in run_command(capfd, 2, "traces", run.root, "--from", "thinking-of")[1]
    card = model_card(summarize(run), run.settings(), ["toy"], None, "mit")
    assert "begin its turn with `<think></think>`" in card and f"after an empty block of thinking: {first.thinking_off.pass_at_1:.3f} (" in card
    write_html(run)
    assert (
        'id="off"' in (run.root / "report.html").read_text()
        and "generation-01 thinking-off" in run_command(capfd, 0, "audit", run.root, "--with", "exact", "--json")[0]
    )
    run_command(capfd, 0, "verify", run.root)


@pytest.mark.parametrize("traces", [20, 105])
def test_a_run_that_broke_with_thinking_off_ends_as_an_undisturbed_one(
    model: Path, tmp_path: Path, traces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfimprove.storage.shards.SHARD", 4)
    workflow = toggled(model, generations=1, first_prompter=None, answer_only_baseline=False)
    Toggled.asked.clear()
    improve(workflow, tmp_path / "whole", InlineCluster)
    assert "-thinking-off-" in list(Toggled.asked)[traces - 1]
    Toggled.left = traces
    with pytest.raises(InterruptedError):
        improve(workflow, tmp_path / "broken", InlineCluster)
    improve(workflow, tmp_path / "broken", InlineCluster)
    assert files_of(tmp_path / "broken") == files_of(tmp_path / "whole")
    assert reports(tmp_path / "broken") == reports(tmp_path / "whole")


@dataclass(frozen=True)
class Weighed(Toggled):
    """Reads its skill from the weights, since an average has no number of trainings."""

    def _skill(self, checkpoint: Checkpoint, request: Request) -> float:
        skill = float(load_file(Path(checkpoint.path) / "model.safetensors")["skill"][0])
        return skill if request.budget is None else skill / 2


def test_with_an_average_both_candidates_are_evaluated_so_and_general_rows_come_on_top(model: Path, tmp_path: Path) -> None:
    (tmp_path / "general.jsonl").write_text("".join(json.dumps({"question": f"Name {n}?", "answer": f"{n}"}) + "\n" for n in range(40)))
    mixture = Replay(general=Jsonl(str(tmp_path / "general.jsonl")), general_share=0.1)
    workflow = toggled(model, sampler=Weighed(), average=0.5, generations=1, mixture=mixture, controls=(ShuffledAnswers(),))
    improve(workflow, tmp_path / "run", InlineCluster)
    run = RunFolder(tmp_path / "run")
    report, folder = run.reports()[1], run.generation(1)
    trained, averaged = (report.tried[name].thinking_off for name in ("trained", "averaged"))
    assert report.thinking_off in (trained, averaged) and trained.solved != averaged.solved
    assert report.thinking_off == report.tried["averaged" if "averaged" in report.candidate.id else "trained"].thinking_off
    assert (folder / "thinking-off/score.json").exists() and (folder / "averaged/thinking-off/score.json").exists()
    assert choose(run, "thinking-off", 1).folder.parent == candidate_folder(run, 1)
    counted = Counter(row.origin for row in rows_of(folder))
    thinking = counted["sampled"]
    assert counted["direct"] == round(thinking / 4) and counted["general"] == round((thinking + counted["direct"]) / 9) == report.counts.general
    assert report.tokens["evaluate"] == sum(one.score.tokens + one.thinking_off.tokens for one in report.tried.values())
    page = tmp_path / "page.html"
    write_html(run, page)
    assert "Thinking on and off" in page.read_text() and "averaged with its start" in page.read_text()


def test_the_ablation_of_hints_leaves_out_their_direct_rows(model: Path, tmp_path: Path) -> None:
    rule = Rationalization(samples=4, share=0.9, leaks=(), ablation=True)
    improve(toggled(model, 0.5, rationalization=rule, generations=1, first_prompter=None), tmp_path / "run", InlineCluster)
    folder = tmp_path / "run/generation-01"
    rows, taught = rows_of(folder), {row.trace_id for row in rows_of(folder, "accepted") if row.origin == RATIONALIZED}
    concerned = [row for row in rows if row.trace_id.removesuffix("/direct") in taught]
    assert {row.origin for row in concerned} == {RATIONALIZED, "direct"}
    assert len(json.loads((folder / "without-rationalized/training.json").read_text())) == len(rows) - len(concerned)


def test_a_fork_may_begin_with_direct_rows_and_a_run_may_not_change_their_share(model: Path, tmp_path: Path) -> None:
    workflow = toggled(model, 0.0, generations=1, mixture=Replay(limit=8))
    improve(workflow, tmp_path / "run", InlineCluster)
    with pytest.raises(UserError, match=r"direct_share: 0.0 → 0.2"):
        improve(replace(workflow, direct_share=0.2), tmp_path / "run", InlineCluster)
    other = replace(workflow, direct_share=0.2)
    fork(RunFolder(tmp_path / "run"), RunFolder(tmp_path / "fork"), 1, describe(other))
    improve(other, tmp_path / "fork", InlineCluster)
    base, first = RunFolder(tmp_path / "fork").reports()
    # The base model is not evaluated again, and a mixture's limit holds for rows with thinking.
    assert (
        base.thinking_off is None
        and first.thinking_off is not None
        and Counter(row.origin for row in rows_of(tmp_path / "fork/generation-01"))
        == {
            "sampled": 8,
            "direct": 2,
        }
    )
    assert [row["thinking"] is None for row in summarize(RunFolder(tmp_path / "fork"))["generations"]] == [True, False]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"direct_share": 1.0}, "less than 1"),
        ({"direct_share": -0.1}, "greater than or equal to 0"),
        ({"reinforcement": ToyPractice()}, "reinforcement trains on problems"),
        ({"sampling": Sampling(budget=Budget(max_tokens=0))}, "sampling.budget.max_tokens=0 allows none"),
        ({"eval_sampling": Sampling(budget=Budget(max_tokens=0))}, "eval_sampling.budget.max_tokens=0 allows none"),
    ],
)
def test_a_share_that_makes_no_sense_is_refused(model: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        toggled(model, **{"share": 0.2, **{{"direct_share": "share"}.get(name, name): value for name, value in changes.items()}})


def test_without_a_tokenizer_nothing_is_sampled(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no readable tokenizer.json.*set direct_share=0"):
        improve(toggled(make_toy_model(tmp_path / "model", 0.3)), tmp_path / "run", InlineCluster)
    assert not (tmp_path / "run/generation-00").exists()
