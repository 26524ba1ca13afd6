"""Questions that a model proposed, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from selfimprove.records.ranges import Count, Finite, Share


@dataclass(frozen=True, slots=True)
class ProposedQuestion:
    """What the champion wrote when it was asked for a new question, and what became of it."""

    trace_id: str
    question: str
    """The question; what was written instead, where it is malformed."""
    dropped: str | None = None
    """Why it is not handed on; None: it is."""
    label: str | None = None
    """The answer that most samples give; None where it was not answered."""
    agreement: Share | None = None
    """Share of the samples that give the label; None where it was not answered."""
    label_right: bool | None = None
    """What the checker says of the label; None without a checker or a decision, and where the question is not handed on."""


@dataclass(frozen=True, slots=True)
class ProposalFigures:
    """What asking the champion for new questions came to."""

    proposed: Count
    """Questions that were asked for."""
    dropped: Mapping[str, Count]
    """Questions that were not handed on, by reason."""
    kept: Count
    """Questions that were handed on, each with its label."""
    agreement: Finite | None = None
    """Mean agreement of the questions that were answered, kept or not; None without any."""
    agreement_kept: Finite | None = None
    """Mean agreement of the kept ones; None without any."""
    checked: Count | None = None
    """Kept questions whose label the checker judged; None without a checker."""
    falsely_labelled: Count | None = None
    """Those with a false label; None without a checker."""
    accepted: Count = 0
    """Accepted traces of kept questions."""
    accepted_falsely: Count | None = None
    """Those of questions with a false label; None without a checker."""

    @property
    def false_labels(self) -> float | None:
        """Share of false labels among the checked ones; None without any."""
        return self.falsely_labelled / self.checked if self.checked and self.falsely_labelled is not None else None

    def figures(self) -> dict[str, float]:
        """The figures that there are, by name; `dropped <reason>` for each reason."""
        plain = ("proposed", "kept", "agreement", "agreement_kept", "checked", "falsely_labelled", "false_labels", "accepted", "accepted_falsely")
        found = {name: float(value) for name in plain if (value := getattr(self, name)) is not None}
        return found | {f"dropped {reason}": float(count) for reason, count in self.dropped.items()}
