"""Cards show hostile text from models, data sets and run folders as text: no markup, no metadata of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from toy import make_toy_model, toy_workflow

from selfimprove import InlineCluster, improve
from selfimprove.records import AcceptedTrace
from selfimprove.reports.cards import dataset_card, model_card
from selfimprove.reports.table import summarize
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = [
    "~~~~\n# live\n<script>x</script>",
    "~" * 9 + "\n![x](http://e.org/x.png)",
    "`" * 6 + "\n- live",
    "\r~~~~\r# live",
    "a\n---\nlicense: evil\n---\nb",
    "---\nlicense: evil",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b]0;owned\x07\x9b31m\u202e\u200b\x00",
    "`x` | [y](http://e.org) <b>",
    "a: [b, 'c\": #",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("cards")
    improve(toy_workflow(make_toy_model(folder / "model", 0.3)), folder / "run", InlineCluster)
    return RunFolder(folder / "run")


def cards(run: RunFolder, text: str) -> tuple[str, str]:
    """Both cards, with the text wherever a stranger may put one."""
    settings: dict[str, Any] = {
        **run.settings(),
        "name": text,
        "base_model": text,
        "verifier": {"part": text},
        "prompter": {"part": text, text: text},
    }
    settings["teacher"] = {"model": text, "sampler": {"part": text}}
    figures = summarize(run)
    figures["baseline_details"] = dict.fromkeys([text], next(iter(figures["baseline_details"].values())))
    example = AcceptedTrace("p/g1/s0", "p", ({"role": "user", "content": text},), text, "sampled", 1)
    sources = [f"hub:{text}"]
    return (
        model_card(figures, settings, sources, example, text),
        dataset_card(figures, settings, sources, {"train": 1, "test": 1, "rows": 1}, text),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_the_structure_of_a_card_does_not_depend_on_the_texts(run: RunFolder, text: str) -> None:
    for hostile, usual in zip(cards(run, text), cards(run, "usual"), strict=True):
        shape, usual_shape = (structure(card) for card in (hostile, usual))
        assert shape == usual_shape
        assert not set("\x00\x07\x1b\x9b\u202e\u200b\r") & set(hostile)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_metadata_holds_no_keys_of_a_text(run: RunFolder, text: str) -> None:
    for hostile, usual in zip(cards(run, text), cards(run, "usual"), strict=True):
        assert metadata(hostile).keys() == metadata(usual).keys()
        assert metadata(hostile)["license"] != "evil" and metadata(hostile)["tags"] == metadata(usual)["tags"]


def test_an_example_is_shown_in_full(run: RunFolder) -> None:
    rows = read_records(run.generation(1) / "rows.parquet", AcceptedTrace)
    card = model_card(summarize(run), run.settings(), ["toy"], rows[0], None)
    blocks = [token.content for token in PARSER.parse(body(card)) if token.type == "fence"]
    assert json.loads(blocks[0]) == list(rows[0].messages) and blocks[1] == rows[0].completion + "\n" and json.loads(blocks[3]) == run.settings()


def metadata(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def body(card: str) -> str:
    return card.split("\n---\n", 1)[1]


def structure(card: str) -> list[str]:
    """The kinds of all blocks and spans but text."""
    kinds = []
    for token in PARSER.parse(body(card)):
        kinds += [token.type, *(inner.type for inner in token.children or () if inner.type != "text")]
    return kinds
