"""Writes a model with its tokenizer and chat template into a folder for transformers and vLLM. The folder is complete or absent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.folders import TOKENIZER_FILES


def save_checkpoint(model: Any, tokenizer: Path, folder: Path) -> None:
    """Save the weights in bfloat16 as safetensors, and the configuration, into `folder`. An existing folder is replaced.

    Tokenizer and chat template are copied byte for byte from the folder `tokenizer`, so all generations of a run have the same.

    An output head that is tied to the embeddings is written too: a vLLM engine on the CPU that reloads weights in place would silently keep the old
    head. transformers ties it again on loading.

    Raises:
        OSError: the folder cannot be written; nothing is left of it.
    """
    import torch

    with complete_folder(folder) as half:
        state = {name: tensor.detach().to("cpu", torch.bfloat16) for name, tensor in model.state_dict().items()}
        head = model.get_output_embeddings()
        if head is not None and model.config.tie_word_embeddings:
            state["lm_head.weight"] = model.get_input_embeddings().weight.detach().to("cpu", torch.bfloat16).clone()
        model.save_pretrained(half, state_dict=state)
        for file in filter(Path.is_file, (tokenizer / name for name in TOKENIZER_FILES)):
            shutil.copyfile(file, half / file.name)


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` to write into. It replaces `folder` if the block succeeds, else it is removed. A link is followed."""
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    half = folder.with_name(f".{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    try:
        yield half
        shutil.rmtree(folder, ignore_errors=True)
        half.rename(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)
