"""A toy trainer whose checkpoints are tiny models that transformers loads, each a little away from its start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from toy import ToyTrainer, skill_of

from selfimprove.records import AcceptedTrace, Checkpoint, Drift, TrainingStep


def nudged(model: Path, folder: Path, *, skill: float = 0.0, by: float = 0.0) -> Path:
    """A copy of the model with this skill and with noise on its weights."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"skill": skill}))
    random = torch.Generator().manual_seed(0)
    weights = {name: tensor + by * torch.randn(tensor.shape, generator=random) for name, tensor in load_file(model / "model.safetensors").items()}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@dataclass(frozen=True)
class Nudger(ToyTrainer):
    """Adds noise to the start's weights, and `gain` to its skill for every row."""

    by: float = 0.01

    def open(self) -> Nudger:
        return self

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        yield TrainingStep(1, 1, 1.0, 1e-4, 10)
        nudged(Path(start.path), into, skill=min(0.95, skill_of(start.path) + self.gain * len(rows)), by=self.by)


@dataclass(frozen=True)
class Measuring(Nudger):
    """Measures drift itself, as the trainers that come with the package do, and notes each measurement in a file."""

    notes: str = ""

    def open(self) -> Measuring:
        return self

    def drift(self, base: Checkpoint, candidate: Checkpoint, text: str, text_hash: str) -> Iterator[int | Drift | str]:
        from selfimprove.training.drift import measure

        with Path(self.notes).open("a") as file:
            file.write(f"{candidate.id}\n")
        yield from measure(base, candidate, text, text_hash)
