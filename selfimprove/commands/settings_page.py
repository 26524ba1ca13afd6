"""The page docs/reference/settings.md: every setting of every part. `python -m selfimprove.commands.settings_page` prints it."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args, get_type_hints

import selfimprove
from selfimprove.process_reward.rollouts import Rollouts
from selfimprove.process_reward.training import RewardTrainer
from selfimprove.settings.fields import REQUIRED, Parameter, parameters, summary
from selfimprove.settings.paths import describe

FOLDERS = ("workflow", "problems", "prompting", "sampling", "cluster", "verification", "thinking", "selection", "training", "evaluation", "tracking")
"""Folders of parts in the order in which a generation uses them; others follow."""
HOMES = {"selfimprove.records.budgets": "sampling", "selfimprove.records.delimiters": "thinking", "selfimprove.protocols.worker_part": "cluster"}
"""Modules whose parts belong to the chapter of another folder."""
OF_STUDIES = (Rollouts, RewardTrainer)
"""Parts that no workflow holds: the settings of studies."""
FIRST = ("Workflow", "Round")
INTRODUCTION = (
    "# Settings",
    "",
    "`make settings` writes this page from the docstrings of the parts.",
    "",
    "A workflow file sets a field of a part in Python, `selector=KeepCorrect(max_tokens=200)`. The command line changes it by its path,",
    "`--set selector.max_tokens=200`, where a value is JSON or plain text. `selfimprove settings WORKFLOW.py` lists the paths of a workflow",
    "with their values. Parts are imported from `selfimprove` unless their section names another module.",
)
WIDEST = 200
"""Maximum number of characters that the page shows of a default."""


def reference_page() -> str:
    """The page, with a chapter for each folder of parts and a table of settings for each part."""
    lines = [*INTRODUCTION, ""]
    for title, means, parts in _chapters():
        lines += [f"## {title}", "", *([means, ""] if means else [])]
        for part in parts:
            lines += [f"### {part.__name__}", "", summary(part), "", *_import(part), *_rows(parameters(part))]
    return "\n".join(lines).rstrip() + "\n"


def _chapters() -> Iterator[tuple[str, str, list[type]]]:
    homes = {part: HOMES.get(part.__module__, part.__module__.split(".")[1]) for part in _parts()}
    for folder in sorted(set(homes.values()), key=lambda home: (FOLDERS.index(home) if home in FOLDERS else len(FOLDERS), home)):
        parts = [part for part, home in homes.items() if home == folder]
        parts.sort(key=lambda part: (FIRST.index(part.__name__) if part.__name__ in FIRST else len(FIRST), part.__name__.lower()))
        yield folder.replace("_", " ").capitalize(), summary(import_module(f"selfimprove.{folder}")), parts


def _parts() -> list[type]:
    """The public dataclasses, and those that their settings take or have as defaults."""
    public = [getattr(selfimprove, name) for name in selfimprove.__all__]
    waiting = [thing for thing in public if inspect.isclass(thing) and dataclasses.is_dataclass(thing)] + list(OF_STUDIES)
    found: dict[type, None] = {}
    while waiting:
        if (part := waiting.pop()) not in found and _is_part(part):
            found[part] = None
            waiting += [type(one.default) for one in parameters(part) if dataclasses.is_dataclass(type(one.default))]
            waiting += [inner for one in parameters(part) for inner in _dataclasses_in(get_type_hints(part)[one.name])]
    return list(found)


def _is_part(thing: type) -> bool:
    """Whether a workflow may hold it, as it holds no record and no context of a run."""
    return thing.__module__ in HOMES or not thing.__module__.startswith(("selfimprove.records.", "selfimprove.stages."))


def _dataclasses_in(hint: Any) -> Iterator[type]:
    if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
        yield hint
    for argument in get_args(hint):
        yield from _dataclasses_in(argument)


def _import(part: type) -> list[str]:
    return [] if part.__name__ in selfimprove.__all__ else [f"`from {part.__module__} import {part.__name__}`", ""]


def _rows(settings: list[Parameter]) -> list[str]:
    if not settings:
        return ["It has no settings.", ""]
    rows = [f"| `{one.name}` | {_cell(one.takes)} | {_cell(_default(one.default))} | {_cell(one.meaning)} |" for one in settings]
    return ["| setting | takes | default | meaning |", "|---|---|---|---|", *rows, ""]


def _default(default: Any) -> str:
    if default is REQUIRED:
        return "required"
    if not dataclasses.is_dataclass(default):
        text = json.dumps(describe(default), ensure_ascii=False)
        return f"`{text if len(text) <= WIDEST else text[: WIDEST - 1] + '…'}`"
    # Fields at the part's own defaults are left out: its section shows them.
    own = {one.name: one.default for one in parameters(type(default))}
    given = ", ".join(f"{name}={getattr(default, name)!r}" for name, usual in own.items() if getattr(default, name) != usual)
    name = type(default).__name__
    return f"[`{name}({given})`](#{name.lower()})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference_page(), end="")
