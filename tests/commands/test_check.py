"""What `check` finds, with a tiny model's own tokenizer."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toy import EXEMPLAR, Sums, toy_workflow

from selfimprove import VLLM, Exact, Exemplar, FewShot, Guard, LastNumber, MultipleChoice, PlainQuestion, Sampling, Table
from selfimprove.__main__ import main
from selfimprove.commands.disk_room import checkpoint_bytes, disk_room
from selfimprove.commands.findings import check
from selfimprove.protocols import Confinement
from selfimprove.records import Message, Outcome, Problem

needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed, which check finds, too")


@dataclass(frozen=True)
class Listed:
    """These problems."""

    problems: tuple[Problem, ...]

    def load(self) -> list[Problem]:
        return list(self.problems)


def findings(tiny_model: Path, **changes: object) -> dict[str, dict[str, Any]]:
    """What `check` finds in a workflow with these fields, by name; it passes exactly if every finding does."""
    result = check(toy_workflow(tiny_model, **changes))
    assert result["passed"] == all(finding["passed"] for finding in result["findings"])
    return {finding["name"]: finding for finding in result["findings"]}


def only_failure(tiny_model: Path, **changes: object) -> tuple[str, str]:
    """The name and detail of the one finding that fails."""
    (failure,) = (finding for finding in findings(tiny_model, **changes).values() if not finding["passed"])
    return failure["name"], failure["detail"]


def test_a_good_workflow_passes_with_an_estimate(tiny_model: Path) -> None:
    decoding = Sampling(n=2, max_tokens=32)
    result = check(toy_workflow(tiny_model, sampling=decoding, eval_sampling=Sampling(n=1, max_tokens=32), generations=2))
    assert result["passed"], result
    assert [finding["name"] for finding in result["findings"]] == [
        "problems",
        "confinement",
        "references",
        "guesses",
        "exemplars",
        "evaluation",
        "gate",
        "model",
        "disk",
        "gpus",
        "context",
    ]
    # Half of 32 tokens: two samples of 25 problems in two generations, and 15 problems in five evaluations.
    assert result["estimate"]["sampled_tokens"] == 16 * (25 * 2 * 2 + 15 * 5)
    # At most all 50 traces in the first training, and all 100 in the second.
    assert result["estimate"]["trained_tokens"] > 150 * 16
    assert result["estimate"]["minutes"] > 0


@needs_vllm
def test_who_reserves_which_gpus_is_told_and_what_never_fits_is_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings(tiny_model)["gpus"]["detail"] == "none: everything runs on CPUs"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert findings(tiny_model)["gpus"]["detail"] == "sampler 1/2 GPU, trainer 1/2 GPU, verifier none"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert findings(tiny_model)["gpus"]["detail"] == "sampler 1 GPU, trainer 1 GPU, verifier none"
    wide = VLLM(engine={"tensor_parallel_size": 2})
    assert findings(tiny_model, sampler=wide)["gpus"]["detail"] == "sampler 2 GPUs, trainer 1 GPU, verifier none; sampler, trainer in turns"
    name, detail = only_failure(tiny_model, sampler=VLLM(engine={"tensor_parallel_size": 4}))
    assert name == "gpus" and detail.startswith("the sampler needs 4 GPUs, but the cluster has 2")


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (Confinement(), "the verifier may only compute"),
        (Confinement(network=True, environment=("JUDGE_KEY",)), "the verifier may use the network, see JUDGE_KEY"),
        (Confinement(when="never"), "the verifier is not confined: it runs with your rights"),
    ],
)
def test_what_the_verifier_may_do_is_told(tiny_model: Path, declared: Confinement, told: str) -> None:
    class Declaring(Exact):
        confinement = declared

    assert findings(tiny_model, verifier=Declaring())["confinement"]["detail"] == told


def test_checkpoints_that_the_disk_has_no_room_for_fail(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum((tiny_model / name).stat().st_size for name in ("model.safetensors", "tokenizer.json"))
    assert 0.4 * size < checkpoint_bytes(tiny_model) < 1.1 * size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * checkpoint_bytes(tiny_model)))
    for keep, generations, passes in (("all", 4, True), ("all", 5, False), ("champion", 50, True), (2, 50, True), (4, 50, False)):
        workflow = toy_workflow(tiny_model, keep_checkpoints=keep, generations=generations)
        passed, told = disk_room(workflow, tiny_model, str(tmp_path / "new" / "run"))
        assert passed is passes and told.endswith(f"free in {tmp_path}") is passed
        assert f"with keep_checkpoints={keep}: " in told and (passed or "free some, or give --run-dir on a larger disk" in told)


def test_a_verifier_that_rejects_a_reference_answer_is_found(tiny_model: Path) -> None:
    class Forgetful(Exact):
        def verify(self, problem: Problem, answer: str) -> Outcome:
            return Outcome.WRONG if answer == "7" else super().verify(problem, answer)

    name, detail = only_failure(tiny_model, verifier=Forgetful())
    assert name == "references" and detail.startswith("1 of 40 reference answers are not accepted; first: sum-7, '7' is wrong")


def test_a_further_verifier_that_does_not_fit_the_problems_is_found(tiny_model: Path) -> None:
    name, detail = only_failure(tiny_model, also=(LastNumber(), MultipleChoice()))
    assert name == "also multiple-choice" and detail.startswith("15 of 15 reference answers are not accepted; first: sum-")
    assert detail.endswith("it does not fit these problems: remove it from also")


def test_a_guard_that_does_not_fit_or_is_too_small_is_found(tiny_model: Path) -> None:
    short = Sampling(max_tokens=16, temperature=0.0)
    good = Guard(problems=Sums(40, 500), verifier=Exact(), sampling=short)
    found = findings(tiny_model, eval_sampling=short, guards={"far": good}, also_prompters=(FewShot((EXEMPLAR,)),))
    assert "40 for guard far" in found["problems"]["detail"] and found["guard far"]["passed"]
    told = found["guard far"]["detail"]
    assert told.startswith("exact accepts all 40 reference answers; 40 problems: with one sample each, it refuses losses from 0.125 on")
    for changes, told in (
        ({"verifier": MultipleChoice()}, "it does not fit these problems: give the guard another verifier"),
        ({"problems": Sums(4, 500)}, "4 problems are too few to tell a loss from chance: give at least 5"),
    ):
        name, detail = only_failure(tiny_model, eval_sampling=short, guards={"far": replace(good, **changes)})
        assert name == "guard far" and told in detail
    name, detail = only_failure(tiny_model, guards={"far": replace(good, sampling=Sampling(max_tokens=100_000))})
    assert name == "context" and "problem sum-5" in detail and "100000 output tokens exceed" in detail


def test_a_verifier_that_does_not_load_is_found(tiny_model: Path) -> None:
    class Broken(Exact):
        def prepare(self) -> None:
            raise ImportError("no such judge")

    name, detail = only_failure(tiny_model, verifier=Broken())
    assert name == "verifier" and "no such judge" in detail


def test_sets_that_share_a_question_are_found(tiny_model: Path) -> None:
    name, detail = only_failure(tiny_model, eval_problems=Sums(size=3, first=39))
    assert name == "problems" and "problem sum-39 of problems asks the same as sum-39 of eval_problems" in detail


@pytest.mark.parametrize(
    ("exemplar", "detail"),
    [
        (Exemplar("What is 5 + 5?", "5 + 5 = 10.", "11"), "exemplar 2: the verifier finds its answer '11' wrong"),
        (Exemplar("what is  0 + 0?", "0 + 0 = 0.", "0"), "exemplar 2 is an evaluation problem"),
        (Exemplar("What is 1 + 2?", "1 + 2 = 3.", " "), "exemplar 2 does not parse as a trace: no answer"),
        (Exemplar("What is 1 + 2?", " ", "3"), "exemplar 2 does not parse as a trace: empty"),
        (Exemplar("What is 1 + 2?", "<think> 1 + 2", "3"), "exemplar 2 does not parse as a trace: nested"),
    ],
)
def test_an_unsuitable_exemplar_is_found(exemplar: Exemplar, detail: str, tiny_model: Path) -> None:
    sets: dict[str, object] = {"problems": Sums(30, first=5), "eval_problems": Sums(5)}
    name, found = only_failure(tiny_model, first_prompter=FewShot((EXEMPLAR, exemplar)), **sets)
    assert name == "exemplars" and detail in found


@needs_vllm
def test_prompts_that_leave_no_room_for_the_output_are_found(tiny_model: Path) -> None:
    name, detail = only_failure(tiny_model, prompter=PlainQuestion(system="Think. " * 200))
    assert name == "context" and "exceed the context of 512" in detail
    name, detail = only_failure(tiny_model, sampler=VLLM(engine={"max_model_len": 280}))
    assert name == "context" and "up to 256 output tokens exceed the context of 280" in detail


@pytest.mark.vllm
def test_a_further_setting_that_vllm_does_not_know_is_found(tiny_model: Path) -> None:
    name, detail = only_failure(tiny_model, sampler=VLLM(), sampling=Sampling(extra={"topk": 20}))
    assert name == "sampling" and "Unexpected keyword argument 'topk'" in detail


def test_checks_that_need_no_model_run_without_one(tmp_path: Path) -> None:
    found = findings(tmp_path / "gone", first_prompter=None)
    assert [name for name, finding in found.items() if finding["passed"]] == [
        "problems",
        "confinement",
        "references",
        "guesses",
        "evaluation",
        "gate",
        "gpus",
    ]
    assert not found["model"]["passed"] and "does not exist" in found["model"]["detail"]


@pytest.mark.parametrize(("eval_problems", "status"), [(15, 0), (40, 1)])
def test_the_exit_code_says_whether_a_check_failed_and_json_stands_alone(
    eval_problems: int, status: int, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "experiment.py"
    file.write_text(f"from pathlib import Path\nfrom toy import *\nworkflow = toy_workflow(Path({str(tiny_model)!r}), eval_problems={eval_problems})")
    assert main(["check", str(file), "--json"]) == status
    result = json.loads(capfd.readouterr().out)
    assert result["passed"] == (status == 0)
    assert main(["check", str(file)]) == status
    shown = capfd.readouterr().out
    assert ("FAIL problems: cannot set 40 of 40 distinct questions apart" in shown) == bool(status) and ("on this machine" in shown) != bool(status)


def test_a_verifier_that_accepts_nonsense_is_found(tiny_model: Path) -> None:
    class Tolerant(Exact):
        def verify(self, problem: Problem, answer: str) -> Outcome:
            return Outcome.CORRECT if answer == "nan" else super().verify(problem, answer)

    name, detail = only_failure(tiny_model, verifier=Tolerant())
    assert name == "guesses" and "exact accepts 'nan' for 20 of 20 problems; use another verifier" in detail


def test_problems_that_give_the_evaluation_away_are_counted(tiny_model: Path) -> None:
    leaks = Listed((Problem("leak-1", "Listen: What is 3 + 3?", "6", "toy"), *Sums(size=25, first=40).load()))
    found = findings(tiny_model, problems=leaks, eval_problems=Sums(size=15))
    assert found["problems"]["detail"].startswith("25 for training, 15 for evaluation")
    assert "contamination leaves out 1 others, which give evaluation problems away" in found["problems"]["detail"]


def test_an_emptied_training_set_is_found_with_the_setting_that_empties_it(tiny_model: Path) -> None:
    leaks = Listed((Problem("leak-1", "Listen: What is 3 + 3?", "6", "toy"),))
    name, detail = only_failure(tiny_model, problems=leaks, eval_problems=Sums(size=15))
    assert name == "contamination" and "leaves out all 1 problems to learn from (leak-1 gives sum-3 away); raise contamination.share" in detail


def test_a_prompter_that_hides_the_options_is_found(tiny_model: Path) -> None:
    choices = [Problem(f"choice-{n}", f"Which is {n}?", "AB"[n % 2], "test", {"options": [f"the {n}", f"no {n}"]}) for n in range(20)]

    class Hiding:
        def messages(self, problem: Problem) -> tuple[Message, ...]:
            return (Message(role="user", content=problem.question),)

    shown = findings(tiny_model, problems=Table(choices), eval_problems=5, verifier=MultipleChoice())["options"]
    assert shown["passed"] and shown["detail"] == "the prompters show them all"
    hidden = findings(tiny_model, problems=Table(choices), eval_problems=5, verifier=MultipleChoice(), prompter=Hiding())["options"]
    assert not hidden["passed"] and hidden["detail"].startswith("Hiding does not show the options of 20 of 20 problems")


@needs_vllm
def test_a_template_that_drops_the_thinking_of_exemplars_is_found(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))
    model = shutil.copytree(tiny_model, tmp_path / "model")
    template = (model / "chat_template.jinja").read_text()
    own = "message['content']"
    # As Qwen3's template does.
    stripped = template.replace(own, f"({own}.split('</think>')[-1] if message['role'] == 'assistant' else {own})")
    assert stripped != template
    (model / "chat_template.jinja").write_text(stripped)
    prompter = FewShot((EXEMPLAR,))
    engine = VLLM(engine={"max_model_len": 512})
    assert only_failure(model, sampler=engine, first_prompter=prompter) == (
        "thinking",
        "the chat template drops the thinking of exemplars, which are earlier turns; set first_prompter.one_turn=true",
    )
    assert "thinking" not in findings(tiny_model, sampler=engine, first_prompter=prompter)
    assert "thinking" not in findings(model, sampler=engine, first_prompter=FewShot((EXEMPLAR,), one_turn=True))
