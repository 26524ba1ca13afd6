"""An engine that does not start: the last cause in one line, from the error or from what its processes wrote."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from selfimprove import UserError
from selfimprove.sampling.engine_failure import LONGEST, failure_in_one_line, last_cause
from selfimprove.terminal.captured_output import capture_output

IN_A_WORKER = """\
(Worker pid=22313) ERROR 11-28 12:18:21 [multiproc_executor.py:953] WorkerProc failed to start.
(Worker pid=22313) ERROR 11-28 12:18:21 [multiproc_executor.py:953] Traceback (most recent call last):
(Worker pid=22313) ERROR 11-28 12:18:21 [multiproc_executor.py:953]     param.data.copy_(loaded_weight)
(Worker pid=22313) ERROR 11-28 12:18:21 [multiproc_executor.py:953] RuntimeError: The size of tensor a (128) must match the size of tensor b (64)
(EngineCore pid=20150) ERROR 11-28 12:18:27 [core.py:1510] EngineCore failed to start.
(EngineCore pid=20150) Process EngineCore:
(EngineCore pid=20150) Exception: WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause.
"""
"""What vLLM 0.32 wrote about a model with a wrong `hidden_size`, shortened."""
NOT_GUARDED = """\
RuntimeError:
        An attempt has been made to start a new process before the
        current process has finished its bootstrapping phase.
"""
ELSEWHERE = "Engine core initialization failed. See root cause above. Failed core proc(s): "


NOT_IMPORTED = """\
(MainProcess pid=26521) ERROR 11-28 12:28:42 [registry.py:1120] RuntimeError: Error raised in subprocess:
(MainProcess pid=26521) ERROR 11-28 12:28:42 [registry.py:1120]     import numbers_of_mine
(MainProcess pid=26521) ERROR 11-28 12:28:42 [registry.py:1120] ModuleNotFoundError: No module named 'numbers_of_mine'
"""
NOT_INSPECTED = "Model architectures ['Gemma3ForConditionalGeneration'] failed to be inspected. Please check the logs for more details."


class Checked(pydantic.BaseModel):
    length: int = 0
    architecture: str = ""

    @pydantic.field_validator("architecture")
    @classmethod
    def _inspected(cls, architecture: str) -> str:
        raise ValueError(NOT_INSPECTED)

    @pydantic.field_validator("length")
    @classmethod
    def _short(cls, length: int) -> int:
        raise ValueError("max_model_len (4096) is greater than the derived max_model_len (512)")


def of_pydantic(**settings: object) -> Exception:
    with pytest.raises(pydantic.ValidationError) as caught:
        Checked.model_validate(settings)
    return caught.value


@pytest.mark.parametrize(
    ("error", "written", "cause"),
    [
        (of_pydantic(length=4096), "", "max_model_len (4096) is greater than the derived max_model_len (512)"),
        (of_pydantic(length="x"), "", "length: Input should be a valid integer, unable to parse string as an integer"),
        (of_pydantic(architecture="x"), NOT_IMPORTED, "No module named 'numbers_of_mine'"),
        (of_pydantic(architecture="x"), "", NOT_INSPECTED),
        (RuntimeError(ELSEWHERE + "{}"), IN_A_WORKER, "The size of tensor a (128) must match the size of tensor b (64)"),
        (RuntimeError(ELSEWHERE + "{}"), NOT_GUARDED, "An attempt has been made to start a new process before the"),
        (RuntimeError(ELSEWHERE + "{'EngineCore': -9}"), "", "its process was killed, which is what Linux does to one that wants more memory"),
        (RuntimeError(ELSEWHERE + "{'EngineCore': -11}"), "", "its process ended (signal 11) before it was ready"),
        (RuntimeError(ELSEWHERE + "{}"), "", "its process ended before it was ready"),
        (FileNotFoundError(2, "No such file or directory", "config.json"), "", "FileNotFoundError: [Errno 2] No such file"),
        (KeyError("rope"), "", "KeyError: 'rope'"),
        (AssertionError(), "", "AssertionError"),
        (ValueError("a\n" + "b " * 500), "", "a b b b"),
    ],
)
def test_the_last_cause_is_told(error: Exception, written: str, cause: str) -> None:
    line = last_cause(error, written)
    assert line.startswith(cause) and "\n" not in line and len(line) <= LONGEST + 2


def test_the_line_names_the_log_that_holds_everything(tmp_path: Path) -> None:
    log = tmp_path / "driver.log"
    log.write_text("OSError: of an earlier start\n")
    with pytest.raises(UserError) as caught, capture_output(log), failure_in_one_line():
        raise RuntimeError(ELSEWHERE + "{}")
    assert str(caught.value) == f"vLLM cannot start: its process ended before it was ready; see {log}"
    assert "Traceback" in log.read_text() and "Engine core initialization failed" in log.read_text()
