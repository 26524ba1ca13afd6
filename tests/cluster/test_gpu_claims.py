"""A cluster that claims GPUs, in a process of its own: the parts of the quickstart fit on one, and only those that compute there reserve it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from places import ROOT

CLAIM = """
import json, sys
import ray
ray.init(address="local", num_gpus=int(sys.argv[1]), num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
from pathlib import Path
from selfimprove import RayCluster
from selfimprove.verification.pool import VerifierPool
from selfimprove.workflow.files import load_workflow
workflow, module = load_workflow(Path(sys.argv[2]))
parts = {"sampler": workflow.sampler, "verifier": VerifierPool(workflow.verifier), "trainer": workflow.trainer}
cluster = RayCluster(ship=[module])
for role, part in parts.items():
    cluster.open(role, part)
gpus = {role: cluster._gpus(part) for role, part in parts.items()}
print(json.dumps({**gpus, "apart": cluster.apart("sampler", parts["trainer"])}))
cluster.close()
ray.shutdown()
"""


@pytest.mark.ray
@pytest.mark.parametrize(("gpus", "each"), [(1, 0.5), (2, 1.0)])
def test_the_quickstart_fits_on_the_gpus_that_there_are(gpus: int, each: float) -> None:
    command = [sys.executable, "-c", CLAIM, str(gpus), str(ROOT / "workflows" / "quickstart.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"sampler": each, "verifier": 0, "trainer": each, "apart": gpus > 1}
