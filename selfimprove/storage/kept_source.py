"""The copies that a run keeps of its workflow file, of the modules that the file uses, and of what `--set` changed: the same, but for secrets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from selfimprove.errors import UserError
from selfimprove.storage.complete import complete_or_absent
from selfimprove.storage.files import read_json, write_json
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.source_secrets import change_without_secrets, source_without_secrets, with_secrets


def keep_source(run: RunFolder, file: Path, changes: Sequence[str], modules: Sequence[ModuleType] = ()) -> None:
    """Keep a workflow's file, the modules that it uses and the changed settings, so that the run can be forked and verified again."""
    run.root.mkdir(parents=True, exist_ok=True)
    copies = {run.root / "workflow.py": file}
    for module in modules:
        used, place = Path(str(module.__file__)), (run.root / "modules").joinpath(*module.__name__.split("."))
        copies[place / used.name if used.stem == "__init__" else place.with_suffix(".py")] = used
    for copy, original in copies.items():
        kept = source_without_secrets(original.read_bytes())
        copy.parent.mkdir(parents=True, exist_ok=True)
        with complete_or_absent(copy) as half:
            half.write_bytes(kept)
    write_json(run.root / "overrides.json", [change_without_secrets(change) for change in changes], hashed=False)


def kept_source(run: RunFolder, given: Sequence[str] = (), other: Path | None = None) -> tuple[Path, list[str], Path | None]:
    """The workflow's file, or an `other` one, the changed settings, followed by those `given` now, and the folder of the modules that it uses.

    Raises:
        UserError: The run was not started from a file, or does not keep a secret that is needed.
    """
    kept, modules = run.root / "workflow.py", run.root / "modules"
    if not kept.exists():
        raise UserError(f"{run} keeps no workflow.py: only a run that `selfimprove run` started can be forked, verified again or measured")
    files = [other] if other else [kept, *sorted(modules.rglob("*.py"))]
    changes = with_secrets(files, read_json(run.root / "overrides.json", list[str]), given)
    return files[0], changes, None if other else modules
