"""Texts without the differences that a reader does not see or that do not matter."""

from __future__ import annotations

import re
import unicodedata

LOOK_ALIKE = str.maketrans("аеорсухіјѕԁһвкмнтɡɑɩονρτκαεικυχγβη", "aeopcyxijsdhbkmhtgaiovptkaeikuxyBn".casefold())
"""Cyrillic, Greek and phonetic letters that look like Latin ones, in lower case."""
OPERATORS = frozenset("+-*/=<>^%")
UNSEEN = re.compile(
    r"[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]|[\U000e0000-\U000e007f]"
)
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
SAME = str.maketrans("×·−–÷", "**--/")
WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|(?<![^\W\d])[-+*/=<>^%](?![^\W\d])")
SIGN = re.compile(r"\w+|([^\w\s])\1*")


def normal_text(text: str) -> str:
    """The text in NFKC, without case, accents, invisible characters and commas of thousands, with Latin letters for those that look like them."""
    shown = unicodedata.normalize("NFKD", UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold())
    plain = "".join(sign for sign in shown if not unicodedata.combining(sign)) if not shown.isascii() else shown
    return " ".join(THOUSANDS.sub("", plain.translate(LOOK_ALIKE).translate(SAME)).split())


def words(normal: str) -> list[str]:
    """The words, numbers and operators of a normal text; punctuation is left out."""
    return WORD.findall(normal)


def signs(normal: str) -> list[str]:
    """The words and all signs of a normal text; a run of equal signs is one."""
    return [found[0] for found in SIGN.finditer(normal)]
