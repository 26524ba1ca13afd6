"""The text of a checkpoint's tokens, without the libraries that run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path


def decoder(model: Path | str) -> Callable[[Sequence[int]], str] | None:
    """The function that gives the text of token ids, special tokens included; None where the folder holds no `tokenizer.json` that can be read."""
    from tokenizers import Tokenizer

    file = Path(model) / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # The library raises no narrower one.
        return None

    def decode(ids: Sequence[int]) -> str:
        text: str = tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    return decode
