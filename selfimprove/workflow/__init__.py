"""A workflow: which part plays each role."""
