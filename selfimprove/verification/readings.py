"""Finds answers that can be read in more than one way, and differences that math-verify does not see."""

from __future__ import annotations

import re

NUMBER = r"-?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)"
COMMAND = re.compile(r"\\(?:begin|end|mathrm|mathbf|mathbb|operatorname)\*?\s*\{[^{}]*\}|\\[a-zA-Z]+")
WORD = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z]{2,}(?![a-zA-Z])")
NO_WORDS = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "lim", "max", "min", "gcd", "lcm", "mod"}
TEXT = re.compile(r"\\(?:text|mbox|textrm|textbf|textit)\s*\{([^{}]*)\}")
BETWEEN = re.compile(r"(?<=[\d})])\s*,?\s*\b(?:or|and)\b\s*(?=[\\\d({.-])|(?<=\d)\s*\\(?:lor|land|vee|wedge)\b\s*(?=[\d-])")

SIDE_BY_SIDE = re.compile(r"[\d}]\s*(?:\\(?:quad|qquad|[ ;:])|~|\s)\s*\d|\d\s*\[\s*-?\d+\s*\]|\d\s*\(\s*-?\d+(?:\.\d+)?\s*\)\s*$|^\{\d+\}\{\d+\}$")
"""Two numbers without an operator between them: a product, a sum or two answers."""
SIGN_OF_DOUBT = re.compile(r"\\(?:neq?|not|pm|mp|sim|to|rightarrow|implies|ngtr|nless)(?![a-zA-Z])|!=|^\s*(?:[<>]|\\(?:[lg]eq?|[lg]t)(?![a-zA-Z]))")
"""Relations and signs that name no single value."""
LETTER_BEHIND = re.compile(rf"^\s*{NUMBER}([a-zA-Z])\s*$")
"""A product with a name, which math-verify takes for a unit in some cases (`5t`)."""
MEMBER = re.compile(r"^\s*[a-zA-Z]\s*\\in(?![a-zA-Z])")
APPROXIMATE = re.compile(r"\\(?:approx|simeq|doteq|cong)(?![a-zA-Z])|~=|≅")
NEGATED = re.compile(r"(?:\b(?:not|never|cannot|neither|nor|except|unlike|without|besides|but)\b|n['’]t\b)[^\d]*$", re.IGNORECASE)
ALTERNATIVE = re.compile(rf"{NUMBER}\W*(?:,|/|&|\bor\b|\band\b|\bto\b)\W*$", re.IGNORECASE)
LAST_NUMBER = re.compile(rf"{NUMBER}(?=\D*$)")

BASE = re.compile(r"[0-9A-F]\}?\s*_\s*\{?\s*(\d+)\s*\}?\s*$|(?:in |)base[ -](\d+)", re.IGNORECASE)
AMOUNT = rf"^\s*(?:{NUMBER}|\\d?frac\{{[^{{}}]*\}}\{{[^{{}}]*\}})"
UNIT = re.compile(rf"{AMOUNT}\s*(?:\\[,;: ])*\s*(?:\^\s*\\circ|\\%|[a-zA-Z%°$][a-zA-Z. ]*?)(\^\{{?[23]\}}?)?\s*\.?\s*$")
UNITS = {
    "mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre", "m": "m meter metre", "km": "km kilometer kilometre",
    "in": "in inch inches", "ft": "ft foot feet", "yd": "yd yard", "mi": "mi mile", "g": "g gram", "kg": "kg kilogram", "mg": "mg milligram",
    "lb": "lb pound", "oz": "oz ounce", "s": "s sec second", "min": "min minute", "h": "h hr hour", "d": "day", "week": "week", "month": "month",
    "year": "yr year", "l": "l liter litre", "ml": "ml milliliter millilitre", "degree": "degree deg circ", "rad": "rad radian",
    "dollar": "dollar usd", "cent": "cent", "euro": "euro eur", "percent": "percent", "mph": "mph", "unit": "unit",
}  # fmt: skip
CANONICAL = {name: unit for unit, names in UNITS.items() for name in names.split()}
OPENING = {r"\{": "{", "(": "(", "[": "("}


def plain(text: str) -> str:
    r"""The text with words in `\text{…}` as words, if they say more than a unit, and `3 or 7` as the list `3, 7`."""
    text = TEXT.sub(lambda match: f" {match[1]} " if re.search(r"[\d,;]|\b(?:or|and|not)\b", match[1]) else match[0], text)
    bare = text.strip()
    if bare.count("$") == 2 and bare[0] == bare[-1] == "$":
        text = bare.strip("$ ")
    return MEMBER.sub("", BETWEEN.sub(", ", text))


def is_sentence(text: str) -> bool:
    """Whether the text has words, so that a formula has to be found in it."""
    return any(word.lower() not in NO_WORDS for word in WORD.findall(COMMAND.sub(" ", TEXT.sub(" ", text))))


def is_ambiguous(formula: str, reference: str) -> bool:
    """Whether a formula has several values or none, and the reference has not the same form."""
    formula, reference = formula.strip("$ "), reference.strip("$ ")
    if re.sub(r"\s", "", formula) == re.sub(r"\s", "", reference):
        return False
    letter = LETTER_BEHIND.match(formula)
    doubts = set(SIGN_OF_DOUBT.findall(formula)) - set(SIGN_OF_DOUBT.findall(reference))
    return bool(doubts) or (letter is not None and letter[1] not in reference) or bool(SIDE_BY_SIDE.search(formula))


def is_undecided(sentence: str) -> bool:
    """Whether the last number of a sentence is denied, or one of several."""
    last = LAST_NUMBER.search(sentence)
    return last is not None and bool(NEGATED.search(sentence[: last.start()]) or ALTERNATIVE.search(sentence[: last.start()]))


def differ_in_form(reference: str, answer: str) -> bool:
    """Whether reference and answer both name a unit, a base or a kind of bracket, and not the same one. An answer may leave out the first two."""
    for kind in (unit, base, _bracket):
        wanted, found = kind(reference), kind(answer)
        if wanted is not None and found is not None and wanted != found:
            return True
    return base(reference) is None and base(answer) not in (None, "10")


def unit(text: str) -> tuple[str, str] | None:
    """The unit of a quantity and its power; None for anything else."""
    text = TEXT.sub(lambda match: f" {match[1].strip()} ", text.strip().strip("$").strip())
    text = re.sub(r"(?<=[a-z])\s*\^", "^", text)
    match = UNIT.match(text)
    if match is None:
        return None
    power = (match[1] or "").strip("^{}")
    name = re.sub(rf"{AMOUNT}|\^\{{?[23]\}}?|[\\^{{}},;: ]", " ", text)
    words = name.replace("%", "percent").replace("°", "degree").lower().replace(".", " ").split()
    if words and words[0] in ("square", "cubic", "sq"):
        power, words = "3" if words[0] == "cubic" else "2", words[1:]
    if len(words) != 1:
        return None
    known = CANONICAL.get(words[0]) or CANONICAL.get(words[0].removesuffix("s"))
    return (known, power) if known else None


def base(text: str) -> str | None:
    """The base that a number is written in, if the text names one."""
    match = BASE.search(text.strip().strip("$").strip())
    return (match[1] or match[2]) if match else None


def approximated(text: str) -> list[str]:
    r"""The sides of an approximation, `\sqrt{2} \approx 1.41`; one item if the text has none."""
    return APPROXIMATE.split(text)


def _bracket(text: str) -> str | None:
    text = re.sub(r"\\(?:left|right|big|Big)", "", text.strip().strip("$").strip())
    opened = next((kind for opening, kind in OPENING.items() if text.startswith(opening)), None)
    return opened if opened and text.endswith((r"\}", ")", "]")) and "," in text else None
