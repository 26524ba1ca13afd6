"""`cluster.yaml` is valid for Ray's autoscaler: one CPU head and zero to eight GPU workers."""

from __future__ import annotations

import copy

import pytest
import yaml
from places import ROOT
from ray.autoscaler._private.util import prepare_config, validate_config

FILE = ROOT / "cluster.yaml"


@pytest.fixture(scope="module")
def cluster():
    """The file with Ray's defaults filled in, as `ray up` does it."""
    return prepare_config(yaml.safe_load(FILE.read_text()))


def test_rays_schema_accepts_the_file_and_refuses_a_misspelt_field(cluster):
    validate_config(cluster)
    misspelt = copy.deepcopy(cluster) | {"idle_timeout": 10}
    with pytest.raises(Exception, match="idle_timeout"):
        validate_config(misspelt)


def test_the_head_has_no_gpu_and_every_other_node_has_one(cluster):
    types = dict(cluster["available_node_types"])
    head = types.pop(cluster["head_node_type"])
    assert head["resources"]["GPU"] == 0 and head["resources"]["CPU"] > 0 and head["max_workers"] == 0
    assert types and all(worker["resources"]["GPU"] >= 1 for worker in types.values())


def test_workers_scale_from_zero_to_eight(cluster):
    worker = cluster["available_node_types"]["worker"]
    assert (worker["min_workers"], worker["max_workers"], cluster["max_workers"]) == (0, 8, 8)


def test_every_node_installs_this_project_with_the_gpu_build(cluster):
    assert cluster["file_mounts"] == {"~/selfimprove": "."}
    for commands in ("head_setup_commands", "worker_setup_commands"):
        assert any("make -C ~/selfimprove install EXTRA=gpu" in command for command in cluster[commands])


def test_nothing_listens_on_all_addresses(cluster):
    assert "0.0.0.0" not in FILE.read_text() and "0.0.0.0" not in str(cluster)
    assert any("--dashboard-host=127.0.0.1" in command for command in cluster["head_start_ray_commands"])
