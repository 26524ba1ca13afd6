"""A cluster that claims GPUs it does not have, in a process of its own: parts that hand them over, and parts that take turns."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from places import ROOT

CLAIM = """
import json, os, sys
from dataclasses import dataclass, field
from pathlib import Path
import ray
ray.init(address="local", num_gpus=2, num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
from selfimprove import RayCluster, Resources
from selfimprove.cluster import ray_cluster
from selfimprove.cluster.hand_over import hand_over, left_on_gpu
from selfimprove.protocols import WorkerPart
from selfimprove.protocols.worker_part import ALONE, ROLE
from selfimprove.workflow.files import load_workflow
from selfimprove.workflow.roles import roles

@dataclass(frozen=True)
class Seeing(WorkerPart):
    "Says what it sees."
    name: str
    spread: int = 1
    resources: Resources = field(default=Resources(cpus=0))
    @property
    def devices(self): return self.spread
    def open(self): return self
    def rest(self, same_weights=False): ...
    def sees(self): return [os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get(ALONE), os.environ.get(ROLE), os.getpid()]
    def close(self): ...

def visit(cluster, parts, order):
    cluster.expect({role: [part] for role, part in parts.items()})
    cluster.open("sampler", parts["sampler"])
    cluster.prepare("trainer", parts["trainer"])
    found = [["prepared", sorted(cluster._workers)]]
    for role in order:
        worker = cluster.open(role, parts[role]) if role == "sampler" else hand_over(cluster, role, parts[role])
        found.append([role, *worker.call("sees"), sorted(cluster._workers)])
    return found

told = {}
one = {role: Seeing(role) for role in ("sampler", "trainer", "reward model")}
wide = {role: Seeing(role, 2) for role in ("sampler", "trainer")}
with RayCluster(ship=[sys.modules["__main__"]]) as cluster:
    told["own"] = visit(cluster, one, ["sampler", "trainer"])
    told["left"] = left_on_gpu(cluster, "trainer")
    told["wide"] = visit(cluster, wide, ["trainer", "sampler"])
    cluster.end(wide["sampler"])
    held = cluster.open("other", Seeing("other", resources=Resources(cpus=0, gpus=1)))
    with RayCluster() as half:
        ray_cluster.gpus_of_nodes = lambda: (1.0,)
        told["halves"] = visit(half, one, ["sampler", "trainer", "reward model", "trainer", "sampler"])

workflow, modules = load_workflow(Path("workflows/quickstart.py"))
cluster = RayCluster(ship=modules)
cluster.expect(roles(workflow))
for role, (part, *_) in roles(workflow).items():
    cluster.open(role, part)
told["quickstart"] = {role: sum(one.held) for role, one in cluster._workers.items()}
ray.shutdown()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def claimed() -> dict[str, Any]:
    """What parts saw on a cluster that claims two GPUs."""
    done = subprocess.run([sys.executable, "-c", CLAIM], capture_output=True, text=True, timeout=400, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.ray
def test_with_enough_gpus_each_part_sees_its_own_and_has_it_alone(claimed: dict[str, Any]) -> None:
    (_, prepared), *seen = claimed["own"]
    assert prepared == ["sampler", "trainer"]
    assert {device for _, device, *_ in seen} == {"0", "1"} and {alone for _, _, alone, *_ in seen} == {"1"}
    # No part used torch there.
    assert claimed["left"] is None


@pytest.mark.ray
def test_on_one_gpu_every_part_finds_room_beside_the_sampler(claimed: dict[str, Any]) -> None:
    (_, prepared), *seen = claimed["halves"]
    assert prepared == ["sampler", "trainer"]
    roles, devices, alone, named, pids, opened = zip(*seen, strict=True)
    # One GPU for all; none of them has it alone; each process is named for whoever looks for the holder of its memory.
    assert len(set(devices)) == 1 and set(alone) == {None} and named == roles
    # The sampler stays; the others end for each other.
    assert pids[0] == pids[-1] and pids[1] != pids[3]
    assert opened[2] == ["reward model", "sampler"] and opened[3] == ["sampler", "trainer"]
    assert claimed["quickstart"] == {"sampler": 0.5, "trainer": 0.5, "verifier": 0, "also-last-number": 0}


@pytest.mark.ray
def test_parts_that_each_need_all_gpus_take_turns(claimed: dict[str, Any]) -> None:
    (_, prepared), trainer, sampler = claimed["wide"]
    # What is needed later does not end what works.
    assert "trainer" not in prepared
    assert sorted(trainer[1].split(",")) == sorted(sampler[1].split(",")) == ["0", "1"]
    assert trainer[2] == sampler[2] == "1"
    assert "sampler" not in trainer[-1] and "trainer" not in sampler[-1]
