"""No answer to a task of reasoning-gym runs code, and none that only a scorer's mistake makes right is believed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pytest import MonkeyPatch, fixture, mark

from selfimprove.errors import UserError
from selfimprove.problems import ReasoningGym
from selfimprove.records import Grade, Outcome, Problem
from selfimprove.verification import ReasoningGymScorer, VerifierPool
from selfimprove.verification.reasoning_gym_answers import FORMULAS, LITERALS, safe_to_score

SECRET = "s3cret-of-the-environment"


def attacks(folder: Path, port: int) -> list[str]:
    """Answers that would write a file, open a socket, or tell a secret of the environment by writing it."""
    written = str(folder / "written")
    write = f"__import__('pathlib').Path({written!r}).write_text('x')"
    connect = f"__import__('socket').create_connection(('127.0.0.1',{port}))"
    tell = f"__import__('pathlib').Path({written!r}).write_text(__import__('os').environ['API_KEY'])"
    plain = [write, connect, tell, f"__import__('os').system('echo x > {written}')"]
    lists = [f"[{code} for _ in [0]]" for code in plain]
    sympy = [f"S({code!r})" for code in plain] + [f"x.func({code}).__class__" for code in plain[:1]]
    hidden = [
        f"(lambda: {write})()",
        f"1 if {write} else 0",
        "().__class__.__base__.__subclasses__()",
        f"preview(x, filename={written!r}, viewer='file')",
    ]
    return plain + lists + sympy + hidden


@fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def assert_nothing_happened(folder: Path, server: socket.socket) -> None:
    assert not list(folder.iterdir())
    try:
        server.accept()
    except BlockingIOError:
        return
    raise AssertionError("an answer opened a connection")


def one_of_each_task() -> list[Problem]:
    from reasoning_gym.factory import DATASETS

    problems = []
    for task in sorted(DATASETS):
        try:
            problems.append(ReasoningGym(task=task, size=1).load()[0])
        except UserError:  # The task has no reference answers, or needs settings.
            continue
    return problems


@mark.slow
def test_no_answer_to_any_task_runs_code(tmp_path: Path, server: socket.socket, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", SECRET)
    (out := tmp_path / "out").mkdir()
    problems = one_of_each_task()
    assert len(problems) >= 99
    pool = VerifierPool(ReasoningGymScorer(), deadline=10.0, processes=2).open()
    hostile = [(problem, answer) for problem in problems for answer in attacks(out, server.getsockname()[1])]
    outcomes = pool.verify_answers(hostile)
    right = pool.verify_answers([(problem, problem.answer) for problem in problems])
    pool.close()
    assert Outcome.CORRECT not in outcomes
    assert right == [Outcome.CORRECT] * len(problems)
    assert_nothing_happened(out, server)


@mark.parametrize("task", sorted(LITERALS | FORMULAS))
def test_the_scorers_that_evaluate_get_no_code_even_without_confinement(task: str, tmp_path: Path, server: socket.socket) -> None:
    problem = ReasoningGym(task=task, size=1).load()[0]
    for answer in attacks(tmp_path, server.getsockname()[1]):
        grade = ReasoningGymScorer().verify(problem, answer)
        assert isinstance(grade, Grade) and grade.score < 0.1, answer
    assert_nothing_happened(tmp_path, server)


@mark.parametrize("task", sorted(LITERALS | FORMULAS))
def test_right_answers_are_read_as_before(task: str) -> None:
    for problem in ReasoningGym(task=task, size=20).load():
        assert safe_to_score(task, problem.answer, problem.answer) == problem.answer
        assert ReasoningGymScorer().verify(problem, problem.answer) == Grade(1.0)


def test_a_list_is_still_partial_credit() -> None:
    problem = ReasoningGym(task="spiral_matrix", size=1).load()[0]
    assert ReasoningGymScorer().verify(problem, str(problem.answer.split())) == Grade(0.1)


@mark.parametrize(
    ("text", "formula"),
    [
        ("3*(4 + 5)/2 - 1", True), ("x**2/2 + sin(3*x) + C", True), ("exp(x)*log(x)", True), ("-6*x1**2 + y", True), (".5*x", True),
        ("x.subs(1, 2)", False), ("'x'", False), ('"x"', False), ("__x", False), ("lambda x: x", False), ("x if y else z", False), ("2.real", False),
        ("x[0]", False), ("{x}", False), ("x := 2", False), ("f\"x\"", False), ("print(1)", False), ("ｘ + 1", False), ("1; 2", False),
        ("x = 3", False), ("x\\\ny", False), ("@x", False), ("x" * 3000, False), ("open(x)", False), ("sympify(x)", False), ("2 .real", False),
    ],
)  # fmt: skip
def test_only_formulas_are_evaluated(text: str, formula: bool) -> None:
    assert (safe_to_score("countdown", text, "1 + 2") == text) is formula
    assert safe_to_score("chain_sum", text, "3") == text


@mark.parametrize(
    ("task", "answers"),
    [
        ("complex_arithmetic", ["nan", "NaN", "-nan", "nan+1j", "1+nanj", "inf", "infinity", "(nan)"]),
        ("game_of_life_halting", ["", "0", "banana", "nan", "yes", "[]"]),
        ("coin_flip", ["0", "0.0", "0/7", "1e-5", "nan"]),
        ("puzzle24", ["24", "24.9", "nan", "8*3+0*0", "24+0*1*1"]),
        ("intermediate_integration", ["Integral(x, x)", "integrate(x, x)", "x.integrate(x)", "0"]),
    ],
)
def test_constants_that_a_scorer_takes_are_wrong(task: str, answers: list[str]) -> None:
    for problem in ReasoningGym(task=task, size=20).load():
        for answer in answers:
            grade = ReasoningGymScorer().verify(problem, answer)
            assert isinstance(grade, Grade) and grade.outcome is not Outcome.CORRECT, (problem.answer, answer)


@mark.parametrize("answer", ["3*(5+5/5+2)", "5*5-3/5", "6*4*1*1", "5*5-3/3", "5+5+5+3"])
def test_puzzle24_wants_24_from_the_given_numbers(answer: str) -> None:
    problem = ReasoningGym(task="puzzle24", size=1).load()[0]
    # 5 * 5 - 3 / 5 is 24.4, which upstream rounds down.
    entry = {**problem.metadata["entry"], "numbers": [5, 5, 5, 3]}
    given = replace(problem, metadata={**problem.metadata, "entry": entry})
    assert ReasoningGymScorer().verify(given, answer) != Grade(1.0)


def test_the_integral_of_the_question_is_no_answer() -> None:
    for problem in ReasoningGym(task="simple_integration", size=5).load():
        entry = problem.metadata["entry"]
        assert ReasoningGymScorer().verify(problem, f"Integral({entry['integrand']}, {entry['variable']})") == Grade(0.0)
