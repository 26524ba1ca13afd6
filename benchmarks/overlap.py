"""What `overlap=1` gains: how busy sampler and trainer are in turns and side by side, on simulated actors and in a run of sleeping parts.

The first table is in simulated time: the sampling of each generation is that of `benchmarks.simulated_actors`, a training takes a given multiple of
it, an evaluation has an eighth of its requests. The second table is a run with Ray on two GPUs that the cluster only claims to have: its parts sleep
in place of computing.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.figures import Figure, figure, hand_on
from benchmarks.simulated_actors import Setting, Shares, simulate
from selfimprove import AlwaysPromote, Exact, RayCluster, Sampling, Workflow, improve
from selfimprove.protocols import OpenTrainer, Sampler, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, Problem, Request, Trace, TrainingStep

RATIOS = (0.25, 0.5, 1.0, 2.0)
"""Durations of a training, as multiples of the sampling before it."""
COMMAND = "python -m benchmarks.overlap"
HEAD = """                      in turns                        overlap=1
training ÷ sampling   sampler  trainer  s/generation  sampler  trainer  s/generation  faster"""


@dataclass(frozen=True)
class Busy:
    """How busy the parts were."""

    sampler: float
    """Share of the time in which the sampler worked; in the simulation, of its slots."""
    trainer: float
    seconds: float
    """Seconds of a generation."""


def busy(samplings: Sequence[Shares], evaluations: Sequence[Shares], ratio: float, overlap: bool) -> Busy:
    """Return the shares over generations that run as `generation.py` has them."""
    trained = [ratio * one.seconds for one in samplings]
    ahead = [*(one.seconds for one in samplings[1:]), 0.0]
    beside = [max(pair) if overlap else sum(pair) for pair in zip(trained, ahead, strict=True)]
    total = samplings[0].seconds + sum(beside) + sum(one.seconds for one in evaluations)
    worked = sum(one.seconds * one.slots for one in (*samplings, *evaluations))
    return Busy(worked / total, sum(trained) / total, total / len(samplings))


def line(name: str, turns: Busy, side: Busy) -> str:
    """Return a row of a table."""
    cells = "  ".join(f"{one.sampler:7.2f}  {one.trainer:7.2f}  {one.seconds:12,.1f}" for one in (turns, side))
    return f"{name:<19}  {cells}  {turns.seconds / side.seconds:5.2f}×"


@dataclass(frozen=True)
class Sums:
    """The problems: sums."""

    size: int = 56

    def load(self) -> list[Problem]:
        return [Problem(f"sum-{n}", f"What is {n} + {n % 7}?", str(n + n % 7), "synthetic") for n in range(self.size)]


def note(log: str, what: str, begin: float) -> None:
    """Append what a part did, and when, to the log."""
    with Path(log).open("a") as file:
        file.write(json.dumps([what, begin, time.time()]) + "\n")


@dataclass(frozen=True)
class SleepingSampler(Sampler):
    """Sleep before each trace; half of the traces are right."""

    log: str = ""
    seconds: float = 0.02
    answers: tuple[tuple[str, str], ...] = tuple((problem.id, problem.answer) for problem in Sums().load())

    def open(self) -> SleepingSampler:
        return self

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        begin, known = time.time(), dict(self.answers)
        for request in requests:
            time.sleep(self.seconds)
            answer = known[request.problem_id] if random.Random(request.seed).random() < 0.5 else "-1"
            text = f"<think>\nIt is {answer}.\n</think>\n{answer}"
            yield [Trace(request.id, request.problem_id, checkpoint.id, (1,), (2, 3), text, (), "stop", 1.0, request.seed)]
        note(self.log, requests[0].id, begin)

    def rest(self, same_weights: bool = False) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class SleepingTrainer(Trainer, OpenTrainer):
    """Sleep before each step and write a model of one number."""

    log: str = ""
    seconds: float = 4.0
    steps: int = 40

    def open(self) -> SleepingTrainer:
        return self

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        begin = time.time()
        for step in range(1, self.steps + 1):
            time.sleep(self.seconds / self.steps)
            yield TrainingStep(step, self.steps, 1 / step, 1e-4, step)
        write_model(into, seed)
        note(self.log, "train", begin)


def write_model(folder: Path, number: int) -> Path:
    """Write a folder that counts as a model."""
    import numpy
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    save_file({"number": numpy.array([number % 1000])}, folder / "model.safetensors")
    return folder


def measured(folder: Path, overlap: bool, generations: int) -> Busy:
    """Return the shares of a run on two claimed GPUs, from the first generation's first trace on."""
    log = folder / f"log-{int(overlap)}"
    workflow = Workflow(
        name="sleeping",
        base_model=str(write_model(folder / "model", 0)),
        problems=Sums(),
        eval_problems=6,
        sampler=SleepingSampler(log=str(log)),
        sampling=Sampling(n=4, max_tokens=8),
        verifier=Exact(),
        trainer=SleepingTrainer(log=str(log)),
        gate=AlwaysPromote(),
        generations=generations,
        overlap=int(overlap),
    )

    def started() -> RayCluster:
        cluster = RayCluster(ship=[sys.modules[__name__]])
        # A call returns once the process is up, which is not to be measured.
        for role, part in (("sampler", workflow.sampler), ("trainer", workflow.trainer)):
            cluster.open(role, part).call("close")
        return cluster

    improve(workflow, folder / f"run-{int(overlap)}", started)
    spans = [json.loads(one) for one in log.read_text().splitlines()]
    start = min(begin for what, begin, _ in spans if "/g1/" in what)
    spans = [(what, begin, end) for what, begin, end in spans if begin >= start]
    total = max(end for _, _, end in spans) - start
    trained = sum(end - begin for what, begin, end in spans if what == "train")
    sampled = sum(end - begin for what, begin, end in spans if what != "train")
    return Busy(sampled / total, trained / total, total / generations)


def simulated(setting: Setting, generations: int) -> list[Figure]:
    """Print the first table."""
    samplings = [simulate(setting, seed) for seed in range(generations)]
    small = replace(setting, requests_per_slot=max(1, setting.requests_per_slot // 8))
    evaluations = [simulate(small, seed) for seed in range(generations)]
    print(f"{generations} generations, {setting.actors} simulated samplers with {setting.slots} slots each, one trainer:\n{HEAD}")
    faster = {}
    for ratio in RATIOS:
        turns, side = (busy(samplings, evaluations, ratio, overlap) for overlap in (False, True))
        faster[ratio] = turns.seconds / side.seconds
        print(line(f"{ratio:g}", turns, side))
    note = f"simulated time; training takes as long as sampling, {generations} generations"
    return [figure("overlap=1: speed-up of a generation", "", [faster[1.0]], COMMAND, note=note)]


def run_on_claimed_gpus(generations: int) -> list[Figure]:
    """Print the second table."""
    import ray

    ray.init(address="local", num_gpus=2, num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            turns, side = (measured(Path(scratch), overlap, generations) for overlap in (False, True))
    finally:
        ray.shutdown()
    print(f"\n{generations} generations with Ray on two claimed GPUs, parts that sleep for 4 s of sampling and 4 s of training:\n{HEAD}")
    print(line("1", turns, side))
    note = "Ray, two claimed GPUs; not measured on a GPU"
    return [figure("overlap=1 with sleeping parts: speed-up of a generation", "", [turns.seconds / side.seconds], COMMAND, note=note)]


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--generations", type=int, default=4)
    parser.add_argument("--actors", type=int, default=8)
    parser.add_argument("--slots", type=int, default=16, help="requests that an actor works on at the same time")
    parser.add_argument("--requests", type=int, default=64, help="requests per slot")
    parser.add_argument("--simulated", action="store_true", help="leave out the run with Ray")
    chosen = parser.parse_args(arguments)
    figures = simulated(Setting(chosen.actors, chosen.slots, chosen.requests), chosen.generations)
    return figures if chosen.simulated else [*figures, *run_on_claimed_gpus(chosen.generations)]


if __name__ == "__main__":
    hand_on(main())
