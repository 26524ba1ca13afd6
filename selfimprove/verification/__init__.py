"""Tells right answers from wrong ones, with a hard deadline for each."""

from selfimprove.verification.exact import Exact
from selfimprove.verification.mathematical import Mathematical
from selfimprove.verification.multiple_choice import MultipleChoice
from selfimprove.verification.pool import OpenVerifierPool, VerifierPool
from selfimprove.verification.python_tests import PythonTests
from selfimprove.verification.reasoning_gym_scorer import ReasoningGymScorer
from selfimprove.verification.reference_check import rejected_references

__all__ = [
    "Exact",
    "Mathematical",
    "MultipleChoice",
    "OpenVerifierPool",
    "PythonTests",
    "ReasoningGymScorer",
    "VerifierPool",
    "rejected_references",
]
