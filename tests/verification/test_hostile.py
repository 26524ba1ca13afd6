"""No wrong answer passes, and none harms the process that verifies it or anything else on the machine."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from hostile_code import RIGHT_CODE, SECRET, TESTS, codes
from hostile_texts import OPTIONS, RIGHT, TEXTS
from processes import Started, watching
from pytest import MonkeyPatch, fixture, mark

from selfimprove.problems import ReasoningGym
from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem, Trace
from selfimprove.verification import Exact, Mathematical, MultipleChoice, OpenVerifierPool, PythonTests, ReasoningGymScorer, VerifierPool

PROCESSES = 2
SLACK = 60.0
"""Extra seconds for all answers of a kind, because other processes may hold the CPU."""
MARK = "written-by-a-hostile-answer"

LARGE = ("deep nesting", "giant values", "huge text", "slow patterns")

VERIFIERS: dict[str, tuple[Verifier, Problem, str]] = {
    "exact": (Exact(), Problem("p", "q", "5", "test"), "5"),
    "mathematical": (Mathematical(), Problem("p", "q", "5", "test"), "5"),
    "multiple choice": (MultipleChoice(), Problem("p", "q", "B", "test", {"options": OPTIONS}), "B"),
    "reasoning-gym": (ReasoningGymScorer(), (sums := ReasoningGym(size=1).load()[0]), sums.answer),
}


def verify_between_right_ones(pool: OpenVerifierPool, problem: Problem, hostile: list[str], right: str, deadline: float) -> list[Outcome]:
    """The outcomes of the hostile answers. The right answers between them must stay right, and all must finish in time."""
    texts = [right]
    for number, answer in enumerate(hostile):
        texts += [answer] if number % 4 else [answer, right]
    texts.append(right)
    start = time.monotonic()
    verdicts = pool.verify([(problem, trace(number, text)) for number, text in enumerate(texts)])
    seconds = time.monotonic() - start
    assert [verdict.trace_id for verdict in verdicts] == [f"t{number}" for number in range(len(texts))]
    outcomes = [verdict.outcome for verdict in verdicts]
    assert {outcome for outcome, text in zip(outcomes, texts, strict=True) if text == right} == {Outcome.CORRECT}
    assert seconds < math.ceil(outcomes.count(Outcome.TIMEOUT) / PROCESSES) * deadline + SLACK
    return [outcome for outcome, text in zip(outcomes, texts, strict=True) if text != right]


def trace(number: int, answer: str) -> Trace:
    return Trace(f"t{number}", "p", "c", (), (), f"<think></think>{answer}", (), "stop", 0.0, 0)


@mark.slow
@mark.parametrize("name", VERIFIERS)
def test_no_hostile_text_passes(name: str) -> None:
    verifier, problem, right = VERIFIERS[name]
    deadline = 1.5
    with watching() as started:
        pool = VerifierPool(verifier, deadline=deadline, processes=PROCESSES).open()
        for kind, texts in TEXTS.items():
            # Most large answers run math-verify into the deadline, so a few of each kind suffice.
            answers = texts[::7] if name == "mathematical" and kind in LARGE else texts
            outcomes = verify_between_right_ones(pool, problem, answers, right, deadline)
            passed = {answer for answer, outcome in zip(answers, outcomes, strict=True) if outcome is Outcome.CORRECT}
            assert passed <= RIGHT.get(name, set()), kind
        assert len(started.alive()) <= 1 + PROCESSES
        pool.close()
        assert not started.left_after(5)


@fixture(scope="module")
def started() -> Iterator[Started]:
    with watching() as started:
        yield started
        assert not started.left_after(5)


@fixture(scope="module")
def pools(started: Started) -> Iterator[dict[float, OpenVerifierPool]]:
    """Pools by seconds for one answer: few seconds for the answers that take all they get."""
    with MonkeyPatch.context() as patch:
        patch.setenv("SECRET", SECRET)
        pools = {seconds: VerifierPool(PythonTests(seconds=seconds, memory=128), 2 * seconds, PROCESSES).open() for seconds in (3.0, 30.0)}
        yield pools
        for pool in pools.values():
            pool.close()


@mark.slow
@mark.parametrize("kind", codes(Path("/"), MARK, 0))
def test_no_hostile_code_passes_or_gets_out(kind: str, pools: dict[float, OpenVerifierPool], started: Started, tmp_path: Path) -> None:
    seconds = 3.0 if kind == "holding up" else 30.0
    (tmp_path / "tests.py").write_text(SECRET)
    (out := tmp_path / "out").mkdir()
    before = (tmp_path / "tests.py").stat(), out.stat()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        port = server.getsockname()[1]
        datagrams.bind(("127.0.0.1", port))
        local.bind(str(tmp_path / "unix"))
        answers = codes(out, MARK, port)[kind]
        outcomes = verify_between_right_ones(pools[seconds], Problem("p", "q", "", "test", {"tests": TESTS}), answers, RIGHT_CODE, seconds)
        assert [answer for answer, outcome in zip(answers, outcomes, strict=True) if outcome is Outcome.CORRECT] == []
        for listening in (server, local, datagrams):
            listening.setblocking(False)
            assert nothing_came(listening)
    assert len(started.alive()) <= len(pools) * (1 + PROCESSES), "fork servers and their workers"
    now = (tmp_path / "tests.py").stat(), out.stat()
    assert [(stat.st_mode, stat.st_uid, stat.st_size, stat.st_mtime_ns) for stat in now] == [
        (stat.st_mode, stat.st_uid, stat.st_size, stat.st_mtime_ns) for stat in before
    ]
    assert sorted(os.listdir(tmp_path)) == ["out", "tests.py", "unix"] and not os.listdir(out)
    assert not [place for place in ("/tmp", "/dev/shm", Path.home(), "/", ".") if (Path(place) / MARK).exists()]


def nothing_came(listening: socket.socket) -> bool:
    try:
        if listening.type == socket.SOCK_STREAM:
            listening.accept()
        else:
            listening.recv(1)
    except BlockingIOError:
        return True
    return False


def test_the_corpus_is_large_and_without_repeats() -> None:
    texts = [text for kind in TEXTS.values() for text in kind]
    code = [text for kind in codes(Path("/"), MARK, 0).values() for text in kind]
    assert len(set(texts)) == len(texts) >= 100 and len(set(code)) == len(code) >= 100
