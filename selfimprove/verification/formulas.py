"""Writes an answer in the characters and commands that math-verify reads: `３` as `3`, `x²` as `x^{2}`, `1e6` as `1000000`."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
SYMBOLS = {
    "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "⁄": "/",
    "∕": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\neq ", "≈": r"\approx ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ",
    "∈": r"\in ", "°": r"^\circ ", "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅔": r"\frac{2}{3}",
    "＝": "=", "，": ",", "（": "(", "）": ")", "．": ".", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "",
}  # fmt: skip
RUN = re.compile(f"([{''.join(map(chr, SUPERSCRIPTS))}]+)|([{''.join(map(chr, SUBSCRIPTS))}]+)|√\\s*(\\d+|[a-z]\\b|\\([^()]*\\)|{{[^{{}}]*}})?")
THIN = r"(?:\\[,;:! ]|\{,\}|[\u00a0\u2009\u202f\u2007]|~)"
GROUPED = re.compile(rf"(?<![\d.])\d{{1,3}}(?:{THIN}\d{{3}})+(?!\d)")
"""Groups of thousands set apart by a thin space."""
SPACED = re.compile(r"-?[1-9]\d{0,2}(?: \d{3})+")
"""Only a whole answer is read like this: `5 100` in a sentence may be two numbers."""
SCIENTIFIC = re.compile(r"(?<![\w.\\])(\d+(?:\.\d+)?|\.\d+)[eE]([+-]?\d{1,3})(?![\w.])")
MIXED = re.compile(r"(?<![\d./)}])(-?)(\d+)(?:\s+|\\ |~)(?:(\d+)\s*/\s*(\d+)|\\d?frac\{(\d+)\}\{(\d+)\})(?![\d/])")
ROMAN = re.compile(r"\\(?:mathrm|operatorname|rm)\s*\{\s*([a-zA-Z]|exp|ln|log|sin|cos|tan)\s*\}")
REPEATING = re.compile(r"(-?)(\d*)\.(\d*)\\overline\{(\d{1,9})\}")
FACTORS = re.compile(r"(\([^(),]*\d[^(),]*\))\s*(?=\([^(),]*\d[^(),]*\))")
"""Numbers in parentheses side by side are a product, which math-verify reads as a sum."""
FUNCTION = re.compile(r"(?<![\\a-zA-Z])(pi|sqrt|exp|infinity|infty)(?![a-zA-Z])(?:\(([^()]*)\))?")


def as_latex(text: str) -> str:
    """The text with other scripts' digits, dashes, powers, roots and spaced thousands as LaTeX has them."""
    text = "".join(_character(character) for character in text).strip(" *`").replace(r"\$", "")
    if SPACED.fullmatch(text):
        text = text.replace(" ", "")
    text = RUN.sub(_run, text)
    text = GROUPED.sub(lambda match: re.sub(THIN, "", match[0]), text)
    text = SCIENTIFIC.sub(lambda match: f"{Decimal(match[0]):f}", text)
    text = MIXED.sub(_mixed, text)
    text = ROMAN.sub(lambda match: match[1] if len(match[1]) == 1 else rf"\{match[1]}", text)
    text = REPEATING.sub(_repeating, text)
    text = FACTORS.sub(r"\1\\cdot ", text)
    return FUNCTION.sub(_function, text)


def _character(character: str) -> str:
    if character in SYMBOLS:
        return SYMBOLS[character]
    if character.isascii() or ord(character) in SUPERSCRIPTS or ord(character) in SUBSCRIPTS:
        return character
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    # Full-width letters and signs have a plain form of one character.
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 else character


def _run(match: re.Match[str]) -> str:
    superscript, subscript, under = match.groups()
    if superscript:
        return f"^{{{superscript.translate(SUPERSCRIPTS)}}}"
    if subscript:
        return f"_{{{subscript.translate(SUBSCRIPTS)}}}"
    return rf"\sqrt{{{under.strip('(){}')}}}" if under else r"\sqrt"


def _mixed(match: re.Match[str]) -> str:
    sign, whole, *parts = match.groups()
    above, below = parts[:2] if parts[0] else parts[2:]
    return rf"{sign}({whole}+\frac{{{above}}}{{{below}}})"


def _repeating(match: re.Match[str]) -> str:
    r"""`0.1\overline{6}` is (16 - 1) / 90."""
    sign, whole, fixed, period = match.groups()
    above = int(whole + fixed + period) - int(whole + fixed or "0")
    return rf"{sign}\frac{{{above}}}{{{(10 ** len(period) - 1) * 10 ** len(fixed)}}}"


def _function(match: re.Match[str]) -> str:
    name, argument = match.groups()
    if argument is None:
        return {"pi": r"\pi ", "infinity": r"\infty ", "infty": r"\infty "}.get(name, match[0])
    return {"sqrt": rf"\sqrt{{{argument}}}", "exp": rf"e^{{{argument}}}"}.get(name, rf"\{name} ({argument})")
