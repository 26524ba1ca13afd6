"""How often a gate promotes, against the gates' own decisions."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from selfimprove import AlwaysPromote, NotWorse, StrictGate
from selfimprove.evaluation.power import Change, chance_to_promote, smallest_gain
from selfimprove.protocols import Gate
from selfimprove.records import Decision, Score


def scored(gained: int, lost: int, problems: int) -> tuple[Score, Score]:
    """Champion and candidate, of whom each solves some problems that the other does not."""

    def of(name: str, right: list[int]) -> Score:
        solved = {f"p{number}": (one, 1) for number, one in enumerate(right)}
        return Score(name, problems, sum(right) / problems, (0.0, 1.0), {}, {}, {}, 0, solved)

    others = [0] * (problems - gained - lost)
    return of("champion", [0] * gained + [1] * lost + others), of("candidate", [1] * gained + [0] * lost + others)


@pytest.mark.parametrize("gate", [NotWorse(), NotWorse(margin=0.0), StrictGate(level=0.2)])
@pytest.mark.parametrize(("problems", "disagree"), [(60, 0), (50, 16), (100, 8)])
def test_the_smallest_gain_is_the_one_that_the_gate_promotes(gate: Gate, problems: int, disagree: int) -> None:
    least = smallest_gain(gate, problems, Change(disagree / problems, 0.0))
    promoted = [gained for gained in range(disagree + 1) if gate.decide(*scored(gained, disagree - gained, problems)).promote]
    assert least == (pytest.approx((2 * promoted[0] - disagree) / problems) if promoted else float("inf"))


def test_the_chance_is_the_share_of_simulated_candidates_that_the_gate_promotes() -> None:
    chance, problems, accuracy, gain = random.Random(3), 60, 0.3, 0.1
    seen: Counter[tuple[int, int]] = Counter()
    for _ in range(300):
        pairs = [(chance.random() < accuracy, chance.random() < accuracy + gain) for _ in range(problems)]
        seen[pairs.count((False, True)), pairs.count((True, False))] += 1
    common = dict(seen.most_common(40))
    for gate in (NotWorse(), StrictGate()):
        promoted = sum(count * gate.decide(*scored(*counts, problems)).promote for counts, count in common.items()) / sum(common.values())
        change = Change.of(gain, accuracy)
        assert change and chance_to_promote(gate, problems, change) == pytest.approx(promoted, abs=0.12)


def test_what_cannot_be_told_is_not_told() -> None:
    class Own:
        def decide(self, champion: Score, candidate: Score) -> Decision:
            return Decision(candidate.pass_at_1 > 0.5, "half")

    change = Change.of(0.05)
    assert change and (change.gained, change.lost) == pytest.approx((0.125, 0.075))
    assert chance_to_promote(Own(), 100, change) is None and smallest_gain(Own(), 100, change) is None
    assert chance_to_promote(AlwaysPromote(), 100, change) == pytest.approx(1)
    assert Change.of(0.1, accuracy=0.95) is None
    assert smallest_gain(StrictGate(), 4, change) == float("inf")
