"""Trackers: where the progress of runs is logged."""
