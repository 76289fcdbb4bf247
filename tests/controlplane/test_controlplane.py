"""The control plane behaves as the other tests assume it does."""

from __future__ import annotations

import time
from typing import Any

import pytest
import urllib3
from kubernetes import client, config

from .api import ApiError, Manifest
from .controlplane import ControlPlane

STATE = "k8sgpt-magic.test/state"
MANUAL = {"k8sgpt-magic.test/kubelet": "manual"}


def pod_template(
    state: str = "", annotations: dict[str, str] | None = None, **spec: Any
) -> dict[str, dict[str, Any]]:
    labels = {"app": "web", **({STATE: state} if state else {})}
    return {
        "metadata": {"labels": labels, "annotations": annotations or {}},
        "spec": {"containers": [{"name": "app", "image": "registry.example/web:1"}], **spec},
    }


def pod(name: str, state: str = "", annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
    template = pod_template(state, annotations, **spec)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **template["metadata"]},
        "spec": template["spec"],
    }


def deployment(name: str, replicas: int, state: str = "") -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": pod_template(state),
        },
    }


def job(name: str, state: str = "") -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": pod_template(state, restartPolicy="Never")},
    }


def condition(manifest: Manifest, kind: str) -> Manifest:
    conditions = manifest.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def wait_for_condition(
    plane: ControlPlane, kind: str, name: str, namespace: str, condition_type: str, status: str = "True"
) -> Manifest:
    def turned() -> Manifest | None:
        manifest = plane.api.get(kind, name, namespace)
        return manifest if condition(manifest, condition_type).get("status") == status else None

    return plane.api.wait_for(turned, what=f"{kind} {namespace}/{name} to be {condition_type}={status}")


def wait_for_waiting_reason(plane: ControlPlane, name: str, namespace: str, reason: str) -> Manifest:
    def waiting() -> Manifest | None:
        found = plane.api.get("Pod", name, namespace)
        statuses = found["status"].get("containerStatuses", [])
        reasons = [status["state"].get("waiting", {}).get("reason") for status in statuses]
        return found if reason in reasons else None

    return plane.api.wait_for(waiting, what=f"pod {namespace}/{name} to wait for {reason}")


def test_nodes_are_ready_and_without_taints(control_plane: ControlPlane) -> None:
    nodes = control_plane.api.list_objects("Node")
    assert len(nodes) >= 3
    for node in nodes:
        assert condition(node, "Ready")["status"] == "True"
        assert "taints" not in node["spec"]


def test_deployment_becomes_available(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.api.apply(deployment("web", 3), namespace)
    wait_for_condition(control_plane, "Deployment", "web", namespace, "Available")
    pods = control_plane.api.list_objects("Pod", namespace, labels="app=web")
    assert len(pods) == 3
    for each in pods:
        assert each["status"]["phase"] == "Running"
        assert each["status"]["podIP"]
        assert each["status"]["hostIP"]
        assert each["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"


def test_job_completes(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.api.apply(job("once"), namespace)
    done = wait_for_condition(control_plane, "Job", "once", namespace, "Complete")
    assert done["status"]["succeeded"] == 1


def test_job_of_failed_pods_fails(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.api.apply(job("broken", "failed"), namespace)
    failed = wait_for_condition(control_plane, "Job", "broken", namespace, "Failed")
    assert condition(failed, "Failed")["reason"] == "BackoffLimitExceeded"


def test_labelled_deployment_ends_in_image_pull_backoff(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.api.apply(deployment("web", 2, "image-pull-backoff"), namespace)

    def all_backing_off() -> list[Manifest] | None:
        pods = control_plane.api.list_objects("Pod", namespace)
        statuses = [status for each in pods for status in each["status"].get("containerStatuses", [])]
        reasons = [status["state"].get("waiting", {}).get("reason") for status in statuses]
        return pods if reasons == ["ImagePullBackOff"] * 2 else None

    for each in control_plane.api.wait_for(all_backing_off, what="two pods in ImagePullBackOff"):
        assert each["status"]["phase"] == "Pending"
        message = each["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
        assert message.startswith('Back-off pulling image "registry.example/web:1"')
    found = control_plane.api.get("Deployment", "web", namespace)
    assert found["status"].get("readyReplicas", 0) == 0
    assert found["status"]["unavailableReplicas"] == 2


@pytest.mark.parametrize(
    ("state", "phase", "reason", "exit_code"),
    [
        ("image-pull-backoff", "Pending", "ImagePullBackOff", None),
        ("config-error", "Pending", "CreateContainerConfigError", None),
        ("crash-loop", "Running", "CrashLoopBackOff", 1),
        ("oom-killed", "Running", "CrashLoopBackOff", 137),
    ],
)
def test_waiting_states(
    control_plane: ControlPlane, namespace: str, state: str, phase: str, reason: str, exit_code: int | None
) -> None:
    control_plane.api.apply(pod("p", state), namespace)
    found = wait_for_waiting_reason(control_plane, "p", namespace, reason)
    status = found["status"]["containerStatuses"][0]
    assert found["status"]["phase"] == phase
    assert condition(found, "Ready")["reason"] == "ContainersNotReady"
    assert condition(found, "PodScheduled")["status"] == "True"
    assert status["lastState"].get("terminated", {}).get("exitCode") == exit_code
    assert (status["restartCount"] > 0) == (exit_code is not None)


@pytest.mark.parametrize(
    ("state", "reason"),
    [("unready", "Unhealthy"), ("container-creating", "FailedMount"), ("crash-loop", "BackOff")],
)
def test_states_come_with_the_kubelets_event(
    control_plane: ControlPlane, namespace: str, state: str, reason: str
) -> None:
    control_plane.api.apply(pod("p", state), namespace)

    def seen() -> list[Manifest]:
        return control_plane.api.list_objects("Event", namespace, fields=f"reason={reason}", api_version="v1")

    events = control_plane.api.wait_for(seen, what=f"an event with reason {reason}")
    found = control_plane.api.get("Pod", "p", namespace)
    assert events[0]["involvedObject"]["uid"] == found["metadata"]["uid"]
    assert events[0]["source"]["component"] == "kubelet"
    assert condition(found, "Ready")["status"] == "False"


def test_state_of_one_container_with_a_message(control_plane: ControlPlane, namespace: str) -> None:
    annotations = {
        "k8sgpt-magic.test/container": "sidecar",
        "k8sgpt-magic.test/message": "panic: no such table",
    }
    manifest = pod("p", "crash-loop", annotations)
    manifest["spec"]["containers"].append({"name": "sidecar", "image": "registry.example/sidecar:2"})
    control_plane.api.apply(manifest, namespace)
    found = wait_for_waiting_reason(control_plane, "p", namespace, "CrashLoopBackOff")
    app, sidecar = found["status"]["containerStatuses"]
    assert app["ready"]
    assert "running" in app["state"]
    assert sidecar["lastState"]["terminated"]["message"] == "panic: no such table"
    assert condition(found, "Ready")["message"] == "containers with unready status: [sidecar]"


def test_quota_denies_pods(control_plane: ControlPlane, namespace: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-pods"},
        "spec": {"hard": {"pods": "0"}},
    }
    control_plane.api.apply(quota, namespace)
    control_plane.api.wait_for(
        lambda: control_plane.api.get("ResourceQuota", "no-pods", namespace).get("status", {}).get("hard"),
        what="the quota to be in force",
    )
    control_plane.api.apply(deployment("web", 1), namespace)
    replica_set = control_plane.api.wait_for(
        lambda: control_plane.api.list_objects("ReplicaSet", namespace), what="the ReplicaSet"
    )[0]
    name = replica_set["metadata"]["name"]
    failed = wait_for_condition(control_plane, "ReplicaSet", name, namespace, "ReplicaFailure")
    assert "exceeded quota: no-pods" in condition(failed, "ReplicaFailure")["message"]


def test_manual_pod_is_left_alone_by_kwok(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.api.apply([pod("manual", annotations=MANUAL), pod("played")], namespace)
    wait_for_condition(control_plane, "Pod", "manual", namespace, "PodScheduled")
    wait_for_condition(control_plane, "Pod", "played", namespace, "Ready")
    assert "startTime" not in control_plane.api.get("Pod", "manual", namespace)["status"]
    control_plane.api.delete("Pod", "manual", namespace)
    assert control_plane.api.get("Pod", "manual", namespace)["metadata"]["deletionTimestamp"]


def test_applied_status_is_kept(control_plane: ControlPlane, namespace: str) -> None:
    status = {"phase": "Running", "message": "by hand"}
    (applied,) = control_plane.api.apply({**pod("p", annotations=MANUAL), "status": status}, namespace)
    assert applied["status"]["message"] == "by hand"


def test_status_patched_onto_a_started_pod_stays(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.api.apply(pod("p"), namespace)
    wait_for_condition(control_plane, "Pod", "p", namespace, "Ready")
    conditions = [{"type": "Ready", "status": "False", "reason": "ByHand"}]
    control_plane.api.patch_status("Pod", "p", {"conditions": conditions}, namespace)
    time.sleep(0.5)  # kwok would have answered within milliseconds
    assert condition(control_plane.api.get("Pod", "p", namespace), "Ready")["reason"] == "ByHand"


def test_reader_sees_one_namespace(control_plane: ControlPlane, namespace: str) -> None:
    reader = control_plane.client("reader")
    assert reader.list_objects("ConfigMap", "team-a")
    for elsewhere in (namespace, None):
        with pytest.raises(ApiError) as refusal:
            reader.list_objects("Pod", elsewhere)
        assert refusal.value.status == 403
    with pytest.raises(ApiError) as refusal:
        reader.delete("ConfigMap", "kube-root-ca.crt", "team-a")
    assert refusal.value.status == 403


def test_viewer_sees_all_but_secrets(control_plane: ControlPlane, namespace: str) -> None:
    viewer = control_plane.client("viewer")
    assert viewer.list_objects("Node")
    assert viewer.list_objects("ConfigMap", namespace)
    with pytest.raises(ApiError) as refusal:
        viewer.list_objects("Secret", namespace)
    assert refusal.value.status == 403


def test_nobody_sees_nothing(control_plane: ControlPlane) -> None:
    with pytest.raises(ApiError) as refusal:
        control_plane.client("nobody").list_objects("Pod", "team-a")
    assert refusal.value.status == 403


@pytest.mark.parametrize("user", ["admin", "cert-admin", "reader", "viewer"])
def test_kubeconfigs_work_for_the_official_client(control_plane: ControlPlane, user: str) -> None:
    path = str(control_plane.kubeconfig(user))
    _, active = config.list_kube_config_contexts(path)
    assert active["name"] == user
    assert active["context"].get("namespace") == ("team-a" if user == "reader" else None)
    with config.new_client_from_config(path) as api_client:
        assert client.CoreV1Api(api_client).list_namespaced_config_map("team-a").items


def test_audit_log_sees_requests_and_writes(control_plane: ControlPlane) -> None:
    mark = control_plane.audit.mark()
    reader = control_plane.client("reader")
    reader.list_objects("Pod", "team-a")
    with pytest.raises(ApiError):
        reader.apply(pod("p"), "team-a")
    requests = control_plane.requests("reader", since=mark)
    assert ("list", "/api/v1/namespaces/team-a/pods") in requests
    writes = control_plane.writes("reader", since=mark)
    assert [verb for verb, _ in writes] == ["patch"]
    (event,) = [
        event
        for event in control_plane.audit_events(since=mark, user="reader", user_agent="k8sgpt-magic-tests")
        if event["verb"] == "patch"
    ]
    assert event["responseStatus"]["code"] == 403


def test_many_objects_are_created_in_order(control_plane: ControlPlane, namespace: str) -> None:
    manifests = [pod(f"p-{number}", annotations=MANUAL) for number in range(100)]
    created = control_plane.api.create_many(manifests, namespace)
    assert [each["metadata"]["name"] for each in created] == [f"p-{number}" for number in range(100)]


def test_wait_for_says_what_it_waited_for(control_plane: ControlPlane) -> None:
    with pytest.raises(TimeoutError, match=r"waited 0\.1 s for the moon; last seen: False"):
        control_plane.api.wait_for(lambda: False, 0.1, what="the moon")


def test_apiserver_goes_away_and_comes_back(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.stop_apiserver()
    try:
        with pytest.raises(urllib3.exceptions.HTTPError):
            control_plane.api.list_objects("Node")
    finally:
        control_plane.start_apiserver()
    control_plane.api.apply(deployment("web", 1), namespace)
    wait_for_condition(control_plane, "Deployment", "web", namespace, "Available")
