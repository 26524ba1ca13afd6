"""Every setting in words: those of a workflow by the paths that `--set` takes, and all there are, as the page docs/reference/settings.md."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

import selfimprove
from selfimprove.settings.fields import REQUIRED, Parameter, parameters, summary
from selfimprove.settings.paths import describe
from selfimprove.terminal.safe_text import plain_text
from selfimprove.workflow.workflow import Round, Workflow

FOLDERS = (
    "problems",
    "prompting",
    "sampling",
    "verification",
    "thinking",
    "selection",
    "training",
    "evaluation",
    "tracking",
)
"""The order in which a generation uses the parts; folders that are not named here follow."""
INTRODUCTION = (
    "# Settings",
    "",
    "Made from the docstrings of the parts by `make settings`.",
    "",
    "A part is given in the workflow's file, `selector=KeepCorrect(max_tokens=200)`, and changed on the command line by its path,",
    "`--set selector.max_tokens=200`; values there are JSON, or else text. `selfimprove settings WORKFLOW.py` lists the paths of a",
    "workflow with their values.",
)
LONGEST = 60
"""Characters of a value that are shown on the terminal."""
WIDEST = 200
"""Characters of a default that are shown on the page."""


def list_settings(workflow: Workflow) -> dict[str, Any]:
    """`{"settings": [{"path", "value", "part", "takes", "meaning"}, …]}`: each setting once, parts before what is in them.

    `path` is what `--set` takes. Where `part` is true, the setting is a part, and its value the name of its class.
    """
    return {"settings": list(_within(workflow, ""))}


def _within(part: Any, prefix: str) -> Iterator[dict[str, Any]]:
    """The settings in a part, a mapping or a list; in other values there are none."""
    entries: list[tuple[str, Any, str, str]] = []
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        entries = [(one.name, getattr(part, one.name), one.takes, one.meaning) for one in parameters(type(part))]
    elif isinstance(part, Mapping):
        entries = [(str(key), value, "", "") for key, value in part.items()]
    elif isinstance(part, tuple):
        # A list of plain values is changed as a whole.
        entries = [(str(place), value, "", "") for place, value in enumerate(part, start=1) if dataclasses.is_dataclass(value)]
    for name, value, takes, meaning in entries:
        told = describe(value)
        is_part = isinstance(told, dict) and "part" in told
        yield {"path": prefix + name, "value": told["part"] if is_part else told, "part": is_part, "takes": takes, "meaning": meaning}
        yield from _within(value, f"{prefix}{name}.")


def show_settings(listed: dict[str, Any], console: Console) -> None:
    """Print the settings, what each takes and means; no control sign of a workflow's texts reaches the terminal."""
    for row in listed["settings"]:
        value = row["value"] if row["part"] else json.dumps(row["value"], ensure_ascii=False)
        shown = plain_text(value if len(value) <= LONGEST else value[: LONGEST - 1] + "…")
        takes = f"  ({row['takes']})" if row["takes"] else ""
        console.print(Text.assemble((plain_text(row["path"]), "bold"), f" = {shown}", (takes, "cyan")), soft_wrap=True)
        if row["meaning"]:
            console.print(Padding(Text(row["meaning"], "dim"), (0, 0, 0, 4), expand=False))
    console.print(Text("\n--set PATH=VALUE changes one, as in --set sampling.temperature=0.7; values are JSON, or else text."))


def reference_page() -> str:
    """The page docs/reference/settings.md: a section for each part that the package brings, with a table of its settings."""
    lines = [*INTRODUCTION, ""]
    for title, means, parts in _chapters():
        lines += [f"## {title}", "", *([means, ""] if means else [])]
        for part in parts:
            lines += [f"### {part.__name__}", "", summary(part), "", *_rows(parameters(part))]
    return "\n".join(lines).rstrip() + "\n"


def _chapters() -> Iterator[tuple[str, str, list[type]]]:
    parts = _parts()
    homes = {part: part.__module__.split(".")[1] for part in parts}
    single = [part for part in parts if not hasattr(import_module(f"selfimprove.{homes[part]}"), "__path__")]
    yield "Workflow", "", [Workflow, Round, *(part for part in single if part not in (Workflow, Round))]
    folders = sorted({homes[part] for part in parts if part not in single}, key=lambda home: (FOLDERS.index(home) if home in FOLDERS else 99, home))
    for folder in folders:
        means = summary(import_module(f"selfimprove.{folder}"))
        yield folder.replace("_", " ").capitalize(), means, [part for part in parts if homes[part] == folder]


def _parts() -> list[type]:
    """The dataclasses with settings among the public names, and those in their defaults; records, which no user writes down, are none."""
    public = [getattr(selfimprove, name) for name in selfimprove.__all__]
    found = {thing: None for thing in public if inspect.isclass(thing) and dataclasses.is_dataclass(thing)}
    waiting = list(found)
    while waiting:
        for one in parameters(waiting.pop()):
            part = type(one.default)
            if dataclasses.is_dataclass(part) and part not in found and one.default is not REQUIRED:
                found[part] = None
                waiting.append(part)
    return sorted((part for part in found if not part.__module__.startswith("selfimprove.records.")), key=lambda part: part.__name__.lower())


def _rows(settings: list[Parameter]) -> list[str]:
    if not settings:
        return ["It has no settings.", ""]
    rows = [f"| `{one.name}` | {_cell(one.takes)} | {_cell(_told(one.default))} | {_cell(one.meaning)} |" for one in settings]
    return ["| setting | takes | default | meaning |", "|---|---|---|---|", *rows, ""]


def _told(default: Any) -> str:
    if default is REQUIRED:
        return "required"
    if not dataclasses.is_dataclass(default):
        text = json.dumps(describe(default), ensure_ascii=False)
        return f"`{text if len(text) <= WIDEST else text[: WIDEST - 1] + '…'}`"
    # Fields that the part has by default itself are told at its own place on the page.
    own = {one.name: one.default for one in parameters(type(default))}
    given = ", ".join(f"{name}={getattr(default, name)!r}" for name, usual in own.items() if getattr(default, name) != usual)
    name = type(default).__name__
    return f"[`{name}({given})`](#{name.lower()})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference_page(), end="")
