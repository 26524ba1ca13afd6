"""The verifier that a command line names: a shipped one, or one of the user's own."""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfimprove.errors import UserError

if TYPE_CHECKING:
    from selfimprove.protocols import Verifier

VERIFIERS = {
    "exact": ("Exact", "text", "string", "word", "match", "equal"),
    "last-number": ("LastNumber", "number", "numeric", "integer", "value", "gsm8k"),
    "math": ("Mathematical", "mathematics", "latex", "formula", "sympy", "verify", "boxed"),
    "choice": ("MultipleChoice", "choices", "options", "letter", "mcq", "mmlu", "arc"),
    "code": ("PythonTests", "python", "tests", "program", "mbpp", "humaneval"),
    "reasoning-gym": ("ReasoningGymScorer", "reasoning", "gym", "scorer", "puzzle"),
    "judge": ("LLMJudge", "llm", "model", "grader", "rubric", "endpoint"),
}
"""Verifiers that the command line names: their classes, and words for the same thing."""


def add_with(parser: argparse.ArgumentParser, help: str) -> None:
    """`--with`."""
    named = f"{', '.join(VERIFIERS)}, or your own as MODULE:NAME or FILE.py:NAME"
    parser.add_argument("--with", dest="verifier", metavar="VERIFIER", help=f"{help}: {named}")


def named_verifier(name: str, changes: Sequence[str] = ()) -> Verifier:
    """A shipped verifier with its default settings, or an object or a function of the user's own; with settings changed as by `--set`.

    Raises:
        UserError: there is none of this name, it is no verifier, it lacks a setting, or a change does not fit; says what is meant.
    """
    from selfimprove.settings.paths import override

    verifier = _own(name) if ":" in name else _shipped(name)
    for change in changes:
        verifier = override(verifier, change)
    if name == "judge" and not verifier.endpoint.model:  # type: ignore[attr-defined]
        raise UserError("judge asks a server: give --set endpoint.url=http://localhost:8000/v1 and --set endpoint.model=NAME")
    return verifier


def _shipped(name: str) -> Verifier:
    import selfimprove

    if name not in VERIFIERS:
        raise UserError(f"there is no verifier {name!r}; {_meant(name)}")
    part: Any = getattr(selfimprove, VERIFIERS[name][0])
    if name == "judge":
        return part(selfimprove.Endpoint("http://localhost:8000/v1", "", key_from=None))  # type: ignore[no-any-return]
    return part()  # type: ignore[no-any-return]


def _meant(name: str) -> str:
    """A suggestion: a verifier that is also called so, one of whose names holds a word of this, or one with a similar name."""
    whole = re.sub(r"[\W_]+", "", name).casefold()
    words = [whole, *(word.casefold() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))]
    known = {also.casefold(): verifier for verifier, others in VERIFIERS.items() for also in (verifier.replace("-", ""), *others)}
    found = next((known[word] for word in words if word in known), None)
    close = [found] if found else [known[also] for also in difflib.get_close_matches(whole, known, n=1)]
    own = "your own is MODULE:NAME or FILE.py:NAME"
    return f"did you mean {close[0]}? ({own})" if close else f"choose {', '.join(VERIFIERS)}; {own}"


def _own(name: str) -> Verifier:
    """What a module or a file calls so: a verifier, a class of one, a workflow with one, or a function of a problem and an answer."""
    from pydantic import ValidationError

    from selfimprove.protocols import Verifier
    from selfimprove.verification.function_verifier import FunctionVerifier
    from selfimprove.workflow.workflow import Workflow

    place, _, attribute = name.rpartition(":")
    module = _module(place)
    value = getattr(module, attribute, None)
    if value is None:
        public = [one for one, thing in vars(module).items() if not one.startswith("_") and (callable(thing) or isinstance(thing, Verifier))]
        close = difflib.get_close_matches(attribute, public, n=1)
        raise UserError(f"{place} defines no {attribute!r}" + (f"; did you mean {close[0]}?" if close else "; name a verifier or a function in it"))
    try:
        made = value.verifier if isinstance(value, Workflow) else value() if isinstance(value, type) else value
        return made if isinstance(made, Verifier) else FunctionVerifier(made)
    except ValidationError as error:
        raise UserError(f"{name} is neither a verifier nor a function of a problem and an answer: it is {value!r:.60}") from error
    except TypeError as error:
        raise UserError(f"{name} is a class that needs settings ({error}): name an object of it") from error


def _module(place: str) -> Any:
    from selfimprove.workflow.files import load_module

    file = Path(place) if place.endswith(".py") else None
    if file:
        return load_module(file)
    # The process that verifies looks for modules where this one does.
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(place)
    except Exception as error:  # Whatever the user's module raises.
        missing = isinstance(error, ModuleNotFoundError) and error.name == place.partition(".")[0]
        told = f"no module {place!r} is found here; give FILE.py:NAME for a file" if missing else f"{place}: {type(error).__name__}: {error}"
        raise UserError(told) from error
