"""Sampling settings: what `extra` may hold, and that it is part of every request."""

from __future__ import annotations

import pydantic
import pytest

from selfimprove import PlainQuestion, Sampling
from selfimprove.records import Problem
from selfimprove.sampling.sampling import another, requests_for
from selfimprove.settings.paths import describe, explain, override
from selfimprove.storage.manifest import digest

PROBLEMS = [Problem("p", "1 + 1 =", "2", "test")]
QWEN3 = Sampling(temperature=0.6, top_p=0.95, extra={"top_k": 20, "min_p": 0})


def test_extra_is_part_of_every_request_and_of_its_digest() -> None:
    plain, chosen = (requests_for(PROBLEMS, PlainQuestion(), sampling, "g1") for sampling in (Sampling(temperature=0.6, top_p=0.95), QWEN3))
    assert all(request.extra == {"top_k": 20, "min_p": 0} for request in [*chosen, another(chosen[0], 9, 0)])
    assert digest(plain) != digest(chosen) and [one.seed for one in plain] == [one.seed for one in chosen]


def test_extra_is_described_and_changed_by_path() -> None:
    assert describe(QWEN3)["extra"] == {"top_k": 20, "min_p": 0}
    assert override(QWEN3, "extra.top_k=5") == Sampling(temperature=0.6, top_p=0.95, extra={"top_k": 5, "min_p": 0})


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("n", "n cannot be set in extra: set Sampling(n=…)"),
        ("temperature", "temperature cannot be set in extra: set Sampling(temperature=…)"),
        ("seed", "seed cannot be set in extra: the seed follows from the run's seed"),
        ("logits_processors", "logits_processors cannot be set in extra: sampling depends on it; leave it out"),
        ("extra_args", "extra_args cannot be set in extra: sampling depends on it; leave it out"),
    ],
)
def test_what_the_loop_sets_is_refused_in_one_line(name: str, line: str) -> None:
    with pytest.raises(pydantic.ValidationError) as error:
        Sampling(extra={name: 1})
    assert line in explain(error.value) and "\n" not in explain(error.value)
