"""One evaluation problem before and after: a trace of the base model, which is wrong, and one of the champion, which is right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from selfimprove.records import AnnotatedTrace, Outcome
from selfimprove.reports.traces import annotated
from selfimprove.storage.averaged import candidate_folder
from selfimprove.storage.run_folder import RunFolder
from selfimprove.thinking.traces import parsed


def before_and_after(run: RunFolder) -> tuple[AnnotatedTrace, AnnotatedTrace] | None:
    """The first trace of the base model and the first correct one of the champion on a problem that only the champion solves; None without one.

    Of several problems it is one whose base trace is wrong by every verifier, so that the example is not one of form, and of these the one that the
    champion solves with the fewest characters of thinking.
    """
    reports = run.reports()
    if not reports or reports[-1].kept.generation == 0:
        return None
    base, kept = reports[0].score.solved, reports[-1].kept_score.solved
    gained = {problem for problem, (right, _) in kept.items() if right and base.get(problem, (0, 0))[0] == 0}
    before = _first(run.generation(0) / "evaluation", gained, right=False)
    after = _first(candidate_folder(run, reports[-1].kept.generation) / "evaluation", gained, right=True)
    both = before.keys() & after.keys()
    if not both:
        return None

    def place(problem: str) -> tuple[bool, bool, int, str]:
        thinking = (parsed(after[problem].trace).thinking or "").strip()
        form = any(verdict.outcome is Outcome.CORRECT for verdict in before[problem].further)
        return form, not thinking, len(thinking), problem

    chosen = min(both, key=place)
    return before[chosen], after[chosen]


def _first(evaluation: Path, problems: set[str], right: bool) -> Mapping[str, AnnotatedTrace]:
    """The first trace of each of these problems that is right, or not."""
    found: dict[str, AnnotatedTrace] = {}
    for item in annotated(evaluation):
        if item.trace.problem_id in problems and (item.verdict.outcome is Outcome.CORRECT) == right:
            found.setdefault(item.trace.problem_id, item)
    return found
