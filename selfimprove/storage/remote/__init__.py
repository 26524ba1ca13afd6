"""Run folders at URLs."""
