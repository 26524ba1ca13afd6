"""Loads the workflow that a Python file defines."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pydantic

from selfimprove.errors import UserError
from selfimprove.settings.paths import explain, override
from selfimprove.workflow.shadowing import require_free_names
from selfimprove.workflow.workflow import Workflow

_SEARCHED: set[str] = set()
"""Folders of the workflows that were loaded. The last one's is on the path."""


def load_workflow(file: Path, changes: Sequence[str] = (), beside: Path | None = None) -> tuple[Workflow, tuple[ModuleType, ...]]:
    """The workflow that a file defines, with settings changed by path, and the modules that workers cannot import: its own and those it uses.

    Args:
        file: A Python file.
        changes: Such as `sampling.n=4`.
        beside: Folder of the user's modules that the file imports; None for the file's own.

    Raises:
        UserError: as `load_module`, or the file defines no `workflow`, or a change does not fit.
    """
    module = load_module(file, beside)
    workflow = getattr(module, "workflow", None)
    if not isinstance(workflow, Workflow):
        raise UserError(f"workflow file {file} defines no `workflow = Workflow(…)`")
    for change in changes:
        workflow = override(workflow, change)
    return workflow, (module, *_modules_in((beside or file.parent).resolve()))


def load_module(file: Path, beside: Path | None = None) -> ModuleType:
    """The module that a user's file defines. Until the next one is loaded, modules in its folder, or in `beside`, can be imported.

    Raises:
        UserError: there is no such file, a file beside it hides a library, or it does not run; names the line.
    """
    if not file.is_file():
        raise UserError(f"workflow file {file} {'is not a file' if file.exists() else 'does not exist'}; give the path of a Python file")
    require_free_names(file.parent, Path.cwd())
    _search((beside or file.parent).resolve())
    spec = importlib.util.spec_from_file_location(f"workflow_{file.stem}", file)
    if spec is None:
        raise UserError(f"workflow file {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        # Not by its loader: bytecode that was cached is taken for that of a file of the same size changed within the same second.
        exec(compile(file.read_bytes(), file, "exec"), module.__dict__)
    except UserError:
        raise
    except pydantic.ValidationError as error:
        raise UserError(f"{_where(file, error)}: {error.title}: {explain(error)}{_meant(error)}") from error
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        raise UserError(f"{_where(file, error)}: the workflow file ends the program (sys.exit or exit); remove that") from error
    except BaseException as error:
        raise UserError(f"{_where(file, error)}: {type(error).__name__}: {explain(error)}{_meant(error)}") from error
    return module


def _search(folder: Path) -> None:
    """Let modules in a folder be imported: after libraries, which none may hide, and in place of those beside workflows that were loaded earlier."""
    place = str(folder)
    if place not in sys.path or place in _SEARCHED:
        sys.path[:] = [*(other for other in sys.path if other not in _SEARCHED), place]
        _SEARCHED.add(place)
    earlier = _SEARCHED - {place}
    for name, module in sorted(sys.modules.items()):
        root, found = name.split(".")[0], _folder(name, module)
        if found in earlier and ((folder / f"{root}.py").is_file() or (folder / root / "__init__.py").is_file()):
            del sys.modules[name]


def _modules_in(folder: Path) -> list[ModuleType]:
    """The modules imported from this folder; not those installed in a virtual environment there, nor this package."""
    own, place = __name__.split(".")[0], str(folder)
    return [module for name, module in sorted(sys.modules.items()) if _folder(name, module) == place and name.split(".")[0] != own]


def _folder(name: str, module: ModuleType) -> str | None:
    """The folder from which a module is imported by this name; None where its file has another one, or it has none."""
    file, path = getattr(module, "__file__", None) or "", name.replace(".", os.sep)
    ends = (f"{os.sep}{path}.py", f"{os.sep}{path}{os.sep}__init__.py")
    return next((file.removesuffix(end) for end in ends if file.endswith(end)), None)


def _meant(error: BaseException) -> str:
    """A suggestion of the public name or field that may be meant; empty where none is close."""
    import selfimprove

    given, known = "", list(selfimprove.__all__)
    if isinstance(error, pydantic.ValidationError):
        wrong = [item for item in error.errors() if item["type"] == "unexpected_keyword_argument"]
        part = getattr(selfimprove, error.title, None)
        if wrong and dataclasses.is_dataclass(part):
            given, known = str(wrong[0]["loc"][-1]), [field.name for field in dataclasses.fields(part)]
    elif isinstance(error, NameError):
        given = error.name or ""
    elif isinstance(error, ImportError) and error.name == "selfimprove" and (found := re.search(r"cannot import name '(\w+)'", str(error))):
        given = found[1]
    close = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _where(file: Path, error: BaseException) -> str:
    """The line of the user's file that led to the error."""
    here = file.resolve()
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).resolve() == here]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == here:
        lines.append(error.lineno)
    return f"{file}, line {lines[-1]}" if lines else str(file)
