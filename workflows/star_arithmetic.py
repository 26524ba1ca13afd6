"""STaR's n-digit addition with scratchpads (Zelikman et al. 2022), at the size of SmolLM2: with and without rationalization.

`python workflows/star_arithmetic.py` runs both and plots accuracy by number of digits over generations, like figure 4 of the paper.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from selfimprove import (
    SFT,
    VLLM,
    Exact,
    Exemplar,
    FewShot,
    KeepCorrect,
    LastNumber,
    MLflow,
    Rationalization,
    RayCluster,
    Replay,
    Sampling,
    Workflow,
    improve,
)
from selfimprove.problems.addition import Addition, question, scratchpad
from selfimprove.protocols import Cluster
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.exit_codes import in_one_line
from selfimprove.terminal.progress import TerminalProgress

SHOWN = ((4, 3), (9, 5), (6, 8), (25, 31), (47, 85), (268, 174))
"""Sums of the exemplars."""

workflow = Workflow(
    name="star-arithmetic",
    problems=Addition(digits=(1, 2, 3), size=130, seed=1),
    eval_problems=120,
    first_prompter=FewShot(tuple(Exemplar(question(*pair), scratchpad(*pair), str(sum(pair))) for pair in SHOWN)),
    sampler=VLLM(engine={"max_model_len": 1024}),
    sampling=Sampling(n=2, temperature=0.6, max_tokens=64),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=64),
    verifier=Exact(),
    also=(LastNumber(),),
    selector=KeepCorrect(true_equations=True),
    mixture=Replay(earlier=True, per_problem=1),
    trainer=SFT(epochs=2, min_steps=30, learning_rate=1e-4, batch_size=16),
    generations=4,
)


def main(workflow: Workflow = workflow, folder: Path = Path("runs/star-arithmetic"), start_cluster: Callable[[], Cluster] = RayCluster) -> None:
    """Run both, or continue where they stopped; then print the table and write `digits.svg` into the folder."""
    ways = {"with": replace(workflow, rationalization=Rationalization(samples=2, share=1.0)), "without": workflow}
    for name, chosen in ways.items():
        improve(replace(chosen, name=f"{workflow.name}-{name}"), folder / name, start_cluster, MLflow(), TerminalProgress(Console()))
    found = {name: by_digits(RunFolder(folder / name)) for name in ways}
    for name, table in found.items():
        for digits, rates in table.items():
            print(f"{name:8} rationalization, {digits} digits: " + "  ".join(f"{rate:.2f}" for rate in rates))
    draw(found).savefig(folder / "digits.svg")


def by_digits(run: RunFolder) -> dict[int, list[float]]:
    """Return the share of evaluation sums solved by the base model and each generation's candidate, by number of digits."""
    digits = {problem.id: problem.metadata["digits"] for problem in run.problems("eval")}
    rates: dict[int, list[float]] = defaultdict(list)
    for report in run.reports():
        for length in sorted(set(digits.values())):
            solved = [right / samples for problem, (right, samples) in report.score.solved.items() if digits[problem] == length]
            rates[length].append(sum(solved) / len(solved))
    return dict(rates)


def draw(found: dict[str, dict[int, list[float]]]) -> Figure:
    """Draw one panel per run and one line per number of digits."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for panel, (name, table) in zip(figure.subplots(1, len(found), sharey=True), found.items(), strict=True):
        for digits, rates in table.items():
            panel.plot(range(len(rates)), rates, marker="o", label=f"{digits} digits")
        panel.set(title=f"{name} rationalization", xlabel="generation", ylabel="accuracy", ylim=(-0.02, 1.02), xticks=range(len(rates)))
        panel.legend()
    return figure


if __name__ == "__main__":
    with in_one_line("star_arithmetic"):
        main()
