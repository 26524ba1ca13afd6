"""A URL that cannot be used is named, with what to do about it; calls that fail are repeated for a while."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from selfimprove import UserError
from selfimprove.storage.remote import file_store as module
from selfimprove.storage.remote.file_store import FileStore


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("s33://bucket/first", r"s33://bucket/first: no file system is known for s33://; did you mean s3://\?"),
        ("nonsense://bucket/first", "no file system is known for nonsense://; s3://, gs:// and az:// are supported, among others"),
        ("ftp://me:secret@127.0.0.1:9/first", r"ftp://127.0.0.1:9/first cannot be used \(ConnectionRefusedError: .*\); fix that, or"),
    ],
)
def test_a_url_that_cannot_be_used_is_named(url: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as refused:
        FileStore(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("url", "extra", "package"), [("s3://bucket/first", "s3", "s3fs"), ("gs://bucket/first", "gcs", "gcsfs")])
def test_a_missing_package_is_named_by_the_extra_that_installs_it(url: str, extra: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = importlib.import_module("fsspec.registry")

    monkeypatch.setitem(sys.modules, package, None)
    for scheme in ("s3", "s3a", "gs", "gcs"):
        monkeypatch.delitem(registry._registry, scheme, raising=False)
    with pytest.raises(UserError, match=rf'the package that reads {url[:2]}:// is not installed: pip install "selfimprove\[{extra}\]"'):
        FileStore(url)


def test_a_bucket_alone_is_not_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKETS", {"memory"})
    with pytest.raises(UserError, match="memory://bucket names no folder; give one, such as memory://bucket/first"):
        FileStore("memory://bucket/")


def test_objects_come_back_as_they_were(tmp_path: Path) -> None:
    store = FileStore("memory://objects/run/")
    assert store.names() == set() and store.read("a.json") is None
    store.write("a.json", b"{}", new=True)
    with pytest.raises(FileExistsError):
        store.write("a.json", b"[]", new=True)
    (tmp_path / "weights").write_bytes(b"\0" * 9)
    store.upload(tmp_path / "weights", "deep/er/weights")
    store.download("deep/er/weights", tmp_path / "back" / "weights")
    assert (tmp_path / "back" / "weights").read_bytes() == b"\0" * 9
    assert store.names() == {"a.json", "deep"}
    store.remove("a.json")
    assert store.read("a.json") is None
    with pytest.raises(FileNotFoundError):
        store.download("a.json", tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_failing_calls_are_repeated_and_in_a_hurry_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0, 0.0))
    store, attempts = FileStore("memory://attempts"), list[int]()

    def fail(times: int) -> str:
        attempts.append(1)
        if len(attempts) <= times:
            raise TimeoutError("the network is down")
        return "there"

    assert store.patiently(lambda: fail(3)) == "there" and len(attempts) == 4
    attempts.clear()
    with pytest.raises(TimeoutError):
        store.patiently(lambda: fail(9))
    assert len(attempts) == 4
    attempts.clear()
    store.hurry(60)
    with pytest.raises(TimeoutError):
        store.patiently(lambda: fail(9))
    assert len(attempts) == 2
