"""Measures how well a checkpoint does: pure functions over judged traces."""
