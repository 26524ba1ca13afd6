"""Students made by dropping layers of tiny random models."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import make_tiny_model

from selfimprove.checkpoints.folders import describe_folder, tied_head_is_missing
from selfimprove.checkpoints.students import drop_layers, size, spread
from selfimprove.errors import UserError


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five layers."""
    return make_tiny_model(tmp_path_factory.mktemp("deep") / "model", layers=5)


@given(st.integers(2, 100).flatmap(lambda depth: st.tuples(st.just(depth), st.integers(2, depth))))
def test_first_and_last_layers_are_kept_and_gaps_differ_by_at_most_one(sizes: tuple[int, int]) -> None:
    depth, layers = sizes
    kept = spread(depth, layers)
    gaps = {after - before for before, after in itertools.pairwise(kept)}
    assert len(kept) == layers and kept[0] == 0 and kept[-1] == depth - 1
    assert min(gaps) >= 1 and max(gaps) - min(gaps) <= 1


def test_a_student_that_keeps_all_layers_computes_what_the_teacher_computes(teacher: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    whole = drop_layers(teacher, 5, tmp_path / "whole")
    ids = torch.arange(3, 40)[None]
    before, after = (AutoModelForCausalLM.from_pretrained(folder, dtype="float32")(ids).logits for folder in (teacher, whole))
    assert torch.equal(before, after)


def test_the_kept_layers_are_the_teachers_in_their_order(teacher: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    student = drop_layers(teacher, 3, tmp_path / "student")
    large, small = (AutoModelForCausalLM.from_pretrained(folder, dtype="auto") for folder in (teacher, student))
    assert len(small.model.layers) == small.config.num_hidden_layers == 3
    for number, layer in zip((0, 2, 4), small.model.layers, strict=True):
        for (name, theirs), ours in zip(large.model.layers[number].state_dict().items(), layer.state_dict().values(), strict=True):
            assert torch.equal(theirs, ours), (number, name)
    # Leaving two layers out of the running teacher is the same computation.
    large.model.layers = torch.nn.ModuleList(large.model.layers[number] for number in (0, 2, 4))
    ids = torch.arange(3, 40)[None]
    assert torch.equal(large(ids, use_cache=False).logits, small(ids).logits)

    assert describe_folder(student, "student").tokenizer_hash == describe_folder(teacher, "teacher").tokenizer_hash
    assert AutoTokenizer.from_pretrained(student).chat_template == AutoTokenizer.from_pretrained(teacher).chat_template
    assert (student / "generation_config.json").read_bytes() == (teacher / "generation_config.json").read_bytes()
    parameters = sum(tensor.numel() for tensor in small.parameters())
    assert size(student) == (3, parameters) and size(teacher)[1] > parameters


def test_the_same_call_writes_the_same_bytes_over_an_existing_folder(teacher: Path, tmp_path: Path) -> None:
    once = {file.name: file.read_bytes() for file in drop_layers(teacher, 4, tmp_path / "student").iterdir()}
    drop_layers(teacher, 2, tmp_path / "student")
    again = {file.name: file.read_bytes() for file in drop_layers(teacher, 4, tmp_path / "student").iterdir()}
    assert once == again


def test_a_tied_head_is_written_out_and_shards_become_one_file(teacher: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    sharded = tmp_path / "sharded"
    shutil.copytree(teacher, sharded)
    weights = load_file(teacher / "model.safetensors")
    (sharded / "model.safetensors").unlink()
    del weights["lm_head.weight"]
    for number, names in enumerate((sorted(weights)[:20], sorted(weights)[20:])):
        save_file({name: weights[name] for name in names}, sharded / f"model-{number}.safetensors")
    assert tied_head_is_missing(sharded)
    from_shards, from_one = drop_layers(sharded, 2, tmp_path / "a"), drop_layers(teacher, 2, tmp_path / "b")
    assert not tied_head_is_missing(from_shards)
    assert describe_folder(from_shards, "a").weights_hash == describe_folder(from_one, "b").weights_hash


def test_settings_listed_by_layer_follow_their_layers(teacher: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=8,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        pad_token_id=0,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "gemma")
    shutil.copyfile(teacher / "tokenizer.json", tmp_path / "gemma" / "tokenizer.json")
    student = drop_layers(tmp_path / "gemma", 5, tmp_path / "student")
    assert spread(8, 5) == [0, 2, 4, 5, 7] and config.layer_types.index("full_attention") == 5
    kinds = AutoModelForCausalLM.from_pretrained(student).config.layer_types
    assert [kind == "full_attention" for kind in kinds] == [False, False, False, True, False]


@pytest.mark.parametrize("layers", [-1, 0, 1, 6])
def test_an_impossible_number_of_layers_is_refused_and_nothing_is_written(teacher: Path, tmp_path: Path, layers: int) -> None:
    with pytest.raises(UserError, match=rf"^a student of .* cannot have {layers} layers: give 2 to 5$"):
        drop_layers(teacher, layers, tmp_path / "student")
    assert list(tmp_path.iterdir()) == []


def test_layers_with_other_names_are_refused(teacher: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, GPT2Config

    AutoModelForCausalLM.from_config(GPT2Config(vocab_size=512, n_embd=32, n_layer=2, n_head=2)).save_pretrained(tmp_path / "gpt2")
    shutil.copyfile(teacher / "tokenizer.json", tmp_path / "gpt2" / "tokenizer.json")
    with pytest.raises(UserError, match=r"cannot drop layers of .*gpt2: its weights are not named model\.layers\.0"):
        drop_layers(tmp_path / "gpt2", 2, tmp_path / "student")


def test_a_configuration_with_the_wrong_depth_is_refused(teacher: Path, tmp_path: Path) -> None:
    shutil.copytree(teacher, tmp_path / "model")
    config = json.loads((teacher / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}))
    with pytest.raises(UserError, match="cannot drop layers"):
        drop_layers(tmp_path / "model", 2, tmp_path / "student")


def test_a_full_disk_leaves_no_half_student_and_keeps_the_previous_one(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(source: Path, target: Path) -> None:
        assert (Path(target).parent / "model.safetensors").exists()
        raise OSError(errno.ENOSPC, "No space left on device")

    before = describe_folder(drop_layers(teacher, 2, tmp_path / "student"), "student")
    monkeypatch.setattr("selfimprove.checkpoints.students.shutil.copyfile", copy)
    with pytest.raises(OSError, match="No space left"):
        drop_layers(teacher, 4, tmp_path / "student")
    assert describe_folder(tmp_path / "student", "student") == before
    assert [path.name for path in tmp_path.iterdir()] == ["student"]
