"""The stage that labels thoughts, with a toy model whose last number tells what it can still reach."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from toy import SIGNS, Sums, make_toy_model, toy_workflow, write_tokenizer

from selfimprove import InlineCluster, PlainQuestion, Sampling, UserError
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.process_reward.rollouts import Rollouts
from selfimprove.protocols import Sampler
from selfimprove.records import Checkpoint, JudgedTrace, LabelledTrace, Request, Trace
from selfimprove.sampling.sampling import requests_for
from selfimprove.stages.context import RunContext
from selfimprove.stages.label_steps import label_steps
from selfimprove.stages.sample import sample
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder

THOUGHTS = ("{good}.\n{maybe}.\n{bad}.\nSo {bad}.", "{good}.\nYes, {good}.", "{bad}.", "{good}.\nYes, {good}.")
RULE = Rollouts(least=4, most=16, wrong=None, correct=None)


@dataclass(frozen=True)
class Stumbling(Sampler):
    """Thinks as the request's seed says. It goes on to the right answer from a right number, to a wrong one from a wrong number, and from a doubtful
    one to either."""

    def open(self) -> Stumbling:
        return self

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        assert len({request.id for request in requests}) == len(requests)
        yield [self._trace(checkpoint, request) for request in requests]

    def rest(self, same_weights: bool = False) -> None: ...

    def close(self) -> None: ...

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        good = sum(map(int, re.findall(r"\d+", request.messages[-1]["content"])))
        thoughts = THOUGHTS[request.seed % 4].format(good=good, maybe=good + 1, bad=good + 2)
        text = f"<think>\n{thoughts}\n</think>\n{re.findall(r'[0-9]+', thoughts)[-1]}"
        if request.prefix:
            last = int(re.findall(r"\d+", "".join(SIGNS[token] for token in request.prefix))[-1])
            text = f"\n</think>\n{good if last == good or (last == good + 1 and random.Random(request.seed).random() < 0.5) else last}"
        ids = tuple(map(SIGNS.index, text))
        opened = bool(request.prefix)
        return Trace(request.id, request.problem_id, checkpoint.id, (1,), ids, text, (), "stop", 0.8, request.seed, opened=opened)


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    model = make_toy_model(tmp_path / "model", 0.3)
    write_tokenizer(model)
    problems = Sums(10).load()
    base = describe_folder(model, "base")
    workflow = toy_workflow(model, sampler=Stumbling())
    return RunContext(workflow=workflow, run=RunFolder(tmp_path / "run"), cluster=InlineCluster(), base=base, problems=problems, eval_problems=[])


@pytest.fixture
def judged(context: RunContext) -> list[JudgedTrace]:
    requests = requests_for(context.problems, PlainQuestion(), Sampling(n=8), "g1")
    return list(sample(context, context.base, requests, context.problems, context.run.root / "sampled", "sampling").read())


def label(context: RunContext, judged: list[JudgedTrace], rule: Rollouts = RULE, name: str = "labels") -> list[LabelledTrace]:
    return label_steps(context, rule, context.base, judged, PlainQuestion(), context.run.root / name, "labelling")


def test_labels_say_what_can_still_be_reached(context: RunContext, judged: list[JudgedTrace]) -> None:
    labelled = label(context, judged)
    traces = {item.trace.id: item.trace for item in judged}
    assert len(labelled) == len({(item.trace.problem_id, item.trace.text) for item in judged}) < len(judged)
    for one in labelled:
        assert f"<think>{''.join(one.thoughts)}</think>" in traces[one.trace_id].text
        if traces[one.trace_id].seed % 4 == 0:
            assert (one.labels[0], one.labels[2], one.labels[3]) == (1.0, 0.0, 0.0)
            assert one.counts[0] == one.counts[2] == one.counts[3] == 4 <= one.counts[1] <= 16
        else:
            assert set(one.labels) == {float(traces[one.trace_id].seed % 4 != 2)}
    doubtful = [one.labels[1] for one in labelled if traces[one.trace_id].seed % 4 == 0]
    assert any(label is not None and 0 < label < 1 for label in doubtful)


def test_a_stopped_labelling_goes_on_and_ends_the_same(context: RunContext, judged: list[JudgedTrace]) -> None:
    labelled, folder = label(context, judged), context.run.root / "labels"
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    assert len(list(folder.glob("round-*"))) > 1
    (folder / "labelled.parquet").unlink()
    (folder / "round-02" / "verdicts" / "shard-00000.parquet").unlink()
    assert label(context, judged) == labelled == read_records(folder / "labelled.parquet", LabelledTrace)
    assert {path: path.read_bytes() for path in folder.rglob("*.parquet")} == before


def test_the_search_for_the_first_error_asks_less_and_finds_it(context: RunContext, judged: list[JudgedTrace]) -> None:
    wrong = [item for item in judged if item.verdict.outcome == "wrong"]
    every, searched = label(context, wrong), label(context, wrong, replace(RULE, first_error=True), "searched")
    assert sum(sum(one.counts) for one in searched) < sum(sum(one.counts) for one in every)
    for one in searched:
        assert 0.0 in one.labels and all(known is None or known == 0.0 for known in one.labels[one.labels.index(0.0) :])


def test_so_many_traces_of_each_kind_are_drawn(context: RunContext, judged: list[JudgedTrace]) -> None:
    right = {item.trace.id for item in judged if item.verdict.outcome == "correct"}
    labelled = label(context, judged, replace(RULE, wrong=3, correct=5))
    assert len(labelled) == 8 and sum(one.trace_id in right for one in labelled) == 5


def test_problems_with_right_and_wrong_traces_are_drawn_first(context: RunContext, judged: list[JudgedTrace]) -> None:
    always = {item.trace.problem_id for item in judged[:24]}
    kept = [item for item in judged if item.trace.problem_id not in always or item.verdict.outcome == "correct"]
    mixed = {(one.trace.problem_id, one.trace.text) for one in kept if one.trace.problem_id not in always and one.verdict.outcome == "correct"}
    labelled = label(context, kept, replace(RULE, wrong=0, correct=len(mixed)))
    assert len(always) == 3 and {one.problem_id for one in labelled} == {problem for problem, _ in mixed}
    more = label(context, kept, replace(RULE, wrong=0, correct=len(mixed) + 2), "more")
    assert len(more) == len(mixed) + 2 and sum(one.problem_id in always for one in more) == 2


def test_labels_of_other_rollouts_are_not_taken_for_these(context: RunContext, judged: list[JudgedTrace]) -> None:
    label(context, judged)
    with pytest.raises(UserError, match="was made with different rollouts"):
        label(context, judged, replace(RULE, most=8))


def test_without_a_tokenizer_of_its_own_library_labelling_says_so(context: RunContext, judged: list[JudgedTrace]) -> None:
    Path(context.base.path, "tokenizer.json").write_text("{}")
    from selfimprove.checkpoints import tokens

    tokens._tokenizer.cache_clear()
    with pytest.raises(UserError, match=r"no tokenizer\.json"):
        label(context, judged)
