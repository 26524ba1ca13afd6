"""Descriptions of model folders."""

from __future__ import annotations

import json
from pathlib import Path

from selfimprove.checkpoints.folders import architecture


def test_an_architecture_depends_on_its_depth_and_not_on_how_its_folder_was_written(tmp_path: Path) -> None:
    def folder(name: str, **config: object) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": "llama", "num_hidden_layers": 30, **config}))
        return tmp_path / name

    base = architecture(folder("base", use_cache=True, dtype="float32", transformers_version="5.0.0", _name_or_path="owner/base"))
    assert base == architecture(folder("tuned", use_cache=False, dtype="bfloat16", transformers_version="5.19.0"))
    assert base != architecture(folder("student", num_hidden_layers=20))
    assert base != architecture(folder("longer", rope_theta=10000.0))
