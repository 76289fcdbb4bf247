import pytest

from tests.views import codes, findings, view_of


def node(
    *conditions: str,
    name: str = "node-a",
    spec: str = "{}",
    status: str = "",
    ready: str = '{type: Ready, status: "True"}',
    metadata: str = 'creationTimestamp: "2026-10-01T00:00:00Z"',
) -> str:
    listed = "\n".join(f"  - {each}" for each in (ready, *conditions))
    return f"""
---
apiVersion: v1
kind: Node
metadata: {{name: {name}, {metadata}}}
spec: {spec}
status:
  conditions:
{listed}
  {status}
"""


def lease(name: str, renewed: str) -> str:
    return f"""
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {{name: {name}, namespace: kube-node-lease}}
spec: {{leaseDurationSeconds: 40, renewTime: "2026-11-02T{renewed}.000000Z"}}
"""


SILENT = (
    "{type: Ready, status: Unknown, reason: NodeStatusUnknown, message: Kubelet stopped posting node status., "
    'lastTransitionTime: "2026-11-02T08:41:00Z"}'
)


def pod(name: str, cpu: str = "100m", phase: str = "Running", node_name: str = "node-a", more: str = "") -> str:
    return f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop}}
spec:
  nodeName: {node_name}
  containers: [{{name: app, resources: {{requests: {{cpu: {cpu}, memory: 100Mi}}}}}}]
  {more}
status: {{phase: {phase}}}
"""


def test_a_silent_kubelet_is_one_critical_finding_with_its_last_heartbeat():
    unknown = [f"{{type: {each}, status: Unknown}}" for each in ("MemoryPressure", "DiskPressure", "PIDPressure")]
    manifests = (
        node(*unknown, ready=SILENT) + lease("node-a", "08:40:30") + pod("web") + pod("done", phase="Succeeded")
    )
    [finding] = findings("Node", manifests)
    assert (finding.code, finding.severity) == ("NodeNotReady", "critical")
    assert "19m" in finding.message
    assert "stopped posting" in finding.message
    assert "1 pod" in finding.message
    assert finding.since.isoformat() == "2026-11-02T08:41:00+00:00"
    assert any("renewTime" in fact.source and "08:40:30" in fact.value for fact in finding.evidence)


def test_a_kubelet_that_says_it_is_not_ready_is_quoted():
    ready = '{type: Ready, status: "False", reason: KubeletNotReady, message: cni plugin not initialized}'
    [finding] = findings("Node", node(ready=ready))
    assert finding.code == "NodeNotReady"
    assert "cni plugin not initialized" in finding.message


@pytest.mark.parametrize(
    "metadata",
    [
        'creationTimestamp: "2026-11-02T08:58:00Z"',
        'creationTimestamp: "2026-10-01T00:00:00Z", deletionTimestamp: "2026-11-02T08:55:00Z"',
    ],
    ids=["has just joined", "is being removed"],
)
def test_a_node_that_comes_or_goes_is_left_alone(metadata):
    assert codes("Node", node(ready=SILENT, metadata=metadata)) == []


def test_many_nodes_that_fail_together_have_one_finding_each():
    manifests = "".join(node(name=f"node-{number}", ready=SILENT) for number in range(5))
    assert codes("Node", manifests) == ["NodeNotReady"] * 5


@pytest.mark.parametrize(
    ("condition", "code", "severity"),
    [
        ("MemoryPressure", "NodeMemoryPressure", "warning"),
        ("DiskPressure", "NodeDiskPressure", "warning"),
        ("PIDPressure", "NodePIDPressure", "warning"),
        ("NetworkUnavailable", "NodeNetworkUnavailable", "critical"),
        ("KernelDeadlock", "NodeProblemDetected", "warning"),
        ("ReadonlyFilesystem", "NodeProblemDetected", "warning"),
        ("KubeletProblem", "NodeProblemDetected", "warning"),
    ],
)
def test_a_bad_condition_is_reported_while_it_holds(condition, code, severity):
    [finding] = findings("Node", node(f'{{type: {condition}, status: "True", message: as the kubelet says}}'))
    assert (finding.code, finding.severity) == (code, severity)
    assert "as the kubelet says" in finding.message
    assert codes("Node", node(f'{{type: {condition}, status: "False"}}')) == []


def test_a_condition_that_has_to_hold_is_reported_where_it_does_not():
    [finding] = findings("Node", node('{type: StorageReady, status: "False", reason: IODelays, message: slow disk}'))
    assert (finding.code, finding.severity) == ("NodeProblemDetected", "warning")
    assert "StorageReady does not hold: slow disk" in finding.message
    assert codes("Node", node('{type: StorageReady, status: "True"}')) == []


@pytest.mark.parametrize("status", ["True", "False", "Unknown"])
@pytest.mark.parametrize("condition", ["EtcdIsVoter", "GPUHealthy", "VendorMaintenanceScheduled"])
def test_custom_conditions_are_not_judged(condition, status):
    assert codes("Node", node(f'{{type: {condition}, status: "{status}"}}')) == []


def test_an_unknown_condition_of_a_ready_node_is_reported():
    [finding] = findings("Node", node("{type: DiskPressure, status: Unknown, message: never posted}"))
    assert (finding.code, finding.key, finding.severity) == ("NodeConditionUnknown", "DiskPressure", "warning")


def test_a_heartbeat_far_behind_those_of_other_nodes_is_stale():
    both = node(name="node-a") + node(name="node-b")
    [finding] = findings("Node", both + lease("node-a", "08:50:00") + lease("node-b", "08:59:50"))
    assert (finding.code, finding.name) == ("NodeLeaseStale", "node-a")
    assert "9m" in finding.message
    assert codes("Node", both + lease("node-a", "08:58:00") + lease("node-b", "08:59:50")) == []


def test_a_wrong_clock_of_the_reader_makes_no_heartbeat_stale():
    both = node(name="node-a") + node(name="node-b")
    assert codes("Node", both + lease("node-a", "07:00:00") + lease("node-b", "07:00:10")) == []


def test_heartbeats_that_cannot_be_read_are_not_missed():
    view = view_of(node() + lease("node-a", "06:00:00"), forbidden=["Lease"])
    assert codes("Node", view) == []


@pytest.mark.parametrize(
    ("added", "severity"), [("2026-11-02T06:00:00Z", "info"), ("2026-10-30T06:00:00Z", "warning")]
)
def test_a_cordon_is_worth_knowing_and_a_forgotten_one_a_warning(added, severity):
    spec = f'{{unschedulable: true, taints: [{{key: node.kubernetes.io/unschedulable, effect: NoSchedule, timeAdded: "{added}"}}]}}'
    [finding] = findings("Node", node(spec=spec))
    assert (finding.code, finding.severity) == ("NodeCordoned", severity)
    assert "3h" in finding.message or "3d" in finding.message


def test_taints_that_keep_pods_away_are_named():
    spec = "{taints: [{key: team, value: payments, effect: NoSchedule}, {key: old, effect: PreferNoSchedule}]}"
    [finding] = findings("Node", node(spec=spec))
    assert (finding.code, finding.severity) == ("NodeTainted", "info")
    assert "team=payments:NoSchedule" in finding.message
    assert "old" not in finding.message
    assert {"team", "payments"} <= set(finding.masked)


def test_a_node_that_its_cloud_never_initialized_is_a_warning():
    spec = "{taints: [{key: node.cloudprovider.kubernetes.io/uninitialized, effect: NoSchedule}]}"
    [finding] = findings("Node", node(spec=spec))
    assert (finding.code, finding.severity) == ("NodeTainted", "warning")


@pytest.mark.parametrize(
    "taint",
    ["node-role.kubernetes.io/control-plane", "node.kubernetes.io/not-ready", "node.kubernetes.io/disk-pressure"],
)
def test_taints_that_kubernetes_sets_itself_are_expected(taint):
    assert codes("Node", node(spec=f"{{taints: [{{key: {taint}, effect: NoSchedule}}]}}")) == []


ROOM = 'allocatable: {cpu: "1", memory: 2Gi, pods: "3"}'


def test_requests_close_to_what_the_node_has_are_worth_knowing():
    [finding] = findings("Node", node(status=ROOM) + pod("a", "600m") + pod("b", "0.35"))
    assert (finding.code, finding.severity) == ("NodeAllocatableExhausted", "info")
    assert "0.95 of 1 cores (95%)" in finding.message


def test_a_node_that_can_hold_no_more_pods_is_a_warning():
    [finding] = findings("Node", node(status=ROOM) + pod("a") + pod("b") + pod("c"))
    assert (finding.code, finding.severity) == ("NodeAllocatableExhausted", "warning")
    assert "3 of 3 pods" in finding.message


@pytest.mark.parametrize(
    "pods",
    [
        pod("a", "900m"),
        pod("a", "900m") + pod("b", "600m", phase="Succeeded"),
        pod("a", "900m") + pod("b", "600m", node_name="node-b"),
        # An init container runs before the others and not beside them.
        pod("a", "900m", more="initContainers: [{name: init, resources: {requests: {cpu: 800m}}}]"),
    ],
    ids=["enough room", "finished pod", "other node", "init container"],
)
def test_pods_that_leave_room_are_fine(pods):
    assert codes("Node", node(status=ROOM) + pods) == []


def test_a_sidecar_counts_beside_the_main_containers():
    sidecar = "initContainers: [{name: proxy, restartPolicy: Always, resources: {requests: {cpu: 100m}}}]"
    assert codes("Node", node(status=ROOM) + pod("a", "900m", more=sidecar)) == ["NodeAllocatableExhausted"]


def test_room_is_not_judged_where_not_all_pods_are_known():
    manifests = node(status=ROOM) + pod("a", "2")
    assert codes("Node", view_of(manifests, forbidden=["Pod"])) == []
    assert codes("Node", view_of(manifests, namespaces=["data"])) == []


@pytest.mark.parametrize(
    ("version", "expected"), [("v1.31.9-eks-1", ["NodeKubeletVersionSkew"]), ("v1.32.0", []), ("", [])]
)
def test_a_kubelet_more_than_three_minor_versions_behind_is_unsupported(version, expected):
    newest = node(name="node-b", status="nodeInfo: {kubeletVersion: v1.35.1}")
    assert codes("Node", newest + node(status=f'nodeInfo: {{kubeletVersion: "{version}"}}')) == expected


def test_a_node_that_says_nothing_of_itself_is_left_alone():
    assert codes("Node", "apiVersion: v1\nkind: Node\nmetadata: {name: node-a}\n") == []
