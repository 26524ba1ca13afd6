"""The sets of a workflow: problems to learn from, of the evaluation, and of the final test, with no question in two of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from selfimprove.errors import UserError
from selfimprove.problems.curriculum import Curriculum
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
    own: Mapping[int, Sequence[Problem]] = field(default_factory=dict)
    """Problems of the generations whose round has a source of its own, by generation; a question of `training` keeps its id."""

    @property
    def learnable(self) -> list[Problem]:
        """All problems to learn from, with those of generations that have problems of their own."""
        return list({problem.id: problem for problem in chain(self.training, *self.own.values())}.values())

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
    rounds: Mapping[int, tuple[ProblemSource, bool]] | None = None,
) -> ProblemSets:
    """Load the sets. Where a number is given in place of a source, that many training problems, drawn by `seed`, are set apart: of each level, if
    the source has levels.

    Args:
        needs_reference: Whether the problems to learn from need reference answers.
        eval_needs_reference: Whether those of the evaluation and of the test do.
        guards: The source of each guard's problems, by its name, and whether they need reference answers.
        rounds: The same for the generations whose round has a source of its own, by generation.

    Raises:
        UserError: a set or a level of it is empty, repeats a question, lacks a question or an answer, or two sets share a question.
    """
    training = list(source.load())
    check_problems(training, "problems", needs_reference)
    if isinstance(source, Curriculum) and (empty := set(range(1, len(source.levels) + 1)) - {problem.level for problem in training}):
        raise UserError(f"level {min(empty)} of problems is empty: earlier levels have all its questions; give it harder problems, or leave it out")
    sets: dict[str, list[Problem]] = {}
    # Each from a seed of its own: a test leaves the evaluation as it would be without one.
    for name, given, drawn_by in (("eval_problems", eval_problems, seed), ("test_problems", test_problems, derive_seed(seed, "test"))):
        if isinstance(given, int):
            training, sets[name] = _split_levels(training, given, drawn_by, name)
        elif given is not None:
            sets[name] = list(given.load())
        if name in sets:
            check_problems(sets[name], name, eval_needs_reference)
            if isinstance(source, Curriculum) and source.advance_at is not None and name == "eval_problems":
                _require_levels(sets[name], source)
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
    own = _own_problems(training, rounds or {})
    for number, problems in own.items():
        called = f"rounds.{number}.problems"
        for name, given, measured in (("eval_problems", eval_problems, sets["eval_problems"]), ("test_problems", test_problems, test)):
            if isinstance(given, int):
                # They were drawn from `problems`, which a round may share questions with.
                own[number] = problems = _without_questions(problems, measured)
            _require_other_questions(problems, called, measured, name)
        for name, kept in guarded.items():
            _require_other_questions(problems, called, kept, f"guards.{name}.problems")
        if not problems:
            raise UserError(f"{called}: all its problems are set apart for evaluation; give the round further problems")
    return ProblemSets(training, sets["eval_problems"], test, guarded, own)


def own_sizes(source: ProblemSource, generations: int, training: Sequence[Problem], own: Mapping[int, Sequence[Problem]]) -> dict[int, int]:
    """Number of problems of each generation that does not learn from all of `training`: it has its own, or learns from a level, taken to be the
    largest where evaluations decide."""
    sizes: dict[int, int] = {}
    if isinstance(source, Curriculum):
        levels = Counter(problem.level for problem in training)
        for number in range(1, generations + 1):
            sizes[number] = levels[source.level_at(number, [])] if source.advance_at is None else max(levels.values())
    return sizes | {number: len(problems) for number, problems in own.items()}


def _split_levels(problems: Sequence[Problem], count: int, seed: int, what: str) -> tuple[list[Problem], list[Problem]]:
    """As `split`, for each level by itself; problems without levels are one."""
    training, drawn = list[Problem](), list[Problem]()
    for level in dict.fromkeys(problem.level for problem in problems):
        try:
            left, apart = split([problem for problem in problems if problem.level == level], count, seed, what)
        except UserError as error:
            raise UserError(f"level {level}: {error}" if level else str(error)) from error
        training, drawn = training + left, drawn + apart
    return training, drawn


def _require_levels(problems: Sequence[Problem], source: Curriculum) -> None:
    """Refuse evaluation problems that do not measure every level of the problems to learn from."""
    there, levels = {problem.level for problem in problems}, set(range(1, len(source.levels) + 1))
    if missing := levels - there:
        fix = f"give the number of problems to set apart of each level, or a Curriculum with {len(levels)} levels"
        raise UserError(f"eval_problems has no problems of level {min(missing)}, so that nothing tells when it is passed; {fix}")
    if odd := there - levels:
        raise UserError(f"eval_problems has level {odd.pop()}, but problems has only {len(levels)} levels; give both as many")


def _own_problems(training: Sequence[Problem], rounds: Mapping[int, tuple[ProblemSource, bool]]) -> dict[int, list[Problem]]:
    """The problems of each round's source. A question that an earlier source asks keeps that source's id; others get the round in front."""
    known = {question_key(problem.question): problem for problem in training}
    own: dict[int, list[Problem]] = {}
    for number, (source, needs_reference) in rounds.items():
        loaded = list(source.load())
        check_problems(loaded, f"rounds.{number}.problems", needs_reference)
        named = (replace(problem, id=f"round-{number}/{problem.id}") for problem in loaded)
        own[number] = [known.setdefault(question_key(problem.question), problem) for problem in named]
    return own


def _without_questions(problems: Sequence[Problem], others: Sequence[Problem]) -> list[Problem]:
    """The problems that ask none of the questions of the others."""
    asked = {question_key(problem.question) for problem in others}
    return [problem for problem in problems if question_key(problem.question) not in asked]


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
