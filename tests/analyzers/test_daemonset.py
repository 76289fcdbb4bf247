import pytest

from tests.views import codes, diagnose_all, findings


def daemon_set(
    desired=2, ready=2, *, current=None, updated=None, misscheduled=0, template="{}", spec="", observed=2, metadata=""
):
    current = desired if current is None else current
    updated = current if updated is None else updated
    return f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: agent, namespace: platform, uid: d1, generation: 2, creationTimestamp: '2026-10-01T09:00:00Z'{metadata}}}
spec: {{template: {{spec: {template}}}{spec}}}
status: {{observedGeneration: {observed}, desiredNumberScheduled: {desired}, currentNumberScheduled: {current}, numberReady: {ready}, updatedNumberScheduled: {updated}, numberMisscheduled: {misscheduled}}}
"""


def node(name, ready="True", taints="[]", labels="{}", created="2026-09-01T09:00:00Z"):
    return f"""
---
apiVersion: v1
kind: Node
metadata: {{name: {name}, labels: {labels}, creationTimestamp: '{created}'}}
spec: {{taints: {taints}}}
status: {{conditions: [{{type: Ready, status: '{ready}', lastTransitionTime: '2026-11-02T08:40:00Z', message: Kubelet stopped posting node status.}}]}}
"""


def pod(node, *, waiting="", ready="False", since="2026-11-02T08:40:00Z", created="2026-10-01T09:00:00Z"):
    state = f"{{waiting: {{reason: {waiting}}}}}" if waiting else "{running: {}}"
    return f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: agent-{node}, namespace: platform, creationTimestamp: '{created}', ownerReferences: [{{apiVersion: apps/v1, kind: DaemonSet, name: agent, uid: d1, controller: true}}]}}
spec: {{nodeName: {node}}}
status: {{phase: Running, conditions: [{{type: Ready, status: '{ready}', lastTransitionTime: '{since}'}}], containerStatuses: [{{name: agent, state: {state}}}]}}
"""


NODES = node("a") + node("b")


# --- nodes without a ready pod ---------------------------------------------------------------------------


def test_a_node_that_is_not_ready_is_named_and_is_the_cause():
    found = diagnose_all(daemon_set(ready=1) + node("a") + node("b", "Unknown") + pod("a", ready="True") + pod("b"))
    [finding] = [each for each in found if each.kind == "DaemonSet"]
    assert (finding.code, finding.severity) == ("DaemonSetNotReady", "warning")
    assert "1 of 2 nodes has a ready pod" in finding.message
    assert "b (node not ready)" in finding.message
    assert finding.cause == "Node/b/NodeNotReady"


def test_a_pod_that_fails_is_named_with_its_node():
    [finding] = findings(
        "DaemonSet", daemon_set(ready=1) + NODES + pod("a", ready="True") + pod("b", waiting="CrashLoopBackOff")
    )
    assert "b (agent-b: CrashLoopBackOff)" in finding.message
    assert [str(ref) for ref in finding.because] == ["Pod platform/agent-b"]
    assert "b" in finding.masked


def test_a_node_without_any_pod_is_named_where_it_is_certain_which_one():
    tainted = node("c", taints="[{key: gpu, value: big, effect: NoSchedule}]")
    [finding] = findings("DaemonSet", daemon_set(ready=1, current=1) + NODES + tainted + pod("a", ready="True"))
    assert "b (no pod)" in finding.message
    assert "c (" not in finding.message
    # Where affinity may have left out either b or c, neither is accused.
    [finding] = findings("DaemonSet", daemon_set(ready=1, current=1) + NODES + node("c") + pod("a", ready="True"))
    assert finding.message == "1 of 2 nodes has a ready pod."


def test_ready_nowhere_is_critical():
    [finding] = findings(
        "DaemonSet", daemon_set(ready=0) + NODES + pod("a", waiting="ErrImagePull") + pod("b", waiting="ErrImagePull")
    )
    assert finding.severity == "critical"
    assert "None of 2 nodes has a ready pod" in finding.message


@pytest.mark.parametrize(
    "manifests",
    [
        daemon_set() + NODES + pod("a", ready="True") + pod("b", ready="True"),
        daemon_set(ready=1)
        + NODES
        + pod("a", ready="True")
        + pod("b", since="2026-11-02T08:57:00Z", created="2026-11-02T08:57:00Z"),
        daemon_set(ready=1, current=1)
        + node("a")
        + node("b", created="2026-11-02T08:59:00Z")
        + pod("a", ready="True"),
    ],
    ids=["all ready", "starting", "on a node that has just joined"],
)
def test_what_is_on_its_way_is_not_a_problem(manifests):
    assert codes("DaemonSet", manifests) == []


def test_nothing_is_said_of_nodes_that_cannot_be_read():
    manifests = daemon_set(ready=1) + pod("a", ready="True") + pod("b", waiting="CrashLoopBackOff")
    [finding] = findings("DaemonSet", manifests, forbidden=["Node"])
    assert "b (agent-b: CrashLoopBackOff)" in finding.message


# --- pods that are refused -------------------------------------------------------------------------------

DENIED = """
---
apiVersion: v1
kind: Event
metadata: {name: e1, namespace: platform}
involvedObject: {kind: DaemonSet, namespace: platform, name: agent, uid: d1}
type: Warning
reason: FailedCreate
message: 'Error creating: pods "agent-x" is forbidden: violates PodSecurity "baseline:latest": hostPath volumes (volume "logs")'
firstTimestamp: '2026-11-02T08:20:00Z'
lastTimestamp: '2026-11-02T08:55:00Z'
"""


def test_pods_that_are_refused_are_counted_with_the_rule_that_refuses_them():
    [finding] = findings("DaemonSet", daemon_set(ready=0, current=0) + NODES + DENIED)
    assert (finding.code, finding.severity) == ("DaemonSetCreateFailed", "critical")
    assert "2 pods cannot be created" in finding.message
    assert "Pod Security Standard baseline" in finding.message
    assert {"agent-x", "logs"} <= set(finding.masked)


def test_a_refusal_is_over_when_all_pods_are_there():
    assert codes("DaemonSet", daemon_set() + NODES + pod("a", ready="True") + pod("b", ready="True") + DENIED) == []


# --- updates ---------------------------------------------------------------------------------------------


def test_an_update_that_stops_names_the_node_where_it_does():
    manifests = daemon_set(ready=1, updated=1) + NODES + pod("a", ready="True")
    manifests += pod("b", waiting="CrashLoopBackOff", created="2026-11-02T08:00:00Z")
    [finding] = findings("DaemonSet", manifests)
    assert (finding.code, finding.severity) == ("DaemonSetUpdateStuck", "warning")
    assert "1 of 2 pods runs the new version" in finding.message
    assert "b (agent-b: CrashLoopBackOff)" in finding.message


@pytest.mark.parametrize(
    "manifests",
    [
        daemon_set(updated=1) + pod("a", ready="True") + pod("b", ready="True", created="2026-11-02T08:55:00Z"),
        daemon_set(updated=0, spec=", updateStrategy: {type: OnDelete}")
        + pod("a", ready="True")
        + pod("b", ready="True"),
        daemon_set(updated=0, metadata=", managedFields: [{time: '2026-11-02T08:58:00Z'}]")
        + pod("a", ready="True")
        + pod("b", ready="True"),
    ],
    ids=["moving", "on delete", "just begun"],
)
def test_updates_that_move_or_are_meant_to_wait_are_silent(manifests):
    assert codes("DaemonSet", manifests + NODES) == []


# --- nodes that should and should not run it -------------------------------------------------------------


def test_pods_on_nodes_that_do_not_want_them_are_named_with_the_reason():
    tainted = node("c", taints="[{key: gpu, value: big, effect: NoSchedule}]")
    manifests = (
        daemon_set(misscheduled=1)
        + NODES
        + tainted
        + pod("a", ready="True")
        + pod("b", ready="True")
        + pod("c", ready="True")
    )
    [finding] = findings("DaemonSet", manifests)
    assert (finding.code, finding.severity) == ("DaemonSetMisscheduled", "warning")
    assert "agent-c on c (taint gpu=big:NoSchedule)" in finding.message
    assert {"agent-c", "c", "big"} <= set(finding.masked)


def test_pods_that_the_controller_is_still_removing_are_silent():
    changed = ", managedFields: [{manager: kubectl, time: '2026-11-02T08:58:00Z'}]"
    assert codes("DaemonSet", daemon_set(misscheduled=1, metadata=changed) + NODES) == []


SELECTIVE = "{nodeSelector: {disk: ssd}}"


def test_a_node_selector_that_no_node_meets_is_told_with_what_nodes_have():
    [finding] = findings("DaemonSet", daemon_set(0, 0, template=SELECTIVE) + node("a", labels="{disk: hdd}"))
    assert (finding.code, finding.severity) == ("DaemonSetNoNodeMatches", "info")
    assert "disk=ssd" in finding.message
    assert "disk=hdd" in finding.message


@pytest.mark.parametrize(
    ("manifests", "forbidden"),
    [
        (daemon_set(0, 0, template=SELECTIVE) + node("a", labels="{disk: ssd}"), []),
        (daemon_set(0, 0) + node("a"), []),
        (daemon_set(0, 0, template=SELECTIVE) + node("a"), ["Node"]),
        (daemon_set(0, 0, template=SELECTIVE).replace("2026-10-01T09:00", "2026-11-02T08:58") + node("a"), []),
    ],
    ids=["matches", "selects nothing", "nodes not readable", "brand-new"],
)
def test_running_nowhere_for_another_reason_is_silent(manifests, forbidden):
    assert codes("DaemonSet", manifests, forbidden=forbidden) == []


# --- controllers and pull secrets ------------------------------------------------------------------------


def test_a_change_that_nobody_has_acted_on():
    changed = ", managedFields: [{manager: kubectl, time: '2026-11-02T08:30:00Z'}]"
    assert codes("DaemonSet", daemon_set(observed=1, metadata=changed)) == ["DaemonSetNotReconciled"]
    assert codes("DaemonSet", daemon_set(observed=1, metadata=changed.replace("08:30", "08:59"))) == []


def test_each_missing_pull_secret_is_one_finding_and_needs_secrets_to_be_readable():
    manifests = daemon_set(template="{imagePullSecrets: [{name: registry}, {name: mirror}, {name: registry}]}")
    secret = "\n---\n{apiVersion: v1, kind: Secret, metadata: {name: mirror, namespace: platform}}"
    [finding] = findings("DaemonSet", manifests + secret)
    assert (finding.code, finding.severity) == ("DaemonSetImagePullSecretMissing", "warning")
    assert "registry" in finding.message
    assert codes("DaemonSet", manifests, forbidden=["Secret"]) == []
