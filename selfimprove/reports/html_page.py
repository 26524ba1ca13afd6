"""Puts an HTML page together that fetches nothing and runs nothing but its own scripts, whatever its data hold."""

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

SCRIPTS = (("draw.js", "figures.js", "ledger.js"), ("traces.js",))
"""The first script draws before the browser reads the traces, the second one comes after them."""


def page(title: str, figures: Mapping[str, Any], blocks: Sequence[str]) -> str:
    """The page, to be written as UTF-8.

    Args:
        figures: JSON data of the charts.
        blocks: traces, each block as `packed` makes it.
    """
    style, (first, second) = _read("page.css"), ("".join(map(_read, names)) for names in SCRIPTS)
    # Data hold no "<", so that no text in them can end their element; and no script runs that is not one of these two.
    allowed = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(first)} {_hash(second)}; base-uri 'none'; form-action 'none'"
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
    """JSON data, compressed and in base64; the same rows always give the same text."""
    return base64.b64encode(gzip.compress(json.dumps(rows).encode(), 6, mtime=0)).decode()


def _read(name: str) -> str:
    return (resources.files("selfimprove.reports") / "html" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
