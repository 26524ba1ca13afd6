"""Sampled tokens per second in the loop (Ray actor, verification, shards on disk) and with bare `LLM.generate`, on the same requests."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, figure, hand_on
from benchmarks.machine import describe_machine
from selfimprove import RayCluster
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.records import Checkpoint, Problem
from selfimprove.sampling.engine_options import engine_defaults
from selfimprove.sampling.sampling import requests_for
from selfimprove.sampling.stream import stream_traces
from selfimprove.sampling.vllm_engine import ENVIRONMENT
from selfimprove.storage.shards import JudgedShards
from selfimprove.verification.stream import stream_verdicts
from selfimprove.workflow.files import load_workflow
from selfimprove.workflow.workflow import Workflow

REPEATS = 3
PROBLEMS = 150


def in_the_loop(workflow: Workflow, checkpoint: Checkpoint, problems: list[Problem], requests: list[Any], cluster: RayCluster) -> tuple[int, float]:
    """Return tokens and seconds of the stage, run as in a real run."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        shards = JudgedShards(Path(folder), requests)
        tokens = 0
        for judged in stream_verdicts(workflow.verifiers, problems, stream_traces(workflow.sampler, checkpoint, [requests], cluster), cluster):
            shards.add(judged)
            tokens += sum(len(item.trace.output_token_ids) for item in judged)
        return tokens, time.monotonic() - start


def bare(engine: Any, requests: list[Any]) -> tuple[int, float]:
    """Return tokens and seconds of one call to `LLM.generate`."""
    from vllm import SamplingParams, TokensPrompt

    tokenizer = engine.get_tokenizer()
    start = time.monotonic()
    prompts = [
        TokensPrompt(prompt_token_ids=tokenizer.apply_chat_template(list(request.messages), add_generation_prompt=True, return_dict=False))
        for request in requests
    ]
    parameters = [
        SamplingParams(temperature=request.temperature, top_p=request.top_p, max_tokens=request.max_tokens, seed=request.seed, **request.extra)
        for request in requests
    ]
    outputs = engine.generate(prompts, parameters, use_tqdm=False)
    return sum(len(output.outputs[0].token_ids) for output in outputs), time.monotonic() - start


def main(model: str = "smollm2-135m-instruct", length: str = "", count: str = str(PROBLEMS)) -> list[Figure]:
    """Measure both alternately; print them and their ratio. With `length`, every output has that many tokens; `count` is the number of problems."""
    os.environ.update(ENVIRONMENT)
    # The actor's setting; must be set before vLLM and torch are imported.
    os.environ["OMP_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    workflow, _ = load_workflow(Path("workflows/quickstart.py"))
    workflow = replace(workflow, base_model=model)
    if length:
        engine_options = {**getattr(workflow.sampler, "engine", {}), "max_model_len": 512 + int(length)}
        sampling = replace(workflow.sampling, max_tokens=int(length), extra={"ignore_eos": True})
        workflow = replace(workflow, sampling=sampling, sampler=replace(workflow.sampler, engine=engine_options))  # type: ignore[type-var]
    checkpoint = describe_folder(resolve_model(workflow.base_model), "base")
    problems = list(workflow.problems.load())[: int(count)]
    assert workflow.first_prompter is not None
    requests = requests_for(problems, workflow.first_prompter, workflow.sampling, "bench")

    from vllm import LLM

    chosen: dict[str, Any] = getattr(workflow.sampler, "engine", {})
    engine = LLM(**(engine_defaults(Path(checkpoint.path), chosen) | chosen))
    with RayCluster() as cluster:
        warm = requests[:32]
        in_the_loop(workflow, checkpoint, problems, warm, cluster)
        bare(engine, warm)
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(REPEATS):
            # Between repeats the prefix cache must carry over nothing but the shared exemplars, which both sides have.
            for rates, (tokens, seconds) in (
                (ours, in_the_loop(workflow, checkpoint, problems, requests, cluster)),
                (theirs, bare(engine, requests)),
            ):
                rates.append(tokens / seconds)
    print(describe_machine())
    print(f"sampling, {len(requests)} requests of {model}, {REPEATS} repeats, interleaved:")
    for name, rates in (("in the loop", ours), ("bare LLM.generate", theirs)):
        print(f"  {name:18} {statistics.median(rates):6.0f} tokens/s (median; {min(rates):.0f} to {max(rates):.0f})")
    # Ratios turn by turn, because the load of the machine changes between turns.
    ratios = [mine / bare for mine, bare in zip(ours, theirs, strict=True)]
    print(f"  ratio {statistics.median(ratios):.2f} (target: 0.98 or more)")
    asked = f"{len(requests)} requests" + (f" of {length} tokens" if length else "")
    note = f"{asked}; {statistics.median(ours):.0f} and {statistics.median(theirs):.0f} tokens/s"
    command = " ".join(["python -m benchmarks.sampling", *([model, length, count] if length else [])])
    return [figure("sampled tokens/s in the loop ÷ bare `LLM.generate`", "≥ 0.98", ratios, command, note=note)]


if __name__ == "__main__":
    hand_on(main(*sys.argv[1:4]))
