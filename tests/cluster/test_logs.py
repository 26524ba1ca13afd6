"""The logs of Ray's actors hold no secrets."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from selfimprove import RayCluster
from selfimprove.protocols import WorkerPart

ADDRESS = "http://user:Zq7/secret@host/v1?key=Zq7"


@dataclass(frozen=True)
class Talkative(WorkerPart):
    """Prints a secret in every way and repeats it in an error."""

    def open(self) -> Talkative:
        return self

    def talk(self) -> None:
        print(f"printed {ADDRESS}")
        print(f"failed {ADDRESS}", file=sys.stderr)
        os.write(1, f"native {ADDRESS}\n".encode())

    def close(self) -> None: ...


@pytest.mark.ray
def test_an_actors_log_is_redacted(tmp_path: Path) -> None:
    # An actor cannot import this module.
    with RayCluster(tmp_path, ship=[sys.modules[__name__]]) as cluster:
        cluster.open("talker", Talkative()).call("talk")
    text = (tmp_path / "talker.log").read_text()
    assert "Zq7" not in text
    for word in ("printed", "failed", "native"):
        assert f"{word} http://host/v1?key=***" in text
