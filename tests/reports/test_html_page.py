"""The page is safe before a browser opens it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re

from selfimprove.reports.html_page import packed, page

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>"


def test_only_the_scripts_of_the_page_may_run_and_nothing_may_be_fetched() -> None:
    text = page("run", {"name": "run"}, [])
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])  # type: ignore[index]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 2 and text.count("<script") == 3, "two scripts, and the data"
    for code in [*scripts, *re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)]:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'" in policy
    assert not re.search(r"""(?:src|href)=["']?[^#"']|innerHTML|insertAdjacentHTML|document\.write|\beval\(""", text)


def test_data_cannot_leave_their_element() -> None:
    text = page(HOSTILE, {"question": HOSTILE}, [packed([{"text": HOSTILE}])])
    assert "alert(1)</script>" not in text and "<img" not in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, flags=re.DOTALL)
    block = re.search(r'<script type="application/gzip">(.*?)</script>', text, flags=re.DOTALL)
    assert data and block
    assert json.loads(data[1]) == {"question": HOSTILE}
    assert json.loads(gzip.decompress(base64.b64decode(block[1]))) == [{"text": HOSTILE}]
