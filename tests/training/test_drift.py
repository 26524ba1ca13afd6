"""Negative log-likelihood and KL from the base model, on real models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from drifting import nudged
from hypothesis import given, settings
from hypothesis import strategies as st

from selfimprove import DPO, GRPO, SFT, DriftText
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.errors import UserError
from selfimprove.records import Checkpoint, Drift

if TYPE_CHECKING:
    from types import ModuleType

TEXT = DriftText().read()[0][:3000]


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> Checkpoint:
    return describe_folder(tiny_model, "base")


@pytest.fixture(scope="module")
def other(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return describe_folder(nudged(tiny_model, tmp_path_factory.mktemp("other") / "model", by=0.05), "other")


@pytest.fixture
def drift(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, computing in float32 on every machine."""
    import torch

    from selfimprove.training import drift

    monkeypatch.setattr(drift, "computing_type", lambda: torch.float32)
    yield drift


def measured(drift: ModuleType, base: Checkpoint, candidate: Checkpoint, text: str = TEXT, chunk: int | None = None) -> Drift:
    *tokens, result = drift.measure(base, candidate, text, "hash", chunk)
    assert isinstance(result, Drift), result
    assert sum(tokens) == result.tokens and (chunk is None or max(tokens) <= chunk)
    return result


def whole_windows(drift: ModuleType, model: Path, text: str) -> list[tuple[float, object, int]]:
    """transformers' own loss, the log-probabilities and the number of predicted tokens of each window, read in one piece."""
    import torch
    from transformers import AutoModelForCausalLM

    loaded, found = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), []
    for window in drift.windows_of(model, text):
        ids = torch.tensor([window])
        with torch.no_grad():
            read = loaded(ids, labels=ids)
        found.append((float(read.loss), read.logits[0, :-1].log_softmax(-1), len(window) - 1))
    return found


def test_the_likelihood_is_the_loss_of_transformers_and_the_divergence_that_of_the_definition(
    drift: ModuleType, base: Checkpoint, other: Checkpoint
) -> None:
    result = measured(drift, base, other)
    ours, theirs = (whole_windows(drift, Path(one.path), TEXT) for one in (base, other))
    assert len(ours) > 2, "the text is longer than the model's context"
    tokens = sum(count for *_, count in theirs)
    assert result.tokens == tokens and result.text_hash == "hash"
    assert result.nll == pytest.approx(sum(loss * count for loss, _, count in theirs) / tokens, rel=1e-5)
    kl = sum(float((p.exp() * (p - q)).sum()) for (_, p, _), (_, q, _) in zip(ours, theirs, strict=True)) / tokens  # type: ignore[attr-defined, operator]
    assert result.kl == pytest.approx(kl, rel=1e-3) and result.kl > 0.01


def test_a_model_does_not_diverge_from_itself_nor_from_a_copy(drift: ModuleType, base: Checkpoint, tiny_model: Path, tmp_path: Path) -> None:
    itself = measured(drift, base, base)
    # Other bytes, the same weights: both models are read.
    copy = nudged(tiny_model, tmp_path / "copy")
    found = measured(drift, base, Checkpoint("copy", str(copy), None, 1, "other", base.tokenizer_hash))
    assert itself.kl == found.kl == 0.0 and itself.nll == found.nll


@settings(max_examples=6)
@given(chunk=st.integers(1, 200), length=st.integers(2, 300), swap=st.booleans())
def test_chunks_change_nothing_and_no_divergence_is_negative(base: Checkpoint, other: Checkpoint, chunk: int, length: int, swap: bool) -> None:
    from selfimprove.training import drift

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift, "computing_type", lambda: __import__("torch").float32)
        first, second = (other, base) if swap else (base, other)
        whole, chunked = (measured(drift, first, second, TEXT[:length], size) for size in (None, chunk))
    assert chunked.tokens == whole.tokens and chunked.kl >= 0 and whole.kl >= 0
    assert chunked.nll == pytest.approx(whole.nll, rel=1e-4) and chunked.kl == pytest.approx(whole.kl, rel=1e-3, abs=1e-6)


def test_no_more_logits_are_held_than_a_large_vocabulary_allows(
    drift: ModuleType, base: Checkpoint, other: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "MOST_LOGITS", 512 * 50)
    *tokens, _ = drift.measure(base, other, TEXT, "hash")
    assert max(tokens) <= 50 and len(tokens) > 20


def test_a_window_begins_as_the_tokenizer_begins_a_text(tiny_model: Path, tmp_path: Path, drift: ModuleType) -> None:
    from tokenizers import Tokenizer, processors

    begun = nudged(tiny_model, tmp_path / "begun")
    tokenizer = Tokenizer.from_file(str(begun / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)])
    tokenizer.save(str(begun / "tokenizer.json"))
    windows, plain = drift.windows_of(begun, TEXT), drift.windows_of(tiny_model, TEXT)
    assert {window[0] for window in windows} == {1} and len(windows[0]) == len(plain[0]) == 512
    assert [token for window in windows for token in window[1:]] == [token for window in plain for token in window]


@pytest.mark.parametrize("broken", ["diverged", "another kind", "another vocabulary", "no text"])
def test_what_cannot_be_measured_gives_a_reason(drift: ModuleType, base: Checkpoint, tiny_model: Path, tmp_path: Path, broken: str) -> None:
    folder, text = nudged(tiny_model, tmp_path / "model", by=float("inf") if broken == "diverged" else 0.01), TEXT
    config = json.loads((folder / "config.json").read_text())
    if broken == "another kind":
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "unheard-of"}))
    elif broken == "another vocabulary":
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folder)
        model.resize_token_embeddings(520)
        model.save_pretrained(folder)
    elif broken == "no text":
        text = ""
    *_, why = drift.measure(base, describe_folder(folder, "broken"), text, "hash")
    said = {"diverged": "diverged", "another kind": "unheard-of", "another vocabulary": "512 and 520", "no text": "two tokens"}
    assert isinstance(why, str) and said[broken] in why and "\n" not in why


def test_the_text_of_the_package_is_varied_and_short() -> None:
    text, text_hash = DriftText().read()
    assert 8_000 < len(text) < 16_000 and len(text_hash) == 16
    assert all(sample in text for sample in ("def ", "SELECT", "User:", "übernahm", "andén", "180 / 2.25 = 80"))


def test_a_text_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    (tmp_path / "empty").write_text(" \n")
    for name, why in (("absent", "cannot be read: No such file"), ("latin", "is not UTF-8 text"), ("empty", "is empty")):
        with pytest.raises(UserError, match=rf"^the drift text .*{name} {why}.*; give another file, or set drift=None$"):
            DriftText(str(tmp_path / name)).read()


@pytest.mark.trl
def test_trainers_measure_in_their_own_process_unless_their_workers_have_the_gpus(drift: ModuleType, base: Checkpoint, other: Checkpoint) -> None:
    asked = base, other, TEXT[:500], "hash"
    for part in (SFT(), DPO(), GRPO()):
        assert list(part.open().drift(*asked))[-1] == measured(drift, base, other, TEXT[:500])
    assert list(SFT(gpus=2).open().drift(*asked)) == []
