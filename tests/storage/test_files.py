"""Records on disk come back as they were, and a file is complete or absent."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfimprove import UserError
from selfimprove.records import (
    AcceptedTrace,
    AnnotatedTrace,
    AskedAgainFigures,
    Checkpoint,
    Coverage,
    Decision,
    DifficultyFigures,
    Drift,
    Estimate,
    FirstAttempts,
    ForecastQuality,
    FurtherScore,
    GenerationCounts,
    GenerationReport,
    GuardLoss,
    GuardScore,
    JudgedTrace,
    LabelledTrace,
    LedgerEntry,
    LevelScore,
    LooksBack,
    Message,
    Outcome,
    Pair,
    Probe,
    Problem,
    PromptScores,
    ProposalFigures,
    ProposedQuestion,
    ReinforcementPrompt,
    Request,
    Score,
    Selection,
    ThinkingFigures,
    ThoughtRewards,
    Trace,
    TrainingStep,
    TriedCandidate,
    Tries,
    Usage,
    Verdict,
    VerifierRow,
    WeightedRow,
)
from selfimprove.records.budgets import Budget, SwitchPenalty
from selfimprove.records.delimiters import Delimiters
from selfimprove.storage.complete import complete_or_absent
from selfimprove.storage.files import read_json, read_records, write_json, write_records

TEXT = st.text(max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
MANY = [Trace, Verdict, AcceptedTrace, Pair, VerifierRow, LedgerEntry, Probe, ProposedQuestion]
FEW = [
    *MANY,
    AnnotatedTrace,
    Checkpoint,
    Coverage,
    Decision,
    DifficultyFigures,
    Drift,
    Estimate,
    FirstAttempts,
    ForecastQuality,
    FurtherScore,
    GenerationCounts,
    AskedAgainFigures,
    ReinforcementPrompt,
    GenerationReport,
    GuardLoss,
    GuardScore,
    JudgedTrace,
    LabelledTrace,
    LevelScore,
    LooksBack,
    Problem,
    PromptScores,
    ProposalFigures,
    Request,
    Score,
    Selection,
    ThinkingFigures,
    ThoughtRewards,
    TrainingStep,
    TriedCandidate,
    Tries,
    Usage,
    WeightedRow,
]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | NUMBER | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=4,
)
st.register_type_strategy(Message, st.builds(lambda role, content: Message(role=role, content=content), TEXT, TEXT))
st.register_type_strategy(Mapping, lambda kind: st.dictionaries(*map(st.from_type, kind.__args__), max_size=3))
# Parquet's integers have 64 bits.
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))
st.register_type_strategy(float, NUMBER)
SIGNS = st.text(min_size=1, max_size=8)
st.register_type_strategy(Delimiters, st.builds(Delimiters, SIGNS, SIGNS))
LIMITS = {"min_tokens": st.integers(0, 9), "max_tokens": st.none() | st.integers(9, 99), "max_thoughts": st.none() | st.integers(1, 9)}
st.register_type_strategy(Budget, st.builds(Budget, **LIMITS, continuations=st.lists(SIGNS, min_size=1, max_size=3).map(tuple), final=TEXT))

PENALTIES = st.builds(SwitchPenalty, st.floats(0, 9), st.integers(1, 99), st.lists(SIGNS, min_size=1, max_size=3).map(tuple))
st.register_type_strategy(SwitchPenalty, PENALTIES)


def any_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any record of this kind."""
    free: dict[type[Any], dict[str, st.SearchStrategy[Any]]] = {Problem: {"metadata": st.dictionaries(TEXT, JSON, max_size=3)}}
    if kind is ReinforcementPrompt:
        free[ReinforcementPrompt] = {"problem": any_of(Problem)}
    return st.builds(kind, **free.get(kind, {}))


@pytest.mark.parametrize("kind", FEW, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_every_record_comes_back_from_json(kind: type[Any], data: st.DataObject) -> None:
    record = data.draw(any_of(kind))
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder) / "record.json", record)
        assert read_json(Path(folder) / "record.json", kind) == record


@pytest.mark.parametrize("kind", MANY, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_lists_of_records_come_back_from_parquet(kind: type[Any], data: st.DataObject) -> None:
    records = data.draw(st.lists(any_of(kind), max_size=4))
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder) / "records.parquet", records, kind)
        assert read_records(Path(folder) / "records.parquet", kind) == records


def test_every_kind_of_record_is_tested_here() -> None:
    from selfimprove import records

    kinds = {
        value
        for value in vars(records).values()
        if dataclasses.is_dataclass(value) and isinstance(value, type) and value.__module__.startswith(records.__name__)
    }
    # A verifier returns a Grade, and rollouts go from the sampler to the trainer; neither is stored.
    assert kinds - {records.Grade, records.Rollout, records.RolloutRequest} == set(FEW)


def test_plain_data_is_written_too(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "seconds.json", {"a": 1.5})
    found: Mapping[str, float] = read_json(tmp_path / "new" / "seconds.json", dict[str, float])
    assert found == {"a": 1.5}


def test_what_fails_halfway_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_json(tmp_path / "figures.json", {"a": 1})
    with pytest.raises(KeyboardInterrupt), complete_or_absent(tmp_path / "figures.json") as temporary:
        temporary.write_text('{"a": ')
        raise KeyboardInterrupt
    assert sorted(os.listdir(tmp_path)) == ["SHA256SUMS", "figures.json"] and read_json(tmp_path / "figures.json", dict[str, int]) == {"a": 1}


def test_a_file_that_holds_something_else_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "score.json", {"a": 1})
    with pytest.raises(UserError, match=r"score.json does not hold a Score: .*; remove it to make it again"):
        read_json(tmp_path / "score.json", Score)
    write_records(tmp_path / "verdicts.parquet", [Verdict("t", Outcome.CORRECT, "1", "v", "1", 1.0)], Verdict)
    with pytest.raises(UserError, match=r"verdicts.parquet does not hold Trace rows: .*; remove it"):
        read_records(tmp_path / "verdicts.parquet", Trace)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"broken.parquet does not hold Trace rows"):
        read_records(tmp_path / "broken.parquet", Trace)
