"""The average of two checkpoints' weights, written tensor by tensor."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from selfimprove.checkpoints.saving import complete_folder
from selfimprove.checkpoints.weights import weight_files
from selfimprove.errors import UserError

AT_ONCE = 1 << 24
"""Numbers of a tensor that are averaged at once, about: 64 MB in float32."""
LENGTH = 8
"""Bytes at the beginning of a safetensors file that hold the length of its header."""


def average_weights(start: Path, trained: Path, share: float, into: Path) -> int:
    """Write `share` of the weights of `start` and the rest of those of `trained` into the folder `into`, which is complete or absent.

    The line between the weights before and after a fine-tuning often holds a model that has kept more of what it knew and lost little of what it
    learnt: WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903). Averages of several fine-tunings are model soups (Wortsman et al. 2022, arXiv
    2203.05482).

    Names, shapes, types, shards and all other files are those of `trained`. Each average is computed in float32 and rounded to the type of `trained`.
    Weights that are not floating-point numbers stay as they are there. Memory holds a part of one tensor, whatever the model's size.

    Args:
        start: The folder of the model that the training started from. A head that it leaves out, as it is tied to the embeddings, is these.
        trained: The folder of the trained model.
        share: 0 gives the weights of `trained`, 1 those of `start`.

    Returns:
        Number of tensors that were averaged.

    Raises:
        UserError: A weight of `trained` is missing in `start`, or has another shape there.
        OSError: The folder cannot be written; nothing is left of it.
    """
    with ExitStack() as stack:
        before, after = ({name: file for file in _opened(folder, stack) for name in file.keys()} for folder in (start, trained))  # noqa: SIM118
        counterparts = {name: _counterpart(name, before, after, start) for name in after}
        with complete_folder(into) as half:
            files = weight_files(trained)
            shutil.copytree(trained, half, ignore=lambda _, found: {file.name for file in files} & set(found))
            return sum(_average_file(file, half / file.name, before, counterparts, share) for file in files)


def _opened(folder: Path, stack: ExitStack) -> Iterator[Any]:
    from safetensors import safe_open

    for file in weight_files(folder):
        yield stack.enter_context(safe_open(file, framework="pt"))


def _counterpart(name: str, before: dict[str, Any], after: dict[str, Any], start: Path) -> str:
    """The name of the same weight in `start`: its own, or that of the weight which it is tied to."""
    shape = after[name].get_slice(name).get_shape()
    if name not in before:
        tied = (other for other in after if other != name and other in before and after[other].get_slice(other).get_shape() == shape)
        name = next((other for other in tied if _equal(after[name], name, after[other], other)), name)
    if name not in before:
        raise UserError(f"{start} has no weight {name}, which training gave the candidate, so the two cannot be averaged; set average=None")
    if (found := before[name].get_slice(name).get_shape()) != shape:
        raise UserError(f"{start}: {name} has the shape {tuple(found)}, and the candidate's {tuple(shape)}; set average=None")
    return name


def _equal(one: Any, name: str, other: Any, called: str) -> bool:
    import torch

    return all(torch.equal(left, right) for left, right in zip(_parts(one, name), _parts(other, called), strict=True))


def _average_file(trained: Path, into: Path, before: dict[str, Any], counterparts: dict[str, str], share: float) -> int:
    """Average one file, and return how many tensors were. The header, which says where each tensor is, is copied: the averages have the same form."""
    from safetensors import safe_open

    averaged = 0
    with trained.open("rb") as source, into.open("wb") as target, safe_open(trained, framework="pt") as after:
        header = source.read(LENGTH)
        target.write(header + source.read(int.from_bytes(header, "little")))
        for name in after.offset_keys():
            averaged += _average_tensor(after, name, before[counterparts[name]], counterparts[name], share, target)
    return averaged


def _average_tensor(after: Any, name: str, before: Any, called: str, share: float, target: BinaryIO) -> bool:
    import torch

    averaged = False
    for new, old in zip(_parts(after, name), _parts(before, called), strict=True):
        if averaged := new.is_floating_point():
            exact = torch.promote_types(new.dtype, torch.float32)
            new = torch.lerp(new.to(exact), old.to(exact), share).to(new.dtype)
        target.write(new.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return averaged


def _parts(file: Any, name: str) -> Iterator[Any]:
    """A tensor in parts of whole rows."""
    tensor = file.get_slice(name)
    shape = tensor.get_shape()
    if prod(shape) <= AT_ONCE or len(shape) < 2:
        yield file.get_tensor(name)
        return
    rows = max(1, AT_ONCE // prod(shape[1:]))
    for begin in range(0, shape[0], rows):
        yield tensor[begin : begin + rows]
