"""The settings of a workflow, each by the path that `--set` takes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from selfimprove.settings.fields import parameters
from selfimprove.settings.paths import describe
from selfimprove.terminal.safe_text import plain_line
from selfimprove.workflow.workflow import Workflow

LONGEST = 60
"""Maximum number of characters that the terminal shows of a value."""


def list_settings(workflow: Workflow) -> dict[str, Any]:
    """`{"settings": [{"path", "value", "part", "takes", "meaning"}, …]}`: each setting once, a part before its own settings.

    `path` is what `--set` takes. If `part` is true, the setting is a part, and `value` is the name of its class.
    """
    return {"settings": list(_within(workflow, ""))}


def _within(part: Any, prefix: str) -> Iterator[dict[str, Any]]:
    """The settings inside a part, a mapping or a list; other values have none."""
    entries: list[tuple[str, Any, str, str]] = []
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        entries = [(one.name, getattr(part, one.name), one.takes, one.meaning) for one in parameters(type(part))]
    elif isinstance(part, Mapping):
        entries = [(str(key), value, "", "") for key, value in part.items()]
    elif isinstance(part, tuple):
        # A list of plain values is changed as a whole.
        entries = [(str(place), value, "", "") for place, value in enumerate(part, start=1) if dataclasses.is_dataclass(value)]
    for name, value, takes, meaning in entries:
        # With its name, which may say that the value is secret.
        described = describe({name: value})[name]
        is_part = isinstance(described, dict) and "part" in described
        yield {"path": prefix + name, "value": described["part"] if is_part else described, "part": is_part, "takes": takes, "meaning": meaning}
        yield from _within(value, f"{prefix}{name}.")


def show_settings(listed: dict[str, Any], console: Console) -> None:
    """Print the settings with their types and meanings; control characters in a workflow's texts do not reach the terminal."""
    for row in listed["settings"]:
        value = row["value"] if row["part"] else json.dumps(row["value"], ensure_ascii=False)
        shown = plain_line(value if len(value) <= LONGEST else value[: LONGEST - 1] + "…")
        takes = f"  ({plain_line(row['takes'])})" if row["takes"] else ""
        console.print(Text.assemble((plain_line(row["path"]), "bold"), f" = {shown}", (takes, "cyan")), soft_wrap=True)
        if row["meaning"]:
            console.print(Padding(Text(plain_line(row["meaning"]), "dim"), (0, 0, 0, 4), expand=False))
    console.print(Text("\n--set PATH=VALUE changes a setting, as in --set sampling.temperature=0.7; a value is JSON or plain text."))
