"""A real vLLM engine with a tiny model: continuous feeding, seeds, weights reloaded in place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfimprove import VLLM, PlainQuestion, Sampling, UserError
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.checkpoints.students import drop_layers
from selfimprove.protocols import OpenSampler
from selfimprove.records import Checkpoint, Problem, Trace
from selfimprove.sampling.sampling import requests_for
from selfimprove.sampling.sampling_parameters import require_known
from selfimprove.sampling.vllm_engine import ENVIRONMENT

pytestmark = pytest.mark.vllm

PROBLEMS = [Problem(f"p-{n}", f"{n} + {n} =", str(2 * n), "test") for n in range(12)]
ENGINE = {"max_model_len": 256, "kv_cache_memory_bytes": 64 << 20, "max_num_seqs": 8}


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> Checkpoint:
    return describe_folder(tiny_model, "base")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    from tiny_model import make_tiny_model

    return describe_folder(make_tiny_model(tmp_path_factory.mktemp("other") / "model", seed=1), "other")


@pytest.fixture(scope="module")
def sampler() -> Iterator[OpenSampler]:
    os.environ.update(ENVIRONMENT)
    opened = VLLM(engine=ENGINE).open()
    yield opened
    opened.close()


def traces(sampler: OpenSampler, checkpoint: Checkpoint, decoding: Sampling, problems: list[Problem] = PROBLEMS) -> dict[str, Trace]:
    requests = requests_for(problems, PlainQuestion(), decoding, "g1", seed=7)
    return {trace.id: trace for batch in sampler.sample(checkpoint, requests) for trace in batch}


def test_every_request_gets_one_trace_with_its_tokens(sampler: OpenSampler, base: Checkpoint) -> None:
    found = traces(sampler, base, Sampling(n=2, max_tokens=10))
    assert sorted(found) == sorted(f"p-{n}/g1/s{s}" for n in range(12) for s in range(2))
    for trace in found.values():
        assert trace.checkpoint_id == "base" and trace.problem_id == trace.id.split("/")[0]
        assert trace.prompt_token_ids and 0 < len(trace.output_token_ids) <= 10
        assert trace.finish_reason == ("length" if len(trace.output_token_ids) == 10 and trace.output_token_ids[-1] != 2 else "stop")


def test_a_seed_fixes_the_tokens_whatever_runs_beside(sampler: OpenSampler, base: Checkpoint) -> None:
    decoding = Sampling(n=2, temperature=1.0, max_tokens=10)
    together = traces(sampler, base, decoding)
    alone = traces(sampler, base, decoding, PROBLEMS[5:6])
    assert all(together[name].output_token_ids == trace.output_token_ids for name, trace in alone.items())
    assert len({trace.output_token_ids for trace in together.values()}) > 12


def test_weights_are_reloaded_in_place(sampler: OpenSampler, base: Checkpoint, other: Checkpoint) -> None:
    greedy = Sampling(n=1, temperature=0.0, max_tokens=12)
    before = traces(sampler, base, greedy)
    switched = traces(sampler, other, greedy)
    again = traces(sampler, base, greedy)
    assert {name: trace.output_token_ids for name, trace in again.items()} == {name: trace.output_token_ids for name, trace in before.items()}
    assert all(trace.checkpoint_id == "other" for trace in switched.values())


def test_a_model_of_fewer_layers_gets_an_engine_of_its_own(sampler: OpenSampler, tmp_path: Path) -> None:
    # Reloaded in place, it would keep the layers that it does not have from the model before. In the weights of a fresh model layers hardly count.
    from safetensors.torch import load_file, save_file
    from tiny_model import make_tiny_model

    folder = make_tiny_model(tmp_path / "deep", seed=2, layers=4)
    weights = load_file(folder / "model.safetensors")
    weights = {name: 20 * tensor if ".layers." in name and "norm" not in name else tensor for name, tensor in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    deep, student = describe_folder(folder, "deep"), describe_folder(drop_layers(folder, 2, tmp_path / "student"), "student")
    greedy = Sampling(n=1, temperature=0.0, max_tokens=12)
    before, deeper, after = (
        {name: trace.output_token_ids for name, trace in traces(sampler, model, greedy).items()} for model in (student, deep, student)
    )
    assert before == after
    assert all(before[name] != ids for name, ids in deeper.items())


def test_a_problem_that_does_not_fit_is_named_and_the_engine_continues(sampler: OpenSampler, base: Checkpoint) -> None:
    long = Problem("endless", "word " * 300, "1", "test")
    with pytest.raises(UserError, match=r"problem endless does not fit: a prompt of \d+ tokens and an output of up to 10 exceed the context of 256"):
        traces(sampler, base, Sampling(n=1, max_tokens=10), [*PROBLEMS[:3], long])
    assert len(traces(sampler, base, Sampling(n=1, max_tokens=10))) == 12


def test_extra_reaches_the_engine_untouched(sampler: OpenSampler, base: Checkpoint) -> None:
    greedy = traces(sampler, base, Sampling(n=1, temperature=0.0, max_tokens=16))
    likeliest = traces(sampler, base, Sampling(n=1, temperature=1.0, max_tokens=16, extra={"top_k": 1, "min_p": 0}))
    drawn = traces(sampler, base, Sampling(n=1, temperature=1.0, max_tokens=16))
    assert {name: one.output_token_ids for name, one in likeliest.items()} == {name: one.output_token_ids for name, one in greedy.items()}
    assert {name: one.output_token_ids for name, one in drawn.items()} != {name: one.output_token_ids for name, one in greedy.items()}


def test_a_trace_ends_before_its_stop_string_in_text_and_tokens(sampler: OpenSampler, base: Checkpoint) -> None:
    from transformers import AutoTokenizer

    whole = traces(sampler, base, Sampling(n=1, temperature=1.0, max_tokens=24), PROBLEMS[:1])["p-0/g1/s0"]
    read = AutoTokenizer.from_pretrained(base.path)
    for begin, kept in ((3, {}), (5, {}), (4, {"include_stop_str_in_output": True})):
        stop = whole.text[begin : begin + 2]
        (stopped,) = traces(sampler, base, Sampling(n=1, temperature=1.0, max_tokens=24, extra={"stop": [stop], **kept}), PROBLEMS[:1]).values()
        assert stopped.finish_reason == "stop" and (stop in stopped.text) == bool(kept)
        assert whole.text.startswith(stopped.text if kept else stopped.text + stop)
        ids = stopped.output_token_ids
        assert ids == whole.output_token_ids[: len(ids)] and 0 < len(ids) < 24
        # The last token is the first that completes the text.
        assert read.decode(ids).startswith(stopped.text) and not read.decode(ids[:-1]).startswith(stopped.text)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [({"topk": 20}, "Unexpected keyword argument 'topk'"), ({"top_k": -3}, "top_k must be 0 .disable., or at least 1, got -3")],
)
def test_unknown_extra_is_refused_in_one_line_and_the_engine_continues(
    sampler: OpenSampler, base: Checkpoint, extra: dict[str, object], reason: str
) -> None:
    with pytest.raises(UserError, match=rf"vLLM does not accept Sampling\(extra=.*\): {reason}.*see vllm.SamplingParams for its keys") as error:
        traces(sampler, base, Sampling(n=1, max_tokens=4, extra=extra))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=reason):
        require_known(extra)
    assert len(traces(sampler, base, Sampling(n=1, max_tokens=4))) == 12


# Tests after this one start engines of their own: it closes the one that the others share.
def test_reloaded_weights_sample_like_a_fresh_engine(sampler: OpenSampler, base: Checkpoint, other: Checkpoint) -> None:
    # The tied output head is what an engine on the CPU may leave behind. Last in this file: an engine that closes takes the process's groups with it.
    greedy = Sampling(n=1, temperature=0.0, max_tokens=12)
    traces(sampler, base, greedy)
    reloaded = traces(sampler, other, greedy)
    sampler.close()
    fresh = VLLM(engine=ENGINE).open()
    try:
        expected = traces(fresh, other, greedy)
    finally:
        fresh.close()
    assert {name: trace.output_token_ids for name, trace in reloaded.items()} == {name: trace.output_token_ids for name, trace in expected.items()}


def test_without_a_choice_the_context_is_what_the_cache_holds(base: Checkpoint) -> None:
    # 2 layers · 2 · 32 · 2 bytes are 256 bytes per token: the cache holds 224 of the model's 512.
    opened = VLLM(engine={"dtype": "bfloat16", "kv_cache_memory_bytes": 256 * 256, "max_num_seqs": 4}).open()
    try:
        assert len(traces(opened, base, Sampling(n=1, max_tokens=150), PROBLEMS[:2])) == 2
        with pytest.raises(UserError, match="exceed the context of 224"):
            traces(opened, base, Sampling(n=1, max_tokens=224), PROBLEMS[:1])
    finally:
        opened.close()
