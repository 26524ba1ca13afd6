"""Which engine trains, for each trainer that has two."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from selfimprove.errors import UserError
from selfimprove.process_reward.training import RewardTrainer
from selfimprove.training.dpo import DPO
from selfimprove.training.engine import require_engine, takes_small
from selfimprove.training.on_policy_distillation import OnPolicyDistillation
from selfimprove.training.sft import SFT

TRAINERS: tuple[Any, ...] = (SFT, DPO, RewardTrainer, lambda **settings: OnPolicyDistillation("teacher", **settings))


@pytest.mark.parametrize("trainer", TRAINERS, ids=("SFT", "DPO", "RewardTrainer", "OnPolicyDistillation"))
def test_small_trains_without_a_gpu_unless_the_settings_ask_for_more(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert takes_small(trainer()) and takes_small(trainer(engine="small"))
    assert not takes_small(trainer(engine="trl")) and not takes_small(trainer(options={"optim": "sgd"}))
    assert not takes_small(trainer(), unable="cannot")
    with pytest.raises(UserError, match=r"\(engine='small'\) cannot: set engine='trl'"):
        takes_small(trainer(engine="small"), unable="cannot")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not takes_small(trainer()) and takes_small(trainer(engine="small"))


@pytest.mark.parametrize("trainer", TRAINERS, ids=("SFT", "DPO", "RewardTrainer", "OnPolicyDistillation"))
def test_small_has_its_own_optimizer(trainer: Any) -> None:
    require_engine(trainer(options={"optim": "sgd"}))
    with pytest.raises(UserError, match=r"\(engine='small'\) always trains with AdamW on float32 masters: remove `optim` from its options"):
        require_engine(trainer(engine="small", options={"optim": "sgd"}))


@pytest.mark.parametrize("trainer", (SFT, DPO))
def test_several_workers_take_equal_shares(trainer: Any) -> None:
    part = trainer(gpus=4, nodes=2)
    assert part.devices == 4 and part.starts_workers and not takes_small(part) and not trainer().starts_workers
    with pytest.raises(ValidationError, match="gpus=4 cannot be spread evenly over nodes=3"):
        trainer(gpus=4, nodes=3)
    with pytest.raises(ValidationError, match="engine='small' trains in one process"):
        trainer(gpus=2, engine="small")
    with pytest.raises(ValidationError, match="batch_size=8 cannot be divided evenly among gpus=3"):
        DPO(gpus=3)
