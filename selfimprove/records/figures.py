"""Figures of one generation: what was counted and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from selfimprove.records.ranges import Amount, Count, Finite, Share


class Stage(StrEnum):
    """A timed step of a generation, in the order in which they run."""

    PROPOSE = "propose"
    """Asking for new questions, and answering them for their labels."""
    PREDICT = "predict"
    SAMPLE = "sample"
    """Sampling and verifying, which run as one stream."""
    REWARD = "reward"
    PROBE = "probe"
    RETRY = "retry"
    RATIONALIZE = "rationalize"
    SELECT = "select"
    TRAIN = "train"
    DRIFT = "drift"
    EVALUATE = "evaluate"
    ABLATE = "ablate"


@dataclass(frozen=True, slots=True)
class GenerationCounts:
    """How many of each there were in a generation."""

    sampled: Count
    """Traces."""
    verified: Count
    """Traces with the verdict `correct`."""
    accepted: Count
    """Traces that the selector kept."""
    distinct: Count
    """Accepted traces of different text."""
    falsely_accepted: Count
    """Accepted traces with the verdict `wrong`."""
    problems: Count
    """Problems with at least one sample."""
    most_samples: Count
    """Largest number of samples of one problem."""
    trained_on: Count
    """Rows or, in reinforcement, prompts of the training."""
    hopeless: Count | None = None
    """Traces that a search gave up; None without a search."""
    pairs: Count | None = None
    """Preference pairs that were trained on; None without any."""
    rollouts: Count | None = None
    """Rollouts of reinforcement; None without it."""
    rollouts_right: Count | None = None
    """Rollouts with the verdict `correct`; None without reinforcement."""
    direct: Count | None = None
    """Rows without their thinking among those trained on; None without `direct_share`."""
    general: Count | None = None
    """Rows of instruction data among those trained on; None without `Replay.general`."""
    general_tokens: Count | None = None
    """Tokens of their completions; None where they cannot be counted."""
    general_contaminated: Count | None = None
    """Rows of instruction data that were passed over because they give problems of the evaluation, of the test or of a guard away."""
    general_too_long: Count | None = None
    """Rows of instruction data that were passed over because they are too long for the trainer."""
    off_policy: Count | None = None
    """Accepted traces that the champion before the last wrote; None without `overlap`."""
    revised: Count | None = None
    """Revisions among the accepted rows; None without `reflection`."""
    confirmed: Count | None = None
    """Confirmations among the accepted rows; None without `reflection`."""

    def figures(self) -> dict[str, float]:
        """The counts that there are, by name."""
        return {name: float(value) for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over traces with its 95 % interval."""

    mean: Finite
    low: Finite
    high: Finite
    traces: Count


@dataclass(frozen=True, slots=True)
class ThinkingFigures:
    """What the thinking of a generation's sampled traces looks like. Figures are means per trace unless they say otherwise."""

    traces: Count
    """Number of traces, those without thinking included."""
    thoughts: Amount
    switches: Amount
    """Thoughts that turn away from the one before."""
    thinking_characters: Amount
    output_tokens: Amount
    """Tokens of thinking and answer together."""
    behaviours: Mapping[str, Amount]
    """Thoughts by reasoning behaviour."""
    behaviour_shares: Mapping[str, Share]
    """Share of traces that show each reasoning behaviour."""
    thinking_tokens: Amount | None = None
    """None where tokens cannot be told apart, as with a teacher's traces."""
    tokens_per_thought: Amount | None = None
    """Mean over all thoughts; None without thoughts or tokens."""
    under_thinking: Estimate | None = None
    """Over the probed traces without a correct answer; None where there are none."""
    over_thinking: Estimate | None = None
    """Over the probed traces with a correct answer; None where there are none."""

    def figures(self) -> dict[str, float]:
        """All figures by name: `<behaviour>` and `<behaviour>_share` for behaviours; `_low`, `_high` and `_traces` behind the name of an estimate."""
        plain = ("traces", "thoughts", "switches", "thinking_characters", "output_tokens", "thinking_tokens", "tokens_per_thought")
        found = {name: float(value) for name in plain if (value := getattr(self, name)) is not None}
        found |= dict(self.behaviours) | {f"{name}_share": share for name, share in self.behaviour_shares.items()}
        for name, estimate in (("over_thinking", self.over_thinking), ("under_thinking", self.under_thinking)):
            if estimate is not None:
                found |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high, f"{name}_traces": float(estimate.traces)}
        return found


@dataclass(frozen=True, slots=True)
class LooksBack:
    """Traces by whether they look back at their first attempt."""

    revised: Count = 0
    """Traces that look back and reject it."""
    confirmed: Count = 0
    """Traces that look back and keep it."""
    neither: Count = 0

    @property
    def traces(self) -> int:
        """Number of traces."""
        return self.revised + self.confirmed + self.neither


@dataclass(frozen=True, slots=True)
class FirstAttempts:
    """What the traces of an evaluation do about their first attempt: the confusion table of reflection."""

    right: LooksBack
    """Traces whose first attempt is right."""
    wrong: LooksBack
    unknown: LooksBack
    """Traces whose first attempt states no result that can be read, or is not complete when they look back."""
    corrected: Count
    """Traces whose first attempt is wrong and whose answer is right."""
    spoilt: Count
    """Traces whose first attempt is right and whose answer is not."""

    def figures(self) -> dict[str, float]:
        """The nine counts (`wrong_revised`, …), both changes, and shares: of all traces, and of those with a right or a wrong first attempt."""
        rows = {"right": self.right, "wrong": self.wrong, "unknown": self.unknown}
        found = {f"{name}_{kind}": float(count) for name, row in rows.items() for kind, count in asdict(row).items()}
        found |= {"corrected": float(self.corrected), "spoilt": float(self.spoilt)}
        parts = {
            "revision_share": (sum(row.revised for row in rows.values()), sum(row.traces for row in rows.values())),
            "reflection_share": (sum(row.revised + row.confirmed for row in rows.values()), sum(row.traces for row in rows.values())),
            "reflects_if_right": (self.right.revised + self.right.confirmed, self.right.traces),
            "reflects_if_wrong": (self.wrong.revised + self.wrong.confirmed, self.wrong.traces),
            "correction_rate": (self.corrected, self.wrong.traces),
            "spoiling_rate": (self.spoilt, self.right.traces),
        }
        return found | {name: count / of for name, (count, of) in parts.items() if of}


@dataclass(frozen=True, slots=True)
class AskedAgainFigures:
    """What asking unsolved problems again came to, with a hint or after a critique."""

    problems: Count
    """Problems that were asked again."""
    sampled: Count
    """Traces."""
    accepted: Count
    """Rows that were accepted."""
    trained_on: Count
    """Such rows of the training."""
    without: Finite | None = None
    """pass@1 of the same training without these rows; None without an ablation."""
    value: Finite | None = None
    """pass@1 that these rows add."""
    value_low: Finite | None = None
    """Lower end of the 90 % interval of `value`, paired over problems."""
    value_high: Finite | None = None

    def figures(self) -> dict[str, float]:
        """The figures that there are, by name."""
        return {name: float(value) for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class ForecastQuality:
    """How good predictions of solve rates were, as `evaluation.reliability` measures it."""

    problems: Count
    brier: Finite
    base_brier: Finite
    auroc: Finite | None
    calibration_error: Finite


@dataclass(frozen=True, slots=True)
class DifficultyFigures:
    """How well solve rates were predicted."""

    out_of_fold: ForecastQuality | None = None
    """Quality on the observations that the model was fitted to, each predicted without its problem."""
    forecast: ForecastQuality | None = None
    """Quality on the samples that came afterwards."""

    def figures(self) -> dict[str, float]:
        """All figures by name; those of `forecast` begin with `forecast_`."""
        found = {"": self.out_of_fold, "forecast_": self.forecast}
        return {prefix + name: float(value) for prefix, one in found.items() if one for name, value in asdict(one).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Drift:
    """How a fixed text reads to a checkpoint, as means over the tokens that are predicted, in nats."""

    tokens: Count
    nll: Amount
    """Negative log-likelihood of the text."""
    kl: Amount
    """KL(base || checkpoint): how far the predictions after each token are from the base model's; 0 for the base model."""
    text_hash: str
    """Start of the text's SHA-256: figures on other texts cannot be compared."""
