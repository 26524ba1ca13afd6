"""The kept copy of a workflow file lacks its secrets and nothing else, and says so when it is used."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from places import ROOT

from selfimprove import UserError
from selfimprove.storage.kept_source import keep_source, kept_source
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.source_secrets import NOTE, change_without_secrets, source_without_secrets

SOURCE = '''import os
# a comment: token=Zq7
workflow = f(api_key="Zq7", x={{"password": "Zq7", "a": "ü"}}, url="http://h?key=Zq7&b=1", uri='http://u:Zq7/x@h', token = r"""Zq7
Zq7""", headers={{"Authorization": f"Bearer Zq7", "Accept": "x"}})
os.environ["OPENAI_API_KEY"] = "Zq7"; os.environ.setdefault("HF_TOKEN", "Zq7"); os.getenv("MY_SECRET", 'Zq7')
password: str = "Zq7"{end}'''
PLAIN = [
    'key=os.environ["MY_KEY"]\n',
    'Endpoint("https://h/v1", "m", key_from="OPENAI_API_KEY")\n',
    'Exemplar("key", "4+3", answer="7")\r\neos_token="</s>"',
    "\ufeffx = {'sort_key': 'length', 'a': 1}  # the key: none\n",
]


@pytest.mark.parametrize("end", ["", "\n"])
def test_secrets_in_strings_and_comments_are_left_out(end: str) -> None:
    source = SOURCE.format(end=end)
    copy = source_without_secrets(source.encode()).decode()
    assert "Zq7" not in copy and copy.endswith("\n" + NOTE) and copy.count("***") == 10 + NOTE.count("***")
    ast.parse(copy)
    for kept in ('"a": "ü"', "&b=1", "'http://h'", '"Accept": "x"', "import os\n"):
        assert kept in copy
    assert source_without_secrets(copy.encode()).decode() == copy


@pytest.mark.parametrize("source", PLAIN)
def test_a_file_without_secrets_is_kept_byte_for_byte(source: str) -> None:
    assert source_without_secrets(source.encode()) == source.encode()


def test_every_shipped_workflow_is_kept_byte_for_byte() -> None:
    files = [*(ROOT / "workflows").glob("*.py"), *(ROOT / "selfimprove" / "commands" / "templates").glob("*.py")]
    assert len(files) > 10
    assert [file.name for file in files if source_without_secrets(file.read_bytes()) != file.read_bytes()] == []


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("sampler.extra.api_key=Zq7", "sampler.extra.api_key=***"),
        ('sampler.extra={"api_key": "Zq7"}', "sampler.extra=***"),
        ("teacher.sampler.url=http://u:Zq7@h/v1", "teacher.sampler.url=***"),
        ("sampling.n=3", "sampling.n=3"),
        ("sampler.extra.api_key=null", "sampler.extra.api_key=null"),
        ("prompter.text=a=b", "prompter.text=a=b"),
    ],
)
def test_a_set_keeps_no_secret(change: str, kept: str) -> None:
    assert change_without_secrets(change) == kept


def test_a_copy_that_lacks_a_secret_is_not_used_until_it_is_put_back(tmp_path: Path) -> None:
    run, file = RunFolder(tmp_path / "run"), tmp_path / "own.py"
    file.write_text('api_key = "Zq7"\n')
    keep_source(run, file, ["sampling.n=3"])
    with pytest.raises(UserError, match=r"workflow.py was kept without its secrets: put them back where it says \*\*\*"):
        kept_source(run)
    assert kept_source(run, other=file) == (file, ["sampling.n=3"], None)
    (run.root / "workflow.py").write_text('api_key = "Zq7"\n')
    assert kept_source(run, ["seed=1"]) == (run.root / "workflow.py", ["sampling.n=3", "seed=1"], run.root / "modules")


def test_a_secret_set_has_to_be_given_again(tmp_path: Path) -> None:
    run, file = RunFolder(tmp_path / "run"), tmp_path / "own.py"
    file.write_text("workflow = None\n")
    keep_source(run, file, ["sampler.extra.api_key=Zq7", "seed=1"])
    with pytest.raises(UserError, match=r"a secret --set sampler.extra.api_key, which it does not keep: give that --set again"):
        kept_source(run, ["seed=2"])
    assert kept_source(run, ["sampler.extra.api_key=other"])[1] == ["seed=1", "sampler.extra.api_key=other"]
    assert "Zq7" not in "".join(path.read_text() for path in run.root.iterdir())
