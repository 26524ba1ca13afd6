"""Reads the signs of arithmetic out of prose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Bounds keep the time linear in the length of the text. Longer numbers are not read.
TOKEN = re.compile(
    r"""(?P<mark> \\(?:begin|end)\{\w{1,20}\*?\} | (?m:^)[ \t]*(?:[*•+]\ +)?\(?(?:\d{1,3}|[a-z])[.)](?=\s) | (?m:^)[ \t]*[*•+][ ]
        | (?i:\b(?:step|question|problem|part|case|line|example|equation)\ ?\#?\d{1,3}\b)\ *[-–:.)]? )
    | (?P<odd> (?<!\d)\d{1,9}(?::\d{1,9})+ | (?<!\d)\d{4}-\d\d-\d\d | 0[xXbo][0-9A-Fa-f]+ | \b[^\W\d]\w{0,40}(?=\()
        | \\(?!times|cdot|div|frac|[dt]frac|p?mod|bmod|text|textbf|mathrm|mathbf|boxed|left|right|quad|[(),;:!\[\]% ])[a-z]+
        | [√∛∑∏∫|](?=\S) | (?<=[^\W_])_(?=[^\W_]) )
    | (?P<noise> (?<![\d)])\*\* | \*\*(?![\d(]) | `+ | _+
        | \\(?:text|textbf|mathrm|mathbf|boxed|left|right|quad)\b | \\[()\[\],;:! ] | [$€£](?!\d) | \\?\$ (?!\d)| & )
    | (?P<number> [$€£]?(?:\d{1,3}(?:,\d{3}){1,9}|\d{1,30})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2}(?!\w))? | [$€£]?\.\d{1,30} )
    | (?P<equals> [=＝]=?(?![>=]) | \bis\ equal\ to\b | \bequals\b )
    | (?P<operator> \*\* | // | [-−–‐‑+*×·∙∗⋅✕⨯/÷⁄^] | %(?=\ *\d) | (?<=[\d%]\ )of(?=\ \d) | \\times\b
        | \\cdot\b | \\div\b | \\bmod\b | (?<=[\d)])[xX](?=\d)
        | (?<=[\d)*$][ ])[xX](?=[ ][($*]*\d) | \b(?:plus|minus|times|divided\ by|mod)\b )
    | (?P<fraction> \\[dt]?frac )
    | (?P<open> [({]) | (?P<close> [)}])
    | (?P<unit> \\?% | ° | [²³] | !(?!=) )
    | (?P<word> [^\W\d_]+(?:['’][^\W\d_]+)?(?:/[^\W\d_]+)*[²³]? )
    | (?P<end> \S | \n )""",
    re.VERBOSE,
)  # fmt: skip
MEANING = {
    "plus": "+",
    "minus": "-",
    "−": "-",
    "‐": "-",
    "‑": "-",
    "–": "-",
    "times": "*",
    "divided by": "/",
    "÷": "/",
    "⁄": "/",
    "\\div": "/",
    "**": "^",
    "%": "mod",
    "\\bmod": "mod",
}
MEANING |= dict.fromkeys(("×", "·", "∙", "∗", "⋅", "✕", "⨯", "x", "X", "\\times", "\\cdot"), "*")
CONTINUED = re.compile(r"(?:[.,]?\d)+")
PROSE = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at because but by for from gives has hence have i if in is it let makes means now of or since so than that the then"
        " therefore thus to total was we when where which while with",
    )
)
"""Words that are not units."""
OPERAND_WORDS = frozenset(
    re.findall(
        r"\w+",
        "hundred thousand million billion dozen half quarter quarters third thirds fourth fifths squared cubed factorial choose div log ln sqrt"
        " sin cos tan max min abs gcd lcm xor root",
    )
)
"""Words that change the value of the number beside them."""


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a text: its kind, its text as an operator or word of one spelling, and where it stands."""

    kind: str
    text: str
    begin: int
    end: int


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text, without white space and mark-up."""
    return list(_tokens(text))


def _tokens(text: str) -> Iterator[Token]:
    bad_until = 0
    for found in TOKEN.finditer(text):
        kind, word = str(found.lastgroup), found[0]
        if kind == "noise" or found.start() < bad_until:
            continue
        if kind == "number" and (bad := CONTINUED.match(text, found.end())):
            # `1,5` and `1.2.3`, and numbers that are too long.
            bad_until = bad.end()
            yield Token("odd", word, found.start(), bad.end())
        else:
            yield Token(kind, MEANING.get(word.casefold(), word) if kind == "operator" else word, found.start(), found.end())
