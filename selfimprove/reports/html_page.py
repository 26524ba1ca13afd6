"""Assembles an HTML page that fetches nothing and runs only its own scripts, whatever its data contain."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

SCRIPTS = (("draw.js", "trace.js", "figures.js", "ledger.js"), ("traces.js",))
"""Files of the two scripts: the first draws the charts before the browser reads the traces, the second comes after the traces."""


def page(title: str, figures: Mapping[str, Any], blocks: Sequence[str]) -> str:
    """The page as text, to be written as UTF-8.

    Args:
        figures: JSON data of the charts.
        blocks: blocks of traces, each from `packed`.
    """
    style, (first, second) = _read("page.css"), ("".join(map(_read, names)) for names in SCRIPTS)
    # Without "<" in the data, no text in them can end their element. Only these two scripts may run.
    scripts = f"{content_hash(first)} {content_hash(second)}"
    allowed = f"default-src 'none'; style-src {content_hash(style)}; script-src {scripts}; base-uri 'none'; form-action 'none'"
    return Template(_read("page.html")).substitute(
        allowed=html.escape(allowed),
        title=html.escape(title),
        style=style,
        figures=json.dumps(figures).replace("<", "\\u003c"),
        draw=first,
        traces="\n".join(f'<script type="application/gzip">{block}</script>' for block in blocks),
        browse=second,
    )


def packed(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as compressed JSON in base64; the same rows always give the same text."""
    return base64.b64encode(gzip.compress(json.dumps(rows).encode(), 6, mtime=0)).decode()


def _read(name: str) -> str:
    return (resources.files("selfimprove.reports") / "html" / name).read_text(encoding="utf-8")


def content_hash(text: str) -> str:
    """What a content security policy calls this style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
