import torch
from torch import nn

from selfimprove.training.small.master_weights import MasterAdamW


def optimizer(weight: nn.Parameter, dtype: torch.dtype, lr: float = 1e-4, decay: float = 0.0) -> MasterAdamW:
    return MasterAdamW([{"params": [weight], "weight_decay": decay}], dtype, lr=lr, betas=(0.9, 0.999), eps=1e-8)


def test_steps_too_small_for_bfloat16_add_up() -> None:
    weight = nn.Parameter(torch.ones(8))
    descent = optimizer(weight, torch.bfloat16)
    for _ in range(100):
        weight.grad = torch.ones(8, dtype=torch.bfloat16)
        descent.step()
    # Each step moves by 1e-4, and bfloat16 has nothing between 1 and 0.996.
    assert weight.dtype == torch.bfloat16
    torch.testing.assert_close(weight.float(), torch.full((8,), 0.99), rtol=0, atol=0.002)


def test_in_float32_it_is_torchs_adamw_with_clipping() -> None:
    ours, theirs = nn.Parameter(torch.linspace(-1, 1, 6)), nn.Parameter(torch.linspace(-1, 1, 6))
    mine = optimizer(ours, torch.float32, lr=0.05, decay=0.1)
    reference = torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.1)
    for step in range(5):
        ours.grad, theirs.grad = (torch.cos(torch.arange(6.0) * step) for _ in range(2))
        length = mine.clip(1.0)
        expected = torch.nn.utils.clip_grad_norm_([theirs], 1.0)
        torch.testing.assert_close(length, expected)
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_gradient_below_the_limit_is_not_clipped() -> None:
    ours, theirs = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    mine, reference = optimizer(ours, torch.float32), torch.optim.AdamW([theirs], lr=1e-4, weight_decay=0.0)
    ours.grad, theirs.grad = torch.full((3,), 0.1), torch.full((3,), 0.1)
    mine.clip(1.0)
    mine.step()
    reference.step()
    torch.testing.assert_close(ours, theirs)


def test_loading_its_own_state_back_keeps_the_masters_exact() -> None:
    weight = nn.Parameter(torch.tensor([1.0001]))
    descent = optimizer(weight, torch.bfloat16)
    descent.load_state_dict(descent.state_dict())  # accelerate does this to every optimizer it wraps
    for _ in range(20):
        weight.grad = torch.ones(1, dtype=torch.bfloat16)
        descent.step()
    master = next(iter(descent._kept.values()))[0]
    torch.testing.assert_close(master, torch.tensor([1.0001 - 20e-4]), rtol=0, atol=1e-6)
