"""A test for each line of SECURITY.md; tests/cluster/test_ray_cluster.py has the one on ports."""

from __future__ import annotations

import ast
import io
import json
import pickle
import shutil
from pathlib import Path

import pytest
from rich.console import Console

import selfimprove
from selfimprove import SFT, Endpoint, UserError
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.commands.second_verdicts import OUTCOMES, show_audit
from selfimprove.records import AcceptedTrace, Checkpoint
from selfimprove.settings.paths import describe
from selfimprove.terminal.progress import TerminalProgress
from selfimprove.tracking.mlflow import MLflow

SOURCES = sorted(Path(selfimprove.__file__).parent.rglob("*.py"))
HOSTILE = "[link=http://example.org][red]\x1b]0;owned\x07\x1b[31m</script>"

EVIL = """
from pathlib import Path
Path({marker!r}).touch()
from transformers import LlamaForCausalLM
class Evil(LlamaForCausalLM):
    pass
"""


@pytest.mark.slow
def test_the_mlflow_page_is_served_on_loopback(tmp_path: Path) -> None:
    tracker = MLflow(f"sqlite:///{tmp_path / 'mlflow.db'}").open("toy", {}, tmp_path / "run")
    link = tracker.start()
    tracker.finish("FINISHED")
    assert link is not None and "http://127.0.0.1:" in link and "--host" not in link


def test_a_key_is_named_never_stored_and_not_sent_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    endpoint = Endpoint("https://example.org/v1", "m", key_from="MY_KEY")
    assert endpoint.key() == "s3cret"
    assert b"s3cret" not in pickle.dumps(endpoint) and "s3cret" not in f"{endpoint} {describe(endpoint)}"
    with pytest.raises(ValueError, match="unencrypted"):
        Endpoint("http://example.org/v1", "m", key_from="MY_KEY")


@pytest.mark.trl
def test_code_in_a_model_folder_is_not_run(tiny_model: Path, tmp_path: Path) -> None:
    folder, marker = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Evil"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_evil.py").write_text(EVIL.format(marker=str(marker)))
    base = describe_folder(folder, "base")
    row = AcceptedTrace("p/g1/s0", "p", ({"role": "user", "content": "4 + 3 ="},), "<think>\n4 + 3 = 7.\n</think>\n7", "sampled", 1)
    steps = list(SFT(epochs=1).open().train(base, [row], tmp_path / "out", 0))
    assert len(steps) == 1 and not marker.exists()
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]


def test_pickled_weights_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no \*.safetensors in it"):
        describe_folder(folder, "base")


def test_no_source_file_disables_a_safety_check() -> None:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, source
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in ("VLLM_ALLOW_INSECURE_SERIALIZATION", "0.0.0.0", "::"), source
            if isinstance(node, ast.Attribute) and node.attr in ("load", "loads") and isinstance(node.value, ast.Name):
                # The fork server unpickles the verifier that its own pool sent.
                allowed = source.name == "worker.py" and node.attr == "loads"
                assert node.value.id not in ("pickle", "cloudpickle", "torch", "joblib", "dill") or allowed, source


def test_audit_escapes_model_output() -> None:
    found = {
        "first": "a 1",
        "second": "b 1",
        "judged": 1,
        "agreement": 0.0,
        "accepted": {"both": 0, "neither": 0, "lenient": 1, "strict": 0, "kappa": None, "interval": None},
        "confusion": {old: dict.fromkeys(OUTCOMES, 0) for old in OUTCOMES},
        "disagreements": [{"trace_id": HOSTILE, "answer": HOSTILE, "reference": HOSTILE, "first": "wrong", "second": "correct"}],
    }
    screen = io.StringIO()
    show_audit(found, Console(file=screen, force_terminal=False, width=200))
    assert "\x1b" not in screen.getvalue() and "\x07" not in screen.getvalue()
    assert "[link=http://example.org][red]" in screen.getvalue()


def test_progress_shows_messages_as_plain_text() -> None:
    screen = io.StringIO()
    TerminalProgress(Console(file=screen, force_terminal=False, width=200)).say(HOSTILE)
    assert "\x1b" not in screen.getvalue() and "\x07" not in screen.getvalue()
    assert "[link=http://example.org][red]" in screen.getvalue()


@pytest.mark.trl
def test_a_checkpoint_holds_no_code_and_no_pickle(tiny_model: Path, tmp_path: Path) -> None:
    row = AcceptedTrace("p/g1/s0", "p", ({"role": "user", "content": "4 + 3 ="},), "<think>\n4 + 3 = 7.\n</think>\n7", "sampled", 1)
    list(SFT(epochs=1).open().train(Checkpoint("base", str(tiny_model), None, 0, "", ""), [row], tmp_path / "out", 0))
    assert {path.suffix for path in (tmp_path / "out").iterdir()} <= {".json", ".safetensors", ".jinja"}
