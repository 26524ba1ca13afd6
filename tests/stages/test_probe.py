"""ThinkingProbe thoughts, end to end with a toy model that changes its mind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from toy import SIGNS, make_toy_model, toy_workflow, write_tokenizer

from selfimprove import Caps, InlineCluster, KeepCorrect, Sampling, ThinkingProbe, UserError, improve
from selfimprove.__main__ import main
from selfimprove.checkpoints.tokens import decoder, encoder
from selfimprove.protocols import Sampler
from selfimprove.records import AcceptedTrace, Checkpoint, GenerationReport, Request, Trace
from selfimprove.stages.probe import read_probes
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.shards import stored
from selfimprove.thinking.under_thinking import first_correct, first_stable

ANSWERS = (
    "{good}.\nWait, no: {bad}.",
    "{good}.\nWait, is it? {good}.\nYes, {good}.",
    "{bad}.",
    "{bad}.\nWait, {good}.\nWait, no, {bad}.\nAlternatively, {good}.",
)
"""Right and then wrong; right all the time; never right; right in the middle and at the end."""


@dataclass(frozen=True)
class Wavering(Sampler):
    """Changes its mind as the request's seed says; asked to go on from a prefix, it answers with the last number in it."""

    def open(self) -> Wavering:
        return self

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        yield [self._trace(checkpoint, request) for request in requests]

    def rest(self, same_weights: bool = False) -> None: ...

    def close(self) -> None: ...

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        left, right = map(int, re.findall(r"\d+", request.messages[-1]["content"]))
        thoughts = ANSWERS[request.seed % 4].format(good=left + right, bad=left + right + 1)
        text = f"<think>\n{thoughts}\n</think>\n{re.findall(r'[0-9]+', thoughts)[-1]}"
        if request.prefix:
            text = re.findall(r"\d+", "".join(SIGNS[token] for token in request.prefix))[-1]
        ids = tuple(map(SIGNS.index, text))
        return Trace(request.id, request.problem_id, checkpoint.id, (1,), ids, text, (), "stop", request.temperature, request.seed)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probing")
    model = make_toy_model(folder / "model", 0.3)
    write_tokenizer(model)
    workflow = toy_workflow(
        model,
        sampler=Wavering(),
        sampling=Sampling(n=8),
        probe=ThinkingProbe(samples=3, wrong=None, correct=40),
        selector=KeepCorrect(cut=True, caps=Caps(per_problem=1, prefer="steady")),
        generations=1,
        answer_only_baseline=False,
    )
    improve(workflow, folder / "run", InlineCluster)
    return folder / "run"


def test_each_thought_is_worth_the_answers_that_come_after_it(run: Path) -> None:
    judged, probes = list(stored(run / "generation-01")), read_probes(run / "generation-01")
    wrong = [item for item in judged if item.verdict.outcome == "wrong"]
    right = [item for item in judged if item.verdict.outcome == "correct"]
    assert len(probes) == len(wrong) + 40 < len(judged)
    for item in judged:
        found = probes.get(item.trace.id)
        if found is None:
            assert item in right
            continue
        thoughts = ANSWERS[item.trace.seed % 4].split("\n")
        assert [(probe.right, probe.samples) for probe in found] == [(3 * ("{good}" in thought), 3) for thought in thoughts]
        ends = [item.trace.text[: probe.tokens] for probe in found]
        assert all(end.endswith(".") for end in ends) and ends[-1] == item.trace.text.partition("\n</think>")[0]


def test_the_scores_of_a_generation_are_those_of_the_papers_formula(run: Path) -> None:
    anatomy = read_json(run / "generation-01" / "report.json", GenerationReport).anatomy.figures()
    probes = read_probes(run / "generation-01")
    under, over = [], []
    for item in stored(run / "generation-01"):
        if item.verdict.outcome == "wrong":
            first = item.trace.text.find(".") + 1 if item.trace.seed % 4 == 0 else len(item.trace.text)
            under.append(1 - first / len(item.trace.text))
        elif item.trace.id in probes:
            thinking = item.trace.text.partition("\n</think>")[0]
            over.append(1 - (thinking.find(".") + 1) / len(thinking) if item.trace.seed % 4 == 1 else 0.0)
    assert anatomy["under_thinking"] == pytest.approx(sum(under) / len(under)) and anatomy["under_thinking_traces"] == len(under)
    assert anatomy["over_thinking"] == pytest.approx(sum(over) / len(over)) and anatomy["over_thinking_traces"] == 40
    assert anatomy["under_thinking_low"] < anatomy["under_thinking"] < anatomy["under_thinking_high"]
    assert anatomy["tokens_per_thought"] == pytest.approx(anatomy["thinking_tokens"] / anatomy["thoughts"])


def test_a_trace_is_cut_after_its_first_stable_thought_and_steady_ones_come_first(run: Path) -> None:
    rows = read_records(run / "generation-01" / "accepted.parquet", AcceptedTrace)
    probes, judged = read_probes(run / "generation-01"), {item.trace.id: item.trace for item in stored(run / "generation-01")}
    assert len({row.problem_id for row in rows}) == len(rows)
    assert {row.origin for row in rows} == {"sampled", "shortened"}
    for row in rows:
        trace = judged[row.trace_id]
        if row.origin == "shortened":
            assert trace.seed % 4 == 1 and row.completion_token_ids is None
            assert re.fullmatch(r"<think>\n(\d+)\.\n</think>\n\1", row.completion)
        else:
            assert row.completion == trace.text
            assert trace.seed % 4 == 3 or trace.id not in probes
        others = [other for other in judged.values() if other.problem_id == row.problem_id and other.seed % 4 == 1]
        assert trace.seed % 4 == 1 or not others, "three switches where one would do"


def test_a_stopped_probing_goes_on_and_ends_the_same(run: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (run / "generation-01").rglob("*.parquet")}
    for path in ("probes.parquet", "report.json", "accepted.parquet", "probes/verdicts/shard-00000.parquet"):
        (run / "generation-01" / path).unlink()
    settings = toy_workflow(
        run.parent / "model",
        sampler=Wavering(),
        sampling=Sampling(n=8),
        probe=ThinkingProbe(samples=3, wrong=None, correct=40),
        selector=KeepCorrect(cut=True, caps=Caps(per_problem=1, prefer="steady")),
        generations=1,
        answer_only_baseline=False,
    )
    improve(settings, run, InlineCluster)
    assert {path: path.read_bytes() for path in (run / "generation-01").rglob("*.parquet")} == before


def test_probes_are_shown_with_the_thoughts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", str(run), "--outcome", "wrong", "--limit", "400"]) == 0
    assert "→ 3/3 correct" in capsys.readouterr().out
    assert main(["report", str(run)]) == 0
    out = capsys.readouterr().out
    assert "probe" in out and re.search(r"under-thinking 0\.\d\d \(0\.\d\d–0\.\d\d\) over \d+ wrong traces", out)


def test_without_a_tokenizer_of_its_own_library_probing_says_so(tmp_path: Path) -> None:
    model = make_toy_model(tmp_path / "model", 0.3)
    with pytest.raises(UserError, match=r"no tokenizer\.json"):
        improve(toy_workflow(model, probe=ThinkingProbe()), tmp_path / "run", InlineCluster)


def test_a_vocabulary_reads_back_what_it_wrote(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    decode, encode = decoder(tmp_path), encoder(tmp_path)
    assert decode is not None and encode is not None and decode(encode("4 + 3\n= 7")) == "4 + 3\n= 7"


def test_first_correct_and_first_stable_differ_where_a_right_thought_was_left_again(run: Path) -> None:
    wavered = next(item for item in stored(run / "generation-01") if item.trace.seed % 4 == 3 and item.trace.id in read_probes(run / "generation-01"))
    probes = read_probes(run / "generation-01")[wavered.trace.id]
    first, stable = first_correct(probes), first_stable(probes)
    assert first is not None and stable is not None and (first.thought, stable.thought) == (1, 3)
    assert first_stable([replace(probe, right=0) for probe in probes]) is None
