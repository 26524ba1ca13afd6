"""The cost of a generation as samplers, trace length and model size grow: a small cost model, fitted where measurement was possible.

`python -m benchmarks.scaling RUN_DIR` prints the tables of scaling.md. What is not measured in `Hardware` comes from a data sheet or is assumed.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfimprove.sampling.open_vllm import GATHER_SECONDS
from selfimprove.sampling.stream import SHARES
from selfimprove.storage.run_folder import RunFolder

BUSY = {8: 0.954, 64: 0.946, 512: 0.940}
"""Share of slots busy by number of samplers, from the simulation (`python -m benchmarks.simulated_actors --actors N`)."""


@dataclass(frozen=True)
class Model:
    """The properties of a model that determine its cost."""

    name: str
    parameters: float
    cache: float
    """Bytes of keys and values per context token, in bfloat16."""

    @property
    def weights(self) -> float:
        """Bytes of the weights, in bfloat16."""
        return 2 * self.parameters


# Layers × key-value heads × head size × keys and values × bytes.
MODELS = (
    Model("1.5B", 1.5e9, 28 * 2 * 128 * 2 * 2),
    Model("7B", 7.6e9, 28 * 4 * 128 * 2 * 2),
    Model("32B", 32.5e9, 64 * 8 * 128 * 2 * 2),
)
"""Models with the shapes of Qwen2.5."""


@dataclass(frozen=True)
class Hardware:
    """One GPU, its links and storage. Measured where it says so, on one H200 on 2026-11-27 (docs/how-to/one_gpu.md)."""

    flops: float = 790e12
    """Dense bfloat16 FLOP/s of a matrix product: measured."""
    bandwidth: float = 4.8e12
    """Memory bandwidth in bytes per second: data sheet."""
    memory: float = 141e9
    """Bytes of memory: data sheet."""
    decoding: float = 0.6
    """Share of the bandwidth that decoding reaches: assumed."""
    step: float = 0.035
    """Seconds that a decoding step of 256 sequences takes at least, whatever the model: measured with a model of 135M."""
    training: float = 0.29
    """Share of the FLOP/s that training reaches: measured with a model of 1.5B and rows of up to 2,048 tokens."""
    disk: float = 5e9
    """Bytes per second of the shared file system, all readers together: assumed."""
    load: float = 5e9
    """Bytes per second from the page cache into one GPU: assumed."""
    node: int = 8
    """GPUs of one machine, the most that one training run can use."""
    between: float = 300e9
    """Bytes per second from GPU to GPU within a machine: assumed."""


@dataclass(frozen=True)
class Driver:
    """Work of the single driver process for every trace, measured on the two cores of RESULTS.md; only hashing is assumed."""

    hand_over: float = 0.00045
    """Seconds to take a batch of traces from an actor (`python -m benchmarks.handing_over`)."""
    ask: float = 0.00024
    """Seconds per trace in a question to another actor, such as the verifier's (`python -m benchmarks.handing_over`)."""
    save: float = 0.0001
    """Seconds to save a trace (`python -m benchmarks.verifying`)."""
    verdict: float = 0.005
    """Core seconds per mathematical verdict; `results.json` has the measured value (`python -m benchmarks.verifying`)."""
    hashing: float = 0.4e9
    """Bytes hashed per second when a checkpoint is described: assumed."""


@dataclass(frozen=True)
class Job:
    """One generation."""

    traces: float = 1e6
    prompt: float = 200
    """Tokens of a prompt."""
    output: float = 2000
    """Mean tokens of a trace."""
    rows: float = 100_000
    """Traces to train on."""
    epochs: float = 1
    batch: int = 256
    """Rows per optimizer step."""
    sequences: int = 256
    """Maximum number of concurrent sequences in each engine, if its memory holds them."""
    verifying_cores: int = 32


@dataclass(frozen=True)
class Cost:
    """Seconds of one generation."""

    sample: float
    """Sampling on the GPUs, idle slots included."""
    drive: float
    """Driver work: taking traces, asking for verdicts and saving; runs during sampling."""
    verify: float
    """Verifying, during sampling, by all copies of the verifier."""
    train: float
    """Training on the GPUs of one machine, including the exchange of gradients and weights between them."""
    move: float
    """Moving weights from the trainer into every sampler."""
    trainer_memory: float
    """Bytes of weights, gradients and optimizer state on each training GPU, sharded by FSDP2; without activations (`python -m benchmarks.memory`)."""

    @property
    def collect(self) -> float:
        """Sampling, the driver's work and verifying run side by side; the slowest decides."""
        return max(self.sample, self.drive, self.verify)

    @property
    def total(self) -> float:
        """Stages run one after another."""
        return self.collect + self.train + self.move


def decoding_rate(model: Model, job: Job, hardware: Hardware) -> float:
    """Return tokens per second of one engine.

    A step reads the weights once and every sequence's keys and values, or computes, or takes its time for each sequence, whichever is slowest.

    The roofline of decoding (Pope et al. 2023, "Efficiently Scaling Transformer Inference").
    """
    context = job.prompt + job.output / 2
    room = (0.9 * hardware.memory - model.weights) / (context * model.cache)
    batch = max(1.0, min(job.sequences, room))
    reading = (model.weights + batch * context * model.cache) / (hardware.bandwidth * hardware.decoding)
    computing = 2 * model.parameters * batch / (hardware.flops * hardware.training)
    return batch / max(reading, computing, hardware.step * batch / 256)


def cost(model: Model, job: Job, gpus: int, busy: float, hardware: Hardware, driver: Driver) -> Cost:
    """Return the cost of a generation with `gpus` samplers of one GPU each."""
    tokens = job.traces * job.output
    sample = tokens / (gpus * decoding_rate(model, job, hardware)) / busy
    # A call hands over all traces finished within a fifth of a second; if that is less than one, each goes alone.
    calls = gpus * SHARES
    together = max(1.0, GATHER_SECONDS * job.traces / sample / calls)
    steps, trained = math.ceil(job.rows * job.epochs / job.batch), job.rows * (job.prompt + job.output) * job.epochs
    return Cost(
        sample=sample,
        drive=job.traces * (driver.hand_over / together + driver.ask + driver.save),
        # Traces that wait are asked about together: the fixed cost of a question does not count, only that of a trace.
        verify=job.traces * driver.verdict / job.verifying_cores,
        train=6 * model.parameters * trained / (hardware.node * hardware.flops * hardware.training) + steps * 2 * model.weights / hardware.between,
        move=model.weights / driver.hashing + max(model.weights / hardware.load, gpus / hardware.node * model.weights / hardware.disk),
        trainer_memory=model.parameters * 16 / hardware.node,
    )


def line_through(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return seconds at zero and seconds per unit, by least squares."""
    import numpy

    amounts, seconds = numpy.array(points).T
    slope, start = numpy.polyfit(amounts, seconds, 1)
    return float(start), float(slope)


def fitted(run: Path) -> str:
    """Return a table of a run's seconds beside those on its own line, which shows that cost grows with tokens."""
    reports = [report for report in RunFolder(run).reports() if "train" in report.seconds]
    rows = ["| stage | seconds at zero tokens | tokens/s above that | seconds measured | seconds on the line |", "|---|---|---|---|---|"]
    for stage in ("sample", "train"):
        points = [(float(report.tokens[stage]), report.seconds[stage]) for report in reports]
        start, slope = line_through(points)
        took = ", ".join(f"{seconds:.0f}" for _, seconds in points)
        rows.append(f"| {stage} | {start:.0f} | {1 / slope:,.0f} | {took} | {', '.join(f'{start + slope * tokens:.0f}' for tokens, _ in points)} |")
    return "\n".join(rows)


def predicted(cases: Mapping[str, tuple[Model, Job, int]], hardware: Hardware, driver: Driver) -> str:
    """Return a table of predictions."""
    rows = [
        f"| PREDICTED, minutes | sample | driver | verify | train on {hardware.node} GPUs | move weights | total | GB per training GPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (model, job, gpus) in cases.items():
        one = cost(model, job, gpus, BUSY[gpus], hardware, driver)
        told = [one.sample, one.drive, one.verify, one.train, one.move, one.total]
        memory = f"{one.trainer_memory / 1e9:,.0f}{'' if one.trainer_memory < hardware.memory else ', too much'}"
        rows.append(f"| {name} | " + " | ".join(f"{seconds / 60:,.1f}" for seconds in told) + f" | {memory} |")
    return "\n".join(rows)


def measured_driver(file: Path) -> Driver:
    """Return the driver's costs, with measured values from `results.json` in place of defaults."""
    driver = Driver()
    if not file.exists():
        return driver
    figures = [one for each in json.loads(file.read_text()).values() for one in each["figures"]]
    verdicts = [one["measured"] for one in figures if one["name"] == "mathematical verdicts/s, LaTeX, eight samples per problem"]
    return replace(driver, verdict=2 / verdicts[0]) if verdicts else driver


def main() -> None:
    """Print the fit and the predictions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path, nargs="?", help="run folder to fit the stages of")
    chosen = parser.parse_args()
    driver, hardware, small, middle, big = measured_driver(Path(__file__).with_name("results.json")), Hardware(), *MODELS
    if chosen.run:
        print(fitted(chosen.run), end="\n\n")
    print(f"{driver}\n{hardware}\n")
    print(predicted({f"{gpus} samplers, 7B, 2,000 tokens": (middle, Job(), gpus) for gpus in BUSY}, hardware, driver), end="\n\n")
    lengths = {f"{tokens:,} tokens, 64 samplers, 7B": (middle, Job(output=tokens), 64) for tokens in (500, 2_000, 8_000, 32_000)}
    print(predicted(lengths, hardware, driver), end="\n\n")
    print(predicted({f"{model.name}, 64 samplers, 2,000 tokens": (model, Job(), 64) for model in (small, middle, big)}, hardware, driver))


if __name__ == "__main__":
    main()
