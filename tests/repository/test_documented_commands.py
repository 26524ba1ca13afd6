"""The program accepts every command line of the documentation; the cheap ones are run."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from documented import PAGES, ROOT
from markdown_blocks import Command, commands

from selfimprove.__main__ import _parser, main
from selfimprove.workflow.files import load_workflow

pytestmark = pytest.mark.slow

SHOWN = [pytest.param(command, id=f"{page.name}:{command.line}") for page in PAGES for command in commands(page)]
OURS = [param for param in SHOWN if param.values[0].program == "selfimprove"]
CHEAP = {"settings", "init", "completion", "report", "traces", "audit", "reverify", "verify", "export"}
RUNS = ("RUN_DIR", "runs/quickstart")
"""Names of the run that exists here; pages explain how to make other runs."""
FIXED = {"init", "settings"}
"""Commands whose output depends only on the program."""


@pytest.fixture
def folder(documented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, made the current folder."""
    copy = tmp_path / "here"
    shutil.copytree(documented, copy, symlinks=True)
    (copy / "RUN_DIR").symlink_to(copy / "runs" / "quickstart")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("COLUMNS", "100")
    return copy


def words_of(command: Command) -> list[str]:
    """Its words, with the placeholder N replaced by a number."""
    return ["1" if word == "N" else word for word in command.words]


@pytest.mark.parametrize("command", [param for param in SHOWN if param not in OURS])
def test_make_targets_and_scripts_of_the_pages_exist(command: Command) -> None:
    if command.program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        named = [word for word in command.words if "=" not in word]
        assert named and set(named) <= set(targets)
    else:
        assert (ROOT / command.program).is_file()


@pytest.mark.parametrize("command", OURS)
def test_the_parser_accepts_every_command_of_the_pages(command: Command, folder: Path) -> None:
    options = _parser().parse_args(words_of(command))
    if hasattr(options, "workflow") and options.workflow:
        # Fails if there is no such workflow file, or no such setting in it.
        load_workflow(Path(options.workflow), options.set)


@pytest.mark.parametrize("command", [param for param in OURS if param.values[0].words[0] in CHEAP])
def test_cheap_commands_run_and_print_what_the_page_shows(command: Command, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = words_of(command)
    options = _parser().parse_args(words)
    if not set(getattr(options, "run_dirs", [getattr(options, "run_dir", RUNS[0])])) <= {*RUNS}:
        pytest.skip("the run of another page")
    if words[0] == "init":
        (folder / options.file).unlink(missing_ok=True)
    assert main(words) == 0
    printed = capsys.readouterr().out
    if words[0] in FIXED:
        assert set(command.printed) <= {*(line.rstrip() for line in printed.splitlines()), "…"}


def test_commands_and_options_in_running_text_exist() -> None:
    (commands,) = (action for action in _parser()._actions if isinstance(action.choices, dict))
    mentioned = [words for page in PAGES for words in re.findall(r"`selfimprove ([a-z][^`\n]*)`", page.read_text())]
    assert len(mentioned) > 10
    for words in mentioned:
        name, *rest = words.split()
        assert name in commands.choices, words
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= set(commands.choices[name]._option_string_actions), words


def test_links_point_to_existing_files_and_headings() -> None:
    for page in PAGES:
        for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
            file = page.parent / target if target else page
            assert file.exists(), f"{page.name}: {target}"
            assert not heading or heading in headings(file), f"{page.name}: {target}#{heading}"


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = [os.path.relpath(page, ROOT) for page in PAGES[1:]]
    assert [page for page in pages if f"]({page})" not in readme] == []
