"""What is no regular file is never replaced, and links are followed, wherever something is written."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from toy import make_toy_model, toy_workflow

from selfimprove import InlineCluster, improve
from selfimprove.__main__ import main
from selfimprove.checkpoints.saving import complete_folder
from selfimprove.storage.complete import complete_or_absent


def write(path: Path, text: str = "new") -> None:
    with complete_or_absent(path) as half:
        half.write_text(text)


def test_a_link_is_followed_to_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "deep").symlink_to("new/folder/file")
    write(tmp_path / "link")
    write(tmp_path / "deep")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "new"
    assert (tmp_path / "deep").is_symlink() and (tmp_path / "new/folder/file").read_text() == "new"


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="link"):
        write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    write(tmp_path / "pipe")
    reader.join()
    assert read == ["new"] and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and os.listdir(tmp_path) == ["pipe"]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write(tmp_path)


def full_device(folder: Path) -> Path:
    """A node of its own like /dev/full; else a link to it."""
    try:
        os.mknod(folder / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
        (folder / "full").open("rb").close()
    except OSError:
        (folder / "full").unlink(missing_ok=True)
        pytest.skip("no device may be made here")
    return folder / "full"


@pytest.mark.parametrize("linked", [False, True])
def test_a_page_that_is_written_to_a_device_leaves_the_device(linked: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    device = full_device(tmp_path)
    improve(toy_workflow(make_toy_model(tmp_path / "model", 0.2), generations=1), tmp_path / "run", InlineCluster)
    if linked:
        (tmp_path / "link").symlink_to(device)
    assert main(["report", str(tmp_path / "run"), "--html", str(tmp_path / "link" if linked else device)]) == 2
    err = capfd.readouterr().err
    assert len(err.splitlines()) == 1 and "no space left" in err and stat.S_ISCHR(device.stat().st_mode)
    assert main(["init", str(device)]) == 2 and stat.S_ISCHR(device.stat().st_mode)
    assert main(["export", str(tmp_path / "run"), str(device)]) == 2 and stat.S_ISCHR(device.stat().st_mode)


def test_a_folder_behind_a_link_is_filled(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    with complete_folder(tmp_path / "link") as half:
        half.mkdir()
        (half / "file").touch()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target" / "file").exists()
