"""A generation without an accepted trace says what kept them out, and what to change first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from toy import ToySampler, make_toy_model, toy_workflow

from selfimprove import InlineCluster, KeepCorrect, UserError, improve
from selfimprove.records import AnnotatedTrace, Checkpoint, Outcome, Request, Trace, Verdict
from selfimprove.stages.obstacles import why_none

CUT = ("<think>\n1 + 1 = 2, and so on and", "length", Outcome.UNPARSEABLE)
STOPPED = ("<think>\nIt is 7.", "stop", Outcome.UNPARSEABLE)
RAMBLING = ("<think>\nIt is 7.\n</think>\n7\nUser: 1 + 2 =", "length", Outcome.WRONG)
RIGHT_RAMBLING = ("<think>\nIt is 7.\n</think>\n7", "length", Outcome.CORRECT)
WORDLESS = ("7", "stop", Outcome.CORRECT)
WRONG = ("<think>\nx\n</think>\n-1", "stop", Outcome.WRONG)
LONG = ("<think>\nx\n</think>\n7", "stop", Outcome.CORRECT)
CRASHED = (*WRONG[:2], Outcome.CRASH)


def judged(text: str, reason: str, outcome: Outcome) -> AnnotatedTrace:
    trace = Trace("t", "p", "base", (1,), tuple(range(9)), text, (), reason, 1.0, 0)
    return AnnotatedTrace(trace, Verdict("t", outcome, None, "toy", "1", outcome.score))


@pytest.mark.parametrize(
    ("traces", "line"),
    [
        ([CUT] * 3, "(3 unparseable); 3 ran into max_tokens while thinking; raise sampling.max_tokens, or set sampling.budget"),
        ([STOPPED] * 3, "(3 unparseable); 3 never closed their thinking; show the model how its thinking ends"),
        ([RAMBLING] * 3, "(3 wrong); 3 never ended their turn; the model does not end its turns: give first_prompter (more) exemplars"),
        ([RIGHT_RAMBLING, WRONG, WRONG], "(1 unfinished, 2 wrong); 1 never ended their turn; the model does not end its turns"),
        (
            [CUT, STOPPED, WRONG, WRONG],
            "(2 unparseable, 2 wrong); 1 ran into max_tokens while thinking, 1 never closed their thinking; the model",
        ),
        ([WORDLESS, WRONG, WRONG], "(1 missing, 2 wrong); right answers came without a block of thinking"),
        ([WRONG] * 3, "(3 wrong); the model is too weak"),
        ([LONG, WRONG, WRONG], "(1 too long, 2 wrong); right answers were dropped for other reasons: loosen the selector"),
        ([CRASHED, CRASHED, WRONG], "(2 crash, 1 wrong); the verifier did not decide"),
    ],
)
def test_what_kept_traces_out_is_counted_and_the_first_lever_named(traces: list[tuple[str, str, Outcome]], line: str) -> None:
    items = [judged(*trace) for trace in traces]
    selection = KeepCorrect(max_tokens=5 if LONG in traces else None).select(items, {"p": ()}, 1)
    assert not selection.accepted and why_none(items, selection.drops).startswith(line)


@dataclass(frozen=True)
class Unending(ToySampler):
    """Thinks until the limit."""

    def _trace(self, checkpoint: Checkpoint, request: Request) -> Trace:
        return replace(super()._trace(checkpoint, request), text=CUT[0], finish_reason="length")


def test_a_run_ends_with_the_line(tmp_path: Path) -> None:
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.2), sampler=Unending(), generations=1)
    with pytest.raises(UserError, match=r"generation 1: no trace was accepted \(50 unparseable\); 50 ran into max_tokens while thinking; raise"):
        improve(workflow, tmp_path / "run", InlineCluster)
