"""A folder that is being written to, seen as it was at one moment."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from selfimprove.storage.remote.snapshot import stable_scan


def test_a_scan_sees_a_state_in_which_the_folder_once_was(tmp_path: Path) -> None:
    """A verdict is written after its trace: a scan with a verdict but no trace has seen a folder that never existed."""

    def work() -> None:
        for number in range(200):
            for kind in ("traces", "verdicts"):
                (tmp_path / kind).mkdir(exist_ok=True)
                (tmp_path / kind / f".{number}").touch()
                os.replace(tmp_path / kind / f".{number}", tmp_path / kind / str(number))
            time.sleep(0.005)

    thread, seen = threading.Thread(target=work), set[int]()
    thread.start()
    while not seen or max(seen) < 200:
        if state := stable_scan(tmp_path):
            traces, verdicts = ({Path(name).name for name in state[0] if name.startswith(kind)} for kind in ("traces", "verdicts"))
            assert verdicts <= traces
            seen.add(len(verdicts))
    thread.join()
    assert len(seen) > 1
