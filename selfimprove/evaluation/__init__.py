"""How well a checkpoint does: pure functions over judged traces."""
