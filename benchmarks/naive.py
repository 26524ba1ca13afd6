"""Wall time of the quickstart's generations against `naive_script.py`: the same problems, prompts and settings, in turns.

Each command is timed as a whole, from start to the last evaluation. That includes Ray, MLflow, reports and the few-shot evaluation, all ours alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, figure, hand_on
from benchmarks.machine import describe_machine
from selfimprove import SFT
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.problems.sets import load_sets
from selfimprove.protocols import Prompter
from selfimprove.records import Problem
from selfimprove.workflow.files import load_workflow
from selfimprove.workflow.workflow import Workflow

QUICKSTART = Path("workflows/quickstart.py")


def setup(workflow: Workflow) -> dict[str, Any]:
    """Return everything the script needs to do the same work."""
    train, eval_problems = load_sets(workflow.problems, workflow.eval_problems, workflow.seed)
    trainer, first = workflow.trainer, workflow.first_prompter or workflow.prompter
    assert isinstance(trainer, SFT)

    def rows(problems: Sequence[Problem], prompters: dict[str, Prompter]) -> list[dict[str, Any]]:
        return [
            {"id": one.id, "answer": one.answer, **{name: list(prompter.messages(one)) for name, prompter in prompters.items()}} for one in problems
        ]

    return {
        "model": str(resolve_model(workflow.base_model)),
        "train": rows(train, {"plain": workflow.prompter, "first": first}),
        "eval": rows(eval_problems, {"plain": workflow.prompter}),
        "generations": workflow.generations,
        "samples": workflow.sampling.n,
        "temperature": workflow.sampling.temperature,
        "max_tokens": workflow.sampling.max_tokens,
        "batch": trainer.batch_size,
        "epochs": trainer.epochs,
        "min_steps": trainer.min_steps,
        "rate": trainer.learning_rate,
        "warmup": trainer.warmup,
    }


def ours(changes: Sequence[str], folder: Path) -> float:
    """Return the seconds of `selfimprove run`."""
    sets = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "selfimprove", "run", str(QUICKSTART), "--run-dir", str(folder / "run"), *sets]
    return timed(command, {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"})


def naive(workflow: Workflow, folder: Path) -> float:
    """Return the seconds of the script."""
    (folder / "setup.json").write_text(json.dumps(setup(workflow)))
    script = Path(__file__).with_name("naive_script.py")
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    return timed([sys.executable, str(script), "run", str(folder / "setup.json"), str(folder / "naive")], quiet)


def timed(command: Sequence[str], environment: dict[str, str]) -> float:
    begin = time.monotonic()
    subprocess.run(command, check=True, env=os.environ | environment)
    return time.monotonic() - begin


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    """Print both times, and ours as a share of the script's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change a setting of the quickstart, as in `run`")
    parser.add_argument("--repeats", type=int, default=1)
    chosen = parser.parse_args(arguments)
    changes = ["answer_only_baseline=false", *chosen.set]
    workflow, _ = load_workflow(QUICKSTART, changes)
    # Convert the model before either is timed.
    resolve_model(workflow.base_model)
    ratios = []
    for _ in range(chosen.repeats):
        with tempfile.TemporaryDirectory() as folder:
            mine, theirs = ours(changes, Path(folder)), naive(workflow, Path(folder))
        print(f"  selfimprove {mine:,.0f} s, naive script {theirs:,.0f} s", flush=True)
        ratios.append(mine / theirs)
    print(describe_machine())
    told = " ".join(f"--set {change}" for change in chosen.set)
    note = f"{workflow.generations} generations of the quickstart" + (f", {told}" if told else "")
    return [figure("wall time ÷ naive script", "≤ 0.5", ratios, f"python -m benchmarks.naive {told}".strip(), note=note)]


if __name__ == "__main__":
    hand_on(main())
