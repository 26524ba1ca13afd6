"""The HTML page of a run, as the command writes it and as a browser shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from toy import Sums, ToySampler, make_toy_model, toy_workflow, write_tokenizer

from selfimprove import Exact, Guard, InlineCluster, LastNumber, Sampling, ZeroShot, improve
from selfimprove.__main__ import main
from selfimprove.evaluation.budget_curve import Attempt, Setting, curve
from selfimprove.problems.curriculum import Curriculum
from selfimprove.protocols.no_tracker import NoTracker
from selfimprove.reports import html_report
from selfimprove.reports.html_page import packed, page
from selfimprove.reports.html_report import write_html
from selfimprove.storage.files import write_json
from selfimprove.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, LocatorAssertions, Page

HOSTILE = "</script><script>owned = 1</script><img src=x onerror='owned = 1'>\u202egnp.exe\x07"


@dataclass(frozen=True)
class Hostile(ToySampler):
    """Revises once, and tries to run a script."""

    def _trace(self, checkpoint, request):  # type: ignore[no-untyped-def]
        trace = super()._trace(checkpoint, request)
        return replace(trace, text=trace.text.replace("\n</think>", f"\nWait, is it? {HOSTILE}\n</think>"))


def until(locator: Locator) -> LocatorAssertions:
    """Assertions that wait. `wait_for_function` cannot: the page's security policy does not run its code."""
    from playwright.sync_api import expect

    expect.set_options(timeout=120_000)
    return expect(locator)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of two generations, with several samples per evaluation problem and a budget curve."""
    folder = tmp_path_factory.mktemp("html")
    evaluation = Sampling(n=4, temperature=0.8, max_tokens=32)
    changes = {"problems": Sums(30), "eval_problems": 10, "sampler": Hostile(), "eval_sampling": evaluation, "also": (LastNumber(),)}
    changes |= {"direct_share": 0.2, "guards": {"far": Guard(problems=Sums(10, 500), verifier=Exact())}, "also_prompters": (ZeroShot(),)}
    write_tokenizer(model := make_toy_model(folder / "model", 0.1))
    improve(toy_workflow(model, **changes), folder / "run", InlineCluster)
    run = RunFolder(folder / "run")
    tries = {"p": [Attempt(True, 8)], "q": [Attempt(False, 80)]}
    write_json(
        run.budget_curve / "curve.json", [curve("budget forcing", "model", [Setting("own length", 0, None, tries), Setting("short", 0, 8, tries)])]
    )
    write_html(run)
    return run


@pytest.fixture
def opened(browser: Browser, run: RunFolder) -> Iterator[Callable[..., Page]]:
    """Opens a page in this width and colour scheme; the page may fetch nothing and log nothing."""
    messages: list[str] = []
    pages = []

    def call(file: Path = run.root / "report.html", width: int = 1440, scheme: Any = "light") -> Page:
        shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        shown.set_default_timeout(120_000)
        pages.append(shown)
        shown.on("console", lambda message: messages.append(message.text))
        shown.on("pageerror", lambda error: messages.append(str(error)))
        shown.on("request", lambda request: request.url == file.as_uri() or messages.append(request.url))
        shown.goto(file.as_uri())
        until(shown.locator('script[type="application/gzip"]')).to_have_count(0)
        return shown

    yield call
    for shown in pages:
        shown.close()
    assert messages == []


def test_the_command_prints_the_path_of_the_page_and_the_same_run_gives_the_same_page(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run.root / "report.html").read_bytes()
    assert main(["report", str(run.root), "--html"]) == 0
    assert re.search(r"report\.html: 0\.\d MB, 200 of 200 traces", capsys.readouterr().out)
    assert (run.root / "report.html").read_bytes() == before
    assert main(["report", str(run.root), "--html", str(tmp_path / "it.html"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == {"file": str(tmp_path / "it.html"), "bytes": len(before), "traces": 200, "shown": 200}
    assert str(run.root) not in before.decode(), "the page names no folder"
    assert main(["report", str(tmp_path), "--html"]) == 2 and "holds no run" in capsys.readouterr().err


def test_a_run_ends_with_its_page_and_logs_it(tmp_path: Path) -> None:
    logged = []

    class Listening(NoTracker):
        def log_figures(self, name, figures, files):  # type: ignore[no-untyped-def]
            logged.append((name, [file.name for file in files if file.exists()]))

    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.3), generations=1, answer_only_baseline=False)
    improve(workflow, tmp_path / "run", InlineCluster, Listening())
    assert logged == [("report", ["report.html"])]


def test_a_page_of_too_much_text_shows_every_second_trace_and_shortens_long_ones(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Page]
) -> None:
    characters = sum(map(html_report._characters, html_report._stages(run)))
    monkeypatch.setattr(html_report, "MOST_TEXT", characters - 1)
    monkeypatch.setattr(html_report, "LONGEST", 20)
    written = write_html(run, tmp_path / "short.html")
    assert (written["traces"], written["shown"]) == (200, 100)
    shown = opened(tmp_path / "short.html")
    assert "1 in 2 of 200 traces" in shown.inner_text("#browser-how")
    assert "more characters are not on this page" in shown.inner_text("#trace")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "light"), (360, "dark"), (1440, "dark")])
def test_every_chart_is_drawn_and_nothing_is_wider_than_the_screen(run: RunFolder, opened: Callable[..., Page], width: int, scheme: str) -> None:
    shown = opened(width=width, scheme=scheme)
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    assert re.search("In 2 generations, model went from .* of 10 evaluation problems", shown.inner_text("#story"))
    for chart in ("improvement", "wide", "guards", "off-lines", "lengths", "budget-curve"):
        box = shown.locator(f"#{chart} svg").bounding_box()
        assert box and box["width"] > 0.7 * min(width, 600) and box["height"] > 200
        assert shown.locator(f"#{chart} circle").count() >= 2
    assert shown.locator("#ledger canvas").count() == 2 and shown.locator("#funnel .card").count() == 2
    assert shown.locator("#under").is_hidden() and shown.locator("#drift").is_hidden(), "nothing was probed or measured"
    assert f"generation 2: {run.reports()[2].coverage.trend}: " in shown.inner_text("#ledger")
    first, second = shown.locator("#funnel .card").all_inner_texts()
    assert re.search(r"Trained on \d+ rows\.", first) and re.search(r"Trained on \d+ rows, \d+ of them from earlier generations\.", second)
    assert shown.locator("#behaviours th").all_inner_texts() == ["share of traces with", "revision"], "no other behaviour occurs"

    heads = shown.locator("#figures th")
    assert heads.all_inner_texts()[:4] == ["generation", "pass@1", "95\u00a0% interval", "by last number"]
    box = heads.nth(1).bounding_box()
    assert box and box["x"] + box["width"] < width
    text = shown.inner_text("body")
    assert "By the verifier last number, the same answers went from " in text and not re.search(r"\d %", text), "a number and its % stay together"
    assert shown.locator("#improvement .legend li").all_inner_texts() == ["pass@1", "by last number"]
    paper = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_scripts_in_a_trace_are_shown_and_not_run(opened: Callable[..., Page]) -> None:
    shown = opened()
    thought = shown.locator("#trace .thought", has_text="Wait, is it?")
    assert "</script><script>owned = 1</script><img src=x onerror='owned = 1'>\\u{202e}gnp.exe\\u{7}" in thought.inner_text()
    assert thought.locator("small").inner_text() == "revision"
    before, after = shown.locator("#example .card").all_inner_texts()
    assert before.startswith("base model wrong") and "last number: wrong" in before
    assert after.startswith("generation 2 correct") and "Wait, is it? </script><script>owned = 1" in after
    assert "What is " in shown.inner_text("#example-question")
    assert shown.locator("img").count() == 0 and shown.evaluate("typeof owned") == "undefined"


def test_keys_move_through_the_traces_and_filters_apply(opened: Callable[..., Page]) -> None:
    shown = opened()
    shown.focus("#list")
    heading = shown.locator("#trace h3")
    first = heading.inner_text()
    places = []
    for key in ("ArrowDown", "PageDown", "ArrowUp", "End", "Home"):
        shown.keyboard.press(key)
        places.append(int(shown.locator('[aria-selected="true"]').get_attribute("aria-posinset") or 0))
    assert places[0] == 2 and places[1] > 6 and places[2:] == [places[1] - 1, 200, 1] and heading.inner_text() == first

    shown.select_option("[name=generation]", "1")
    shown.select_option("[name=outcome]", "correct")
    shown.select_option("[name=from]", "false")
    until(shown.locator(".row .wrong")).to_have_count(0)
    accepted = int(shown.inner_text("#found").split()[0])
    assert 0 < accepted < 60 and "/g1/" in heading.inner_text()
    shown.fill("[name=text]", "no trace says this")
    until(shown.locator("#found")).to_contain_text(re.compile("^0 of"))
    assert shown.inner_text("#trace") == "No trace matches."


def test_levels_have_a_chart_and_stay_together_in_the_ledger(opened: Callable[..., Page], tmp_path: Path) -> None:
    levels = Curriculum(levels=(Sums(12), Sums(12, 100)))
    workflow = toy_workflow(make_toy_model(tmp_path / "model", 0.3), problems=levels, eval_problems=4, generations=1, answer_only_baseline=False)
    improve(workflow, tmp_path / "run", InlineCluster)
    shown = opened(tmp_path / "run" / "report.html")
    until(shown.locator("#levels svg")).to_have_attribute("aria-label", re.compile(r"^level 1 base: .*; level 2 .* 1: "))
    shown.locator("#ledger canvas").first.focus()
    seen = []
    for _ in range(8):
        shown.keyboard.press("ArrowRight")
        seen.append(shown.locator("#ledger .readout").first.inner_text().partition("/")[0])
    assert seen == ["level-1"] * 4 + ["level-2"] * 4


def test_keys_explore_the_ledger_and_open_the_traces_of_a_problem(opened: Callable[..., Page]) -> None:
    shown = opened()
    shown.locator("#ledger canvas").first.focus()
    shown.keyboard.press("ArrowRight")
    said = shown.locator("#ledger .readout").first.inner_text()
    problem = said.split()[0]
    assert re.match(r"sum-\d+ correct samples, base: \d of 4, generation 1: \d of 4, generation 2: \d of 4\. What is", said)
    shown.keyboard.press("Enter")
    until(shown.locator("#found")).to_contain_text(re.compile("^12 of"))
    assert shown.input_value("[name=text]") == f"problem:{problem}"
    assert shown.evaluate("document.activeElement.id") == "list"


def figures_of(file: Path) -> dict[str, Any]:
    """The data of the charts on a page."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0])
    return found


def test_under_thinking_and_drift_are_drawn_if_they_were_measured(opened: Callable[..., Page], run: RunFolder, tmp_path: Path) -> None:
    figures = figures_of(run.root / "report.html")
    figures["generations"][2]["anatomy"] |= {"under_thinking": 0.4, "under_thinking_low": 0.3, "under_thinking_high": 0.5, "under_thinking_traces": 9}
    for row in figures["generations"][1:]:
        row["anatomy"] |= {f"{behaviour}_share": 0.0 for behaviour in figures["behaviours"] if behaviour != "step"}
    for row in figures["generations"]:
        row["drift"] = {"tokens": 2741, "nll": 2.859 + 0.05 * row["generation"], "kl": 0.079 * row["generation"], "text_hash": "t"}
    (tmp_path / "probed.html").write_text(page("probed", figures, []), encoding="utf-8")
    shown = opened(tmp_path / "probed.html")
    assert shown.locator("#under svg").get_attribute("aria-label") == "under-thinking 2: 40\u00a0%"
    assert "over-thinking" not in shown.inner_text("#under .legend")
    drift = [chart.get_attribute("aria-label") for chart in shown.locator("#drift svg").all()]
    assert drift == [
        "KL from base base: 0.00; KL from base 1: 0.08; KL from base 2: 0.16",
        "negative log-likelihood base: 2.86; negative log-likelihood 1: 2.91; negative log-likelihood 2: 2.96",
    ]
    assert shown.locator("#behaviours .bar").count() == 2 and shown.locator("#behaviours :is(table, .legend)").count() == 0


def test_a_long_list_renders_only_visible_rows(opened: Callable[..., Page], run: RunFolder, tmp_path: Path) -> None:
    figures = figures_of(run.root / "report.html")
    trace = {"before": "", "after": "4", "answer": "4", "outcome": "wrong", "finish_reason": "stop", "output_tokens": 9, "problem": 0}
    trace |= {"generation": 1, "evaluation": False, "accepted": False, "left": 0, "also": []}
    rows = [{**trace, "trace_id": f"t{number}", "thoughts": [("step", f"thought {number}", None)]} for number in range(20_000)]
    blocks = [packed(rows[start : start + 1000]) for start in range(0, len(rows), 1000)]
    (tmp_path / "many.html").write_text(page("many", {**figures, "shown": len(rows)}, blocks), encoding="utf-8")
    shown = opened(tmp_path / "many.html")
    assert shown.inner_text("#found") == "20,000 of 20,000 traces"
    assert shown.locator(".row").count() < 40
    shown.evaluate("document.getElementById('list').scrollTop = 10000 * 58")
    shown.wait_for_selector("text=t10005")
    assert shown.locator(".row").count() < 40
    shown.fill("[name=text]", "THOUGHT 19999")
    until(shown.locator("#found")).to_contain_text(re.compile("^1 of"))
    assert "t19999" in shown.inner_text("#trace h3")
