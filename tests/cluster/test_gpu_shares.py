"""How GPUs are divided: over every workflow of the repository, and over parts that nobody chose for it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from types import ModuleType

import pytest
from places import WORKFLOWS
from toy import toy_workflow

from selfimprove import DPO, GRPO, SFT, VLLM, Endpoint, RewardModel, StepRewards, Teacher, UserError, Workflow
from selfimprove.cluster.gpu_shares import SAMPLER, GPUShares, divide
from selfimprove.difficulty.model import DifficultyModel
from selfimprove.protocols import Resources, Trainer, WorkerPart
from selfimprove.records import Checkpoint
from selfimprove.verification.pool import VerifierPool
from selfimprove.workflow.roles import roles

SCORER = RewardModel(Checkpoint("reward", "/nowhere", None, 0, "", ""))
# It works in this process when it is imported, with the parts of the quickstart.
BY_HAND = "one_round_by_hand"
FILES = sorted(file for file in WORKFLOWS.glob("*.py") if file.stem != BY_HAND)


@dataclass(frozen=True)
class Spread(Trainer):
    """Trains in workers of its own, as Ray Train does."""

    gpus: int = 1

    @property
    def devices(self) -> int:
        return self.gpus

    @property
    def starts_workers(self) -> bool:
        return True


def loaded(file: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    spec = importlib.util.spec_from_file_location(f"shares_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def parts_of(module: ModuleType, quickstart: Workflow) -> dict[str, list[WorkerPart]]:
    """What a workflow file opens, by role: the parts of its workflow, or of the run that it studies, and the trainers that it names beside them."""
    found = next((value for value in vars(module).values() if isinstance(value, Workflow)), quickstart)
    every = roles(found)
    every["trainer"] += [value for name, value in vars(module).items() if name == "TRAINER"]
    if module.__name__.endswith("process_reward"):
        every["reward model"] = [SCORER]
    if module.__name__.endswith("thinking_by_difficulty"):
        every["embedder"] = [DifficultyModel().embedder]
    return every


def at_once(shares: GPUShares) -> list[dict[str, list[float]]]:
    """The sets of roles that are open together at some time: those that do not take turns, with one of those that do."""
    needs = {role: processes for role, processes in shares.largest().items() if processes}
    staying = {role: processes for role, processes in needs.items() if role not in shares.in_turns}
    return [{**staying, role: needs[role]} for role in shares.in_turns] or [staying]


@pytest.mark.parametrize("gpus", [1, 2, 4, 8])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_workflow_fits_on_the_gpus_that_there_are(file: Path, gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    every = parts_of(loaded(file, monkeypatch), loaded(WORKFLOWS / "quickstart.py", monkeypatch).workflow)
    shares = divide(every, [gpus])
    for together in at_once(shares):
        assert sum(map(sum, together.values())) <= gpus
        assert SAMPLER in together
    needs = shares.largest()
    assert [needs.pop(role, []) for role in ("verifier", "also-last-number", "teacher")] == [[], [], []]
    each = 0.5 if gpus == 1 else 1.0
    assert set(needs) >= {"sampler", "trainer"} and set(map(tuple, needs.values())) == {(each,)}
    # The engine never stops for another part.
    assert SAMPLER not in shares.in_turns


def all_five() -> Workflow:
    """A workflow with a part in every role that computes on GPUs."""
    teacher = Teacher(sampler=VLLM(), model="a-teacher")
    rewards = StepRewards(SCORER)
    return replace(
        toy_workflow(Path("/nowhere")), sampler=VLLM(), trainer=SFT(), teacher=teacher, process_reward=rewards, difficulty=DifficultyModel()
    )


@pytest.mark.parametrize(
    ("gpus", "told"),
    [
        (1, "sampler 1/2 GPU, trainer 1/2 GPU, reward model 1/2 GPU, embedder 1/2 GPU, verifier none; trainer, reward model, embedder in turns"),
        (2, "sampler 1 GPU, trainer 1 GPU, reward model 1 GPU, embedder 1 GPU, verifier none; trainer, reward model, embedder in turns"),
        (3, "sampler 1 GPU, trainer 1 GPU, reward model 1 GPU, embedder 1 GPU, verifier none; trainer, reward model, embedder in turns"),
        (4, "sampler 1 GPU, trainer 1 GPU, reward model 1 GPU, embedder 1 GPU, verifier none"),
        (0, "none: everything runs on CPUs"),
    ],
)
def test_more_parts_than_gpus_take_turns_beside_the_sampler(gpus: int, told: str) -> None:
    assert divide(roles(all_five()), [gpus]).told() == told


def sampler(tensor_parallel: int = 1, copies: int = 1, gpus: float | None = None) -> VLLM:
    return VLLM(engine={"tensor_parallel_size": tensor_parallel}, resources=Resources(copies=copies, gpus=gpus))


EIGHT = SFT(resources=Resources(gpus=8))


@pytest.mark.parametrize(
    ("sampler", "trainer", "nodes", "told"),
    [
        (sampler(8), EIGHT, [8], "sampler 8 GPUs, trainer 8 GPUs; sampler, trainer in turns"),
        (sampler(8), EIGHT, [8, 8], "sampler 8 GPUs, trainer 8 GPUs"),
        (sampler(copies=8), SFT(), [8], "sampler 8 x 1 GPU, trainer 1 GPU; sampler, trainer in turns"),
        (sampler(copies=7), SFT(), [8], "sampler 7 x 1 GPU, trainer 1 GPU"),
        # Copies are spread over the nodes, so no node has eight GPUs left.
        (sampler(copies=4), EIGHT, [8, 8], "sampler 4 x 1 GPU, trainer 8 GPUs; sampler, trainer in turns"),
        (sampler(4, copies=2), Spread(8), [8, 8], "sampler 2 x 4 GPUs, trainer 8 x 1 GPU"),
        (sampler(8, copies=2), Spread(16), [8, 8], "sampler 2 x 8 GPUs, trainer 16 x 1 GPU; sampler, trainer in turns"),
        (sampler(gpus=0.25), SFT(), [1], "sampler 0.25 GPUs, trainer 1/2 GPU"),
        (sampler(gpus=0.25), SFT(resources=Resources(gpus=0.75)), [1], "sampler 0.25 GPUs, trainer 0.75 GPUs"),
        (sampler(2), SFT(), [2], "sampler 2 GPUs, trainer 1 GPU; sampler, trainer in turns"),
        (sampler(), Spread(1), [1], "sampler 1 GPU, trainer 1 GPU; sampler, trainer in turns"),
    ],
)
def test_what_is_too_much_at_once_takes_turns_and_explicit_numbers_win(sampler: VLLM, trainer: Trainer, nodes: list[float], told: str) -> None:
    assert divide({"sampler": [sampler], "trainer": [trainer]}, nodes).told() == told


def test_the_largest_part_of_a_role_counts() -> None:
    shares = divide({"sampler": [VLLM()], "trainer": [SFT(), DPO(resources=Resources(gpus=4)), GRPO(rollouts="trainer")]}, [4])
    assert shares.in_turns == ("sampler", "trainer")
    assert [shares.of(part) for part in (SFT(), GRPO(), VLLM())] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("part", "nodes", "message"),
    [
        (sampler(4), [2], "the sampler needs 4 GPUs, but the cluster has 2, and each process needs its GPUs on one node"),
        (
            sampler(16),
            [8, 8],
            "the sampler needs 16 GPUs, but the cluster has 16, at most 8 on one node, and each process needs its GPUs on one node",
        ),
        (sampler(copies=4), [1], "the sampler needs 4 x 1 GPU, but the cluster has 1"),
        (sampler(gpus=1), [], "the sampler needs 1 GPU, but the cluster has 0"),
    ],
)
def test_what_never_fits_is_refused_in_one_line(part: VLLM, nodes: list[float], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError) as refused:
        divide({"sampler": [part], "trainer": [SFT()]}, nodes)
    assert str(refused.value).startswith(message + "; lower its resources") and "\n" not in str(refused.value)
    monkeypatch.setenv("SELFIMPROVE_AUTOSCALE", "1")
    assert divide({"sampler": [part], "trainer": [SFT()]}, nodes).in_turns == ()


@pytest.mark.parametrize("copies", [1, 3])
def test_parts_that_do_not_compute_on_gpus_take_none_whatever_else_they_reserve(copies: int) -> None:
    reserved = Resources(copies=copies, cpus=1)
    verifier = VerifierPool(toy_workflow(Path("/nowhere")).verifier, resources=reserved)
    endpoint = Endpoint(url="http://localhost:1/v1", model="m", key_from=None, resources=reserved)
    parts: Sequence[WorkerPart] = (verifier, endpoint)
    for gpus, part in ((gpus, part) for gpus in (1, 8) for part in parts):
        assert divide({"sampler": [part]}, [gpus]).needed(part) == []


def test_a_part_that_needs_the_sampler_while_it_works_is_refused_where_they_would_take_turns() -> None:
    asking = GRPO(resources=Resources(gpus=2))
    with pytest.raises(UserError, match="GRPO learns from rollouts of the sampler, so both need GPUs at once, but together"):
        divide({"sampler": [sampler(2)], "trainer": [SFT(), asking]}, [2])
    assert divide({"sampler": [sampler(2)], "trainer": [asking]}, [4]).in_turns == ()
    alone = GRPO(rollouts="trainer", resources=Resources(gpus=2))
    assert divide({"sampler": [sampler(2)], "trainer": [alone]}, [2]).in_turns == ("sampler", "trainer")


def test_two_that_are_open_at_once_never_exceed_the_nodes() -> None:
    """Every pair that may be open together, over many shapes of a cluster."""
    for nodes in ([1], [2], [1, 1], [4], [2, 2], [8], [8, 8], [4, 4, 4, 4]):
        for width, processes in combinations([1, 1, 2, 2, 4, 4, 8, 8], 2):
            if max(width, processes) > max(nodes):
                continue
            shares = divide({"sampler": [sampler(width)], "trainer": [SFT(resources=Resources(gpus=processes))]}, nodes)
            for together in at_once(shares):
                assert shares.fit(together.values())
