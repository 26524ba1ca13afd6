from pathlib import Path

from pydantic import ValidationError
from pytest import mark, raises

from selfimprove.errors import UserError
from selfimprove.problems import Jsonl
from selfimprove.records import Problem


def written(folder: Path, *lines: str) -> Path:
    path = folder / "train.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_line_becomes_a_problem_and_its_other_fields_metadata(tmp_path: Path) -> None:
    path = written(tmp_path, '{"question": "2 + 2?", "answer": 4, "level": [1]}', "", '{"question": "3\u2028?", "answer": "3"}')
    assert Jsonl(path).load() == [
        Problem("train-1", "2 + 2?", "4", "jsonl:train.jsonl", {"level": [1]}),
        Problem("train-3", "3\u2028?", "3", "jsonl:train.jsonl"),
    ]


def test_fields_can_have_other_names(tmp_path: Path) -> None:
    path = written(tmp_path, '{"q": "2 + 2?", "a": "4", "key": 7}')
    assert Jsonl(str(path), question="q", answer="a", id="key").load() == [Problem("7", "2 + 2?", "4", "jsonl:train.jsonl")]


GOOD = '{"question": "q", "answer": "a", "key": "1"}'


@mark.parametrize(
    ("line", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is not a JSON object but a list"),
        ('{"answer": "a", "key": "2"}', "there is no 'question', only 'answer'"),
        ('{"question": "r", "key": "2"}', "there is no 'answer'"),
        ('{"question": " ", "answer": "a", "key": "2"}', "'question' is empty"),
        ('{"question": "r", "answer": null, "key": "2"}', "'answer' is empty"),
        ('{"question": "r", "answer": {"a": 1}, "key": "2"}', "'answer' is dict, not text, a number or a list"),
        ('{"question": "Q ", "answer": "b", "key": "2"}', "the question repeats that of line 1"),
        ('{"question": "r", "answer": "b", "key": "1"}', "the id repeats that of line 1"),
        ('{"question": "r", "answer": "b"}', "has no 'key'"),
    ],
)
def test_a_bad_line_is_named_with_its_file(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path, GOOD, line)
    with raises(UserError, match=f"train.jsonl, line 2: .*{message}") as caught:
        Jsonl(path, id="key").load()
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_empty_or_not_text_is_named(tmp_path: Path) -> None:
    with raises(UserError, match=r"none\.jsonl: cannot be read \(No such file"):
        Jsonl(tmp_path / "none.jsonl").load()
    with raises(UserError, match=r"train\.jsonl: the file holds no problems"):
        Jsonl(written(tmp_path, "", " ")).load()
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with raises(UserError, match=r"binary\.jsonl: is not UTF-8"):
        Jsonl(tmp_path / "binary.jsonl").load()


def test_a_misspelt_path_or_field_gets_a_suggestion(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    with raises(UserError, match=r"did you mean .*/train\.jsonl\?"):
        Jsonl(path.with_name("trian.jsonl")).load()
    with raises(UserError, match=r"there is no 'qestion', only 'question', 'answer', 'key'; did you mean 'question'\?"):
        Jsonl(path, question="qestion").load()


def test_an_unknown_setting_is_refused() -> None:
    with raises(ValidationError):
        Jsonl("train.jsonl", solution="x")  # type: ignore[call-arg]
