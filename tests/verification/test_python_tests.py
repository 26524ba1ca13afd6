import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from processes import Started, watching
from pydantic import ValidationError
from pytest import MonkeyPatch, fixture, mark, raises

from selfimprove.errors import UserError
from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification import PythonTests, VerifierPool, sandbox

ADD = "def add(a, b):\n    return a + b"
# Generous: other processes may hold the CPU.
VERIFIER = PythonTests(seconds=20.0)


@fixture(autouse=True)
def started() -> Iterator[Started]:
    """The processes that a test starts; none may be left."""
    with watching() as started:
        yield started
        assert not started.left_after(5)


def judged(answer: str, tests: object, verifier: PythonTests = VERIFIER, **metadata: Any) -> Outcome:
    return verifier.verify(Problem("p", "q", "", "test", {"tests": tests, **metadata}), answer)


@mark.parametrize(
    "answer",
    [
        ADD,
        f"Here it is:\n```python\n{ADD}\n```\nDone.",
        f"```\n{ADD}\n```",
        f"```python\ndef add(a, b): return 0\n```\nNo:\n```py\n{ADD}\n```\nRun it:\n```bash\npython add.py\n```",
    ],
)
def test_the_code_is_the_last_python_block_or_the_whole_answer(answer: str) -> None:
    assert judged(answer, ["assert add(1, 2) == 3", "assert add('a', 'b') == 'ab'"]) is Outcome.CORRECT


@mark.parametrize(
    "answer",
    ["", " \n", "The answer is 5.", "def add(", "```python\n```", f"```python\n{ADD}", f"```bash\n{ADD}\n```", "a\0b", "(" * 10_000, "\ud800"],
)
def test_an_answer_that_is_not_python_is_unparseable(answer: str) -> None:
    assert judged(answer, "pass") is Outcome.UNPARSEABLE


@mark.parametrize("answer", ["5", ADD.replace("+", "-"), "def add(a): return a", "raise ValueError", "def add(a, b): raise ValueError"])
def test_code_that_fails_a_test_or_raises_is_wrong(answer: str) -> None:
    assert judged(answer, "assert add(1, 2) == 3") is Outcome.WRONG


VALUES = "[None, True, -2, 1.5, math.inf, 1j, 'é\\ud800', b'x', (1,), {2}, frozenset({3}), {4: [5]}]"
PLAIN = f"import math\nfrom collections import Counter\ndef f():\n    return [*{VALUES}, Counter('a')]"
STACK = """
from dataclasses import dataclass, field

@dataclass
class Stack:
    items: list = field(default_factory=list)
    def push(self, item): self.items.append(item)
    def pop(self): return self.items.pop()
    def __len__(self): return len(self.items)
    def __getitem__(self, index): return self.items[index]
    def __enter__(self): return self
    def __exit__(self, *raised): self.items.clear()
"""
STACK_TESTS = """
stack = Stack()
assert not stack
stack.push(4)
stack.push(5)
assert len(stack) == 2 and stack[0] == 4 and stack.items == [4, 5] and stack.pop() == 5
assert str(stack) == "Stack(items=[4])" and list(Stack([1, 2])) == [1, 2] and 2 in Stack([1, 2])
assert stack is stack and stack != Stack() and stack is not None
stack.items = [7]
assert stack.pop() == 7
try:
    stack.pop()
except IndexError as error:
    assert "empty" in str(error)
else:
    raise AssertionError
with Stack([1]) as opened:
    assert len(opened) == 1
assert len(opened) == 0
"""


@mark.parametrize(
    ("answer", "tests"),
    [
        ("def f(xs):\n    xs.sort()", "xs = [3, 1]\nf(xs)\nassert xs == [1, 3]"),
        ("def f(d, s):\n    d['b'] = 1\n    s.discard(2)", "d, s = {'a': 0}, {1, 2}\nf(d, s)\nassert d == {'a': 0, 'b': 1} and s == {1}"),
        ("def f(g, x):\n    return g(g(x))", "assert f(lambda x: x + 1, 3) == 5 and f(str, 3) == '3'"),
        ("def f(x):\n    return lambda y: x + y", "assert f(1)(2) == 3"),
        ("def f(n):\n    for i in range(n):\n        yield i", "def check(candidate):\n    assert list(candidate(3)) == [0, 1, 2]\ncheck(f)"),
        ("def f(*, a, b=2):\n    return a, b", "assert f(a=1) == (1, 2)"),
        (PLAIN, f"import math\nassert f() == [*{VALUES}, {{'a': 1}}]\nassert [type(x) for x in f()][8:11] == [tuple, set, frozenset]"),
        ("import math\ndef f():\n    return math.factorial(5000)", "import math\nassert f() == math.factorial(5000)"),
        ("import asyncio\nasync def g():\n    await asyncio.sleep(0.01)\n    return 3\ndef f():\n    return asyncio.run(g())", "assert f() == 3"),
        ("print('x' * 1000)\nif __name__ == '__main__':\n    raise SystemExit", "print('fine')"),
        (STACK, STACK_TESTS),
    ],
)
def test_tests_see_the_names_of_the_submission_as_their_own(answer: str, tests: str) -> None:
    assert judged(answer, tests) is Outcome.CORRECT


def test_a_built_in_name_must_be_the_entry_point() -> None:
    answer, tests = "def pow(a, b):\n    return a ** b", "assert pow(2, 3) == 8"
    assert judged(answer, tests) is Outcome.WRONG
    assert judged(answer, tests, entry_point="pow") is Outcome.CORRECT
    for wrong in ("def pow(a, b):\n    return 0", "x = 1", "import sys\ndef pow(a, b):\n    return 8\ndel sys.modules['solution'].pow"):
        assert judged(wrong, tests, entry_point="pow") is Outcome.WRONG


def test_a_submission_cannot_delete_the_entry_point_while_it_is_tested() -> None:
    answer = "import sys\ndef f():\n    del sys.modules['solution'].pow\ndef pow(a, b):\n    return 0"
    assert judged(answer, "f()\nassert pow(2, 3) == 8", entry_point="pow") is Outcome.WRONG


def test_a_submission_cannot_end_the_iteration_of_a_test() -> None:
    assert judged("def f(x):\n    raise StopIteration", "assert all(map(lambda x: f(x) == x, [1, 2]))") is Outcome.WRONG


def test_a_module_that_the_tests_forgot_to_import_is_not_taken_from_the_submission() -> None:
    forged = "class math:\n    isclose = lambda *_: True\ndef f():\n    return 5.0"
    assert judged(forged, "assert math.isclose(f(), 1.0)") is Outcome.WRONG
    assert judged("import math\ndef f():\n    return 1.0", "assert math.isclose(f(), 1.0)") is Outcome.CORRECT


def test_timeout_lack_of_memory_and_death_are_distinguished() -> None:
    assert judged("while True: pass", "pass", PythonTests(seconds=0.7)) is Outcome.TIMEOUT
    assert judged("def f(): return bytearray(1 << 40)", "f()") is Outcome.CRASH
    assert judged("import ctypes\nctypes.string_at(0)", "pass") is Outcome.CRASH
    assert judged("import os\nos._exit(0)", "pass") is Outcome.WRONG


def test_a_test_that_swallows_the_end_of_the_submission_does_not_pass() -> None:
    assert judged("import os\ndef f(): os._exit(0)", "try:\n    f()\nexcept:\n    pass") is Outcome.WRONG


@mark.parametrize("metadata", [{}, {"tests": ""}, {"tests": []}, {"tests": 5}, {"tests": ["assert f()", 5]}])
def test_a_problem_without_tests_is_an_error(metadata: dict[str, Any]) -> None:
    with raises(ValueError, match="problem p has no tests"):
        VERIFIER.verify(Problem("p", "q", "", "test", metadata), ADD)


def test_tests_that_are_not_python_are_an_error() -> None:
    with raises(ValueError, match="the tests are not Python: "):
        judged(ADD, "assert add(")


def test_prepare_refuses_a_sandbox_that_leaks(monkeypatch: MonkeyPatch) -> None:
    VERIFIER.prepare()
    monkeypatch.setattr(sandbox, "BOOTSTRAP", sandbox.BOOTSTRAP.replace("try:", "protections.SYSTEM_FILES += ('/proc',)\ntry:"))
    with raises(UserError, match="the sandbox does not hold on this machine"):
        VERIFIER.prepare()


def test_nothing_runs_on_a_kernel_that_does_not_confine(monkeypatch: MonkeyPatch, tmp_path: Path) -> None:
    # A system call that no kernel knows, as an old kernel does not know those of Landlock.
    monkeypatch.setattr(sandbox, "BOOTSTRAP", sandbox.BOOTSTRAP.replace("try:", "protections.landlock.CREATE_RULESET = 9999\ntry:"))
    with raises(UserError, match="this kernel does not confine processes"):
        judged(f"open({str(tmp_path / 'written')!r}, 'w')", "pass")
    assert not list(tmp_path.iterdir())
    with raises(UserError, match="cannot start: UserError: "):
        VerifierPool(Unconfined(), processes=1).open()


class Unconfined(PythonTests):
    """The verifier in a process whose kernel refuses to confine."""

    def prepare(self) -> None:
        sandbox.BOOTSTRAP = sandbox.BOOTSTRAP.replace("try:", "protections.landlock.CREATE_RULESET = 9999\ntry:")
        super().prepare()


def test_the_code_ends_with_its_worker(started: Started) -> None:
    pool = VerifierPool(PythonTests(seconds=60.0), deadline=1.0, processes=1).open()
    assert pool.verify_answers([(Problem("p", "q", "", "test", {"tests": "pass"}), "while True: pass")]) == [Outcome.TIMEOUT]
    assert len(started.alive()) == 1, "the fork server"
    pool.close()


def test_no_descriptor_is_left_open() -> None:
    before = os.listdir("/proc/self/fd")
    judged(ADD, "assert add(1, 2) == 3")
    assert os.listdir("/proc/self/fd") == before


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"seconds": 0}, {"memory": 1}, {"second": 1}):
        with raises(ValidationError):
            PythonTests(**wrong)  # type: ignore[arg-type]


def test_it_is_a_verifier() -> None:
    assert isinstance(VERIFIER, Verifier)


SEEN_AS_BEFORE = {
    "system exit": ("import sys\ndef f(): sys.exit(3)", "try:\n    f()\n    assert False\nexcept SystemExit as e:\n    assert e.code == 3"),
    "system exit bare": ("def f(): raise SystemExit", "import contextlib\nok=False\ntry: f()\nexcept SystemExit: ok=True\nassert ok"),
    "stdout": (
        "def f(): print('hi')",
        "import io, contextlib\nb=io.StringIO()\nwith contextlib.redirect_stdout(b): f()\nassert b.getvalue()=='hi\\n'",
    ),
    "stdout sys": (
        "def f(): print('hi')",
        "import io, sys\no=sys.stdout\nsys.stdout=b=io.StringIO()\nf()\nsys.stdout=o\nassert b.getvalue()=='hi\\n'",
    ),
    "stdout raised": (
        "def f():\n print('hi')\n raise ValueError",
        "import io, contextlib\nb=io.StringIO()\nwith contextlib.suppress(ValueError), contextlib.redirect_stdout(b): f()\n"
        "assert b.getvalue()=='hi\\n'",
    ),
    "namedtuple out": ("from collections import namedtuple\nP=namedtuple('P','x y')\ndef f(): return P(1,2)", "assert f().x==1 and f()==(1,2)"),
    "namedtuple in": ("def f(p): return p.x", "from collections import namedtuple\nP=namedtuple('P','x y')\nassert f(P(1,2))==1"),
    "typed namedtuple": ("from typing import NamedTuple\nclass P(NamedTuple):\n x: int\n y: int=2\ndef f(): return P(1)", "assert f().y==2"),
    "fraction": (
        "from fractions import Fraction\ndef f(x): return x+Fraction(1,2)",
        "from fractions import Fraction\nassert f(Fraction(1,3))==Fraction(5,6)\nassert f(1).numerator==3",
    ),
    "decimal": (
        "from decimal import Decimal\ndef f(x): return x*2",
        "from decimal import Decimal\nassert f(Decimal('1.10'))==Decimal('2.20')\nassert str(f(Decimal('1.10')))=='2.20'",
    ),
    "date": (
        "import datetime\ndef f(d): return d+datetime.timedelta(days=1)",
        "from datetime import date, datetime, timedelta\nassert f(date(2024,2,28))==date(2024,2,29)\n"
        "d=datetime(2024,2,28,1,2,3,4)\nassert f(d)-d==timedelta(1)",
    ),
    "time": ("import datetime\ndef f(): return datetime.time(1,2)", "import datetime\nassert f()==datetime.time(1,2)"),
    "deque": (
        "from collections import deque\ndef f(d):\n d.append(1)\n return d",
        "from collections import deque\nd=deque([0],maxlen=3)\nassert f(d)==deque([0,1]) and d==deque([0,1]) and d.maxlen==3",
    ),
    "range": ("def f(n): return range(n)", "assert f(3)==range(3) and list(f(3))==[0,1,2] and f(3)[1]==1"),
    "counter": (
        "from collections import Counter\ndef f(s): return Counter(s)",
        "from collections import Counter\nassert f('aab')==Counter('aab') and f('aab')['z' if False else 'a']==2",
    ),
    "alias": ("def add(a,b): return a+b\nplus=add", "g=add\nassert g(1,2)==3 and plus is add and plus==add"),
    "alias of class": ("class A:\n def __init__(s): s.v=[1]\n def get(s): return s", "a=A()\nb=a\nassert a==b and a.get() is a and a.get()==a"),
    "alias list": ("def f(a,b):\n a.append(1)\n return a is b", "x=[]\nf(x,x)\nassert x==[1]"),
    "ordered": (
        "from collections import OrderedDict\ndef f(): return OrderedDict(a=1)",
        "from collections import OrderedDict\nassert f()==OrderedDict(a=1)\nassert f().popitem()==('a',1)",
    ),
    "module enum": ("from enum import Enum\nclass C(Enum):\n R=1\ndef f(): return C.R", "assert f() == C.R and f().value==1"),
    "bytearray": ("def f(b):\n b[0]=1", "b=bytearray(2)\nf(b)\nassert b==bytearray([1,0])"),
    "bytes ret": ("def f(): return bytearray(b'x')", "assert f()==b'x' and f()==bytearray(b'x')"),
    "print and input": ("def f(): return input()", "try: f()\nexcept EOFError: pass"),
}
"""Right answers, with tests that look at more than numbers and text."""


@mark.parametrize("name", SEEN_AS_BEFORE)
def test_values_of_the_standard_library_and_output_reach_the_tests(name: str) -> None:
    code, tests = SEEN_AS_BEFORE[name]
    assert judged(code, tests) is Outcome.CORRECT


LYING = {
    "eq": ("class F(tuple):\n def __eq__(s,o): return True\n __hash__=tuple.__hash__\ndef f(): return F((1,))", "assert f()==(3,)"),
    "fraction": (
        "from fractions import Fraction\nclass F(Fraction):\n def __eq__(s,o): return True\ndef f(): return F(1,2)",
        "from fractions import Fraction\nassert f()==Fraction(1,3)",
    ),
    "fields": ("class F(tuple):\n _fields=('x',)\n def __eq__(s,o): return True\ndef f(): return F((2,))", "assert f()==(3,)"),
    "output": ("def f(): print(1)", "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as b: f()\nassert b.getvalue() == '2'"),
}


@mark.parametrize("name", LYING)
def test_a_value_that_claims_to_equal_everything_does_not(name: str) -> None:
    code, tests = LYING[name]
    assert judged(code, tests) is Outcome.WRONG


PEEPING = """
import mmap, os

def attempt(action, *arguments):
    try:
        action(*arguments)
    except OSError as error:
        return error.errno
    return 0

def listed(path):
    return attempt(os.listdir, path)

def advised(advice):
    return attempt(mmap.mmap(-1, 4096).madvise, advice)
"""


def test_packages_of_the_system_are_out_of_sight() -> None:
    # A distribution keeps packages in `dist-packages` beside its libraries.
    paths = [*sysconfig.get_paths().values(), "/usr/lib", "/usr/lib/python3/dist-packages", "/usr/share"]
    packages = [path for path in paths if os.path.isdir(path) and path not in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}]
    assert packages and judged(PEEPING, [f"assert listed({path!r}) == 13" for path in packages]) is Outcome.CORRECT


def test_memory_takes_harmless_advice_only() -> None:
    normal, paged_out, poisoned = 0, 21, 100
    assert judged(PEEPING, f"assert [advised(a) for a in ({normal}, {paged_out}, {poisoned})] == [0, 1, 1]") is Outcome.CORRECT
