"""What an upstream scorer of reasoning-gym may be given to evaluate, and what it may call right."""

from __future__ import annotations

import ast
import re
import sys
from typing import Any

LITERALS = {"binary_matrix", "n_queens", "spiral_matrix", "string_insertion"}
"""Tasks whose scorer calls `eval` on an answer that is not the reference, in case it is a Python list."""

FORMULAS = {"countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration"}
"""Tasks whose scorer parses the answer with sympy, which evaluates it as Python."""

FUNCTIONS = "sqrt cbrt root exp log ln sin cos tan cot sec csc asin acos atan acot sinh cosh tanh asinh acosh atanh erf erfi erfc Ei Si Ci li Abs"
GREEK = "alpha beta gamma delta epsilon theta mu nu xi pi rho sigma tau phi chi psi omega"
NAMES = {*FUNCTIONS.split(), *GREEK.split()}
WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
FORMULA = re.compile(rf"(?:{WORD.pattern}|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?![0-9.])|[-+*/^(),\s])*", re.ASCII)
"""Words, numbers, operators and parentheses: no attribute, no quotes."""
VARIABLE = re.compile(r"[A-Za-z][0-9]*")
LONGEST_FORMULA = 2000

NOT_FINITE = re.compile(r"(?<![a-z])(?:nan|inf|infinity)(?:j|i)?(?![a-z])", re.IGNORECASE)


def safe_to_score(task: str, answer: str, reference: str) -> str:
    """The answer, or no answer in its place if the scorer of this task would evaluate it and it is not a formula.

    `Integral` is not a function here, although some reference answers hold one: the integral of the question would answer every question.
    """
    return "" if task in FORMULAS and answer != reference and not _is_formula(answer) else answer


def restrict_evaluation(task: str, scorer: Any) -> None:
    """Let the scorer's module read literals alone where it would evaluate Python."""
    if task in LITERALS:
        vars(sys.modules[type(scorer).__module__])["eval"] = ast.literal_eval


def is_right(task: str, answer: str, entry: dict[str, Any]) -> bool:
    """Whether full marks from the scorer can be believed.

    Three scorers take constants: `complex_arithmetic` takes `nan`, `game_of_life_halting` any text, `coin_flip` a 0 for a small probability.
    `puzzle24` rounds 24.9 down, and takes any four numbers.
    """
    reference = entry["answer"]
    if NOT_FINITE.search(answer) and not NOT_FINITE.search(reference):
        return False
    match task:
        case "game_of_life_halting":
            return answer.strip().casefold() == reference.strip().casefold()
        case "coin_flip":
            from fractions import Fraction

            found, wanted = (Fraction(text.replace(",", "")) for text in (answer, reference))
            return bool(abs(found - wanted) <= abs(wanted) / 100)
        case "puzzle24":
            from sympy.parsing.sympy_parser import parse_expr  # type: ignore[import-untyped]

            used = sorted(int(number) for number in re.findall(r"\d+", answer))
            return bool(parse_expr(answer) == 24) and used == sorted(entry["metadata"]["numbers"])
    return True


def _is_formula(text: str) -> bool:
    return (
        len(text) <= LONGEST_FORMULA
        and bool(FORMULA.fullmatch(text))
        and all(word in NAMES or VARIABLE.fullmatch(word) for word in WORD.findall(text))
    )
