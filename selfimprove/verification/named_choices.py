"""Finds the choices that a text names, and tells those it asserts from those it rejects."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
STYLED = re.compile("[Ⓐ-ⓩ！-～\U0001d400-\U0001d6a3]")
"""Enclosed, full-width and mathematical letters and signs."""
LAYOUT = re.compile(r"\\(?:boxed|fbox|text[a-z]*|math[a-z]+|left|right|quad|displaystyle|operatorname)(?![A-Za-z])|[\\{}$*_`\s]+")
"""The LaTeX commands and the characters that enclose or set apart text in LaTeX and Markdown."""

BEFORE = r"(?<![A-Za-z0-9À-ɏЀ-ӿ'’−–-])(?<!\d[.,/])"
AFTER = r"(?![A-Za-z0-9À-ɏЀ-ӿ'’+^²³%-])(?![.,/]\d)"
LETTER = (
    r"(?:(?<![AI])|(?<=[aA]nswer is [AI])|(?<=[aA]nswer: [AI])|(?<=[oO]ption [AI])|(?<=[cC]hoice [AI])|(?! [a-z])"
    r"|(?= (?:or|and|nor|oder|und|ou|et|o|y|e|is|was|isn|vs)\b))"
)
"""Holds after a capital letter that is not the article `A` or the pronoun `I`."""
SMALL_BEFORE = r"(?:^|\b(?:or|and|nor|but|not|is|option|choice|answer|antwort)|[/,:=&])"
SMALL_AFTER = r"(?=\s*(?:$|[.,;:)!?/&=]|(?:or|and|nor|is|was|isn)\b))"

DECLARED = re.compile(
    r"(?:\b(?P<final>final |finale )?(?:answer|antwort|lösung|réponse|respuesta|risposta|resposta|ответ)\s*(?:is\b|ist\b|est\b|es\b|è\b|é\b|[:=—–-])+"
    r"|答案\s*(?:[是为:])*|\\f?box(?:ed)?\b)",
    re.IGNORECASE,
)
REJECTED_BEFORE = re.compile(
    r"\b(?:not|nor|neither|none|never|no|cannot|except\w*|exclud\w+|besides|apart|unlike|instead|rather|than|over|without|rul\w+|eliminat\w+"
    r"|discard\w*|reject\w*|dismiss\w*|avoid\w*|ignor\w+|skip\w*|hardly|far from|least|worst|bad|opposite|other|minus|against|doubt\w*|if"
    r"|suppos\w+|assum\w+|whether|might|could|wrong|incorrect|false|(?:all|every\w+|any\w+) but|nicht|kein\w*|außer|weder|pas|sauf|ni|non|né"
    r"|nie|não|excepto|tranne|не|кроме)\b|n['’]t\b|[不非除¬✗✘❌!]|~~",
    re.IGNORECASE,
)
REJECTED_AFTER = re.compile(r"\b(?:not|cannot|never|nor|neither|no|fails?|might|could|may)\b|n['’]t\b|不", re.IGNORECASE)
CALLED_WRONG = re.compile(
    r"\b(?:wrong|incorrect|false|untrue|invalid|impossible|tempting|distractor|unlikely|implausible|bad|eliminat\w+|exclud\w+|discard\w+|reject\w+"
    r"|rul\w+ (?:it )?out|(?:is|are|was) out|falsch|faux|falsa?|falso)\b|错|[✗✘❌]",
    re.IGNORECASE,
)
STOP = re.compile(r"[.;?\n]|!(?=\s)|[,:()，。；]|(?<!all )(?<!thing )\b(?:but|so|therefore|hence|thus|sondern|mais|sino)\b", re.IGNORECASE)
REASON = re.compile(r"\b(?:because|since|as)\b", re.IGNORECASE)
QUESTION = re.compile(r"[\s)\]]*\?")
SENTENCE = re.compile(r"[.;!?()。；]|\b(?:because|since|as|for|whereas|while|but|so)\b", re.IGNORECASE)
JOINED = re.compile(
    r"[\s)\]]*(?:[,/&、]|\b(?:or|and|nor|oder|noch|und|ou|et|ni|o|y|или|и)\b|或|和)[\s,(\[]*(?:(?:or|and|nor)\b)?[\s(\[]*(?:(?:option|choice)\s*)?[(\[]*"
)
TAKEN_BACK = re.compile(
    r"\b(?:wait|actually|scratch that|just kidding|on second thou?ghts?|never mind|maybe|perhaps|or maybe)\b|(?:[.?!,:;]|\A)\s*(?:no|nope)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Mention:
    """A place in a text where choices are named: several where their texts are equal."""

    start: int
    end: int
    choices: frozenset[str]


def named_choices(text: str, options: Mapping[str, str]) -> frozenset[str] | None:
    """The choices that a text asserts; None if it asserts none, asserts and rejects the same one, or takes back what it said.

    `options` holds texts that `bare_text` has returned, by capital letter; empty texts are not looked for.
    """
    text = _plain(text)
    if (letter := _set_apart(text).strip("().:[] ").upper()) in options:
        return frozenset(letter)
    text = _set_apart(_from_declaration(text))
    mentions = _mentions(text, options)
    masked = text
    for mention in mentions:
        masked = masked[: mention.start] + "\0" * (mention.end - mention.start) + masked[mention.end :]
    if not mentions or TAKEN_BACK.search(masked, mentions[0].end) or re.search(r"\bnot only\b", masked, re.IGNORECASE):
        return None
    asserted: set[str] = set()
    rejected: set[str] = set()
    previous, was_rejected = 0, False
    for index, mention in enumerate(mentions):
        following = mentions[index + 1].start if index + 1 < len(mentions) else len(masked)
        between = masked[previous : mention.start]
        joined = index > 0 and JOINED.fullmatch(between) is not None
        was_rejected = (was_rejected and joined) or _rejects_before(between) or _rejects_after(masked[mention.end : following])
        (rejected if was_rejected else asserted).update(mention.choices)
        previous = mention.end
    return None if asserted & rejected else frozenset(asserted) or None


@lru_cache(maxsize=4096)
def bare_text(text: str) -> str:
    """A text without markup, in the characters in which `named_choices` looks for it."""
    return _set_apart(_plain(text))


def _plain(text: str) -> str:
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", INVISIBLE.sub("", text))
    return STYLED.sub(lambda styled: unicodedata.normalize("NFKC", styled[0]), text)


def _set_apart(text: str) -> str:
    return LAYOUT.sub(" ", text).strip()


def _from_declaration(text: str) -> str:
    """What follows the last `final answer is`, else the first `answer is`; the whole text if it has neither."""
    found = list(DECLARED.finditer(re.sub(r"[*_`]", " ", text)))
    # `I don't think the answer is B` declares nothing.
    if any(_rejects_before(text[max(0, declared.start() - 200) : declared.start()]) for declared in found):
        return text
    final = [declared for declared in found if declared["final"]]
    return "answer: " + text[(final[-1] if final else found[0]).end() :].lstrip("{ ") if found else text


@lru_cache(maxsize=4096)
def _patterns(options: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str] | None, re.Pattern[str]]:
    """The patterns of the options' texts, longest first (`dark red` does not name `red`), and of their letters."""
    letters = {letter for letter, _ in options}
    texts = sorted({text for _, text in options if text and text.upper() not in letters}, key=len, reverse=True)
    by_text = re.compile(BEFORE + "(?:" + "|".join(map(re.escape, texts)) + ")" + AFTER, re.IGNORECASE) if texts else None
    group = re.escape("".join(sorted(letters)))
    small = re.escape("".join(sorted(letters)).lower())
    by_letter = (
        f"{BEFORE}(?P<large>[{group}]){AFTER}{LETTER}|[(\\[](?P<bracketed>[{small}])[)\\]]|{SMALL_BEFORE}\\s*(?P<small>[{small}]){SMALL_AFTER}"
    )
    return by_text, re.compile(by_letter)


def _mentions(text: str, options: Mapping[str, str]) -> list[Mention]:
    by_text, by_letter = _patterns(tuple(options.items()))
    mentions = []
    if by_text:
        for found in by_text.finditer(text):
            choices = frozenset(letter for letter, option in options.items() if option.casefold() == found[0].casefold())
            mentions.append(Mention(found.start(), found.end(), choices))
        # A text may contain the letter of another choice: `vitamin C`.
        text = by_text.sub(lambda found: " " * len(found[0]), text)
    for found in by_letter.finditer(text):
        name = str(found.lastgroup)
        mentions.append(Mention(found.start(name), found.end(name), frozenset(found[name].upper())))
    return sorted(mentions, key=lambda mention: mention.start)


def _rejects_before(text: str) -> bool:
    """Whether the clause that leads to a mention rejects it."""
    clause = STOP.split(text.rstrip("( ["))[-1]
    return REJECTED_BEFORE.search(clause) is not None


def _rejects_after(text: str) -> bool:
    """Whether the words after a mention reject it: `B is not`, `B, which is wrong`."""
    clause = STOP.split(REASON.split(text)[0])[0]
    if QUESTION.match(text) or REJECTED_AFTER.search(clause):
        return True
    return CALLED_WRONG.search(SENTENCE.split(text.lstrip(" ).]"))[0]) is not None
