import subprocess
import sys

import pytest

SCRIPT = """
import numpy
from selfimprove.training.malloc import keep_freed_memory, return_freed_memory
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1024
keep_freed_memory()
before = resident()
numpy.ones(25_000_000)
kept = resident()
return_freed_memory()
print(kept - before, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_memory_stays_until_it_is_returned() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    kept, after = map(float, result.stdout.split())
    assert kept > 150
    assert after < 50
