import ctypes
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pytest import LogCaptureFixture, fixture, mark, raises

from selfimprove.errors import UserError
from selfimprove.protocols import Confinement, Verifier
from selfimprove.records import Grade, Outcome, Problem, Trace
from selfimprove.thinking.traces import Delimiters
from selfimprove.verification import Exact, OpenVerifierPool, VerifierPool

DEADLINE = 1.0


def recurse(depth: int) -> int:
    return recurse(depth + 1) + 1


def fork_and_die() -> None:
    if os.fork() == 0:
        time.sleep(600)
    os._exit(1)


def die_later() -> None:
    threading.Timer(0.05, os._exit, [1]).start()


def print_a_lot() -> None:
    print("correct wrong \n" * 100_000)
    os.write(1, b"\0" * 100_000)
    print("\0" * 100_000, file=sys.stderr)


CRASHES: dict[str, Callable[[], object]] = {
    "raise": lambda: 1 // 0,
    "quit": lambda: sys.exit(0),
    "exit": lambda: os._exit(0),
    "recurse": lambda: recurse(0),
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "fork and die": fork_and_die,
    "close everything": lambda: os.closerange(3, 1000),
}
HARMLESS: dict[str, Callable[[], object]] = {"fork": os.fork, "print": print_a_lot, "nap": lambda: time.sleep(0.02), "die later": die_later}


@dataclass(frozen=True)
class Poisonous(Verifier):
    """Does what the answer says, then compares it with the reference answer."""

    name = "poisonous"
    version = "1"
    confinement = Confinement(processes=True)

    def verify(self, problem: Problem, answer: str) -> Outcome:
        if answer == "hang":
            time.sleep(600)
        (CRASHES | HARMLESS).get(answer, lambda: None)()
        return Outcome.CORRECT if answer == problem.answer else Outcome.WRONG


def expected(reference: str, answer: str) -> Outcome:
    if answer in CRASHES:
        return Outcome.CRASH
    if answer == "hang":
        return Outcome.TIMEOUT
    return Outcome.CORRECT if answer == reference else Outcome.WRONG


def problem(answer: str) -> Problem:
    return Problem("p", "q", answer, "test")


def trace(id: str, text: str) -> Trace:
    return Trace(id, "p", "c", (), (), text, (), "stop", 0.0, 0)


@fixture(scope="module")
def pool() -> Iterator[OpenVerifierPool]:
    pool = VerifierPool(Poisonous(), deadline=DEADLINE, processes=2).open()
    yield pool
    pool.close()


@mark.parametrize("answer", [*CRASHES, *HARMLESS, "hang"])
def test_a_poisonous_answer_affects_only_its_own_verdict(pool: OpenVerifierPool, answer: str) -> None:
    pairs = [(problem("5"), "5"), (problem("5"), "6")] * 3
    pairs.insert(2, (problem(answer), answer))
    assert pool.verify_answers(pairs) == [expected(pair[0].answer, pair[1]) for pair in pairs]


ANSWERS = st.sampled_from(["5", "6", *CRASHES, *HARMLESS])


@settings(max_examples=15, deadline=None)
@given(st.lists(ANSWERS, max_size=30), st.booleans())
@mark.slow
def test_every_verdict_belongs_to_its_own_trace(pool: OpenVerifierPool, answers: list[str], hang: bool) -> None:
    answers += ["hang"] * hang
    pairs = [(problem("5"), trace(f"t{number}", f"<think>a</think>{answer}")) for number, answer in enumerate(answers)]
    verdicts = pool.verify(pairs)
    assert [(verdict.trace_id, verdict.answer) for verdict in verdicts] == [(f"t{number}", answer) for number, answer in enumerate(answers)]
    assert [verdict.outcome for verdict in verdicts] == [expected("5", answer) for answer in answers]


def test_an_answer_that_kills_its_worker_later_leaves_the_others_their_verdicts(pool: OpenVerifierPool) -> None:
    answers = ["die later", *["nap"] * 30]
    assert pool.verify_answers([(problem(answer), answer) for answer in answers]) == [Outcome.CORRECT] * 31


def test_traces_without_an_answer_are_not_shown_to_the_verifier(pool: OpenVerifierPool) -> None:
    texts = ["", "<think>hang", "<think>a</think> ", "<think>a</think>5"]
    verdicts = pool.verify([(problem("5"), trace(f"t{number}", text)) for number, text in enumerate(texts)])
    assert [(verdict.outcome, verdict.answer) for verdict in verdicts] == [(Outcome.UNPARSEABLE, None)] * 3 + [(Outcome.CORRECT, "5")]
    assert {(verdict.verifier, verdict.version) for verdict in verdicts} == {("poisonous", "1")}


@mark.parametrize(
    ("delimiters", "opened", "text"),
    [(Delimiters(), False, " 5 "), (Delimiters("<r>", "</r>"), False, "<r>a</r>5"), (Delimiters(), True, "a</think>5")],
)
def test_the_delimiters_of_the_trace_mark_the_answer(delimiters: Delimiters, opened: bool, text: str) -> None:
    pool = VerifierPool(Exact(), processes=1).open()
    assert pool.verify([(problem("5"), replace(trace("t", text), delimiters=delimiters, opened=opened))])[0].answer == "5"
    pool.close()


def test_no_traces_give_no_verdicts(pool: OpenVerifierPool) -> None:
    assert pool.verify([]) == []


@dataclass(frozen=True)
class Grading(Verifier):
    """Returns what the answer says: a grade for a number, else itself."""

    name = "grading"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome | Grade:
        try:
            return Grade(float(answer))
        except ValueError as error:
            if "score" in str(error):
                raise
            return answer  # type: ignore[return-value]


def test_a_grade_reaches_the_verdict_and_a_bad_one_is_a_crash(caplog: LogCaptureFixture) -> None:
    pool = VerifierPool(Grading(), processes=2).open()
    answers = ["0.25", "1", "0", "nan", "-0.5", "1.5", "correct", "timeout", "right"]
    with caplog.at_level(logging.WARNING, logger="selfimprove"):
        verdicts = pool.verify([(problem("5"), trace(f"t{number}", f"<think></think>{answer}")) for number, answer in enumerate(answers)])
    pool.close()
    assert [(verdict.outcome.value, verdict.score) for verdict in verdicts] == [
        ("wrong", 0.25),
        ("correct", 1.0),
        ("wrong", 0.0),
        *[("crash", 0.0)] * 3,
        ("correct", 1.0),
        ("timeout", 0.0),
        ("crash", 0.0),
    ]
    said = " ".join(record.getMessage() for record in caplog.records)
    assert all(f"ValueError: a score must be a number from 0 to 1, not {score}" in said for score in ("nan", "-0.5", "1.5"))
    assert "ValueError: verify must return an Outcome or a Grade, not 'right'" in said


def test_large_answers_and_strange_characters_arrive(pool: OpenVerifierPool) -> None:
    answers = ["x" * 5_000_000, "\ud800\0\n", "é"]
    assert pool.verify_answers([(problem(answer), answer) for answer in answers]) == [Outcome.CORRECT] * 3


def test_it_works_outside_the_main_thread(pool: OpenVerifierPool) -> None:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.extend(pool.verify_answers([(problem("5"), "exit"), (problem("5"), "5")])))
    thread.start()
    thread.join()
    assert outcomes == [Outcome.CRASH, Outcome.CORRECT]


def test_each_kind_of_failure_is_logged_once(caplog: LogCaptureFixture) -> None:
    pool = VerifierPool(Poisonous(), processes=2).open()
    with caplog.at_level(logging.WARNING, logger="selfimprove"):
        for _ in range(2):
            pool.verify_answers([(problem("5"), answer) for answer in ["raise", "raise", "exit", "5"]])
    pool.close()
    assert [record.getMessage() for record in caplog.records] == [
        "the verifier poisonous failed on an answer: ZeroDivisionError: integer division or modulo by zero",
        "the verifier poisonous failed on an answer: its process died",
    ]


@dataclass(frozen=True)
class Slow(Verifier):
    """Takes longer to load than the deadline of an answer, and logs that it has loaded."""

    path: str
    name = "slow"
    version = "1"

    def prepare(self) -> None:
        time.sleep(2.5)
        with open(self.path, "a") as file:
            file.write("loaded\n")

    def verify(self, problem: Problem, answer: str) -> Outcome:
        return Poisonous().verify(problem, answer)


@mark.slow
def test_loading_is_done_once_and_outside_the_deadline(tmp_path: Path) -> None:
    pool = VerifierPool(Slow(str(tmp_path / "log")), deadline=2.0, processes=2).open()
    assert pool.verify_answers([(problem("5"), answer) for answer in ["exit", "5", "exit", "5"]]) == [Outcome.CRASH, Outcome.CORRECT] * 2
    pool.close()
    assert (tmp_path / "log").read_text() == "loaded\n"


@dataclass(frozen=True)
class Broken(Verifier):
    """Fails to load in the way its setting says."""

    how: str
    name = "broken"
    version = "1"

    def prepare(self) -> None:
        raise ImportError("no such thing") if self.how == "raise" else SystemExit(os._exit(3))

    def verify(self, problem: Problem, answer: str) -> Outcome:
        return Outcome.CORRECT


@mark.parametrize(("how", "message"), [("raise", "cannot start: ImportError: no such thing"), ("exit", "cannot start: its process died")])
def test_a_verifier_that_does_not_load_is_a_user_error(how: str, message: str) -> None:
    with raises(UserError, match=message):
        VerifierPool(Broken(how)).open()


@dataclass(frozen=True)
class Connected(Verifier):
    """Holds an object that cannot be sent to another process."""

    lock: object
    name = "connected"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        return Outcome.CORRECT


def test_a_verifier_that_cannot_be_sent_is_a_user_error() -> None:
    with raises(UserError, match=r"connected cannot be sent to a process: .*hold settings, not connections"):
        VerifierPool(Connected(threading.Lock())).open()


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"deadline": 0}, {"processes": 0}, {"dead_line": 1}, {"verifier": 5}):
        with raises(ValidationError):
            VerifierPool(**{"verifier": Exact(), **wrong})  # type: ignore[arg-type]


WORKFLOW = '''
import os
import time
from pathlib import Path
from selfimprove.protocols import Confinement, Verifier
from selfimprove.records import Outcome

def record(folder, *pids):
    for pid in pids:
        (Path(folder) / str(pid)).touch()

class Busy(Verifier):
    """Records the ids of its process, its parent and two children that it starts, then hangs if the answer says so."""

    name = "busy"
    version = "1"
    confinement = Confinement(when="never")

    def verify(self, problem, answer):
        children = []
        for detach in (False, True):
            pid = os.fork()
            if pid == 0:
                if detach:
                    os.setsid()
                time.sleep(600)
            children.append(pid)
        record(problem.answer, os.getpid(), os.getppid(), *children)
        time.sleep(600 if answer == "hang" else 0)
        return Outcome.CORRECT
'''

PARENT = """
import importlib.util, sys
from selfimprove.records import Problem
from selfimprove.verification import VerifierPool
spec = importlib.util.spec_from_file_location("workflow_busy", sys.argv[1])
module = sys.modules["workflow_busy"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
pool = VerifierPool(module.Busy(), deadline=600.0, processes=2).open()
pool.verify_answers([(Problem("p", "q", sys.argv[2], "test"), answer) for answer in sys.argv[3:]])
"""


@fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "busy.py"
    path.write_text(WORKFLOW)
    (tmp_path / "pids").mkdir()
    return path


def load(path: Path) -> Verifier:
    spec = importlib.util.spec_from_file_location("workflow_busy", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules["workflow_busy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    verifier = module.Busy()
    assert isinstance(verifier, Verifier)
    return verifier


def alive(pids: set[int]) -> set[int]:
    """The processes that still run; a zombie does not."""
    return {pid for pid in pids if (stat := Path(f"/proc/{pid}/stat")).exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"}


def recorded(workflow: Path) -> set[int]:
    return {int(path.name) for path in (workflow.parent / "pids").iterdir()}


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def test_a_verifier_of_a_file_loaded_by_path_leaves_nothing_running_after_close(workflow: Path) -> None:
    pool = VerifierPool(load(workflow), processes=2).open()
    assert pool.verify_answers([(problem(str(workflow.parent / "pids")), "5")] * 4) == [Outcome.CORRECT] * 4
    assert len(alive(recorded(workflow))) >= 4
    pool.close()
    assert not alive(recorded(workflow))


def test_children_of_a_killed_worker_end_with_it(workflow: Path) -> None:
    pool = VerifierPool(load(workflow), deadline=DEADLINE, processes=1).open()
    assert pool.verify_answers([(problem(str(workflow.parent / "pids")), "hang")]) == [Outcome.TIMEOUT]
    assert len(recorded(workflow)) == 4
    assert len(alive(recorded(workflow))) == 1, "the fork server"
    pool.close()


def test_nothing_is_left_running_when_the_parent_is_killed(workflow: Path) -> None:
    arguments = [sys.executable, "-c", PARENT, str(workflow), str(workflow.parent / "pids"), "hang", "hang"]
    with subprocess.Popen(arguments) as parent:
        assert eventually(lambda: len(alive(recorded(workflow))) == 7)
        parent.kill()
    assert eventually(lambda: not alive(recorded(workflow)))


def test_a_pool_outlives_its_fork_server(workflow: Path) -> None:
    folder = str(workflow.parent / "pids")
    pool = VerifierPool(load(workflow), processes=2).open()
    pool.verify_answers([(problem(folder), "5")] * 2)
    for pid in alive(recorded(workflow)):
        os.kill(pid, signal.SIGKILL)
    assert pool.verify_answers([(problem(folder), "5")] * 4) == [Outcome.CORRECT] * 4
    pool.close()
    assert not alive(recorded(workflow))
