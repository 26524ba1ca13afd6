"""Sums that grow by a digit in each generation, learnt without labels (Lee et al. 2025, arXiv:2502.01612), at the size of SmolLM2.

Numbers are written lowest digit first, as in that paper, and each digit after a letter for its place (index hints, Zhou et al. 2023,
arXiv:2310.16028): `k8l3 + k7l4 =` for 38 + 47.

A program writes out sums of up to three digits, and the base model learns them. The taught model then goes on alone: each generation samples sums
with one digit more, labels them by majority, and trains on the traces with that answer that have a line for each digit. No reference
answer decides there: answers are for the report alone.

`python workflows/longer_addition.py` runs it beside its control, random selection, and plots accuracy by number of digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from selfimprove import (
    SFT,
    VLLM,
    AlwaysPromote,
    Exact,
    KeepCorrect,
    KeepMajority,
    MLflow,
    RandomSelection,
    RayCluster,
    Replay,
    Round,
    Sampling,
    Teacher,
    Workflow,
    improve,
)
from selfimprove.evaluation.levels import by_level
from selfimprove.problems.addition import Addition
from selfimprove.problems.curriculum import Curriculum
from selfimprove.protocols import Cluster, Sampler
from selfimprove.records import Checkpoint, LevelScore, Request, Trace
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.exit_codes import in_one_line
from selfimprove.terminal.progress import TerminalProgress

TAUGHT, LONGEST = 3, 8
"""Digits of the longest sums that the program teaches, and of those that the last generation learns from."""


def written_out(left: str, right: str) -> list[str]:
    """A line for each place, lowest first: the carry, its digits in the question with what follows them, their sum, and its digit of the result.

    `0k8l/k7l: 8 + 7 + 0 = 15/K5L`, then `1l3 +/l4 =: 3 + 4 + 1 = 08/L8`. All that a line says follows from one letter and the line before, so a line
    of a long sum is like that of a short one. What comes after it can be read too: the next letter, or the end.
    """
    lines, carry, letters = [], 0, left[::2]
    for place, (letter, digit, other) in enumerate(zip(letters, left[1::2], right[1::2], strict=True), 1):
        following = letters[place : place + 1]
        total = int(digit) + int(other) + carry
        result = str(total % 10) if following else str(total)[::-1]
        read = f"{carry}{letter}{digit}{following or ' +'}/{letter}{other}{following or ' ='}"
        lines.append(f"{read}: {digit} + {other} + {carry} = {total:02}/{letter.upper()}{result}{following.upper()}")
        carry = total // 10
    return lines


def gathered(lines: Sequence[str]) -> str:
    """The result from the ends of all lines: a letter and a digit of each, and all of the last."""
    *others, last = (line.rpartition("/")[2] for line in lines)
    return "".join(other[:2] for other in others) + last


@dataclass(frozen=True)
class Program(Sampler):
    """Writes out the sum that it is asked, in place of a model."""

    devices = 0

    def open(self) -> Program:
        """Nothing to load."""
        return self

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        """The traces, all at once; without token ids, which a teacher's traces do not need."""
        yield [self._trace(checkpoint, request) for request in requests]

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        lines = written_out(*request.messages[-1]["content"].rstrip(" =").split(" + "))
        text = "\n".join(["<think>", *lines, "</think>", gathered(lines)])
        return Trace(request.id, request.problem_id, checkpoint.id, (), (), text, (), "stop", request.temperature, request.seed)

    def rest(self, same_weights: bool = False) -> None:
        """It holds no memory."""

    def close(self) -> None:
        """It holds nothing."""


def by_majority(digits: int) -> KeepMajority:
    """Accept an answer of three samples in five, in traces with a line for each digit."""
    return KeepMajority(share=0.6, votes=3, form=KeepCorrect(min_thoughts=digits))


teaching = Workflow(
    name="sums-taught",
    problems=Addition(digits=tuple(range(1, TAUGHT + 1)), size=250, index_hints=True),
    eval_problems=32,
    teacher=Teacher(sampler=Program(), model="smollm2-135m-instruct", sampling=Sampling(n=1)),
    sampler=VLLM(engine={"max_model_len": 512, "dtype": "float32"}),
    sampling=Sampling(n=1, temperature=0.0, max_tokens=256),
    verifier=Exact(),
    selector=KeepCorrect(),
    trainer=SFT(epochs=3, learning_rate=2e-4, batch_size=8),
    generations=1,
    drift=None,
)
"""The program's sums, learnt by the base model."""

workflow = Workflow(
    name="longer-addition",
    # The model that was taught takes the place of this one.
    base_model=teaching.base_model,
    problems=Curriculum(
        levels=tuple(Addition(digits=(digits,), size=120, seed=2, index_hints=True) for digits in range(TAUGHT, LONGEST + 1)), advance_at=None
    ),
    eval_problems=24,
    sampler=teaching.sampler,
    sampling=Sampling(n=5, temperature=0.6, max_tokens=256),
    eval_sampling=teaching.sampling,
    verifier=Exact(),
    rounds=tuple(Round(selector=by_majority(digits)) for digits in range(TAUGHT, LONGEST + 1)),
    mixture=Replay(earlier=True, per_problem=1, limit=144),
    trainer=SFT(epochs=1, learning_rate=1e-4, batch_size=8),
    start_from="champion",
    gate=AlwaysPromote(),
    generations=1 + LONGEST - TAUGHT,
    controls=(RandomSelection(),),
    drift=None,
)
"""Its own sums: three digits again, then four, and so on to eight."""


def main(
    teaching: Workflow = teaching,
    workflow: Workflow = workflow,
    folder: Path = Path("runs/longer-addition"),
    start_cluster: Callable[[], Cluster] = RayCluster,
) -> None:
    """Run both, or continue where they stopped; then print accuracy by number of digits and write `digits.svg` into the folder."""
    progress = TerminalProgress(Console())
    taught = improve(teaching, folder / "taught", start_cluster, MLflow(), progress)
    improve(replace(workflow, base_model=taught.path), folder / "longer", start_cluster, MLflow(), progress)
    found = by_digits(RunFolder(folder / "longer"))
    for name, levels in found.items():
        cells = (f"{one.pass_at_1:.2f} ({one.interval[0]:.2f}–{one.interval[1]:.2f})" for one in levels.values())
        print(f"{name:17} " + "  ".join(cells))
    draw(found).savefig(folder / "digits.svg")


def by_digits(run: RunFolder) -> dict[str, Mapping[int, LevelScore]]:
    """Return what the taught model, each candidate and the control score on each level."""
    control = by_level(run.baselines()["random_selection"].solved, run.problems("eval"))
    return {f"generation {one.generation}" if one.generation else "taught": one.levels for one in run.reports()} | {"random selection": control}


def draw(found: Mapping[str, Mapping[int, LevelScore]]) -> Figure:
    """Draw accuracy over digits, with 95 % intervals: one line per generation, the control dashed."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    panel = figure.subplots()
    for place, (name, levels) in enumerate(found.items()):
        rates = [one.pass_at_1 for one in levels.values()]
        reach = zip(*((one.pass_at_1 - one.interval[0], one.interval[1] - one.pass_at_1) for one in levels.values()), strict=True)
        style = {"color": "black", "linestyle": "--"} if name == "random selection" else {"color": f"C{place}"}
        # Side by side, so that intervals do not hide each other.
        panel.errorbar([level + (place - 3.5) / 14 for level in levels], rates, yerr=list(reach), marker="o", capsize=2, label=name, **style)
    digits = range(TAUGHT, LONGEST + 1)
    panel.set(xlabel="digits", ylabel="accuracy", ylim=(-0.02, 1.02), xticks=range(1, len(digits) + 1), xticklabels=digits)
    panel.legend()
    return figure


if __name__ == "__main__":
    with in_one_line("longer_addition"):
        main()
