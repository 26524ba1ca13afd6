"""Finds Python files that hide a library: `math.py` beside a workflow breaks whatever imports Python's `math`."""

from __future__ import annotations

import sys
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from selfimprove.errors import UserError

LIBRARIES = frozenset({"datasets", "mlflow", "numpy", "pandas", "peft", "pyarrow", "pydantic", "ray", "rich", "torch", "transformers", "trl", "vllm"})
"""Packages that workers import besides Python's own modules."""


def require_free_names(*folders: Path) -> None:
    """Refuse folders in which workers look for modules, if a file or package there has the name of a library.

    Raises:
        UserError: names the file.
    """
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if _hides(path):
                raise UserError(f"{path} hides the library {path.stem}, which the workers import; rename it")


def refuse_name(file: Path) -> None:
    """Refuse a new file with the name of a library.

    Raises:
        UserError: it has one.
    """
    if file.suffix == ".py" and file.stem in _names():
        raise UserError(f"{file} would hide the library {file.stem}, which the workers import; give another FILE")


def _hides(path: Path) -> bool:
    if path.stem not in _names() or not (path.suffix == ".py" or (path / "__init__.py").is_file()):
        return False
    # The folder may be the library's own place.
    found = PathFinder.find_spec(path.stem, [place for place in sys.path if place and Path(place).resolve() != path.parent])
    return found is not None or path.stem in sys.builtin_module_names


@cache
def _names() -> frozenset[str]:
    return LIBRARIES | sys.stdlib_module_names
