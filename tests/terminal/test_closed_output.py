"""Commands whose output nobody reads, as after `| head`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import PYTHONPATH

from selfimprove.terminal.exit_codes import UNREAD, in_one_line

WORKFLOW = 'from pathlib import Path\nfrom toy import toy_workflow\nworkflow = toy_workflow(Path("model"))'

UNREAD_ONE_BY_ONE = """
import json, os, sys
from selfimprove.__main__ import main

ended = {}
for descriptor, command in json.loads(sys.argv[1]):
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, descriptor)
    try:
        ended[command] = main(command.split())
    except SystemExit as error:
        ended[command] = error.code
with open("ended", "w") as file:
    json.dump(ended, file)
"""


def test_commands_that_nobody_reads_end_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "toys.py").write_text(WORKFLOW)
    commands = ((1, "--help"), (1, "settings toys.py"), (1, "settings toys.py --json"), (1, "init new.py"), (1, "completion bash"), (2, "report run"))
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": ""}
    script = [sys.executable, "-c", UNREAD_ONE_BY_ONE, json.dumps(commands)]
    ended = subprocess.run(script, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads((tmp_path / "ended").read_text()) == {command: UNREAD for _, command in commands}


def test_a_broken_pipe_to_something_else_is_an_error_like_others(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, in_one_line("script"):
        raise BrokenPipeError(32, "Broken pipe")
    assert ended.value.code == 2 and capfd.readouterr().err == "script: [Errno 32] Broken pipe\n"
