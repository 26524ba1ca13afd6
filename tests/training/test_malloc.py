import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest

from selfimprove import DPO, GRPO, SFT, OnPolicyDistillation
from selfimprove.process_reward.training import RewardTrainer
from selfimprove.protocols import WorkerPart

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


THREADS = """
import resource, threading
from selfimprove.training.malloc import keep_freed_memory
def start(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
def small():
    bytearray(5_000)
    threading.Event().wait()
def train():
    for _ in range(10):
        b"x" * 100_000_000
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    start(small)
keep_freed_memory()
for _ in range(3):
    start(small)
before = faults()
start(train).join()
print((faults() - before) * resource.getpagesize() / 1e6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux counts")
@pytest.mark.parametrize("part", [SFT, DPO, GRPO, partial(OnPolicyDistillation, "teacher"), RewardTrainer])
def test_what_the_thread_of_a_trainer_frees_is_used_again(part: Callable[[], WorkerPart]) -> None:
    """It takes 100 MB ten times, in a process whose other threads have heaps of their own."""
    result = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True, env=os.environ | part().environment())
    assert float(result.stdout) < 300
