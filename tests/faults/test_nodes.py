"""Samplers on several nodes, one of which is killed while they sample: the run ends as if nothing had happened."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import killable
import pytest
import toy
from killable import NotingSampler, files_of, reports
from processes import watching
from toy import Sums, ToyTrainer, make_toy_model, toy_workflow

from selfimprove import InlineCluster, RayCluster, Resources, Workflow, improve
from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.terminal.progress import NoProgress

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = pytest.mark.ray

TWO = Resources(copies=2)
NODE = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}
SLOW = "0.02"  # Seconds between two traces: long enough to kill a node in between.


@dataclass(frozen=True)
class Travelling(NotingSampler):
    """Writes a file named after each node that it samples on."""

    resources: Resources = TWO
    visited: str = ""

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        import ray

        if ray.is_initialized():
            (Path(self.visited) / ray.get_runtime_context().get_node_id()).touch()
        yield from super().sample(checkpoint, requests)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without CPUs and a node with two, all on loopback."""
    import ray
    from ray.cluster_utils import Cluster

    with watching() as started, pytest.MonkeyPatch.context() as environment:
        environment.setenv("PAUSE", SLOW)
        # Ray declares a node dead after five failed checks, by default one each three seconds.
        environment.setenv("RAY_health_check_period_ms", "500")
        # Otherwise Ray looks for the head at the machine's network address.
        environment.setattr(ray._private.ray_constants, "ENABLE_RAY_CLUSTER", False)
        cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
        cluster.add_node(**NODE, num_cpus=2)
        yield cluster
        cluster.shutdown()
        assert started.left_after(90) == set()


class Removing(NoProgress):
    """Kills a node after `after` traces of generation 1, and records the nodes that had sampled until then."""

    def __init__(self, cluster: Cluster, node: Any, visited: Path, after: int) -> None:
        self.cluster, self.node, self.visited, self.left = cluster, node, visited, after
        self.sampling, self.found = False, set[str]()

    def begin(self, stage: str, total: int) -> None:
        self.sampling = stage == "generation 1, sampling"

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        self.left -= items if self.sampling else 0
        if self.left <= 0 and not self.found:
            self.found = {path.name for path in self.visited.iterdir()}
            self.cluster.remove_node(self.node, allow_graceful=False)


@pytest.mark.parametrize("cpus", [0.25, 1.0], ids=["with room for its sampler elsewhere", "without room for its sampler elsewhere"])
def test_a_node_killed_while_samplers_are_on_two_changes_nothing(
    cluster: Cluster, cpus: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, visited = make_toy_model(tmp_path / "model", 0.2), tmp_path / "visited"
    visited.mkdir()

    def workflow(name: str) -> Workflow:
        sampler = Travelling(log=str(tmp_path / f"{name}.log"), resources=Resources(copies=2, cpus=cpus), visited=str(visited))
        return toy_workflow(model, problems=Sums(size=90), sampler=sampler, trainer=ToyTrainer(gain=0.004), generations=2)

    improve(workflow("whole"), tmp_path / "whole", InlineCluster)
    monkeypatch.setenv("PAUSE", SLOW)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    doomed = cluster.add_node(**NODE, num_cpus=1)
    removing = Removing(cluster, doomed, visited, after=40)
    with RayCluster(ship=[toy, killable, sys.modules[__name__]]) as opened:
        improve(workflow("struck"), tmp_path / "struck", lambda: opened, progress=removing)
    assert len(removing.found) == 2 and doomed.node_id in removing.found
    assert files_of(tmp_path / "struck") == files_of(tmp_path / "whole")
    assert reports(tmp_path / "struck") == reports(tmp_path / "whole")
