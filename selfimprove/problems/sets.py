"""The sets of a workflow: problems to learn from, of the evaluation, and of the final test, with no question in two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from selfimprove.errors import UserError
from selfimprove.problems.split import check_problems, question_key, split
from selfimprove.protocols import ProblemSource
from selfimprove.records import Problem
from selfimprove.seeds import derive_seed


@dataclass(frozen=True)
class ProblemSets:
    """The problems of a workflow, by their use."""

    training: Sequence[Problem]
    evaluation: Sequence[Problem]
    """Problems that gate every generation."""
    test: Sequence[Problem] = ()
    """Problems that only the final test asks; empty without one."""
    guards: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    """Problems of each guard, by its name."""

    @property
    def measured(self) -> list[Problem]:
        """The problems of the evaluation and of the test."""
        return [*self.evaluation, *self.test]

    @property
    def untrained(self) -> list[Problem]:
        """The problems that nothing may be trained on: those of the evaluation, of the test and of the guards, each question once.

        Those of guards are renamed, as guards may share ids and questions with each other and with the evaluation.
        """
        guarded = [replace(problem, id=f"guard-{name}/{problem.id}") for name, problems in self.guards.items() for problem in problems]
        return list({question_key(problem.question): problem for problem in reversed([*self.measured, *guarded])}.values())[::-1]


def load_sets(
    source: ProblemSource,
    eval_problems: ProblemSource | int,
    test_problems: ProblemSource | int | None,
    seed: int,
    needs_reference: bool = True,
    eval_needs_reference: bool = True,
    guards: Mapping[str, tuple[ProblemSource, bool]] | None = None,
) -> ProblemSets:
    """Load the sets. Where a number is given in place of a source, that many training problems, drawn by `seed`, are set apart.

    Args:
        needs_reference: Whether the problems to learn from need reference answers.
        eval_needs_reference: Whether those of the evaluation and of the test do.
        guards: The source of each guard's problems, by its name, and whether they need reference answers.

    Raises:
        UserError: a set is empty, repeats a question, lacks a question or an answer, or two sets share a question.
    """
    training = list(source.load())
    check_problems(training, "problems", needs_reference)
    sets: dict[str, list[Problem]] = {}
    # Each from a seed of its own: a test leaves the evaluation as it would be without one.
    for name, given, drawn_by in (("eval_problems", eval_problems, seed), ("test_problems", test_problems, derive_seed(seed, "test"))):
        if isinstance(given, int):
            training, sets[name] = split(training, given, drawn_by, name)
        elif given is not None:
            sets[name] = list(given.load())
        if name in sets:
            check_problems(sets[name], name, eval_needs_reference)
    _require_apart(training, "problems", sets["eval_problems"], "eval_problems")
    if test := sets.get("test_problems", []):
        _require_apart(training, "problems", test, "test_problems")
        _require_apart(sets["eval_problems"], "eval_problems", test, "test_problems")
    guarded = {}
    for name, (given_to, needs) in (guards or {}).items():
        guarded[name], called = list(given_to.load()), f"guards.{name}.problems"
        check_problems(guarded[name], called, needs)
        # Their traces carry the guard's name, so ids may be those of other sets, as with another difficulty of the same task.
        _require_other_questions(training, "problems", guarded[name], called)
        # Guards choose the champion, and the test must not choose.
        _require_other_questions(guarded[name], called, test, "test_problems")
    return ProblemSets(training, sets["eval_problems"], test, guarded)


def _require_apart(problems: Sequence[Problem], name: str, measured: Sequence[Problem], measure: str) -> None:
    _require_other_questions(problems, name, measured, measure)
    if ids := {problem.id for problem in measured} & {problem.id for problem in problems}:
        raise UserError(f"problem id {min(ids)} is in both {name} and {measure}; ids name traces, so they must differ")


def _require_other_questions(problems: Sequence[Problem], name: str, measured: Sequence[Problem], measure: str) -> None:
    asked = {question_key(problem.question): problem.id for problem in measured}
    for problem in problems:
        if (twin := asked.get(question_key(problem.question))) is not None:
            raise UserError(
                f"problem {problem.id} of {name} asks the same as {twin} of {measure}, which must be new to the model: remove one of them"
            )
