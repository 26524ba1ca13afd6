"""A workflow's `chat_template` is the default of everything that reads the model: sampling and training show the same tokens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from selfimprove import SFT, VLLM, PlainQuestion, Sampling, UserError
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.chat_template import with_defaults
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.records import AcceptedTrace, Problem, Trace
from selfimprove.sampling.sampling import requests_for
from selfimprove.sampling.vllm_engine import ENVIRONMENT
from selfimprove.training.agreement import require_agreement
from selfimprove.training.rows import tokenize_prompt

# Qwen3's switch, read at the top level, in a loop and in a macro; it begins with white space that counts.
SWITCHED = (
    "\n {% macro mode() %}{{ 'off' if enable_thinking is defined and not enable_thinking else 'on' }}{% endmacro %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + (mode() if loop.first else '') }}\n{{ message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
MESSAGES = ({"role": "system", "content": "Think."}, {"role": "user", "content": "4 + 3 ="})
PROBLEMS = [Problem(f"p-{n}", f"{n} + {n} =", str(2 * n), "test") for n in range(3)]


@pytest.fixture
def switched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose template reads `enable_thinking`."""
    from tiny_model import make_tiny_model

    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))
    folder = make_tiny_model(tmp_path / "model")
    (folder / "chat_template.jinja").write_text(SWITCHED)
    return folder


def prompt(folder: Path, **variables: Any) -> list[int]:
    from transformers import AutoTokenizer

    return list(AutoTokenizer.from_pretrained(folder).apply_chat_template(list(MESSAGES), add_generation_prompt=True, return_dict=False, **variables))


@pytest.mark.parametrize("on", [True, False])
def test_a_default_gives_the_tokens_that_the_variable_gives(switched: Path, on: bool) -> None:
    from transformers import AutoTokenizer

    folder = resolve_model(str(switched), {"enable_thinking": on})
    assert prompt(folder) == prompt(switched, enable_thinking=on)
    assert prompt(folder) == tokenize_prompt(AutoTokenizer.from_pretrained(folder), MESSAGES)
    assert prompt(folder, enable_thinking=not on) == prompt(switched, enable_thinking=not on) != prompt(folder), "a caller may still choose"
    assert prompt(switched) == prompt(switched, enable_thinking=True), "the model itself stays as it is"


def test_values_of_every_json_type_arrive() -> None:
    from jinja2 import Environment

    values = {"a": None, "b": 1.5, "c": [True, {"d": 'it\'s "{% raw %}" \n'}], "d": "x %} y"}
    shown = Environment(trim_blocks=True, lstrip_blocks=True).from_string(with_defaults("  {{ [a, b, c, d] }}", values)).render()
    assert shown == f"  {list(values.values())}"


def test_another_setting_is_another_model_and_the_same_one_is_kept(switched: Path) -> None:
    off, on, again = (resolve_model(str(switched), {"enable_thinking": value}) for value in (False, True, False))
    assert again == off != on and resolve_model(str(switched), {}) == resolve_model(str(switched)) == switched
    described = [describe_folder(folder, "base") for folder in (switched, off, on)]
    assert len({one.tokenizer_hash for one in described}) == 3 and len({one.weights_hash for one in described}) == 1


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"enable_thinkin": False}, "chat_template: the model's chat template does not read enable_thinkin; check the name"),
        ({"messages": []}, "chat_template: messages is set at every call and takes no default"),
    ],
)
def test_a_variable_without_effect_is_refused(switched: Path, variables: Mapping[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        resolve_model(str(switched), variables)


def test_a_model_without_a_template_takes_no_variables(switched: Path) -> None:
    (switched / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="has no chat template; leave the setting out"):
        resolve_model(str(switched), {"enable_thinking": False})


@pytest.mark.vllm
@pytest.mark.trl
def test_sampling_and_training_read_the_same_tokens_and_a_mismatch_is_refused(switched: Path, tmp_path: Path) -> None:
    os.environ.update(ENVIRONMENT)
    folders = {on: resolve_model(str(switched), {"enable_thinking": on}) for on in (True, False)}
    sampler = VLLM(engine={"max_model_len": 256, "kv_cache_memory_bytes": 64 << 20, "max_num_seqs": 8}).open()
    requests = requests_for(PROBLEMS, PlainQuestion(), Sampling(n=1, max_tokens=10), "g1")
    chats = {request.id: request.messages for request in requests}

    def traces(folder: Path) -> list[Trace]:
        return sorted((trace for batch in sampler.sample(describe_folder(folder, "base"), requests) for trace in batch), key=lambda trace: trace.id)

    try:
        sampled = {on: traces(folder) for on, folder in folders.items()}
        for on, folder in folders.items():
            rows = [AcceptedTrace(one.id, one.problem_id, chats[one.id], one.text, "sampled", 1, one.output_token_ids) for one in sampled[on]]
            compared = list(zip(rows, sampled[on], strict=True)), [(chats[one.id], one) for one in sampled[on]]
            assert require_agreement(folder, *compared) == 6
            with pytest.raises(UserError, match=r"prompt of p-0/g1/s0: training and sampling have different tokens"):
                require_agreement(folders[not on], *compared)
        trainer = SFT(epochs=1, batch_size=3).open()
        list(trainer.train(describe_folder(folders[False], "base"), rows, tmp_path / "trained", seed=0))
        assert [one.prompt_token_ids for one in traces(tmp_path / "trained")] == [one.prompt_token_ids for one in sampled[False]]
    finally:
        sampler.close()


def test_a_template_that_cannot_be_read_is_named(switched: Path) -> None:
    for template, line in ((b"{% if %}", "error in line 1|cannot be used"), (b"\xff", "chat_template.jinja")):
        (switched / "chat_template.jinja").write_bytes(template)
        with pytest.raises(UserError, match=line):
            resolve_model(str(switched), {"enable_thinking": False}, served=True)
    with pytest.raises(UserError, match="the model's chat template has an error in line 1"):
        with_defaults("{{ enable_thinking ] }}", {"enable_thinking": False})
