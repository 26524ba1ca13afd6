"""Settings as data: described, compared, and changed by path."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import Sums, toy_workflow

from selfimprove import VLLM, Replay, Round, UserError, Workflow
from selfimprove.settings.paths import describe, differences, override

WORKFLOW = toy_workflow(Path("model"), mixture=Replay(limit=7), sampler=VLLM(engine={"max_model_len": 512}))
VALUES = {
    "seed": st.integers(),
    "base_model": st.text(min_size=1),
    "answer_only_baseline": st.booleans(),
    "start_from": st.sampled_from(["base", "champion"]),
    "problems.size": st.integers(1, 100),
    "sampling.temperature": st.floats(0, 2),
    "sampling.max_tokens": st.integers(1, 10_000),
    "mixture.limit": st.none() | st.integers(1, 1000),
    "sampler.engine.max_model_len": st.integers(1, 10_000),
    "sampler.engine.swap": st.lists(st.integers() | st.booleans()),
    "sampler.resources.gpus": st.none() | st.floats(0, 4),
}
CHANGES = st.sampled_from(sorted(VALUES)).flatmap(lambda path: st.tuples(st.just(path), VALUES[path]))


class Others(Sums):
    """The same fields, another class."""


def at(description: Any, path: str) -> Any:
    for name in path.split("."):
        description = description.get(name)
    return description


@given(CHANGES)
def test_a_change_shows_in_the_description_at_its_path_and_nowhere_else(change: tuple[str, Any]) -> None:
    path, value = change
    before, after = describe(WORKFLOW), describe(override(WORKFLOW, f"{path}={json.dumps(value)}"))
    assert at(after, path) == value
    shown = list(differences(before, after))
    assert len(shown) == (at(before, path) != value) and all(line.startswith(f"{path}: ") for line in shown)


@given(st.lists(CHANGES, max_size=4))
def test_descriptions_are_json_and_differ_exactly_if_the_workflows_do(changes: list[tuple[str, Any]]) -> None:
    changed = WORKFLOW
    for path, value in changes:
        changed = override(changed, f"{path}={json.dumps(value)}")
    assert json.loads(json.dumps(describe(changed))) == describe(changed)
    assert (list(differences(describe(WORKFLOW), describe(changed))) == []) == (changed == WORKFLOW)


def test_a_difference_reads_old_then_new() -> None:
    changed = override(override(WORKFLOW, "sampling.temperature=0.5"), "mixture.limit=null")
    assert list(differences(describe(WORKFLOW), describe(changed))) == ["sampling.temperature: 0.8 → 0.5", "mixture.limit: 7 → null"]


def test_another_class_in_the_same_role_is_a_difference() -> None:
    other = toy_workflow(Path("model"), problems=Others())
    assert list(differences(describe(toy_workflow(Path("model"))), describe(other))) == ['problems.part: "Sums" → "Others"']


def test_text_needs_no_quotes() -> None:
    assert override(WORKFLOW, "base_model=./my model").base_model == "./my model"
    assert override(WORKFLOW, 'base_model="7"').base_model == "7"


def test_elements_of_a_tuple_are_reached_by_number() -> None:
    workflow = toy_workflow(Path("model"), rounds=(Round(), Round(problems_per_generation=9)))
    changed = override(workflow, "rounds.2.problems_per_generation=5")
    assert changed.rounds == (Round(), Round(problems_per_generation=5))
    for place in ("0", "3", "-1", "x"):
        with pytest.raises(UserError, match="has no field"):
            override(workflow, f"rounds.{place}.problems_per_generation=5")


def test_a_change_leaves_the_original_workflow_alone() -> None:
    before = describe(WORKFLOW)
    override(WORKFLOW, "sampler.engine.max_model_len=1")
    assert describe(WORKFLOW) == before


@pytest.mark.parametrize("assignment", ["nothing=1", "sampling.nothing=1", "name.nothing=1", "sampling.temperature=-1", "seed=x", "=1", "seed"])
def test_an_invalid_assignment_is_refused_in_one_line(assignment: str) -> None:
    with pytest.raises(UserError) as error:
        override(WORKFLOW, assignment)
    assert str(error.value).startswith(f"--set {assignment}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("assignment", "hint"),
    [
        ("generation=1", "did you mean generations?"),
        ("max_model_len=1", "did you mean sampler.engine.max_model_len?"),
        ("xyzzy=1", "it has name, problems, eval_problems, "),
        ("copies=2", "did you mean verifier_resources.copies or sampler.resources.copies?"),
        ("temperature=1", "did you mean sampling.temperature or eval_sampling.temperature?"),
        ("temprature=1", "did you mean sampling.temperature or eval_sampling.temperature?"),
        ("sampler.engin.x=1", "did you mean engine?"),
        ("sampler.engine.swap.x=1", "there is no 'swap' to change; it has max_model_len"),
        ("rounds.3.seed=1", "tuple has no field '3'; it has 1"),
        ("teacher.model=x", "no part is set there"),
    ],
)
def test_a_wrong_path_is_refused_with_the_nearest_valid_one(assignment: str, hint: str) -> None:
    with pytest.raises(UserError, match=re.escape(hint)):
        override(toy_workflow(Path("model"), sampler=VLLM(engine={"max_model_len": 512}), rounds=(Round(),)), assignment)


def test_an_object_without_fields_is_described_by_its_attributes() -> None:
    class Plain:
        def __init__(self) -> None:
            self.path, self.inner = Path("here"), [1, (2, None)]

    assert describe(Plain()) == {"part": describe(Plain())["part"], "path": "here", "inner": [1, [2, None]]}


def test_every_field_of_a_workflow_is_described() -> None:
    # Copies of the verifier change no result.
    assert set(describe(WORKFLOW)) == {"part", *Workflow.__dataclass_fields__} - {"verifier_resources"}
