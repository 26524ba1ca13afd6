"""Problems from files and rows in memory, whatever their columns are called and hold."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from selfimprove import HubDataset, Jsonl, Table
from selfimprove.errors import UserError
from selfimprove.records import Problem
from selfimprove.settings.paths import describe

ROWS = [
    {"question": "Ana has 6 pens and buys 3. How many?", "answer": 9, "level": 1},
    {"question": "A naïve, “quoted” one\n?", "answer": "x", "level": 2},
]


def asked(table: Table | Jsonl) -> list[tuple[str, str]]:
    return [(problem.question, problem.answer) for problem in table.load()]


WANTED = [(str(row["question"]), str(row["answer"])) for row in ROWS]


def as_csv(path: Path, separator: str) -> None:
    def quoted(text: object) -> str:
        return '"' + str(text).replace('"', '""') + '"'

    path.write_text("\n".join(separator.join(map(quoted, line)) for line in [ROWS[0], *(row.values() for row in ROWS)]), encoding="utf-8-sig")


def as_parquet(path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{**row, "answer": str(row["answer"])} for row in ROWS]), path)


WRITERS = {
    "t.csv": lambda path: as_csv(path, ","),
    "t.tsv": lambda path: as_csv(path, "\t"),
    "t.json": lambda path: path.write_text(json.dumps(ROWS)),
    "t.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, ROWS))),
    "t.parquet": as_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_each_kind_of_file_gives_the_same_problems(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    problems = Table(str(path)).load()
    assert [(one.question, one.answer) for one in problems] == WANTED
    assert [str(one.metadata["level"]) for one in problems] == ["1", "2"]
    assert len({one.id for one in problems}) == 2 and all(one.id.startswith("t-") for one in problems)


def in_memory() -> dict[str, Any]:
    import datasets
    import pandas
    import pyarrow

    texts = [{**row, "answer": str(row["answer"])} for row in ROWS]
    return {
        "a list of dicts": ROWS,
        "problems": [Problem(str(number), *pair, "mine") for number, pair in enumerate(WANTED)],
        "a pandas frame": pandas.DataFrame(ROWS),
        "an Arrow table": pyarrow.Table.from_pylist(texts),
        "a data set": datasets.Dataset.from_list(texts),
    }


def test_each_kind_of_rows_in_memory_gives_the_same_problems() -> None:
    assert {what: asked(Table(rows)) for what, rows in in_memory().items()} == dict.fromkeys(in_memory(), WANTED)


def test_a_workflow_is_described_by_a_digest_of_its_rows_and_not_by_the_rows() -> None:
    table, other = Table(ROWS), Table([{**ROWS[0], "answer": 8}])
    assert pickle.loads(pickle.dumps(table)) == table != other
    shown = json.dumps(describe(table))
    assert "2 rows in memory" in shown and "pens" not in shown and shown != json.dumps(describe(other))


@pytest.mark.parametrize(
    ("value", "text"),
    [(9, "9"), (4.5, "4.5"), (True, "true"), (False, "false"), (["Paris"], "Paris"), ([1, 2.5, "x"], "1, 2.5, x"), (" spaced ", "spaced"), (0, "0")],
)
def test_an_answer_may_be_a_number_a_truth_value_or_a_list(value: object, text: str) -> None:
    assert asked(Table([{"question": "q", "answer": value}])) == [("q", text)]


@pytest.mark.parametrize(
    ("how", "solution", "answer"),
    [
        ("gsm8k", "6 + 3 = 9\n#### 9", "9"),
        ("gsm8k", "so\n#### 1,234,567", "1234567"),
        ("gsm8k", "#### 5 and\n####  -12.5 ", "-12.5"),
        ("gsm8k", "#### 1, 2", "1, 2"),
        ("boxed", r"so $\boxed{42}$.", "42"),
        ("boxed", r"\boxed{1} or rather \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        ("boxed", r"$\boxed{\{1, 2\}}$", r"\{1, 2\}"),
        ("boxed", r"\fboxed{7}", "7"),
        ("boxed", r"\boxed 5 apples", "5"),
        ("boxed", r"\boxed{\text{(B)}}", r"\text{(B)}"),
    ],
)
def test_the_answer_is_found_in_a_solution(how: Any, solution: str, answer: str) -> None:
    assert asked(Table([{"problem": "q", "solution": solution}], question="problem", answer="solution", answer_from=how)) == [("q", answer)]


@pytest.mark.parametrize(("how", "solution"), [("gsm8k", "9"), ("gsm8k", "####"), ("boxed", "42"), ("boxed", r"\boxed{"), ("boxed", r"\boxed{1")])
def test_a_solution_without_an_answer_is_named(how: Any, solution: str) -> None:
    with pytest.raises(UserError, match=r"row 1: 'answer' has no .*answer"):
        Table([{"question": "q", "answer": solution}], answer_from=how).load()


CHAT = [{"role": "system", "content": "s"}, {"role": "user", "content": "u?"}, {"role": "assistant", "content": "It is #### 3"}]


def test_a_chat_holds_question_and_answer() -> None:
    assert asked(Table([{"messages": CHAT}], question="messages", answer="messages", answer_from="gsm8k")) == [("u?", "3")]


def test_a_chat_of_several_turns_is_refused() -> None:
    with pytest.raises(UserError, match="'messages' has 2 turns of the user, not one"):
        Table([{"messages": [*CHAT, *CHAT]}], question="messages", answer="messages").load()


@pytest.mark.parametrize(
    ("row", "settings", "options", "answer"),
    [
        ({"choices": ["r", "g", "b"], "answer": 2}, {"options": "choices", "answer_from": "index"}, ["r", "g", "b"], "C"),
        ({"choices": ["1", "2", "3"], "answer": 0}, {"options": "choices", "answer_from": "index"}, ["1", "2", "3"], "A"),
        ({"choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answer": "2"}, {"options": "choices"}, ["x", "y"], "B"),
        ({"choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answer": "B"}, {"options": "choices"}, ["x", "y"], "B"),
        ({"A": "x", "B": "y", "answer": "B"}, {"options": ("A", "B")}, ["x", "y"], "B"),
        ({"options": {"A": "x", "C": "y"}, "answer": "C"}, {}, {"A": "x", "C": "y"}, "C"),
        ({"options": [str(n) for n in range(10)], "answer": "J"}, {}, [str(n) for n in range(10)], "J"),
    ],
)
def test_options_come_in_the_forms_that_data_sets_have(row: dict[str, Any], settings: dict[str, Any], options: object, answer: str) -> None:
    (problem,) = Table([{"question": "Which?", **row}], **settings).load()
    assert (problem.metadata, problem.answer) == ({"options": options}, answer)


def test_an_index_without_its_option_is_refused() -> None:
    with pytest.raises(UserError, match="'answer' is '2', not the number of one of 2 options"):
        Table([{"question": "Which?", "options": ["x", "y"], "answer": 2}], answer_from="index").load()


@pytest.mark.parametrize(
    ("columns", "wanted", "meant"),
    [
        (["problem", "solution", "level"], "question", "problem"),
        (["Problem", "Solution"], "question", "Problem"),
        (["prompt", "quest"], "question", "prompt"),
        (["questions"], "question", "questions"),
    ],
)
def test_the_column_that_is_meant_is_named(columns: list[str], wanted: str, meant: str) -> None:
    with pytest.raises(UserError, match=rf"there is no '{wanted}', .*; did you mean '{meant}'"):
        Table([dict.fromkeys(columns, "x")]).load()
    with pytest.raises(UserError, match=r"there is no 'answer', .*; did you mean 'solution'"):
        Table([{"question": "q", "solution": "x", "dancer": "y"}]).load()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", "question,answer\na\n", "line 2 has another number of fields"),
        ("t.csv", "question,answer\na,b,c\n", "line 2 has another number of fields"),
        ("t.csv", "", "there are no rows"),
        ("t.csv", "question,answer\na,\n", "line 2: 'answer' is empty"),
        ("t.csv", 'question,answer\n"a,1\n', "correct the file"),
        ("t.json", "{}", "is not a JSON array but a dict"),
        ("t.json", "[1]", "row 1: is not a row with named columns but a int"),
        ("t.json", "[", "correct the file"),
        ("t.parquet", "no parquet", "correct the file"),
        ("t.xlsx", "", "is not a table by its name"),
        ("t.csv", "question,answer\na,1\nA,2\n", "line 3: the question repeats that of line 2"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=told) as caught:
        Table(tmp_path / name).load()
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for suffix in ("csv", "json", "jsonl", "parquet"):
        with pytest.raises(UserError, match=rf"none\.{suffix}: cannot be read"):
            Table(tmp_path / f"none.{suffix}").load()


def test_what_is_no_table_is_refused_when_the_workflow_is_made() -> None:
    with pytest.raises(ValidationError, match="a path, a list of dicts"):
        Table(5)


def test_a_file_in_place_of_a_name_on_the_hub_is_told() -> None:
    with pytest.raises(UserError, match=r"problems.parquet is a file, .*; use Table\('problems.parquet'\)"):
        HubDataset("problems.parquet").load()


def test_a_data_set_can_be_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text("\n".join(json.dumps({"question": f"{n}?", "answer": n}) for n in range(50)))
    assert len(HubDataset(str(tmp_path / "set"), streaming=True, limit=7).load()) == 7
    with pytest.raises(UserError, match="streaming reads until `limit`; set it"):
        HubDataset(str(tmp_path / "set"), streaming=True).load()
