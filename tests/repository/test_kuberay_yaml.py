"""`kuberay.yaml` has only known fields, is valid for Ray's autoscaler, and exposes nothing."""

from __future__ import annotations

import copy
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from places import MAKERS, ROOT

from selfimprove.__main__ import _parser

DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "kuberay.yaml").read_text()))
CLAIM, POLICY, JOB = DOCUMENTS
CLUSTER = JOB["spec"]["rayClusterSpec"]
HEAD, (WORKER,) = CLUSTER["headGroupSpec"], CLUSTER["workerGroupSpecs"]
PODS = {"submitter": JOB["spec"]["submitterPodTemplate"], "head": HEAD["template"], "worker": WORKER["template"]}


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    found = yaml.safe_load((MAKERS / "kuberay_schema.yaml").read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
def test_the_schema_accepts_the_file(schema: jsonschema.Draft202012Validator, document: dict[str, Any]) -> None:
    schema.validate(document)


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("spec", "shutdownAfterJobFinish", True),
        ("spec", "backoffLimit", "2"),
        ("spec", "submissionMode", "K8sJob"),
        ("spec.rayClusterSpec", "enableAutoscaling", True),
        ("spec.rayClusterSpec.authOptions", "mode", "tokens"),
        ("spec.rayClusterSpec.headGroupSpec", "servicetype", "ClusterIP"),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams", "num-cpus", 0),
        ("spec.rayClusterSpec.workerGroupSpecs.0", "maxReplica", 8),
        ("spec.rayClusterSpec.workerGroupSpecs.0.template.spec.securityContext", "runAsNonroot", True),
        ("spec.rayClusterSpec.workerGroupSpecs.0.template.spec.containers.0", "securitycontext", {}),
        ("spec.rayClusterSpec.workerGroupSpecs.0.template.spec.containers.0.resources", "limit", {}),
    ],
)
def test_a_misspelt_field_or_value_is_refused(schema: jsonschema.Draft202012Validator, path: str, field: str, value: object) -> None:
    changed = copy.deepcopy(JOB)
    place: Any = changed
    for step in path.split("."):
        place = place[int(step) if step.isdigit() else step]
    place[field] = value
    assert not schema.is_valid(changed)


def test_rays_autoscaler_finds_a_head_without_work_and_workers_with_one_gpu() -> None:
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
    from ray.autoscaler._private.util import validate_config

    found = _derive_autoscaling_config_from_ray_cr({"metadata": {"name": "selfimprove", "namespace": "default"}, "spec": CLUSTER})
    validate_config(found)
    types = found["available_node_types"]
    head, worker = types[found["head_node_type"]], types["gpu"]
    assert (head["resources"]["CPU"], head["resources"].get("GPU", 0), head["max_workers"]) == (0, 0, 0)
    assert (worker["resources"]["CPU"], worker["resources"]["GPU"]) == (8, 1)
    assert (worker["min_workers"], worker["max_workers"], found["idle_timeout_minutes"]) == (1, 8, 10)


def test_the_ray_version_is_the_one_installed_in_the_image() -> None:
    pinned = (ROOT / "requirements" / "gpu.txt").read_text().splitlines()
    assert f"ray=={CLUSTER['rayVersion']}" in pinned


def test_the_entrypoint_is_a_valid_command_and_its_run_folder_is_on_the_shared_volume() -> None:
    python, module, package, *arguments = shlex.split(JOB["spec"]["entrypoint"])
    assert (python, module, package) == ("python", "-m", "selfimprove")
    options = _parser().parse_args(arguments)
    installed = "WORKDIR /opt/selfimprove" in (ROOT / "Dockerfile").read_text()
    assert installed and (ROOT / Path(options.workflow).relative_to("/opt/selfimprove")).exists()
    for pod in (PODS["head"], PODS["worker"]):
        (volume,), (container,) = pod["spec"]["volumes"], pod["spec"]["containers"]
        (mount,) = container["volumeMounts"]
        assert Path(options.run_dir).is_relative_to(mount["mountPath"]) and mount["name"] == volume["name"]
        assert volume["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
    assert CLAIM["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_pods_are_unprivileged_and_have_resource_limits(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_nothing_is_exposed_and_only_the_operator_reaches_the_dashboard() -> None:
    assert HEAD["serviceType"] == "ClusterIP" and CLUSTER["authOptions"] == {"mode": "token"}
    ours = POLICY["spec"]["podSelector"]["matchLabels"]
    assert all(ours.items() <= pod["metadata"]["labels"].items() for pod in PODS.values())
    own, operator = POLICY["spec"]["ingress"]
    assert POLICY["spec"]["policyTypes"] == ["Ingress"] and own == {"from": [{"podSelector": {"matchLabels": ours}}]}
    (source,) = operator["from"]
    assert source["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "kuberay-operator"}
    assert operator["ports"] == [{"protocol": "TCP", "port": 8265}]
