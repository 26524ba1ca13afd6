"""What `check` says of `direct_share`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import SWITCHED_TEMPLATE
from toy import toy_workflow

from selfimprove import VLLM, Endpoint, OnPolicyDistillation
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.commands.direct_findings import direct_findings


def test_check_shows_the_blocks_and_refuses_what_cannot_learn(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))
    switched = tmp_path / "model"
    switched.mkdir()
    for file in tiny_model.iterdir():
        (switched / file.name).symlink_to(file)
    (switched / "chat_template.jinja").unlink(missing_ok=True)
    (switched / "chat_template.jinja").write_text(SWITCHED_TEMPLATE)
    workflow = toy_workflow(switched, sampler=VLLM(), direct_share=0.2)
    assert not list(direct_findings(toy_workflow(switched), switched))
    (plain,) = direct_findings(workflow, tiny_model)
    assert plain.passed and plain.detail.startswith("'<think></think>' in place of the thinking, without loss, in 20% of the rows")
    (both,) = direct_findings(workflow, switched)
    assert both.passed and r"'<think></think>' and '<think>\n\n</think>\n\n' in place" in both.detail
    refused = {
        "chat template ends every prompt with </think>": (workflow, resolve_model(str(switched), {"enable_thinking": False})),
        "Endpoint cannot switch": (toy_workflow(switched, direct_share=0.2, sampler=Endpoint(url="http://localhost:1", model="m")), switched),
        "trains on questions alone": (toy_workflow(switched, direct_share=0.2, trainer=OnPolicyDistillation(teacher="t")), switched),
    }
    for told, (asked, model) in refused.items():
        (found,) = direct_findings(asked, model)
        assert not found.passed and told in found.detail
