"""From verdicts to the rows of a training run."""
