"""An exported run of toy parts whose champion is a real, tiny model that has memorized one reply."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from toy import ToyTrainer, toy_workflow

from selfimprove import AlwaysPromote, InlineCluster, improve
from selfimprove.commands.hub_folders import export
from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep
from selfimprove.storage.run_folder import RunFolder

CHAT = [{"role": "user", "content": "4 + 3 ="}]
THINKING, ANSWER = "4 + 3 = 7.", "7"
SAID = f"<think>\n{THINKING}\n</think>\n{ANSWER}"
SKILL = 0.5
PRIVATE = "/home/someone/secret-project"


class Memorizing(ToyTrainer):
    """Learns to reply `SAID` to `CHAT`, whatever the rows are."""

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from selfimprove.checkpoints.saving import save_checkpoint

        model, tokenizer = AutoModelForCausalLM.from_pretrained(start.path, dtype="float32"), AutoTokenizer.from_pretrained(start.path)
        prompt = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False)
        ids = torch.tensor([prompt + tokenizer.encode(SAID + tokenizer.eos_token, add_special_tokens=False)])
        labels = torch.cat((torch.full((1, len(prompt)), -100), ids[:, len(prompt) :]), dim=1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        # For so small a model two threads are slower than one.
        torch.set_num_threads(1)
        for step in range(1, 201):
            loss = model(input_ids=ids, labels=labels).loss
            yield TrainingStep(step, 200, loss.item(), 3e-3, step * ids.numel())
            if loss.item() < 0.01:
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        save_checkpoint(model, Path(start.path), into)


def publish(tiny_model: Path, folder: Path) -> Path:
    """Make and export the run; its base model and settings contain private names that must not be exported."""
    base = shutil.copytree(tiny_model, folder / "base")
    note(base / "config.json", skill=SKILL)
    note(base / "tokenizer_config.json", local_files_only=True, is_local=True, name_or_path=PRIVATE)
    workflow = toy_workflow(base, trainer=Memorizing(), gate=AlwaysPromote(), generations=1, answer_only_baseline=False)
    improve(workflow, folder / "run", InlineCluster)
    note(folder / "run" / "workflow.json", hub_token=PRIVATE)
    export(RunFolder(folder / "run"), folder / "out", "mit")
    return folder / "out"


def note(file: Path, **more: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **more}))
