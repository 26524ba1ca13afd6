"""Experiments on a finished run."""
