"""`workflows/r1_recipe.py`: its three rounds, and a whole run on a tiny model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_workflow
from places import WORKFLOWS

from selfimprove import SFT, InlineCluster, Round, Sampling, improve
from selfimprove.storage.run_folder import RunFolder
from selfimprove.workflow.files import load_workflow

FILE = WORKFLOWS / "r1_recipe.py"


def test_its_three_rounds_are_of_three_kinds() -> None:
    workflow, _ = load_workflow(FILE, ["rounds.2.reinforcement.steps=3"])
    cold, practice, rejection = (workflow.of_generation(number) for number in (1, 2, 3))
    assert workflow.generations == 3
    assert (cold.start_from, cold.reinforcement, cold.trainer.min_steps) == ("base", None, 20)
    assert practice.start_from == "champion" and practice.reinforcement is not None and practice.reinforcement.steps == 3
    assert (rejection.start_from, rejection.reinforcement, rejection.trainer) == ("base", None, workflow.trainer)
    assert len({part.gate for part in (cold, practice, rejection)}) == 1


@pytest.mark.vllm
@pytest.mark.trl
def test_a_tiny_model_goes_through_all_rounds(tiny_model: Path, tmp_path: Path) -> None:
    recipe, _ = load_workflow(FILE)
    practice = replace(recipe.rounds[1].reinforcement, steps=2, problems_per_step=2, group_size=4, max_tokens=12)  # type: ignore[type-var]
    rounds = (
        Round(trainer=SFT(epochs=1, batch_size=8, max_length=256)),
        replace(recipe.rounds[1], reinforcement=practice, sampling=Sampling(n=4, max_tokens=12)),
        recipe.rounds[2],
    )
    workflow = replace(tiny_workflow.workflow, base_model=str(tiny_model), rounds=rounds, generations=3)
    improve(workflow, tmp_path / "run", InlineCluster)
    cold, practised, last = RunFolder(tmp_path / "run").reports()[1:]
    assert [report.candidate.parent_id for report in (cold, practised, last)] == ["base", "generation-1", "base"]
    assert practised.counts.rollouts == 2 * 2 * 4 and practised.tokens["train"] > 0
    assert len({report.candidate.weights_hash for report in (cold, practised, last)}) == 3
