"""Verdicts per second of the mathematical verifier, and the cost per trace of verifying, saving and allocating relative to sampling.

`distinct` are LaTeX answers without repeats, half of them wrong: fractions, roots, multiples of π, pairs, polynomials, decimals. `sampled`
are eight answers per problem, as in a round: half of them right, the others one of three wrong ones. `plain` are whole numbers, as in
most data sets of word problems. The costs per trace are those of the stage as a run performs it, with nothing else running.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, figure, hand_on
from benchmarks.machine import describe_machine
from selfimprove import ExpectedGain, InlineCluster, Mathematical, PlainQuestion, RayCluster, ReasoningGymScorer, Resources, Sampling
from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem, Trace, Tries
from selfimprove.sampling.sampling import requests_for
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import JudgedShards
from selfimprove.verification.pool import VerifierPool
from selfimprove.verification.stream import stream_verdicts

Pair = tuple[Problem, str]
SAMPLES = 8
QUICKSTART_SECONDS = 130 / 2250
"""Sampling seconds per trace: generation 1 of the quickstart, from the README. `--run` reads them from a run."""

FORMS: tuple[tuple[Callable[[int, int, int], str], Callable[[int, int, int], str]], ...] = (
    (lambda a, b, c: rf"\frac{{{a}}}{{{b}}}", lambda a, b, c: rf"$\frac{{{a}}}{{{b}}}$"),
    (lambda a, b, c: rf"{a}\sqrt{{{b}}}", lambda a, b, c: rf"\boxed{{{a}\sqrt{{{b}}}}}"),
    (lambda a, b, c: rf"\frac{{{a}\pi}}{{{b}}}", lambda a, b, c: rf"The area is $\frac{{{a}\pi}}{{{b}}}$."),
    (lambda a, b, c: f"({a}, {b})", lambda a, b, c: f"$({a},{b})$"),
    (lambda a, b, c: f"{a}x^2+{b}x-{c}", lambda a, b, c: f"${b}x+{a}x^2-{c}$"),
    (lambda a, b, c: f"{a}.{b}", lambda a, b, c: f"{a}.{b}0"),
    (lambda a, b, c: rf"\frac{{{a}}}{{{b}}}", lambda a, b, c: rf"\frac{{{a}}}{{{b}}}"),
)
"""Functions that make a reference answer and an answer from three numbers."""


def distinct(count: int, seed: int) -> list[tuple[Pair, bool]]:
    """Return LaTeX answers, and whether each is right."""
    chance, pairs = random.Random(seed), []
    for number in range(count):
        reference, answer = FORMS[number % len(FORMS)]
        a, b, c = (chance.randint(2, 9_999) for _ in range(3))
        right = chance.random() < 0.5
        problem = Problem(f"{seed}-{number}", "", reference(a, b, c), "benchmark")
        pairs.append(((problem, answer(a if right else a + 1, b, c)), right))
    return pairs


def sampled(count: int, seed: int) -> list[tuple[Pair, bool]]:
    """Return LaTeX answers, eight per problem, and whether each is right."""
    chance, pairs = random.Random(seed), []
    for number in range(count // SAMPLES):
        reference, answer = FORMS[number % len(FORMS)]
        a, b, c = (chance.randint(2, 9_999) for _ in range(3))
        problem = Problem(f"{seed}-{number}", "", reference(a, b, c), "benchmark")
        for _ in range(SAMPLES):
            right = chance.random() < 0.5
            pairs.append(((problem, answer(a if right else a + chance.randint(1, 3), b, c)), right))
    return pairs


def plain(count: int, seed: int) -> list[tuple[Pair, bool]]:
    """Return whole numbers, and whether each is right."""
    chance, pairs = random.Random(seed), []
    for number in range(count):
        value, right = chance.randint(-(10**6), 10**6), chance.random() < 0.5
        pairs.append(((Problem(f"{seed}-{number}", "", str(value), "benchmark"), str(value if right else value + 1)), right))
    return pairs


def rates(make: Callable[[int, int], list[tuple[Pair, bool]]], count: int, repeats: int) -> list[float]:
    """Return verdicts per second of a warm pool of two processes. Raises RuntimeError if a verdict is not the expected one."""
    pool = VerifierPool(Mathematical(), processes=2).open()
    found = []
    for repeat in range(repeats + 1):
        pairs = make(count if repeat else max(64, count // 8), repeat)
        begin = time.perf_counter()
        outcomes = pool.verify_answers([pair for pair, _ in pairs])
        found.append(len(pairs) / (time.perf_counter() - begin))
        for ((problem, answer), right), outcome in zip(pairs, outcomes, strict=True):
            if (outcome is Outcome.CORRECT) != right:
                raise RuntimeError(f"{answer!r} for {problem.answer!r} is {outcome}")
    pool.close()
    # The first repeat starts the processes.
    return found[1:]


def costs(traces: int) -> dict[str, float]:
    """Return the seconds per trace of the loop's work other than sampling, on answers like the quickstart's."""
    from selfimprove import ReasoningGym

    source = ReasoningGym(task="chain_sum", size=traces // 4, seed=1, settings={"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1})
    problems = list(source.load())
    asked = requests_for(problems, PlainQuestion(), Sampling(n=4), "g1")
    texts = {problem.id: f"<think>\n{problem.question}\nI add them one by one.\n</think>\n{problem.answer}" for problem in problems}
    ids = tuple(range(1000, 1034))
    written = [Trace(one.id, one.problem_id, "m", ids * 2, ids, texts[one.problem_id], (), "stop", 0.6, one.seed) for one in asked]
    # As from an engine: a few at a time.
    batches = [written[start : start + 4] for start in range(0, len(written), 4)]
    taken: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        cluster = InlineCluster()
        list(stream_verdicts(VerifierPool(ReasoningGymScorer()), problems, batches[:8], cluster))
        begin = time.perf_counter()
        judged = list(stream_verdicts(VerifierPool(ReasoningGymScorer()), problems, batches, cluster))
        taken["verify"] = time.perf_counter() - begin
        cluster.close()
        shards = JudgedShards(Path(folder), asked)
        begin = time.perf_counter()
        for batch in judged:
            shards.add(batch)
        taken["save"] = time.perf_counter() - begin
    tries = [Tries(problem.id, asked=4, judged=2, accepted=1, distinct=1, tokens=68) for problem in problems]
    allocator = ExpectedGain()
    begin = time.perf_counter()
    waves = 0
    while (time.perf_counter() - begin) < 1.0:
        allotted = allocator.allot(tries, 8)
        waves += sum(allotted or ())
    taken["allocate"] = (time.perf_counter() - begin) / max(1, waves) * len(written)
    return {name: seconds / len(written) for name, seconds in taken.items()}


@dataclass(frozen=True)
class Slow(Verifier):
    """Exact, after 20 ms, as one that runs code or asks a server."""

    name = "slow"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        time.sleep(0.02)
        return Outcome.CORRECT if answer == problem.answer else Outcome.WRONG


def rates_of_copies(traces: int, repeats: int) -> dict[int, list[float]]:
    """Return verdicts per second of one and two copies of a slow verifier in Ray actors, each with one process."""
    problems = [Problem(f"p{n}", "", str(n), "benchmark") for n in range(traces)]
    written = [Trace(f"t{n}", f"p{n}", "m", (), (), f"<think>a</think>{n}", (), "stop", 0.0, 0) for n in range(traces)]
    batches = [written[start : start + 20] for start in range(0, traces, 20)]
    found: dict[int, list[float]] = {1: [], 2: []}
    with RayCluster() as cluster:
        for copies, rates in found.items():
            pool = VerifierPool(Slow(), processes=1, resources=Resources(copies=copies, cpus=0, gpus=0))
            # Several batches, so that every copy has started.
            list(stream_verdicts(pool, problems, batches[: 2 * copies], cluster))
            for _ in range(repeats):
                begin = time.perf_counter()
                judged = sum(map(len, stream_verdicts(pool, problems, batches, cluster)))
                rates.append(judged / (time.perf_counter() - begin))
                if judged != traces:
                    raise RuntimeError(f"{judged} verdicts on {traces} traces")
    return found


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    """Print rates and costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--answers", type=int, default=4000)
    parser.add_argument("--traces", type=int, default=2048)
    parser.add_argument("--copied", type=int, default=400, help="traces for the copies of a slow verifier")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--run", type=Path, help="run folder whose sampling seconds the costs are compared with")
    chosen = parser.parse_args(arguments)
    print(describe_machine())
    figures = []
    kinds = {
        "distinct LaTeX": (distinct, chosen.answers),
        "LaTeX, eight samples per problem": (sampled, 4 * chosen.answers),
        "plain numbers": (plain, 5 * chosen.answers),
    }
    for name, (make, count) in kinds.items():
        found = rates(make, count, chosen.repeats)
        print(f"  {name}: {', '.join(f'{rate:,.0f}' for rate in found)} verdicts/s (target: 2,000 or more)")
        figures.append(figure(f"mathematical verdicts/s, {name}", "≥ 2,000", found, "python -m benchmarks.verifying", "1/s", "two processes"))
    sampling = seconds_of_sampling(chosen.run) if chosen.run else QUICKSTART_SECONDS
    shares = []
    for _ in range(chosen.repeats):
        taken = costs(chosen.traces)
        shares.append(sum(taken.values()) / sampling)
        print("  per trace: " + ", ".join(f"{name} {1e3 * one:.3f} ms" for name, one in taken.items()) + f"; sampling {1e3 * sampling:.1f} ms")
    of = rates_of_copies(chosen.copied, chosen.repeats)
    for copies, one in of.items():
        print(f"  slow verifier, copies: {copies}: {', '.join(f'{rate:,.1f}' for rate in one)} verdicts/s")
    ratios = [two / one for one, two in zip(of[1], of[2], strict=True)]
    figures.append(
        figure("verdicts/s, two copies ÷ one", "≥ 1.8", ratios, "python -m benchmarks.verifying", note="20 ms a verdict, one process a copy")
    )
    note = f"sampling {1e3 * sampling:.1f} ms per trace"
    return [*figures, figure("verify, save and allocate ÷ sampling", "≤ 0.01", shares, "python -m benchmarks.verifying", note=note)]


def seconds_of_sampling(run: Path) -> float:
    """Return sampling seconds per trace over all generations of a run."""
    reports = [report for report in RunFolder(run).reports() if "sample" in report.seconds]
    return sum(report.seconds["sample"] for report in reports) / sum(report.counts.sampled for report in reports)


if __name__ == "__main__":
    hand_on(main())
