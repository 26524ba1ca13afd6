"""The tokens of a checkpoint as text and back, without the libraries that run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any


def decoder(model: Path | str) -> Callable[[Sequence[int]], str] | None:
    """The function that gives the text of token ids, special tokens included; None where the folder holds no `tokenizer.json` that can be read."""
    tokenizer = _tokenizer(Path(model) / "tokenizer.json")
    return None if tokenizer is None else lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=False))


def encoder(model: Path | str) -> Callable[[str], list[int]] | None:
    """The function that gives the token ids of a text, without special tokens around it; None as for `decoder`."""
    tokenizer = _tokenizer(Path(model) / "tokenizer.json")
    return None if tokenizer is None else lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


@lru_cache(maxsize=1)
def _tokenizer(file: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception:  # The library raises no narrower one.
        return None
