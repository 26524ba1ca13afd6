"""The logits processors of both model runners change the same logits in the same way.

The second runner's own buffers need Triton, so plain tensors stand for them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from selfimprove.records import Request
from selfimprove.records.budgets import Budget, SwitchPenalty

pytestmark = pytest.mark.vllm

SLOTS, LENGTH = 7, 160
ASKED: tuple[dict[str, Any], ...] = (
    {},
    {"budget": Budget(max_tokens=0)},
    {"budget": Budget(max_tokens=7, final="7 = ", answer_tokens=3)},
    {"budget": Budget(min_tokens=20, max_tokens=24, continuations=("Wait, so", "4 + 3"))},
    {"budget": Budget(extensions=2, max_tokens=40)},
    {"budget": Budget(min_thoughts=3, max_tokens=50), "temperature": 0.0},
    {"switch_penalty": SwitchPenalty(3.0, 9, ("Wait", "7", "\n"))},
    {"stop_after_thoughts": 1, "temperature": 0.3},
)


@dataclass
class Sampled:
    """A request of the batch, and its output so far."""

    parameters: Any
    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    slot: int = 0
    steps: int = 45


@dataclass
class State:
    """The buffers of the second runner, as far as a processor reads them."""

    tokens: torch.Tensor = field(default_factory=lambda: torch.zeros(SLOTS, LENGTH, dtype=torch.int32))
    lengths: torch.Tensor = field(default_factory=lambda: torch.zeros(SLOTS, dtype=torch.int32))
    prompts: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(SLOTS, dtype=np.int32))

    def write(self, request: Sampled) -> None:
        whole = [*request.prompt, *request.tokens]
        self.tokens[request.slot, : len(whole)] = torch.tensor(whole, dtype=torch.int32)
        self.lengths[request.slot] = len(whole)
        self.prompts[request.slot] = len(request.prompt)

    def seen(self, vocabulary: int) -> Any:
        from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcRequestState

        device = torch.device("cpu")
        prompts = SimpleNamespace(np=self.prompts)
        return LogitsProcRequestState(
            device, SLOTS, vocabulary, SimpleNamespace(gpu=self.tokens), prompts, prompts, SimpleNamespace(gpu=self.lengths)
        )


@pytest.fixture(scope="module")
def config(tiny_model: Path) -> Any:
    import transformers.tokenization_utils_base  # noqa: F401 - before vLLM, which otherwise imports transformers in a circle

    return SimpleNamespace(model_config=SimpleNamespace(tokenizer=str(tiny_model), model=str(tiny_model)), speculative_config=None)


def requests(rng: random.Random) -> list[Sampled]:
    from vllm.sampling_params import SamplingParams

    from selfimprove.sampling.budget_forcing import carried

    plain = Request("r", "p", ({"role": "user", "content": "7"},), temperature=1.0, top_p=1.0, max_tokens=60, seed=1)
    found = []
    for number in range(3 * len(ASKED)):
        asked = replace(plain, **ASKED[number % len(ASKED)])
        carries = carried(asked, number % 3 > 0, "So 4" if number % 3 == 2 else "")
        parameters = SamplingParams(temperature=asked.temperature, extra_args=carries)
        found.append(Sampled(parameters, [5] * rng.randrange(1, 9), steps=rng.randrange(30, 60)))
    rng.shuffle(found)
    return found


def context(slots: list[int], places: list[int], drafts: list[int]) -> Any:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext

    rows, each = torch.tensor(slots), np.array(list(dict.fromkeys(slots)))
    length = np.zeros(len(each), dtype=np.int32)
    return LogitsContext(rows, torch.from_numpy(each), each, torch.tensor(places), torch.tensor(drafts), torch.zeros(len(slots)), length)


def first_runner(config: Any, rows: list[tuple[Any, list[int], list[int]]]) -> Any:
    from vllm.v1.sample.logits_processor import BatchUpdate

    from selfimprove.sampling.logits_processors import BudgetForcing

    processor = BudgetForcing(config, torch.device("cpu"), False)
    added = [(number, parameters, prompt, tokens) for number, (parameters, prompt, tokens) in enumerate(rows)]
    processor.update_state(BatchUpdate(len(rows), (), added, ()))
    return processor


def vocabulary_size(config: Any) -> int:
    from selfimprove.sampling.budget_forcing import vocabulary_of

    return len(vocabulary_of(config.model_config).texts)


@pytest.mark.parametrize("seed", range(3))
def test_both_runners_change_the_same_logits_in_the_same_way(config: Any, seed: int) -> None:
    from selfimprove.sampling.logits_processors import BudgetForcing, FirstRunner, SecondRunner

    rng, torch_rng = random.Random(seed), torch.Generator().manual_seed(seed)
    size, state, waiting, running = vocabulary_size(config), State(), requests(rng), []
    second = BudgetForcing(config, state.seen(size))
    free, changed, preempted = list(range(SLOTS)), 0, 0
    while waiting or running:
        if running and rng.random() < 0.05:
            # Preempted: it returns later, in another slot, with the output that it had.
            back = running.pop(rng.randrange(len(running)))
            free.append(back.slot)
            waiting.append(back)
            preempted += bool(back.tokens)
        while free and waiting and rng.random() < 0.5:
            request = waiting.pop(0)
            request.slot = free.pop(rng.randrange(len(free)))
            state.write(request)
            running.append(request)
            assert second.add_request(request.slot, request.parameters) == bool(request.parameters.extra_args)
        second.apply_staged_writes()
        batch = rng.sample(running, rng.randrange(len(running) + 1))
        logits = 6 * torch.randn(len(batch), size, generator=torch_rng)
        first = first_runner(config, [(one.parameters, one.prompt, one.tokens) for one in batch])
        assert isinstance(first, FirstRunner) and isinstance(second, SecondRunner)
        expected = first.apply(logits.clone())
        found = second.apply(logits.clone(), context([one.slot for one in batch], [0] * len(batch), [0] * len(batch))) if batch else logits
        assert torch.equal(found, expected)
        changed += int((expected != logits).any(1).sum())
        for request, row in zip(batch, expected, strict=True):
            request.tokens.append(int((row.softmax(0) / torch.empty(size).exponential_(generator=torch_rng)).argmax()))
            state.write(request)
            if len(request.tokens) >= request.steps:
                running.remove(request)
                free.append(request.slot)
    assert changed > 200 and preempted > 0


def test_a_row_behind_drafts_is_changed_as_if_they_were_accepted(config: Any) -> None:
    from selfimprove.sampling.logits_processors import BudgetForcing

    drafts = 2
    config = SimpleNamespace(model_config=config.model_config, speculative_config=SimpleNamespace(num_speculative_tokens=drafts))
    rng, torch_rng = random.Random(4), torch.Generator().manual_seed(4)
    size, state = vocabulary_size(config), State()
    running = requests(rng)[:SLOTS]
    second = BudgetForcing(config, state.seen(size))
    for slot, request in enumerate(running):
        request.slot = slot
        state.write(request)
        second.add_request(slot, request.parameters)
    for _ in range(25):
        second.apply_staged_writes()
        drafted = {one.slot: rng.choices(range(3, size), k=rng.randrange(drafts + 1)) for one in running}
        rows = [(one, place) for one in rng.sample(running, len(running)) for place in range(len(drafted[one.slot]) + 1)]
        logits = 6 * torch.randn(len(rows), size, generator=torch_rng)
        expected = first_runner(config, [(one.parameters, one.prompt, [*one.tokens, *drafted[one.slot][:place]]) for one, place in rows])
        wanted = expected.apply(logits.clone())
        inputs = [drafted[one.slot][place - 1] if place else 0 for one, place in rows]
        assert torch.equal(second.apply(logits.clone(), context([one.slot for one, _ in rows], [place for _, place in rows], inputs)), wanted)
        for request in running:
            accepted = rng.randrange(len(drafted[request.slot]) + 1)
            row = next(number for number, (one, place) in enumerate(rows) if one is request and place == accepted)
            request.tokens += [*drafted[request.slot][:accepted], int(wanted[row].argmax())]
            state.write(request)
