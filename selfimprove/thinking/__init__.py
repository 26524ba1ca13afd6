"""Reasoning traces: their thinking, thoughts and behaviours."""
