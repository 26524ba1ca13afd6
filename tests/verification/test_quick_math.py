"""The fast ways give the trees and the verdicts of the thorough ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfimprove.verification.quick_math import hasten, plainly

LATEX = (
    *(
        r"\frac{1}{2}",
        r"-\frac{3}{4}",
        r"\dfrac{22}{7}",
        r"2\sqrt{3}",
        r"\sqrt[3]{5}",
        r"\frac{3\pi}{4}",
        r"10^{-3}",
        r"3.5\times 10^4",
        "1,000",
        "12.50",
    ),
    *("(1, 2)", "[0, 3)", r"(-\infty, 4]", r"\{1, 2, 3\}", "1, 2, 3", r"(-1, \frac{2}{3})", r"[1, 2] \cup [4, 5]", r"\emptyset", r"x \in [1, 2]"),
    *("x^2-2x+1", "2x+3y", "x=5", "y = 2x + 1", "a_1 + a_2", "x > 3", r"-1 \leq x < 4", r"x = \pm 2", r"2^{n+1}-1", "n!", r"\binom{5}{2}", "|x-3|"),
    *(
        r"\sin(x)",
        r"\cos^2 \theta",
        r"\log_2 8",
        r"\ln(x+1)",
        r"e^{i\pi}",
        "3+4i",
        r"\int_0^1 x^2 dx",
        r"\sum_{k=1}^{n} k",
        r"\lim_{x \to 0} x",
        r"f(x)",
    ),
    *(
        r"\begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix}",
        r"30^\circ",
        r"50\%",
        r"\text{Monday}",
        "7:30",
        r"x^{2",
        r"\frac{1}{",
        "3 4 5",
        r"\angle ABC = 60",
        "=",
        r"\$5",
    ),
)


@pytest.fixture(scope="module")
def parsers() -> tuple[Any, Any]:
    """The parser of two stages, and the one that it is made of."""
    hasten()
    from latex2sympy2_extended import latex2sympy2

    quick = latex2sympy2.PSParser
    return quick, quick.__mro__[1]


def tree(parser: Any, latex: str, monkeypatch: pytest.MonkeyPatch) -> str:
    from latex2sympy2_extended import latex2sympy2

    monkeypatch.setattr(latex2sympy2, "PSParser", parser)
    try:
        made = latex2sympy2._Latex2Sympy().create_parser(latex)
        return str(made.math().toStringTree(recog=made))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("latex", LATEX)
def test_what_is_parsed_in_two_stages_is_the_tree_of_the_full_parse(latex: str, parsers: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    quick, full = parsers
    assert tree(quick, latex, monkeypatch) == tree(full, latex, monkeypatch)


PIECES = st.sampled_from(
    ["1", "23", "x", "y", "+", "-", r"\cdot", "^2", r"\frac{1}{x}", r"\sqrt{2}", "(", ")", ",", "=", "<", r"\pi", r"\{", r"\}", "[", "]", "a_1"]
)


@given(st.lists(PIECES, min_size=1, max_size=7).map(" ".join))
@settings(max_examples=60, deadline=None)
def test_so_is_any_row_of_signs(latex: str) -> None:
    hasten()
    from latex2sympy2_extended import latex2sympy2

    quick = latex2sympy2.PSParser
    with pytest.MonkeyPatch.context() as patch:
        assert tree(quick, latex, patch) == tree(quick.__mro__[1], latex, patch)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("x**2 + 2*x + 1", "(x + 1)**2", None),
        ("x**2 + 2*x + 1", "1 + x**2 + 2*x", True),
        ("x**2 + 2*x + 1", "x**2 + 2*x + 2", False),
        ("2*sqrt(3)", "sqrt(12)", True),
        ("2*sqrt(3)", "3*sqrt(2)", False),
        ("sqrt(x**2)", "x", None),
        ("pi/3", "1.0471975512", None),
        ("1000000*x", "1000000*x + 0.1", None),
        ("sin(x)", "cos(x)", None),
        ("sqrt(-x)", "2", None),
    ],
)
def test_only_what_shows_is_not_simplified(one: str, other: str, told: bool | None) -> None:
    from sympy import Symbol, sympify

    names = {"x": Symbol("x", real=True)}
    assert plainly(sympify(one, names), sympify(other, names)) is told


def test_what_speaks_of_whole_numbers_alone_is_simplified() -> None:
    from sympy import Symbol

    n = Symbol("n", integer=True)
    assert plainly(2**n, 3**n) is None


TERMS = st.lists(
    st.sampled_from(["1", "2", "x", "y", "3x", "x^2", r"\sqrt{2}", r"2\sqrt{3}", r"\frac{x}{2}", r"\pi", "xy", "(x+1)^2"]), min_size=1, max_size=4
)


@given(TERMS, TERMS)
@settings(max_examples=40, deadline=None)
def test_formulas_are_equal_where_simplifying_says_so(one: list[str], other: list[str]) -> None:
    """Against what sympy itself makes of the difference."""
    from latex2sympy2_extended import latex2sympy
    from sympy import simplify

    hasten()
    a, b = (latex2sympy("+".join(terms), is_real=True) for terms in (one, other))
    assert plainly(a, b) in (None, bool(simplify(a - b).is_zero))


@given(st.from_regex(r"[0-9]{1,6}([.][0-9]{1,4})?|[0-9]{1,3},[0-9]{3}", fullmatch=True))
@settings(max_examples=60, deadline=None)
def test_numbers_are_those_that_sympy_makes(text: str) -> None:
    from latex2sympy2_extended import latex2sympy2
    from sympy import Number, srepr

    hasten()
    plain = text.replace(",", "")
    assert srepr(latex2sympy2._Latex2Sympy().parse_number(text)) == srepr(Number((plain.lstrip("0") or "0") if plain.isdigit() else plain))
