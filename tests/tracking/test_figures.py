"""Reports and settings become flat figures with names that every tracker takes."""

from __future__ import annotations

from selfimprove.records import Checkpoint, Coverage, GenerationReport, Score, TrainingStep
from selfimprove.tracking import figures


def test_settings_are_shown_outer_ones_first_and_parts_under_their_role():
    settings = {
        "part": "Workflow",
        "sampling": {"part": "Decoding", "top_p": 0.9},
        "seed": 0,
        "first_prompter": None,
        "stop words": ["a"],
        "base model": "tiny",
    }
    assert figures.of_settings(settings) == {"seed": "0", "base_model": "tiny", "sampling": "Decoding", "sampling.top_p": "0.9"}


def test_settings_stop_at_the_number_asked_for():
    assert len(figures.of_settings({f"s{i}": i for i in range(40)})) == 12


def test_a_report_becomes_sections_with_legal_names():
    checkpoint = Checkpoint("m1", "/m1", None, 1, "w", "t")
    score = Score("m1", 10, 0.5, (0.2, 0.8), {1: 0.5, 2: 0.7}, {1: 0.5, 2: 0.6}, {"correct": 3, "crash": 1}, 99, {}, {1: (0.2, 0.8), 2: (0.4, 0.9)})
    report = GenerationReport(
        generation=1,
        start=checkpoint,
        candidate=checkpoint,
        score=score,
        kept=checkpoint,
        kept_score=score,
        why="better",
        counts={"sampled": 8, "accepted": 2, "problems": 2, "distinct": 2},
        outcomes={"correct": 3},
        drops={"longer than 9/10 of ../context": 1},
        seconds={"sample": 1.5},
        tokens={"sample": 80},
        coverage=Coverage(("a", "b"), (), ("c",), "expansion"),
    )
    assert figures.of_report(report) == {
        "exam/pass_at_1": 0.5,
        "exam/pass_at_1_low": 0.2,
        "exam/pass_at_1_high": 0.8,
        "exam/pass_at_k/2": 0.7,
        "exam/pass_at_k_low/2": 0.4,
        "exam/pass_at_k_high/2": 0.9,
        "exam/majority_at_k/2": 0.6,
        "exam/undecided": 0.25,
        "coverage/newly_solved": 2,
        "coverage/forgotten": 0,
        "coverage/never_solved": 1,
        "champion/pass_at_1": 0.5,
        "traces/sampled": 8,
        "traces/accepted": 2,
        "traces/problems": 2,
        "traces/distinct": 2,
        "traces/accepted_share": 0.25,
        "traces/samples_per_problem": 4,
        "traces/distinct_per_1000_tokens": 25,
        "traces/false_acceptance": 0,
        "outcomes/correct": 3,
        "drops/longer_than_9_10_of____context": 1,
        "seconds/sample": 1.5,
        "tokens/sample": 80,
    }


def test_a_step_tells_what_its_trainer_measured():
    step = TrainingStep(2, 5, 0.5, 1e-4, 300, {"margin": 0.2})
    assert figures.of_step(step) == {"train/loss": 0.5, "train/learning_rate": 1e-4, "train/tokens": 300, "train/margin": 0.2}
