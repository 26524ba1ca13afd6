"""Tokens of the chat template whose embeddings no text has trained, as in base models that carry the template of their chat version.

Under-trained tokens differ from others in their embeddings: Land and Bartolo 2024, "Fishing for Magikarp: automatically detecting
under-trained tokens in large language models".
"""

from __future__ import annotations

from pathlib import Path

from selfimprove.checkpoints.soundness import load_tokenizer
from selfimprove.checkpoints.weights import rows_of, tensor_names

EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight", "tok_embeddings.weight")
"""How the names of input embeddings end."""
ORDINARY = 1000
"""Ordinary tokens that are looked at."""
SPARE = 100
"""Rows beyond the tokenizer's that are looked at."""
SMALL = 0.1
"""Norm of a row, relative to the median, below which it is as good as zero."""


def unseen_turn_tokens(folder: Path) -> list[str]:
    """The special tokens around a turn that the model in the folder has never seen.

    Their row is next to zero, or the same as that of another special token or of no token, or as large as rows of no token are and as rows of
    ordinary tokens are not. Reads a few rows, not the weights. Empty where the embeddings are not found.
    """
    import torch

    tokenizer = load_tokenizer(folder)
    turns = _turn_tokens(tokenizer)
    name = next((name for name in tensor_names(folder) if name.endswith(EMBEDDINGS)), None)
    if not turns or name is None:
        return []
    size, added = len(tokenizer), sorted(tokenizer.added_tokens_decoder)
    special = [token for token in added if token not in turns][-SPARE:]
    ordinary = sorted(set(range(0, size, max(1, size // ORDINARY))) - set(added))
    spare = list(range(size, size + SPARE))
    rows, of_special, of_ordinary, of_none = (rows_of(folder, name, numbers) for numbers in (turns, special, ordinary, spare))
    if len(of_ordinary) < 2:
        return []
    norms = of_ordinary.norm(dim=1)
    low, high = norms.quantile(0.01), norms.quantile(0.99)
    empty = of_none.norm(dim=1)
    # In a model with random weights, rows of no token are like all others.
    apart = len(empty) > 1 and bool((empty.max() < low) | (empty.min() > high))
    found = []
    for number, (token, row) in enumerate(zip(turns, rows, strict=True)):
        others = torch.cat([rows[:number], rows[number + 1 :], of_special, of_none])
        same = bool((others == row).all(dim=1).any())
        like_none = apart and bool((row.norm() >= 0.9 * empty.min()) & (row.norm() <= 1.1 * empty.max()))
        if same or like_none or row.norm() < SMALL * norms.median():
            found.append(str(tokenizer.convert_ids_to_tokens(token)))
    return found


def never_seen(tokens: list[str], lora: bool = False) -> str:
    """What is the matter with these tokens, and what to do, in a sentence."""
    adapter = "; a LoRA adapter does not train them: leave out trainer.lora" if lora else ""
    return f"it has never seen {', '.join(tokens)} of its chat template: give first_prompter exemplars, or take its chat version{adapter}"


def _turn_tokens(tokenizer: object) -> list[int]:
    """Ids of the special tokens that the template writes around turns, but for the first token of every text."""
    chat = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": "3"}]
    try:
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)  # type: ignore[attr-defined]
    except Exception:  # Templates raise errors of their own; they are refused elsewhere.
        return []
    known = set(tokenizer.added_tokens_decoder) - {tokenizer.bos_token_id}  # type: ignore[attr-defined]
    return sorted(known & set(ids))
