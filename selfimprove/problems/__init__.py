"""Sources of problems."""

from selfimprove.problems.hub import HubDataset
from selfimprove.problems.jsonl import Jsonl
from selfimprove.problems.reasoning_gym_task import ReasoningGym
from selfimprove.problems.split import check_problems, question_key, split
from selfimprove.problems.table import Table

__all__ = ["HubDataset", "Jsonl", "ReasoningGym", "Table", "check_problems", "question_key", "split"]
