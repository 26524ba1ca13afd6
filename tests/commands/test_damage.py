"""Each kind of file of a finished run, damaged in several ways, under each command that reads it: success, or one line that names a file."""

from __future__ import annotations

import json
import os
import random
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from toy import Sums, make_toy_model, toy_workflow

from selfimprove import AlwaysPromote, InlineCluster, UserError, improve
from selfimprove.__main__ import main
from selfimprove.records import Outcome, Verdict
from selfimprove.storage.files import read_records
from selfimprove.storage.kept_source import keep_source
from selfimprove.storage.run_folder import RunFolder

WORKFLOW = """
from pathlib import Path
from selfimprove import AlwaysPromote
from toy import Sums, toy_workflow
workflow = toy_workflow(Path({model!r}), problems=Sums(30), gate=AlwaysPromote())
"""
FILES = (
    "workflow.json",
    "overrides.json",
    "problems/train.json",
    "problems/eval.json",
    "problems/SHA256SUMS",
    "baselines/few_shot/seconds.json",
    "baselines/few_shot/evaluation/score.json",
    "generation-00/report.json",
    "generation-00/evaluation/traces/shard-00000.parquet",
    "generation-01/SHA256SUMS",
    "generation-01/report.json",
    "generation-01/sampling.manifest.json",
    "generation-01/training.json",
    "generation-01/seconds.json",
    "generation-01/accepted.parquet",
    "generation-01/ledger.parquet",
    "generation-01/rows.parquet",
    "generation-01/evaluation/score.json",
    "generation-01/checkpoint/config.json",
    "generation-01/checkpoint/model.safetensors",
    "generation-02/report.json",
    "generation-02/traces/shard-00000.parquet",
    "generation-02/verdicts/shard-00000.parquet",
    "generation-02/checkpoint/config.json",
    "generation-02/checkpoint/model.safetensors",
    "generation-02/checkpoint/tokenizer.json",
)


def numbers(put: float | str) -> Callable[[bytes], bytes]:
    """JSON with every number replaced; other content with a few bytes changed."""

    def damage(content: bytes) -> bytes:
        try:
            return json.dumps(replaced(json.loads(content))).encode()
        except ValueError:
            return content[:-9] + bytes(byte ^ 1 for byte in content[-9:])

    def replaced(value: object) -> object:
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return put if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    return damage


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "garbage": lambda content: random.Random(0).randbytes(300),
    "a list": lambda content: b"[1, 2]\n",
    "an object": lambda content: b'{"a": {}}\n',
    "deeply nested": lambda content: b"[" * 900 + b"]" * 900,
    "negative": numbers(-7),
    "not a number": numbers(float("nan")),
    "infinite": numbers(float("inf")),
    "huge": numbers(10**400),
    "deleted": lambda content: None,
}
COMMANDS = {
    "report": ["report", "RUN"],
    "page": ["report", "RUN", "--html", "OUT.html"],
    "traces": ["traces", "RUN"],
    "audit": ["audit", "RUN", "--with", "exact"],
    "export": ["export", "RUN", "OUT"],
    "fork": ["fork", "RUN", "--from-generation", "2", "--run-dir", "OUT", "--inline"],
    "ask": ["ask", "RUN/champion", "1 + 1?"],
    "verify": ["verify", "RUN"],
}
CHECKED = {"export", "ask", "verify"}
"""Commands that read the champion, and so must notice what happened to it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of toy parts."""
    folder = tmp_path_factory.mktemp("whole")
    model = make_toy_model(folder / "model", 0.2)
    improve(toy_workflow(model, problems=Sums(30), gate=AlwaysPromote()), folder / "run", InlineCluster)
    (folder / "workflow.py").write_text(WORKFLOW.format(model=str(model)))
    keep_source(RunFolder(folder / "run"), folder / "workflow.py", [])
    return folder / "run"


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untracked: None) -> Iterator[Path]:
    """A copy of it. Nothing is answered or trained: a command that comes so far has noticed nothing."""

    def noticed_nothing(*_: object, **__: object) -> None:
        raise UserError("noticed nothing")

    monkeypatch.setattr("selfimprove.commands.answer.VLLM", noticed_nothing)
    monkeypatch.setattr("selfimprove.commands.fork.run_workflow", lambda *_, **__: 0)
    monkeypatch.setattr("selfimprove.commands.hub_folders._response_template", lambda *_: None)
    yield Path(shutil.copytree(whole, tmp_path / "run", symlinks=True))


def damage(file: Path, how: Callable[[bytes], bytes | None]) -> None:
    content = how(file.read_bytes())
    file.unlink()
    if content is not None:
        file.write_bytes(content)


def call(name: str, run: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    out = run.parent / "OUT"
    shutil.rmtree(out, ignore_errors=True)
    words = [word.replace("RUN", str(run)).replace("OUT", str(out)) for word in COMMANDS[name]]
    try:
        code = main(words)
    except Exception:
        pytest.fail(f"{name}: {traceback.format_exc(limit=-6)}")
    return code, *capfd.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("part", [8, pytest.param(1, marks=pytest.mark.long)], ids=["an eighth", "all"])
@pytest.mark.parametrize("recorded", [True, False], ids=["hashed", "unhashed"])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named_in_one_line(file: str, recorded: bool, part: int, run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An eighth still has every damage of every file, every command with every file, and every command with every damage."""
    if not recorded:
        if file.endswith("SHA256SUMS"):
            return
        for sums in run.rglob("SHA256SUMS"):
            sums.unlink()
    sound = (run / file).read_bytes()
    for turn, (name, how) in enumerate(DAMAGES.items(), FILES.index(file)):
        if how(sound) == sound:
            continue
        damage(run / file, how)
        for command in list(COMMANDS)[turn % part :: part]:
            code, out, err = call(command, run, capfd)
            told = f"{command} of {name} {file}: {code} {err}"
            assert code in (0, 2), told
            if code and command == "verify" and recorded and not err:
                assert len(out.splitlines()) >= 2 and (Path(file).name in out or "has no recorded hash" in out), told
            elif code:
                assert len(err.splitlines()) == 1 and err.startswith("selfimprove: "), told
                assert Path(file).name in err or str(run) in err or "noticed nothing" in err or "a fork shares" in err, told
            else:
                assert not err, told
            if recorded and command == "verify" and not file.endswith(("seconds.json", "SHA256SUMS", "overrides.json", "workflow.json")):
                assert code == 2, told
            if recorded and command in CHECKED and file.startswith("generation-02/checkpoint/"):
                assert code == 2 and "noticed nothing" not in err, told
        damage_back(run / file, sound)


def damage_back(file: Path, content: bytes) -> None:
    file.unlink(missing_ok=True)
    file.write_bytes(content)


def test_verify_says_how_much_is_sound(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(run)]) == 0
    assert "MB agree with their hashes: nothing differs" in capfd.readouterr().out
    assert main(["verify", str(run), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["files"] > 30 and found["bytes"] > 1000 and found["differs"] == []


def flip(file: Path) -> None:
    """Rewrite the verdicts with other outcomes, as a valid Parquet file."""
    from pyarrow import Table, parquet

    rows = [replace(one, outcome=Outcome.WRONG if one.outcome is Outcome.CORRECT else Outcome.CORRECT) for one in read_records(file, Verdict)]
    table = Table.from_pylist([{name: getattr(row, name) for name in Verdict.__slots__} for row in rows])
    file.unlink()
    parquet.write_table(table, file)


def test_flipped_verdicts_and_changed_scores_are_noticed(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flip(run / "generation-02/verdicts/shard-00000.parquet")
    for command in ("traces", "audit", "page", "export"):
        code, _, err = call(command, run, capfd)
        assert code == 2 and "generation-02/verdicts/shard-00000.parquet has changed since it was written" in err
        assert "--from-generation 2" in err
    score = run / "baselines/few_shot/evaluation/score.json"
    score.write_text(json.dumps({**json.loads(score.read_text()), "pass_at_1": 1.87}))
    assert "score.json has changed" in call("report", run, capfd)[2]
    code, out, _ = call("verify", run, capfd)
    assert code == 2 and out.splitlines()[:2] == [
        "baselines/few_shot/evaluation/score.json has changed since it was written",
        "generation-02/verdicts/shard-00000.parquet has changed since it was written",
    ]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "added.safetensors"])
def test_a_changed_checkpoint_is_not_continued_from(name: str, run: Path) -> None:
    file = run / "generation-01" / "checkpoint" / name
    file.write_bytes(b"{}" + (file.read_bytes() if file.exists() else b""))
    model = json.loads((run / "workflow.json").read_text())["base_model"]
    shutil.rmtree(run / "generation-02")
    with pytest.raises(UserError, match=rf"generation-01/checkpoint/{name} (has changed|was added) since"):
        improve(toy_workflow(Path(model), problems=Sums(30), gate=AlwaysPromote()), run, InlineCluster)


def test_a_continued_run_notices_a_changed_shard(run: Path) -> None:
    flip(run / "generation-02/verdicts/shard-00000.parquet")
    (run / "generation-02/report.json").unlink()
    model = json.loads((run / "workflow.json").read_text())["base_model"]
    with pytest.raises(UserError, match=r"verdicts/shard-00000\.parquet has changed"):
        improve(toy_workflow(Path(model), problems=Sums(30), gate=AlwaysPromote()), run, InlineCluster)


def test_a_copy_never_reads_the_checkpoints_of_its_original(whole: Path, run: Path) -> None:
    assert Path(RunFolder(run).champion().path).is_relative_to(run)
    for folder in run.glob("generation-*/checkpoint"):
        shutil.rmtree(folder)
    for report in RunFolder(run).reports()[1:]:
        assert Path(report.candidate.path).is_relative_to(run)
    with pytest.raises(UserError, match=str(run)):
        RunFolder(run).champion()
    assert os.path.isdir(whole / "generation-02" / "checkpoint")
