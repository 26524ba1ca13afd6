"""`workflows/custom_round.py` with toy parts in this process."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from places import WORKFLOWS
from toy import ToySampler, make_toy_model, skill_of, toy_workflow

from selfimprove import InlineCluster


@pytest.fixture
def custom_round(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, loaded with its folder on the path, as when Python runs the file."""
    monkeypatch.syspath_prepend(str(WORKFLOWS))
    spec = importlib.util.spec_from_file_location("custom_round", WORKFLOWS / "custom_round.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "quickstart")
    return module


class Recording(ToySampler):
    """Records the ids of its requests."""

    asked: list[str] = []  # noqa: RUF012

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        self.asked.append(request.id)
        return super()._trace(checkpoint, request)


def test_a_custom_round_samples_unsolved_problems_again_and_improves_the_model(
    custom_round: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.2), sampler=Recording())
    Recording.asked.clear()
    before, after = custom_round.main(workflow, 20, tmp_path / "student", InlineCluster)
    assert after.pass_at_1 > before.pass_at_1 and skill_of(tmp_path / "student" / "student" / "checkpoint") > 0.2

    first, second = ([name.split("/")[0] for name in Recording.asked if f"/{attempt}/" in name] for attempt in ("first", "second"))
    assert len(first) == 2 * 20 and len(set(first)) == 20
    assert 0 < len(set(second)) < 20 and set(second) < set(first) and len(second) == 4 * len(set(second))
    solved = 20 - len(set(second))
    assert f"{solved} problems solved at first, " in capsys.readouterr().out


def test_its_defaults_are_the_parts_of_the_quickstart(custom_round: ModuleType) -> None:
    workflow, *_ = custom_round.main.__defaults__
    assert workflow.name == "custom-round" and workflow.base_model == "smollm2-135m-instruct"
