"""Teach a language model to reason and let it improve itself."""
