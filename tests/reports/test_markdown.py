"""Whatever a text holds, as Markdown it is shown and nothing else: judged by a CommonMark parser."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from selfimprove.reports.markdown import block, code, words
from selfimprove.terminal.safe_text import plain_line, plain_text

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LIVE = [
    "~~~~",
    "```\n# x",
    "~" * 40,
    "`" * 7 + "\n~~~~~~~~",
    "\n---\nlicense: evil\n---\n",
    "<script>alert(1)</script>",
    "[x](http://e)",
    "![x](http://e)",
]
# Signs of Markdown, much more often than by chance.
texts = st.lists(st.sampled_from([*"~`|\\*_[]()<>#!&\n\r \t-=+:@x1", "~~~~", "```", "http://e.org", "\u202e", "\x1b"])).map("".join) | st.text()


@given(texts)
@example("~~~~")
@example("\r~~~~\r# live")
def test_a_block_ends_where_its_text_ends(text: str) -> None:
    tokens = PARSER.parse(f"before\n\n{block(text, 'text')}\n\nafter `x`\n")
    assert [token.type for token in tokens] == [*PARAGRAPH, "fence", *PARAGRAPH]
    fence = tokens[3]
    # CommonMark shows U+FFFD for a lone surrogate or NUL, neither of which gets there.
    assert fence.info == "text" and fence.content == plain_text(text) + "\n"


@given(texts)
@example("a``b`")
@example("`")
def test_a_code_span_ends_where_its_text_ends(text: str) -> None:
    before, span, after = inline(f"before {code(text)} after")
    assert (span.type, before.content, after.content) == ("code_inline", "before ", " after")
    assert span.content == (plain_line(text) or " ") or span.content.strip() == plain_line(text).strip()


@given(texts)
@example("pass@1 0.50 → 0.60")
@example("# x")
def test_words_are_text_also_in_a_cell(text: str) -> None:
    tokens = [token for token in inline(f"x {words(text)} x") if token.type != "text_special"]
    assert {token.type for token in tokens} == {"text"} and "".join(token.content for token in tokens) == f"x {plain_line(text)} x"
    table = PARSER.parse(f"| a | b |\n|---|---|\n| {words(text)} | end |\n")
    cells = [token for token in table if token.type == "inline"]
    assert len(cells) == 4 and "".join(one.content for one in cells[2].children or ()).strip() == plain_line(text).strip()


def test_usual_words_are_not_disfigured() -> None:
    assert words("generation-1: pass@1 0.50 → 0.60 (+0.10)") == "generation-1: pass@1 0.50 → 0.60 (+0.10)"
    assert words("see http://a.b, www.a.b, me@a.b") == "see http\\://a.b, www\\.a.b, me\\@a.b"


PARAGRAPH = ["paragraph_open", "inline", "paragraph_close"]


def inline(text: str) -> list[Token]:
    (found,) = [token for token in PARSER.parse(text) if token.type == "inline"]
    return list(found.children or ())


@pytest.mark.parametrize("text", LIVE)
def test_nothing_in_a_block_is_live(text: str) -> None:
    assert {token.type for token in PARSER.parse(block(text))} == {"fence"}
    assert "<script" not in PARSER.render(block(text))
