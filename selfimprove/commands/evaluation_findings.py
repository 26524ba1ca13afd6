"""What an evaluation of this size, and the gate with it, can see."""

from __future__ import annotations

from collections.abc import Iterator

from selfimprove.commands.finding import Finding
from selfimprove.evaluation.gates import AlwaysPromote
from selfimprove.evaluation.paired import smallest_improvement
from selfimprove.evaluation.power import Change, chance_to_promote, smallest_gain
from selfimprove.protocols import Gate

GAINS = (0.0, 0.05, 0.1)
"""True gains of pass@1 for which `check` gives the probability of promotion."""


def evaluation_findings(problems: int, gate: Gate) -> Iterator[Finding]:
    """The smallest improvement that an evaluation of so many problems can show, and what the gate makes of it."""
    counts, likely = smallest_improvement(problems)
    power = f"an improvement of {likely:.3f} is detected four times in five" if likely <= 1 else "no improvement is detected reliably"
    smallest = f"with one sample each, a strict gate detects improvements of pass@1 from {counts:.3f} on"
    yield Finding("evaluation", counts <= 1, f"{problems} problems: {smallest}; {power}")
    if seen := gate_line(gate, problems):
        yield Finding("gate", True, f"{seen}, if a fifth of the answers change")


def gate_line(gate: Gate, problems: int, accuracy: float | None = None) -> str | None:
    """From which measured gain on the gate promotes, and how often it promotes candidates of some true gains.

    None for a gate that compares nothing, or of your own.

    Args:
        accuracy: The champion's; None where it is not known.
    """
    same, name = Change.of(0.0, accuracy), type(gate).__name__
    if isinstance(gate, AlwaysPromote) or same is None or (least := smallest_gain(gate, problems, same)) is None:
        return None
    changes = {gain: change for gain in GAINS if (change := Change.of(gain, accuracy))}
    chances = {gain: chance_to_promote(gate, problems, change) or 0.0 for gain, change in changes.items()}
    told = ", ".join(
        f"{chance:.0%} of those {gain:g} better" if gain else f"{chance:.0%} of candidates that are no better" for gain, chance in chances.items()
    )
    begin = f"{name} promotes from a measured gain of {least:.3f} on" if least <= 1 else f"{name} hardly promotes"
    return f"{begin}: {told}"
