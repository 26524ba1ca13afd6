"""A working folder and its URL: complete files are sent, one consistent state after the other, and come back elsewhere."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from selfimprove import UserError
from selfimprove.storage.remote import file_store
from selfimprove.storage.remote import mirror as module
from selfimprove.storage.remote.file_store import FileStore
from selfimprove.storage.remote.mirror import Mirror
from selfimprove.storage.remote.snapshot import scan


def everything(names: Collection[str]) -> Collection[str]:
    return names


@contextmanager
def writing(url: str, folder: Path) -> Iterator[Mirror]:
    one = Mirror(FileStore(url), folder)
    one.begin()
    one.refresh(everything)
    one.watch()
    try:
        yield one
    finally:
        one.end(patiently=True)


def fetched(url: str, folder: Path) -> dict[str, bytes]:
    """The files at the URL, fetched into a folder; a link is its target."""
    Mirror(FileStore(url), folder).refresh(everything)
    files, links = scan(folder)
    return {name: (folder / name).read_bytes() for name in files} | {name: target.encode() for name, target in links.items()}


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return f"memory://mirrors/{request.node.name}"


def test_complete_files_are_sent_and_hidden_ones_are_not(url: str, tmp_path: Path) -> None:
    with writing(url, tmp_path / "a") as one:
        write(tmp_path / "a", deep__model="weights", report="1", logs__driver="noise")
        write(tmp_path / "a", **{".half__model": "wei", "deep__.report.tmp": "{"})
        (tmp_path / "a" / "champion").symlink_to("deep")
        one.settle()
        assert fetched(url, tmp_path / "b") == {"deep/model": b"weights", "report": b"1", "champion": b"deep"}
        write(tmp_path / "a", report="2")
        (tmp_path / "a" / "deep" / "model").unlink()
        one.settle()
        assert fetched(url, tmp_path / "b") == {"report": b"2", "champion": b"deep"}
    assert fetched(url, tmp_path / "b") == {"report": b"2", "champion": b"deep", "logs/driver": b"noise"}


def test_files_are_sent_in_the_background(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    looked = threading.Event()
    with writing(url, tmp_path / "a") as one:
        send = one._send
        monkeypatch.setattr(one, "_send", lambda: (send(), looked.set()))
        write(tmp_path / "a", report="1")
        looked.clear()
        assert looked.wait(60) and fetched(url, tmp_path / "b") == {"report": b"1"}


def test_unsent_files_of_the_last_writer_stay_and_those_of_another_are_dropped(url: str, tmp_path: Path) -> None:
    with writing(url, tmp_path / "a"):
        write(tmp_path / "a", report="1")
    write(tmp_path / "a", stage__shard="not sent", report="longer")
    with writing(url, tmp_path / "a"):
        assert (tmp_path / "a" / "stage" / "shard").read_text() == "not sent"
    assert fetched(url, tmp_path / "b") == {"stage/shard": b"not sent", "report": b"longer"}

    write(tmp_path / "a", other__shard="not sent", report="other")
    with writing(url, tmp_path / "b"):
        write(tmp_path / "b", stage__shard="made there")
    with writing(url, tmp_path / "a"):
        assert scan(tmp_path / "a")[0].keys() == {"stage/shard", "report"} and not (tmp_path / "a" / "other").exists()
        assert (tmp_path / "a" / "stage" / "shard").read_text() == "made there" and (tmp_path / "a" / "report").read_text() == "longer"


def test_only_changed_files_are_copied_either_way(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    for way in ("upload", "download"):
        original = getattr(FileStore, way)
        monkeypatch.setattr(FileStore, way, lambda self, *paths, original=original: (copied.append(Path(paths[0]).name), original(self, *paths)))
    with writing(url, tmp_path / "a"):
        write(tmp_path / "a", first="1", second="2")
    assert sorted(copied) == ["first", "second"]
    copied.clear()
    fetched(url, tmp_path / "b")
    write(tmp_path / "a", second="two")
    with writing(url, tmp_path / "a"):
        pass
    fetched(url, tmp_path / "b")
    assert sorted(copied) == ["first", "second", "second", "second"]


def test_an_object_removed_by_hand_is_missing_and_the_rest_is_fetched(url: str, tmp_path: Path) -> None:
    with writing(url, tmp_path / "a"):
        write(tmp_path / "a", first="1", second="2")
    FileStore(url).remove("first")
    assert fetched(url, tmp_path / "b") == {"second": b"2"}
    with writing(url, tmp_path / "b"):
        write(tmp_path / "b", first="anew")
    assert fetched(url, tmp_path / "c") == {"first": b"anew", "second": b"2"}


def test_a_place_with_something_else_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    FileStore(url).write("thesis.tex", b"")
    with pytest.raises(UserError, match="is not empty and holds no run; use another --run-dir"):
        Mirror(FileStore(url), tmp_path / "a").refresh(everything)
    assert FileStore(url).names() == {"thesis.tex"}


def test_a_run_that_was_removed_at_the_url_does_not_come_back_by_itself(url: str, tmp_path: Path) -> None:
    write(tmp_path / "a", **{"workflow.json": "{}"})
    with pytest.raises(UserError, match=r"no longer holds a run, but .*/a keeps a copy of one: remove that too"):
        Mirror(FileStore(url), tmp_path / "a").refresh(everything)
    shutil.rmtree(tmp_path / "a")
    assert fetched(url, tmp_path / "a") == {}


def test_a_store_that_fails_ends_the_stage_and_nothing_is_lost(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise TimeoutError("nobody there")

    monkeypatch.setattr(file_store, "PAUSES", (0.0,))
    line = rf"{url} cannot be written \(TimeoutError: nobody there\): nothing is lost, everything is in .*/a; run the same command to continue"
    with pytest.raises(UserError, match=line), writing(url, tmp_path / "a") as one:
        write(tmp_path / "a", first="1")
        one.settle()
        write(tmp_path / "a", second="2")
        with monkeypatch.context() as change:
            change.setattr(FileStore, "upload", away)
            for ask in (one.settle, one.check):
                with pytest.raises(UserError, match=line):
                    ask()
    assert fetched(url, tmp_path / "b") == {"first": b"1"}
    with writing(url, tmp_path / "a"):
        pass
    assert fetched(url, tmp_path / "b") == {"first": b"1", "second": b"2"}
