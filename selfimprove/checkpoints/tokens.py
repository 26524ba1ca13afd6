"""Converts between a checkpoint's tokens and text without the libraries that run the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any


def decoder(model: Path | str) -> Callable[[Sequence[int]], str] | None:
    """A function from token ids to their text, special tokens included. None if the folder has no readable `tokenizer.json`."""
    tokenizer = _tokenizer(Path(model) / "tokenizer.json")
    return None if tokenizer is None else lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=False))


def encoder(model: Path | str) -> Callable[[str], list[int]] | None:
    """A function from a text to its token ids, without added special tokens. None as for `decoder`."""
    tokenizer = _tokenizer(Path(model) / "tokenizer.json")
    return None if tokenizer is None else lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def special_tokens(model: Path | str) -> frozenset[str]:
    """The texts that a tokenizer reads as special tokens, such as `<|im_end|>`; empty where `decoder` is None."""
    tokenizer = _tokenizer(Path(model) / "tokenizer.json")
    added = {} if tokenizer is None else tokenizer.get_added_tokens_decoder()
    return frozenset(token.content for token in added.values() if token.special)


@lru_cache(maxsize=1)
def _tokenizer(file: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception:  # The library raises no narrower type.
        return None
