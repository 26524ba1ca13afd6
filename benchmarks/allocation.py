"""Accepted distinct traces per 1,000 sampled tokens at equal coverage: an allocator against fixed k, replayed on one pool of real traces.

The pool holds many traces of each problem, from the quickstart's first generation or from your own checkpoint; missing traces are sampled.
A replay hands out its traces in a seeded order as the allocator asks for them, with one wave always in flight, as in a run. Coverage is the share of
problems with an accepted trace. Both are compared at the point where the allocator first reaches the coverage of fixed k.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.figures import Figure, figure, hand_on
from benchmarks.machine import describe_machine
from selfimprove import ExpectedGain, RayCluster, Workflow
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.protocols import Allocator
from selfimprove.records import Tries
from selfimprove.sampling.allocation import FixedK, fit_beta
from selfimprove.sampling.sampling import requests_for
from selfimprove.sampling.stream import stream_traces
from selfimprove.stages.annotate import annotate
from selfimprove.storage.shards import JudgedShards
from selfimprove.verification.stream import stream_verdicts
from selfimprove.workflow.files import load_workflow

FIXED = (3, 4, 8, 16)
EARLIER = 3
"""Samples of an earlier generation, if the allocator may know one."""


@dataclass(frozen=True)
class Draw:
    """One trace in the pool."""

    tokens: int
    text: str | None
    """Text; None if it was not accepted."""


Pool = Mapping[str, Sequence[Draw]]


@dataclass(frozen=True)
class Yield:
    """Yield of the traces so far."""

    tokens: int
    solved: int
    """Problems with an accepted trace."""
    distinct: int

    @property
    def rate(self) -> float:
        return 1000 * self.distinct / self.tokens


def make_pool(workflow: Workflow, model: str, folder: Path, problems: int, samples: int) -> Pool:
    """Return the pool in this folder; sample what is missing."""
    chosen, place = list(workflow.problems.load())[:problems], Path(model)
    checkpoint = describe_folder(place if place.is_dir() else resolve_model(model), "base")
    # A base model needs exemplars to think at all.
    prompter = workflow.prompter if place.is_dir() else workflow.first_prompter or workflow.prompter
    requests = requests_for(chosen, prompter, replace(workflow.sampling, n=samples), "pool", workflow.seed)
    shards = JudgedShards(folder / f"{checkpoint.weights_hash[:12]}-{problems}x{samples}", requests)
    if missing := shards.missing():
        with closing(RayCluster()) as cluster:
            for judged in stream_verdicts(workflow.verifiers, chosen, stream_traces(workflow.sampler, checkpoint, [missing], cluster), cluster):
                shards.add(judged)
    prompts = {problem.id: workflow.prompter.messages(problem) for problem in chosen}
    accepted = {row.trace_id: row.completion for row in workflow.selector.select(annotate(shards.read(), {}), prompts, 1).accepted}
    pool: dict[str, list[Draw]] = {problem.id: [] for problem in chosen}
    for trace in (item.trace for item in shards.read()):
        pool[trace.problem_id].append(Draw(trace.output_tokens, accepted.get(trace.id)))
    return pool


def replay(allocator: Allocator, pool: Pool, n: int, rates: Mapping[str, float], cap: int) -> Iterator[Yield]:
    """Give the yield after every wave; at most `cap` traces of a problem count, because selection would keep no more."""
    tries = {name: Tries(name, rates.get(name)) for name in pool}
    texts: dict[str, set[str]] = {name: set() for name in pool}
    tokens, flying = 0, dict.fromkeys(pool, 0)
    while (allotted := allocator.allot(list(tries.values()), n)) is not None:
        for name in [name for name, number in flying.items() if number]:
            tries[name] = judged(tries[name], pool[name][: tries[name].asked])
        if not any(allotted) and not any(flying.values()):
            return
        flying = dict(zip(pool, allotted, strict=True))
        for name, more in flying.items():
            begin = tries[name].asked
            tries[name] = replace(tries[name], asked=begin + more)
            tokens += sum(draw.tokens for draw in pool[name][begin : begin + more])
            texts[name].update(draw.text for draw in pool[name][begin : begin + more] if draw.text is not None)
        yield Yield(tokens, sum(map(bool, texts.values())), sum(min(len(found), cap) for found in texts.values()))


def judged(one: Tries, draws: Sequence[Draw]) -> Tries:
    texts = [draw.text for draw in draws if draw.text is not None]
    return replace(one, judged=len(draws), accepted=len(texts), distinct=len(set(texts)), tokens=sum(draw.tokens for draw in draws))


def shuffled(pool: Pool, seed: int) -> tuple[Pool, dict[str, float]]:
    """Return the pool shuffled, and the solve rates predicted from `EARLIER` samples taken out of it as an earlier generation."""
    chance = random.Random(seed)
    orders = {name: chance.sample(pool[name], len(pool[name])) for name in chance.sample(list(pool), len(pool))}
    right = {name: sum(draw.text is not None for draw in draws[:EARLIER]) for name, draws in orders.items()}
    alpha, beta = fit_beta((count, EARLIER) for count in right.values())
    rates = {name: (alpha + count) / (alpha + beta + EARLIER) for name, count in right.items()}
    return {name: draws[EARLIER:] for name, draws in orders.items()}, rates


def compare(pool: Pool, fixed: int, allocator: ExpectedGain, seeds: int, known: bool) -> tuple[list[Yield], list[Yield | None]]:
    """Return, for every seed, fixed k and the allocator where it first covers as much, or None if it never does."""
    ours: list[Yield | None] = []
    theirs: list[Yield] = []
    for seed in range(seeds):
        drawn, rates = shuffled(pool, seed)
        depth = min(map(len, drawn.values()))
        theirs += replay(FixedK(), drawn, fixed, {}, allocator.cap)
        waves = replay(replace(allocator, most=depth), drawn, depth, rates if known else {}, allocator.cap)
        ours.append(next((found for found in waves if found.solved >= theirs[-1].solved), None))
    return theirs, ours


def ratios(theirs: Sequence[Yield], ours: Sequence[Yield | None]) -> list[float]:
    """Return the ratio of the allocator's rate to that of fixed k, sorted, for the seeds that can be compared."""
    return sorted(other.rate / one.rate for one, other in zip(theirs, ours, strict=True) if other and one.distinct)


def describe(pool: Pool, fixed: int, theirs: Sequence[Yield], ours: Sequence[Yield | None]) -> str:
    """Return one line of the table."""
    both = [(one, other) for one, other in zip(theirs, ours, strict=True) if other and one.distinct]
    found_ratios = ratios(theirs, ours)
    spent = statistics.median(other.tokens / one.tokens for one, other in both) if both else float("nan")
    covered = statistics.mean(one.solved for one in theirs) / len(pool)
    missed = f"; {ours.count(None)} seeds never cover as much" if None in ours else ""
    found = f"{statistics.median(found_ratios):.2f} ({found_ratios[0]:.2f} to {found_ratios[-1]:.2f})" if found_ratios else "-"
    rate = statistics.mean(one.rate for one in theirs)
    return f"  k = {fixed:2}: coverage {covered:.2f}, fixed {rate:5.2f} per 1,000 tokens; ratio {found}, with {spent:.2f} of the tokens{missed}"


def main() -> list[Figure]:
    """Print, for every k, the yield of the allocator relative to fixed k."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", nargs="?", default="smollm2-135m-instruct", help="base model name or checkpoint folder")
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--cap", type=int, default=ExpectedGain().cap, help="maximum number of distinct traces of a problem that count")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/allocation"), help="folder for the pool")
    chosen = parser.parse_args()
    workflow, _ = load_workflow(Path("workflows/quickstart.py"))
    pool = make_pool(workflow, chosen.model, chosen.folder.absolute(), chosen.problems, chosen.samples)
    every = [draw for draws in pool.values() for draw in draws]
    accepted = sum(draw.text is not None for draw in every) / len(every)
    print(describe_machine())
    print(f"allocation, {len(pool)} problems × {chosen.samples} traces of {chosen.model}, {accepted:.3f} accepted; {chosen.seeds} seeds:")
    allocator, figures = ExpectedGain(cap=chosen.cap, wave=max(1, len(pool) // 4)), []
    for known, name in ((False, "nothing known in advance"), (True, f"solve rates of {EARLIER} earlier samples known")):
        print(f" {allocator}, {name}; median ratio (min to max), target 1.5 or more")
        for fixed in FIXED:
            theirs, ours = compare(pool, fixed, allocator, chosen.seeds, known)
            print(describe(pool, fixed, theirs, ours))
            if known and (found := ratios(theirs, ours)):
                told = f"allocation ÷ fixed k = {fixed}: accepted distinct traces per token"
                figures.append(figure(told, "≥ 1.5", found, f"python -m benchmarks.allocation {chosen.model}", note="solve rates known"))
    return figures


if __name__ == "__main__":
    hand_on(main())
