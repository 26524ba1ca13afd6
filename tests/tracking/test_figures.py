"""Reports and settings become flat figures with names that every tracker accepts."""

from __future__ import annotations

from selfimprove.records import Checkpoint, Coverage, FurtherScore, GenerationCounts, GenerationReport, Score, Stage, ThinkingFigures, TrainingStep
from selfimprove.tracking import figures
from selfimprove.tracking.mlflow_page import told


def test_settings_are_shown_outer_first_and_parts_under_their_role():
    settings = {
        "part": "Workflow",
        "sampling": {"part": "Sampling", "top_p": 0.9},
        "seed": 0,
        "first_prompter": None,
        "stop words": ["a"],
        "base model": "tiny",
    }
    assert figures.of_settings(settings) == {"seed": "0", "base_model": "tiny", "sampling": "Sampling", "sampling.top_p": "0.9"}


def test_settings_stop_at_the_maximum_and_long_ones_are_left_out():
    assert len(figures.of_settings({f"s{i}": i for i in range(80)})) == 60
    assert figures.of_settings({"system": "Think. " * 40, "seed": 1}) == {"seed": "1"}


def test_a_generation_follows_the_settings_of_its_round():
    settings = {
        "part": "Workflow",
        "seed": 7,
        "start_from": "base",
        "generations": 3,
        "rounds": [{"part": "Round", "start_from": None}, {"start_from": "champion"}],
    }
    assert figures.of_round(settings, 1) == {"seed": 7, "start_from": "base"}
    assert figures.of_round(settings, 2) == {"seed": 7, "start_from": "champion"}
    assert figures.of_round(settings, 0) == figures.of_round(settings, 3) == figures.of_round(settings, 1)


def test_of_many_k_only_powers_of_two_and_the_largest_are_shown():
    rates = {k: k / 10 for k in range(1, 8)}
    score = Score("m1", 10, 0.1, (0.0, 0.3), rates, rates, {"correct": 1}, 9)
    assert [key for key in figures.of_score(score) if key.startswith("1_evaluation/pass_at")] == [
        "1_evaluation/pass_at_1",
        "1_evaluation/pass_at_1_low",
        "1_evaluation/pass_at_1_high",
        "1_evaluation/pass_at_2",
        "1_evaluation/pass_at_4",
        "1_evaluation/pass_at_7",
    ]


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
        counts=GenerationCounts(sampled=8, verified=3, accepted=2, distinct=2, falsely_accepted=0, problems=2, most_samples=4, trained_on=2),
        outcomes={"correct": 3},
        drops={"longer than 9/10 of ../context": 1},
        seconds={Stage.SAMPLE: 1.5, Stage.REWARD: 1.5},
        tokens={Stage.SAMPLE: 80},
        anatomy=ThinkingFigures(8, 2.5, 1, 90, 40, {"revision": 0.5}, {"revision": 0.25}),
        coverage=Coverage(("a", "b"), (), ("c",), "expansion"),
    )
    assert figures.of_report(report) == {
        "1_evaluation/pass_at_1": 0.5,
        "1_evaluation/pass_at_1_low": 0.2,
        "1_evaluation/pass_at_1_high": 0.8,
        "1_evaluation/pass_at_2": 0.7,
        "1_evaluation/pass_at_2_low": 0.4,
        "1_evaluation/pass_at_2_high": 0.9,
        "majority_at_k/2": 0.6,
        "1_evaluation/undecided": 0.25,
        "3_thinking/traces": 8,
        "3_thinking/thoughts": 2.5,
        "3_thinking/switches": 1,
        "3_thinking/thinking_characters": 90,
        "3_thinking/output_tokens": 40,
        "4_behaviours/revision": 0.5,
        "4_behaviours/revision_share": 0.25,
        "coverage/newly_solved": 2,
        "coverage/forgotten": 0,
        "coverage/never_solved": 1,
        "champion/pass_at_1": 0.5,
        "2_traces/sampled": 8,
        "2_traces/verified": 3,
        "2_traces/accepted": 2,
        "2_traces/problems": 2,
        "2_traces/distinct": 2,
        "2_traces/falsely_accepted": 0,
        "2_traces/most_samples": 4,
        "2_traces/trained_on": 2,
        "2_traces/accepted_share": 0.25,
        "2_traces/samples_per_problem": 4,
        "2_traces/distinct_per_1000_tokens": 25,
        "2_traces/false_acceptance": 0,
        "outcomes/correct": 3,
        "drops/longer_than_9_10_of____context": 1,
        "5_seconds/sample": 1.5,
        "5_seconds/reward": 1.5,
        "6_tokens/sample": 80,
    }


def test_a_step_has_whatever_its_trainer_measured():
    step = TrainingStep(2, 5, 0.5, 1e-4, 300, {"margin": 0.2})
    assert figures.of_step(step) == {"0_training/loss": 0.5, "0_training/learning_rate": 1e-4, "0_training/tokens": 300, "0_training/margin": 0.2}


def test_a_figure_that_has_always_been_0_has_no_line_and_the_others_have_all_their_points():
    checkpoint = Checkpoint("c", "/c", None, 0, "w", "t")

    def report(number: int, drops: dict[str, int]) -> GenerationReport:
        score = Score("c", 4, 0.0, (0.0, 0.5), {}, {}, {}, 0)
        return GenerationReport(number, checkpoint, checkpoint, score, checkpoint, score, "w", {}, drops, {}, {})

    reports = {0: report(0, {"late": 0, "never": 0}), 1: report(1, {"late": 0, "never": 0}), 2: report(2, {"late": 3}), 3: report(3, {"late": 0})}
    scores = {"1_evaluation/pass_at_1": 0.0, "1_evaluation/pass_at_1_low": 0.0, "1_evaluation/pass_at_1_high": 0.5, "champion/pass_at_1": 0.0}
    assert figures.over_generations(reports, 0) == {0: scores}
    assert figures.over_generations(reports, 2) == {0: {"drops/late": 0}, 1: {"drops/late": 0}, 2: {**scores, "drops/late": 3}}
    assert figures.over_generations(reports, 3)[3] == {**scores, "drops/late": 0}

    lenient = FurtherScore("last | number", "2", Score("c", 4, 0.25, (0.1, 0.5), {}, {}, {}, 0))
    key = "1_evaluation/pass_at_1_by_last___number"
    assert figures.of_further([lenient]) == {key: 0.25, f"{key}_low": 0.1, f"{key}_high": 0.5}
    tags = told(list(reports.values()), {}, "run", {0: [lenient]})
    assert tags["result"] == "pass@1 0.000 → 0.000" and tags["result by last___number"] == "pass@1 0.250 → 0.250"
    assert "The same answers by last \\| number: **0.250 → 0.250**." in tags["mlflow.note.content"]
