"""Budgets inside a real vLLM engine, in one batch, with a tiny model whose chat template opens the thinking."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from selfimprove import VLLM, Budget, PlainQuestion, Sampling, SwitchPenalty, UserError
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.checkpoints.removed import Removed
from selfimprove.protocols import OpenSampler
from selfimprove.records import Checkpoint, Problem, Request, Trace
from selfimprove.sampling.budget_forcing import vocabulary_of
from selfimprove.sampling.sampling import requests_for
from selfimprove.sampling.vllm_engine import ENVIRONMENT
from selfimprove.storage.files import write_json
from selfimprove.thinking.thoughts import complete
from selfimprove.thinking.traces import parse, parsed

pytestmark = pytest.mark.vllm

PROBLEMS = [Problem(f"p-{n}", f"{n} + {n} =", str(2 * n), "test") for n in range(12)]
# Room for nine sequences of 200 tokens: a full batch is preempted.
ENGINE = {"dtype": "float32", "max_model_len": 256, "num_gpu_blocks_override": 120, "max_num_seqs": 32, "disable_log_stats": False}

BUDGETS = (
    None,
    Budget(max_tokens=0),
    Budget(max_tokens=7),
    Budget(min_tokens=20, max_tokens=24, continuations=("Wait, so", "4 + 3")),
    Budget(extensions=2, max_tokens=60),
    Budget(min_thoughts=3, max_tokens=70),
    Budget(max_tokens=5, final="7 = ", answer_tokens=3),
    Budget(min_tokens=30),
)


@pytest.fixture(scope="module")
def thinking(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A model whose chat template opens the thinking."""
    folder = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("thinking") / "model"))
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>assistant\n'", "<|im_start|>assistant\n<think>\n'"))
    return describe_folder(folder, "thinking")


@pytest.fixture(scope="module")
def sampler() -> Iterator[OpenSampler]:
    os.environ.update(ENVIRONMENT)
    opened = VLLM(engine=ENGINE).open()
    yield opened
    opened.close()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_every_request_of_a_batch_obeys_its_own_budget(sampler: OpenSampler, thinking: Checkpoint, temperature: float) -> None:
    plain = requests_for(PROBLEMS, PlainQuestion(), Sampling(n=4, temperature=temperature, max_tokens=120), "g1", seed=7)
    requests = [replace(request, budget=BUDGETS[number % len(BUDGETS)]) for number, request in enumerate(plain)]
    together, alone = ({trace.id: trace for batch in sampler.sample(thinking, asked) for trace in batch} for asked in (requests, plain))
    extended = 0
    for request in requests:
        trace, budget = together[request.id], request.budget
        assert trace.opened
        if budget is None:
            assert trace.forced == ()
            assert temperature == 0.0 or trace.output_token_ids == alone[request.id].output_token_ids
            continue
        parts, forced = parsed(trace), [trace.output_token_ids[begin:end] for begin, end in trace.forced]
        length = len(parts.thinking or "")
        if budget.max_tokens is not None:
            assert parts.closing and length <= 12 * budget.max_tokens
        assert (length > 0) == (budget.max_tokens != 0)
        if budget.final:
            assert parts.after.startswith("7 = ") and trace.finish_reason == "stop"
        extended += budget.extensions > 0 and (parts.thinking or "").count("Wait") >= 2
        assert bool(forced) == (not (budget.min_tokens == 30 and not forced))
    assert extended > 0 or temperature == 0.0, "greedy, these weights write one token again and again"


def sampled(sampler: OpenSampler, checkpoint: Checkpoint, requests: list[Request]) -> dict[str, Trace]:
    return {trace.id: trace for batch in sampler.sample(checkpoint, requests) for trace in batch}


def test_a_penalty_delays_switches_early_in_a_thought(sampler: OpenSampler, thinking: Checkpoint) -> None:
    plain = requests_for(PROBLEMS, PlainQuestion(), Sampling(n=2, temperature=1.0, max_tokens=60), "tip", seed=3)
    digits = tuple("0123456789")

    def share(penalty: SwitchPenalty | None) -> float:
        traces = sampled(sampler, thinking, [replace(request, switch_penalty=penalty) for request in plain])
        texts = [parsed(trace).thinking or "" for trace in traces.values()]
        return sum(sign in digits for text in texts for sign in text) / sum(map(len, texts))

    free, never, soon = share(None), share(SwitchPenalty(1e9, 1000, digits)), share(SwitchPenalty(1e9, 1, digits))
    assert never == 0 < soon < 1.5 * free


def test_a_prefix_is_continued_inside_the_thinking_or_after_it(sampler: OpenSampler, thinking: Checkpoint) -> None:
    plain = requests_for(PROBLEMS[:4], PlainQuestion(), Sampling(n=1, temperature=1.0, max_tokens=30, budget=Budget(max_tokens=6)), "whole", seed=5)
    whole = sampled(sampler, thinking, plain)
    inside, after = (
        sampled(sampler, thinking, [replace(one, budget=None, prefix=whole[one.id].output_token_ids[:size]) for one in plain]) for size in (3, 12)
    )
    for name, trace in whole.items():
        assert inside[name].prompt_token_ids == trace.prompt_token_ids + trace.output_token_ids[:3]
        assert inside[name].opened and "missing" not in parsed(inside[name]).flags
        assert after[name].prompt_token_ids == trace.prompt_token_ids + trace.output_token_ids[:12]
        assert parsed(trace).closing and not after[name].opened


def test_a_request_that_is_preempted_keeps_its_budget_and_its_tokens(sampler: OpenSampler, thinking: Checkpoint) -> None:
    decoding = Sampling(n=3, temperature=1.0, max_tokens=120, budget=Budget(min_tokens=60, max_tokens=90, extensions=1))
    requests = requests_for(PROBLEMS, PlainQuestion(), decoding, "g1", seed=7)
    apart = {name: trace for start in range(0, len(requests), 9) for name, trace in sampled(sampler, thinking, requests[start : start + 9]).items()}
    before = preemptions(sampler)
    together = sampled(sampler, thinking, requests)
    assert preemptions(sampler) > before and any(trace.forced for trace in together.values())
    assert together == apart


def preemptions(sampler: Any) -> int:
    return next(metric.value for metric in sampler._engine.llm.get_metrics() if metric.name == "vllm:num_preemptions")


def test_a_turn_is_ended_after_each_thought_and_continued_until_the_thinking_ends(sampler: OpenSampler, thinking: Checkpoint) -> None:
    plain = requests_for(PROBLEMS, PlainQuestion(), Sampling(n=4, temperature=1.0, max_tokens=120), "steps", seed=11)
    text, stops = {request.id: "" for request in plain}, 0
    asked = [replace(request, stop_after_thoughts=1) for request in plain]
    for _ in range(2):
        pieces, going = sampled(sampler, thinking, asked), []
        for request in asked:
            piece = pieces[request.id]
            assert piece.opened
            done = len(complete(text[request.id]))
            text[request.id] += piece.text
            parts = parse(text[request.id], opened=True)
            if piece.finish_reason != "thought":
                assert parts.closing or piece.finish_reason == "length" or len(complete(parts.thinking or "")) == done
                continue
            stops += 1
            last = len(piece.output_token_ids) - 1
            assert not parts.closing and len(complete(parts.thinking or "")) > done and piece.forced == ((last, last + 1),)
            assert piece.output_token_ids[last] == 2, "the end of the turn"
            going.append(replace(request, prefix=(*request.prefix, *piece.output_token_ids[:last]), max_tokens=request.max_tokens - last))
        asked = going
    assert stops > 5


def test_an_engine_that_ignores_budgets_is_refused_before_it_samples(sampler: Any, thinking: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    from selfimprove.sampling.logits_processors import FirstRunner

    requests = requests_for(PROBLEMS[:2], PlainQuestion(), Sampling(temperature=1.0, max_tokens=30, budget=Budget(max_tokens=6)), "ignored")
    monkeypatch.setattr(sampler._engine, "proven", False)
    with monkeypatch.context() as broken:
        broken.setattr(FirstRunner, "apply", lambda self, logits: logits)
        with pytest.raises(UserError, match="does not obey budgets"):
            sampled(sampler, thinking, requests)
    assert len(sampled(sampler, thinking, requests)) == len(requests), "the engine goes on"


def test_the_tokenizer_of_a_checkpoint_that_was_removed_is_that_of_the_one_that_is_served(tiny_model: Path, tmp_path: Path) -> None:
    # The engine of a continued run starts with a champion that goes later.
    started, served = (Path(shutil.copytree(tiny_model, tmp_path / f"generation-0{number}" / "checkpoint")) for number in (1, 2))
    before = vocabulary_of(SimpleNamespace(tokenizer=str(started), model=str(started)))
    shutil.rmtree(started)
    write_json(started.with_name("removed.json"), Removed(1, 2, "2026-11-28 15:04", 5, "champion"))
    after = vocabulary_of(SimpleNamespace(tokenizer=str(started), model=str(served)))
    assert (after.texts, after.ends) == (before.texts, before.ends)
