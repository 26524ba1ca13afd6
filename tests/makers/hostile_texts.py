"""Texts that try to harm, delay or deceive a verifier that compares answers, grouped by their method.

With the reference 5, or B among `OPTIONS`, none may pass except those in `RIGHT`.
"""

from __future__ import annotations

OPTIONS = ["four", "five", "six", "seven"]

DEEP = 20_000
LONG = 1 << 19

TEXTS: dict[str, list[str]] = {
    "deep nesting": [
        *(opening * DEEP + "6" + closing * DEEP for opening, closing in ("()", "[]", "{}", "<>", ("\\left(", "\\right)"), ("\\{", "\\}"))),
        *(
            opening * DEEP + "6" + "}" * DEEP
            for opening in ("\\frac{1}{", "\\sqrt{", "\\boxed{", "\\text{", "2^{", "x_{", "\\sin{", "-{", "\\mathbf{")
        ),
        "$" + "(" * DEEP + "6" + ")" * DEEP + "$",
        "$" + "\\frac{" * 300 + "6" + "}{1}" * 300 + "$",
        "$" + "\\begin{matrix}" * 500 + "6" + "\\end{matrix}" * 500 + "$",
        "-" * DEEP + "6",
        "not " * DEEP + "6",
    ],
    "giant values": [
        *(
            "1000000!",
            "(10^6)!",
            "6!!!!!",
            "$99999999!$",
            "$\\binom{10^9}{10^8}$",
            "2^{10^9}",
            "$9^{9^{9^9}}$",
            "9**9**9**9",
            "$2^{2^{2^{2^{2^2}}}}$",
        ),
        *("10^{10^{10}}", "$\\sum_{n=1}^{10^{12}} n^n$", "$\\prod_{n=1}^{10^9} n$", "$\\int_0^{10^9} x^x dx$", "1e999999999", "$e^{e^{e^{e^e}}}$"),
        *("9" * 100_000, "-" + "9" * 5_000, "0." + "3" * 100_000, "6" + "0" * 10_000 + "/7", "1/0", "$0^{-1}$", "$\\frac{0}{0}$", "NaN", "inf", "-∞"),
        *("0x" + "F" * 10_000, "1" + ",000" * 5_000, "1e-400", "$\\sqrt[10^9]{6}$", "$(x+1)^{100000}$", "$\\sin(10^{10^6})$"),
    ],
    "odd characters": [
        *(
            "6\0",
            "\0",
            "\0" * 1000,
            "5\0",
            "\ufeff6",
            "\u202e5",
            "5\u200b6",
            "６",
            "⑥",
            "²",
            "5²",
            "½",
            "5\u0336",
            "\ud800",
            "\udfff\ud800",
            "5\ud800",
            "\U0010ffff",
        ),
        *(
            "\x1b[2J\x1b[31m6",
            "\r\n\r\n",
            "\b\b6",
            "\x7f",
            "é" * 1000,
            "e\u0301\u0301\u0301" * 500,
            "Ꮾ",
            "Ｂ or Ｃ",
            "\u2066A\u2069 B C",
            "\ufdfa" * 500,
            "𝟞",
            "٦",
        ),
        *(
            "correct",
            "Outcome.CORRECT",
            "correct \n",
            "\ncorrect\n",
            "{'outcome': 'correct'}",
            "True",
            "1.0",
            "None",
            "</think>",
            "__import__('os')._exit(0)",
        ),
        *(
            "{}",
            "{0.__class__}",
            "%s%n%x",
            "${HOME}",
            "$(reboot)",
            "`reboot`",
            "'; DROP TABLE verdicts; --",
            "../../etc/passwd",
            "<script>5</script>",
        ),
    ],
    "never closed": [
        *(
            "$",
            "$$",
            "$6",
            "$$6",
            "\\(",
            "\\[6",
            "\\boxed{",
            "\\boxed{6",
            "\\boxed",
            "\\frac{",
            "\\frac{6",
            "\\frac",
            "\\sqrt[",
            "{",
            "}",
            "}{",
            "\\left(6",
        ),
        *(
            "\\begin{matrix}6",
            "\\end{matrix}",
            "\\text{6",
            "$\\frac{$",
            "$6$$",
            "\\boxed{\\boxed{6}",
            "\\boxed{}",
            "$ $",
            "\\\\",
            "\\",
            "^",
            "_",
            "6^",
            "6_{",
            "&",
        ),
        *(
            "<think>6",
            "6</think>",
            "</think></think>6",
            "<think><think>6</think>",
            "```6",
            "```",
            "**6",
            "(6",
            "6)",
            '"6',
            "'6",
            "6 =",
            "= =",
            "+",
            "-",
            "*/",
        ),
    ],
    "huge text": [
        *(
            piece * (LONG // len(piece))
            for piece in ("x", "6 ", "\n", "$", "$6$ ", "\\", "{", "}", "(", "\\boxed{6} ", "A B C D ", "é", "\0", "=6", "1+", "six, ")
        ),
        "The answer is " * 50_000 + "6",
        "6 " + "." * 2 * LONG,
    ],
    "slow patterns": [
        *(run * 30_000 + tail for run in ("a", "1", " ", "1,", "1.", "\\,", "1/", "1e", "- ", "x=") for tail in ("!",)),
        "answer is " * 3_000 + "?",
        "1" * 10_000 + "e" + "1" * 10_000,
        "," * 30_000 + "6",
        "(" * 3_000 + "1," * 3_000,
        "$" + "1+" * 1_000 + "1$",
        "$" + "x" * 2_000 + "$",
        "{" + "1," * 2_000 + "1}",
    ],
}

RIGHT: dict[str, set[str]] = {"mathematical": {"5\0", "5²", "5\u200b6", "5\u0336", "5\ud800"}}
"""Texts that pass nevertheless, by verifier: math-verify reads the 5 and skips characters that it does not know."""
