"""Writes a model with its tokenizer and chat template into a folder for transformers and vLLM. The folder is complete or absent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.folders import TOKENIZER_FILES

HEAD = "lm_head.weight"
"""The name of an output head among a model's weights."""


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
        if _has_tied_head(model):
            state[HEAD] = model.get_input_embeddings().weight.detach().to("cpu", torch.bfloat16).clone()
        model.save_pretrained(half, state_dict=state)
        for file in filter(Path.is_file, (tokenizer / name for name in TOKENIZER_FILES)):
            shutil.copyfile(file, half / file.name)


def overwrite_weights(model: Any, folder: Path) -> None:
    """Put the weights of a model into the files of a folder where `save_checkpoint` has saved it before.

    Nobody may read the folder meanwhile. The operating system has the files' memory already, so this takes about a tenth of the time.

    Raises:
        OSError: a file cannot be written.
    """
    import torch

    state = model.state_dict()
    if _has_tied_head(model):
        state[HEAD] = model.get_input_embeddings().weight
    for path in folder.glob("*.safetensors"):
        with path.open("r+b") as file:
            # The format: the length of the header in 8 bytes, the header in JSON, then the tensors, each at its offset.
            length = int.from_bytes(file.read(8), "little")
            for name, entry in json.loads(file.read(length)).items():
                if name != "__metadata__":
                    file.seek(8 + length + entry["data_offsets"][0])
                    file.write(state[name].detach().to("cpu", torch.bfloat16).contiguous().view(torch.uint8).numpy().data)


def _has_tied_head(model: Any) -> bool:
    return model.get_output_embeddings() is not None and bool(model.config.tie_word_embeddings)


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
