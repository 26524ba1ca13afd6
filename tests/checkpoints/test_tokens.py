"""A checkpoint's tokens without the libraries that run it."""

from __future__ import annotations

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models

from selfimprove.checkpoints.tokens import special_tokens


def test_special_tokens_are_those_that_a_prompt_is_made_of(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0}, []))
    tokenizer.add_special_tokens(["<|im_end|>", "<start_of_turn>"])
    # White space that has a token of its own is no mark.
    tokenizer.add_tokens([AddedToken("    ", special=False)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert special_tokens(tmp_path) == {"<|im_end|>", "<start_of_turn>"}
    assert special_tokens(tmp_path / "none") == frozenset()
