"""Settings of a workflow that do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from selfimprove.problems.curriculum import Curriculum
from selfimprove.records.budgets import Budget, BudgetByDifficulty
from selfimprove.sampling.allocation import ExpectedGain
from selfimprove.selection.replay import Replay
from selfimprove.storage.further import further_name
from selfimprove.thinking.behaviours import Behaviours

if TYPE_CHECKING:
    from selfimprove.workflow.workflow import Round, Workflow


def conflicts(workflow: Workflow) -> Iterator[str]:
    """What is wrong, and the setting to change, for each conflict."""
    yield from _names(workflow)
    yield from _missing_parts(workflow)
    yield from _selection(workflow)
    yield from _cues(workflow)
    yield from _direct(workflow)
    yield from _overlap(workflow)
    yield from _mixture(workflow)
    yield from _levels(workflow)
    yield from _proposals(workflow)


def _names(workflow: Workflow) -> Iterator[str]:
    if twice := _repeated([further_name(verifier.name) for verifier in workflow.also]):
        yield f"also holds two verifiers named {twice}, which keep their verdicts in one folder; give one of them another name"
    if twice := _repeated(["few_shot", *(control.name for control in workflow.all_controls)]):
        yield f"two baselines are called {twice}: give each control a name of its own"


def _repeated(names: list[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)


def _missing_parts(workflow: Workflow) -> Iterator[str]:
    every: tuple[Workflow | Round, ...] = (workflow, *workflow.rounds)
    if workflow.selector.needs_step_rewards and workflow.process_reward is None:
        yield "lowest_step needs the rewards of thoughts: set process_reward=StepRewards(RewardModel(…))"
    decodings = [workflow.eval_sampling, *(one.sampling for one in every), *(guard.sampling for guard in workflow.guards.values())]
    if workflow.difficulty is None and any(one and isinstance(one.budget, BudgetByDifficulty) for one in decodings):
        yield "a budget by difficulty needs predictions: set difficulty=DifficultyModel()"
    asking = next((one.reinforcement for one in every if one.reinforcement and one.reinforcement.needs_rollouts), None)
    if asking and not workflow.sampler.gives_rollouts:
        part, sampler = type(asking).__name__, type(workflow.sampler).__name__
        told = f'which {sampler} does not give: set sampler=VLLM(), or {part}(rollouts="trainer") to sample in the training process'
        yield f"{part} learns from rollouts of the sampler, {told}"


def _selection(workflow: Workflow) -> Iterator[str]:
    every: tuple[Workflow | Round, ...] = (workflow, *workflow.rounds)
    for one in every:
        allocator, selector = one.allocator or workflow.allocator, one.selector or workflow.selector
        if isinstance(allocator, ExpectedGain) and not selector.needs_reference:
            told = "but ExpectedGain decides by what is accepted while they arrive; set allocator=FixedK()"
            yield f"{type(selector).__name__} compares all traces of a problem, {told}"


def _cues(workflow: Workflow) -> Iterator[str]:
    if workflow.reflection:
        yield from workflow.reflection.unmarked(workflow.behaviours or Behaviours())


def _direct(workflow: Workflow) -> Iterator[str]:
    if workflow.direct_share and workflow.reinforcement:
        yield "direct_share needs rows to train on, but reinforcement trains on problems; set direct_share=0"
    for name, one in (("sampling", workflow.sampling), ("eval_sampling", workflow.eval_sampling)):
        if workflow.direct_share and isinstance(one.budget, Budget) and one.budget.max_tokens == 0:
            yield f"direct_share leaves the thinking out of traces, but {name}.budget.max_tokens=0 allows none; remove one of them"


def _mixture(workflow: Workflow) -> Iterator[str]:
    every: tuple[Workflow | Round, ...] = (workflow, *workflow.rounds)
    general = any(isinstance(one.mixture, Replay) and one.mixture.general is not None for one in every)
    if general and workflow.reinforcement and not any(one.mixture for one in workflow.rounds):
        yield "mixture.general adds rows to train on, but reinforcement trains on problems; set mixture.general=None"


def _levels(workflow: Workflow) -> Iterator[str]:
    if any(isinstance(one.problems, Curriculum) for one in workflow.rounds):
        yield "rounds hold a Curriculum, but its levels are for several generations; set problems=Curriculum(…), or give the round one level's source"


def _proposals(workflow: Workflow) -> Iterator[str]:
    if workflow.proposer and workflow.proposer.first > workflow.generations:
        first = workflow.proposer.first
        yield f"proposer.first={first} is after the last generation, so that nothing is proposed; set generations={first}, or proposer.first lower"


def _overlap(workflow: Workflow) -> Iterator[str]:
    every: tuple[Workflow | Round, ...] = (workflow, *workflow.rounds)
    waits = {
        "difficulty": (workflow.difficulty, "predicts from an evaluation that is not there yet"),
        "reinforcement": (any(one.reinforcement for one in every), "learns from the samples of the last champion"),
        "proposer": (workflow.proposer, "asks the last champion for questions"),
        "process_reward.search": (any(one.process_reward and one.process_reward.search for one in every), "scores on the trainer's GPU"),
    }
    for name, (used, why) in waits.items():
        if workflow.overlap and used:
            yield f"overlap=1 samples while the generation before trains, but {name} {why}; set overlap=0"
