"""Peak memory of the driver as the number of traces grows: sampling, verifying, saving and counting with a synthetic sampler in one process.

The problems stay the same and get more samples each. Every size runs in a separate process, whose peak the kernel reports (`VmHWM`). Selection comes
later and holds only the rows that it may keep; its caps tie their number to that of the problems, not of the traces.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, figure, hand_on
from selfimprove import SFT, Exact, InlineCluster, PlainQuestion, Sampling, Workflow
from selfimprove.protocols import Sampler
from selfimprove.records import Checkpoint, Problem, Request, Trace
from selfimprove.stages.collect import sample_allocated
from selfimprove.stages.context import RunContext
from selfimprove.stages.sample import count_samples
from selfimprove.storage.run_folder import RunFolder

SIZES = (10_000, 1_000_000)
TEXT = "<think>\n{left} + {right} = {sum}. I add the second number to the first one and look at the result again.\n</think>\n{sum}"


@dataclass(frozen=True)
class Sums:
    """The problems: sums."""

    size: int

    def load(self) -> list[Problem]:
        return [Problem(f"sum-{n}", f"What is {n} + {n % 7}?", str(n + n % 7), "synthetic") for n in range(self.size)]


@dataclass(frozen=True)
class Synthetic(Sampler):
    """Write traces of `tokens` tokens at once; every third is right."""

    tokens: int = 64

    def open(self) -> Synthetic:
        return self

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        yield [self._trace(checkpoint, request) for request in requests]

    def rest(self, same_weights: bool = False) -> None: ...

    def close(self) -> None: ...

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        left = int(request.problem_id.removeprefix("sum-"))
        text = TEXT.format(left=left, right=left % 7, sum=left + left % 7 + min(request.seed % 3, 1))
        tokens = tuple((request.seed + place) % 49_152 for place in range(self.tokens))
        return Trace(request.id, request.problem_id, checkpoint.id, tokens[:20], tokens, text, (), "stop", request.temperature, request.seed)


def generation(traces: int, problems: int, folder: Path) -> None:
    """Run a generation up to selection."""
    workflow = Workflow(
        name="synthetic",
        base_model="none",
        problems=Sums(problems),
        eval_problems=1,
        sampler=Synthetic(),
        sampling=Sampling(n=traces // problems),
        verifier=Exact(),
        trainer=SFT(),
    )
    asked, cluster, model = Sums(problems).load(), InlineCluster(), Checkpoint("synthetic", "none", None, 0, "", "")
    context = RunContext(workflow=workflow, run=RunFolder(folder), cluster=cluster, base=model, problems=asked, eval_problems=())
    counted = count_samples(sample_allocated(context, model, asked, PlainQuestion(), folder / "generation-01", 1).read())
    cluster.close()
    if sum(counted.outcomes.values()) != traces or not counted.outcomes["correct"]:
        raise RuntimeError(f"{traces} traces came to {counted.outcomes}")


def measured(traces: int, problems: int) -> tuple[float, float]:
    """Return peak memory in MiB and seconds, measured in a separate process."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.driver_memory", "--only", str(traces), "--problems", str(problems)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(told.split()[-1]), time.monotonic() - begin


def peak() -> float:
    """Return the peak memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    """Print the peak of each size, and the ratio of the last to the first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--traces", type=int, nargs="+", default=SIZES, help="numbers of traces, smallest first")
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", type=int, help="measure this size in this process")
    chosen = parser.parse_args(arguments)
    if chosen.only:
        with tempfile.TemporaryDirectory() as folder:
            generation(chosen.only, chosen.problems, Path(folder))
        print(peak())
        return []
    ratios = []
    for _ in range(chosen.repeats):
        peaks = []
        for traces in chosen.traces:
            memory, seconds = measured(traces, chosen.problems)
            peaks.append(memory)
            print(f"  {traces:>9,} traces of {chosen.problems:,} problems: peak {memory:,.0f} MiB, {seconds:,.0f} s", flush=True)
        ratios.append(peaks[-1] / peaks[0])
    note = f"{chosen.traces[0]:,} to {chosen.traces[-1]:,} traces of {chosen.problems:,} problems, synthetic sampler"
    return [figure("peak memory of the driver", "≤ 1.2", ratios, "python -m benchmarks.driver_memory", note=note)]


if __name__ == "__main__":
    hand_on(main())
