"""Second verdicts on the stored traces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply, chat_server, fails, says
from fake_judge import code_of, fair, message, part
from toy import make_toy_model
from untracked import leave_out_mlflow

import selfimprove
from selfimprove.__main__ import main
from selfimprove.commands.named_verifier import VERIFIERS
from selfimprove.evaluation.agreement import agreement
from selfimprove.protocols import Verifier

WORKFLOW = """
from dataclasses import dataclass
from pathlib import Path
from selfimprove.protocols import Verifier
from selfimprove.records import Outcome
from toy import toy_workflow

@dataclass(frozen=True)
class Fair(Verifier):
    name = "fair"
    version = "{version}"

    def verify(self, problem, answer):
        if {strict} and int(answer) % 2:
            return Outcome.WRONG
        return Outcome.CORRECT if answer == problem.answer else Outcome.WRONG

workflow = toy_workflow(Path({model!r}), answer_only_baseline=False, generations=1, verifier=Fair())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_toy_model(tmp_path_factory.mktemp("models") / "model", 0.3))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Path]:
    """A finished run, which no command here changes."""
    folder = tmp_path_factory.mktemp("toys")
    (folder / "toys.py").write_text(WORKFLOW.format(version="1", strict=True, model=model))
    with pytest.MonkeyPatch.context() as patch:
        leave_out_mlflow(patch)
        assert main(["run", str(folder / "toys.py"), "--inline", "--run-dir", str(folder / "run")]) == 0
    yield folder / "run"


def test_an_audit_counts_and_lists_where_two_verifiers_disagree(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(run), "--with", "exact", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"], found["second"]) == ("fair 1", "exact 2")
    # Sampling, two evaluations, and the evaluation of the baseline.
    assert found["judged"] == sum(map(sum, (row.values() for row in found["confusion"].values()))) == 50 + 3 * 15
    changed = found["confusion"]["wrong"]["correct"]
    assert changed == len(found["disagreements"]) > 0 and found["confusion"]["correct"]["wrong"] == 0
    assert found["agreement"] == pytest.approx(1 - changed / found["judged"])
    assert all(int(item["answer"]) % 2 and item["answer"] == item["reference"] for item in found["disagreements"])

    assert main(["audit", str(run), "--with", "math"]) == 0
    printed = capsys.readouterr().out
    assert "fair 1 (rows) against mathematical" in printed and "wrong → correct" in printed


def test_reverify_counts_by_generation_the_verdicts_that_a_new_verifier_changes(
    run: Path, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reverify", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["disagreements"] == []
    changed = tmp_path / "changed.py"
    changed.write_text(WORKFLOW.format(version="2", strict=False, model=model))
    assert main(["reverify", str(run), "--workflow", str(changed), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"], found["second"]) == ("fair 1", "fair 2")
    assert set(found["stages"]) == {"generation-00 evaluation", "generation-01", "generation-01 evaluation", "few_shot evaluation"}
    assert sum(stage["to_correct"] for stage in found["stages"].values()) == len(found["disagreements"]) > 0
    assert all(stage["from_correct"] == 0 for stage in found["stages"].values())
    assert main(["reverify", str(run), "--workflow", str(changed)]) == 0
    assert "generation-01 evaluation" in capsys.readouterr().out


def test_a_folder_without_a_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(tmp_path), "--with", "exact"]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_every_shipped_verifier_has_a_name() -> None:
    parts = (getattr(selfimprove, name) for name in selfimprove.__all__)
    shipped = {part.__name__ for part in parts if Verifier in getattr(part, "__mro__", ())}
    assert {others[0] for others in VERIFIERS.values()} == shipped - {"FunctionVerifier"}


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("Mathematical", "there is no verifier 'Mathematical'; did you mean math?"),
        ("latex", "did you mean math?"),
        ("LastNumber", "did you mean last-number?"),
        ("MultipleChoice", "did you mean choice?"),
        ("llm", "did you mean judge?"),
        ("exat", "did you mean exact?"),
        ("zzz", "choose exact, last-number, math, choice, code, reasoning-gym, judge; your own is MODULE:NAME or FILE.py:NAME"),
        ("judge", "judge asks a server: give --set endpoint.url=http://localhost:8000/v1 and --set endpoint.model=NAME"),
        ("mine.py:rihgt", "mine.py defines no 'rihgt'; did you mean right?"),
        ("mine.py:PI", "mine.py:PI is neither a verifier nor a function of a problem and an answer: it is 3"),
        ("mine.py:Near", "mine.py:Near is a class that needs settings"),
        ("theirs.py:right", "theirs.py does not exist"),
        ("no_such_module:right", "no module 'no_such_module' is found here; give FILE.py:NAME for a file"),
        ("broken:right", "broken: ZeroDivisionError: division by zero"),
    ],
)
def test_a_name_that_is_no_verifier_is_told_in_one_line(
    named: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "beside_it.py").write_text("def close(problem, answer):\n    return True\n")
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    assert main(["audit", str(tmp_path), "--with", named]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


OWN = """
from beside_it import close
from selfimprove.protocols import Verifier
PI = 3
def right(problem, answer):
    return close(problem, answer) and answer == problem.answer
class Near(Verifier):
    name, version = "near", "1"
    def __init__(self, tolerance): ...
"""


def test_a_function_of_the_user_s_own_and_labels(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "checks.py").write_text(OWN)
    (tmp_path / "own" / "beside_it.py").write_text("def close(problem, answer):\n    return True\n")
    assert main(["audit", str(run), "--with", f"{tmp_path}/own/checks.py:right", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    lenient = found["confusion"]["wrong"]["correct"]
    assert found["second"].startswith("right ") and lenient > 0
    assert found["accepted"]["lenient"] == lenient and found["accepted"]["strict"] == 0
    assert found["accepted"]["interval"][0] < found["accepted"]["kappa"] < found["accepted"]["interval"][1] <= 1

    file, ids = tmp_path / "labels.jsonl", [item["trace_id"] for item in found["disagreements"]][:4]
    file.write_text("".join(json.dumps({"trace_id": id, "correct": number > 0, "by": "me"}) + "\n" for number, id in enumerate(ids)))
    # The stored verdicts are those of a verifier that takes odd numbers for wrong.
    assert main(["audit", str(run), "--labels", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"], found["second"], found["judged"], found["agreement"]) == ("labels", "fair 1", 4, 0.25)
    assert main(["audit", str(run), "--labels", str(file), "--with", "exact"]) == 0
    printed = capsys.readouterr().out
    assert "labels (rows) against exact 2" in printed and "too lenient: only the second accepts         1   25.0%" in printed

    file.write_text('{"trace_id": "elsewhere/g1/s0", "correct": true}')
    assert main(["audit", str(run), "--labels", str(file)]) == 2
    assert "has no verified trace 'elsewhere/g1/s0', which a label names" in capsys.readouterr().err
    file.write_text('\n{"trace_id": "a", "correct": 1}')
    assert main(["audit", str(run), "--labels", str(file)]) == 2
    assert "line 2: a label is" in capsys.readouterr().err


def test_a_judge_is_measured_on_a_sample_and_a_second_time_for_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))

    def hurried(body: dict[str, Any], number: int) -> Reply:
        """Reads the last digit alone, and does not keep to the form for an answer of one."""
        text = message(body)
        answer, reference = part(text, "answer"), part(text, "reference answer")
        right = answer[-1:] == reference[-1:]
        return says(f"Verdict {code_of(text)}: {'correct' if right else 'wrong'}") if answer != "1" else says("I would say so.")

    with chat_server(hurried) as server:
        command = ["audit", str(run), "--with", "judge", "--sample", "40", "--set", f"endpoint.url={server.url}", "--set", "endpoint.model=m"]
        command += ["--set", "endpoint.concurrency=4"]
        assert main([*command, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["judged"] == 40 and found["second"].startswith("llm judge ")
        asked = len(server.bodies)
        assert main(command) == 0
        assert len(server.bodies) == asked > 0
    printed = capsys.readouterr().out
    assert f"too lenient: only the second accepts  {found['accepted']['lenient']:>8}" in printed
    assert f"Cohen's kappa {found['accepted']['kappa']:.2f}, 95 % interval" in printed


def test_a_run_goes_on_with_what_its_judge_has_said(
    tmp_path: Path, model: str, untracked: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELFIMPROVE_CACHE", str(tmp_path / "cache"))
    workflow = "from pathlib import Path\nfrom selfimprove import Endpoint, LLMJudge\nfrom toy import toy_workflow\n"
    settings = "key_from=None, retries=0, concurrency=1"
    with chat_server(lambda body, number: fair(body) if number < 20 else fails(503, "at rest")) as server:
        workflow += f"judge = LLMJudge(Endpoint({server.url!r}, 'm', {settings}))\n"
        workflow += f"workflow = toy_workflow(Path({model!r}), answer_only_baseline=False, generations=1, verifier=judge)\n"
        (tmp_path / "judged.py").write_text(workflow)
        command = ["run", str(tmp_path / "judged.py"), "--inline", "--run-dir", str(tmp_path / "run")]
        assert main(command) == 2
        assert capsys.readouterr().err.endswith(f"the verifier llm judge: {server.url} answered 503: at rest; the same command continues the run\n")
        server.behaviour = fair
        assert main(command) == 0
    texts = [message(body) for body in server.bodies]
    assert len(texts) > 22 and len(texts) - len(set(texts)) == 1, "only what failed was asked again"


@pytest.mark.parametrize(
    ("counts", "kappa", "interval"),
    [
        # By hand: (0.85 - 0.5) / (1 - 0.5), and about 1.96 √(0.85 · 0.15 / 100) / 0.5 on each side.
        ((45, 40, 10, 5), 0.7, (0.561, 0.839)),
        ((10, 10, 0, 0), 1.0, None),
        ((10, 0, 0, 0), None, None),
        ((0, 0, 10, 10), -1.0, None),
    ],
)
def test_kappa_is_agreement_beyond_chance(counts: tuple[int, int, int, int], kappa: float | None, interval: tuple[float, float] | None) -> None:
    found = agreement(counts[0], counts[1], lenient=counts[2], strict=counts[3])
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))
    assert found.interval == (None if interval is None else pytest.approx(interval, abs=1e-3))
