"""Reads the last number of a text: its sign, groups of thousands, exponent or fraction bar."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction

LONGEST = 20_000
"""Maximum characters of a number. A million digits would take seconds."""
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}

SIGNS = str.maketrans("−–‐‑－﹣＋．，／⁄∕٫٬＝：％＄×·⋅∙\u00a0\u202f\u2009\u2007’", "-----" + "-+.,///.,=:%$****~~~~'")
"""Characters that stand for an ASCII one in numbers; `~` is a space that does not break."""
RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
FRAC = re.compile(r"(\d?)\\[dtc]?frac *(?:\{ *(-?\d+) *\} *\{ *(\d+) *\}|(\d) ?(\d))")
COMMAND = re.compile(r"\\(?:[A-Za-z]+ ?|[^A-Za-z])")
MEANING = {
    r"\,": "~",
    r"\!": "",
    r"\times": "*",
    r"\cdot": "*",
    r"\pm": "±",
    r"\mp": "±",
    r"\ne": "≠",
    r"\neq": "≠",
    r"\sqrt": "√",
    r"\pi": "π",
    r"\overline": "√",
}
MEANING |= {r"\le": "≤", r"\leq": "≤", r"\ge": "≥", r"\geq": "≥", r"\lt": "<", r"\gt": ">", r"\$": "$", r"\%": "%", r"\log": "log ", r"\ln": "ln "}
TAG = re.compile(r"</?[A-Za-z][^<>]{0,80}>|>>")
"""Tags of HTML and XML; `>>` ends a calculation in GSM8K."""
DIGIT = re.compile("[\\d¼-¾⅐-⅞]")

NUMBER = re.compile(
    r"""(?P<run>\.?\d+(?:[.,:~'_]\d+|[ ]\d{3}(?!\d))*(?:[eE][-+]?\d+)?)
    (?:(?P<times>[ ]?[*x][ ]?10)?(?:\^|\*\*)[{(]?(?P<power>[-+]?\d+)[})]?)?
    (?:(?P<over>(?:/\d+)+)|[ ](?P<top>\d+)/(?P<bottom>\d+)(?![\d/]))?""",
    re.VERBOSE,
)
INTEGER = re.compile("-?[0-9]{1,100}")
"""Read at once: most references."""
PLAIN = re.compile(r"\d*\.?\d+(?:[eE][-+]?\d{1,4})?")
GROUPS = re.compile(r"[1-9]\d{0,2}([,~'_])\d{3}(?:\1\d{3})*(?:\.\d+)?")
GROUPS_BY_DOT = re.compile(r"[1-9]\d{0,2}(?:(?:\.\d{3}){2,}|(?:\.\d{3})+,\d{1,2})")
# Nobody writes a separate number as `050`, but `5 120` may be two.
GROUPS_BY_SPACE = re.compile(r"[1-9]\d{0,2}(?= (?:\d{3} )*0)(?: \d{3})+(?:\.\d+)?")

EXPONENT = re.compile(r"[A-Za-z}](?: ?\^|\*\*)[{(]?-?$")
OTHER_BEFORE = re.compile(
    r"(?:\b(?:or|not|than|sqrt|log|ln)|n't|≠|!=|[±√∛∜]|(?<![-=])[<>]=?|[≤≥^]|[\d)}] ?/|\d +:|\d%? *(?:to|and)\b|\}\{|_|[A-Za-z]\()\s*[{($*`]*$",
    re.IGNORECASE,
)
"""What makes the number that follows it another one, or none."""
OTHER_AFTER = re.compile(
    r"(?:[kKMB]|bn|i)(?![A-Za-z])|\.\d|\s*(?:[√π±^/_]\d?(?<=[√π±^\d])|\*\*[\w(]|(?:is|was)(?:n't| not| wrong| incorrect| false)\b)|[/_]\{?\d"
)
"""What makes the number that it follows another one, or none."""
SCALE = re.compile(rf"[ ~-]?({'|'.join(SCALES)})s?\b", re.IGNORECASE)
MARKS = "$€£¥₹₽₩*`{[("


def last_number(text: str) -> Fraction | None:
    """The value of the last number; None if there is none or if it can be read in more than one way."""
    if INTEGER.fullmatch(text):
        return Fraction(text)
    for line in reversed(text.splitlines()):
        if not DIGIT.search(line):
            continue
        line = _plain(line)
        for match in reversed(list(NUMBER.finditer(line))):
            before = line[: match.start()]
            if not EXPONENT.search(before[-8:]):
                return _signed(match, before[-40:], line[match.end() : match.end() + 40])
    return None


def _plain(line: str) -> str:
    """A line in which numbers have ASCII digits and signs, and LaTeX's commands are gone."""
    if not line.isascii():
        line = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in line if unicodedata.category(c) != "Cf").translate(SIGNS)
        line = RAISED.sub(lambda raised: "^{" + raised[0].translate(LOWERED) + "}", line)
        line = re.sub("(\\d?)([¼-¾⅐-⅞])", lambda m: m[1] + " " * bool(m[1]) + unicodedata.normalize("NFKC", m[2]).replace("⁄", "/"), line)
    if "\\" in line:
        line = FRAC.sub(lambda m: m[1] + " " * bool(m[1]) + (f"{m[2]}/{m[3]}" if m[2] else f"{m[4]}/{m[5]}"), line)
        line = COMMAND.sub(lambda command: MEANING.get(command[0].rstrip(" ") or command[0], " " if command[0] == r"\ " else ""), line)
    return TAG.sub(" ; ", line.replace("{,}", ","))


def _signed(match: re.Match[str], before: str, after: str) -> Fraction | None:
    value = _value(match)
    scale = SCALE.match(after)
    if scale:
        value, after = value and value * SCALES[scale[1].lower()], after[scale.end() :]
    if value is None or OTHER_AFTER.match(after) or SCALE.match(after) or re.search(r"[A-Za-z\d.)\]}]$", before):
        return None
    unmarked = before.rstrip(MARKS)
    left = unmarked.rstrip(" ")
    bare = left.rstrip("-+—")
    signs, spaced, left = left[len(bare) :], left != unmarked, bare.rstrip(" ")
    if OTHER_BEFORE.search(bare if signs else before):
        return None
    if not signs:
        # `7 3` may be a list, a product or two parts of one number.
        return None if re.search(r"\d[ ~]+$", before) else value
    if signs == "+":
        return value
    if signs == "—":
        return value if re.search(r"\w *$", bare) else None
    if signs != "-" or re.search(r"-[($*`{\[]+$|\|$", bare):
        return None
    return _after_minus(value, bare, spaced)


def _after_minus(value: Fraction, left: str, spaced: bool) -> Fraction | None:
    """After a word, a number or a bracket a minus sign is a subtraction: `5-9` ends with 9. A dash that may be either makes the number ambiguous."""
    if not spaced:
        if re.search(r"[\w).\]}]$", left):
            return value
        return None if re.search(r"\d +$", left) else -value
    if re.search(r"(?:[\d)\]}%]|(?<![A-Za-z])[A-Za-z]) *$", left):
        return value
    return -value if re.search(r"[=≈(:] *$", left) else None


def _value(match: re.Match[str]) -> Fraction | None:
    """The value without its sign."""
    run, power = match["run"], match["power"]
    if len(match[0]) > LONGEST or (power and (len(power) > 5 or not (match["times"] or run == "10"))):
        return None
    if GROUPS.fullmatch(run) or GROUPS_BY_SPACE.fullmatch(run):
        run = re.sub("[,~'_ ]", "", run)
    elif GROUPS_BY_DOT.fullmatch(run):
        run = run.replace(".", "").replace(",", ".")
    elif not PLAIN.fullmatch(run):
        return None
    # Decimal and not int: int() refuses more than 4,300 digits.
    value = Fraction(Decimal(run))
    if power:
        value = value * Fraction(10) ** int(power) if match["times"] else Fraction(10) ** int(power)
    if match["over"]:
        below = Fraction(Decimal(match["over"][1:])) if match["over"].count("/") == 1 else Fraction(0)
        # `12/4` is a division that nobody has done.
        return value / below if below and (below == 1 or (value / below).denominator != 1) else None
    if match["top"]:
        part = Fraction(Decimal(match["top"])) / (Fraction(Decimal(match["bottom"])) or 1)
        return value + part if run.isdecimal() and 0 < part < 1 and not power else None
    return value
