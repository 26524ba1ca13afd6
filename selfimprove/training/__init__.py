"""From a checkpoint and accepted traces to the next checkpoint."""
