import pytest
import yaml

from tests.views import codes, diagnose_all, findings

NAME = "{name: web, namespace: shop, uid: d1, generation: 3, creationTimestamp: '2026-10-01T09:00:00Z'}"


def deployment(*conditions, metadata=NAME, template="{}", spec="", **status):
    """A Deployment of three replicas, as the API gives it."""
    counts = {
        "observedGeneration": 3,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
    }
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {metadata}
spec: {{replicas: 3, selector: {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, spec: {template}}}{spec}}}
status: {yaml.safe_dump({**counts, **status}, default_flow_style=True).strip()[:-1]}, conditions: [{", ".join(conditions)}]}}
"""


def replica_set(name="web-1", revision=1, owner="web", status="{}"):
    return f"""
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: {name}, namespace: shop, uid: {name}, creationTimestamp: '2026-10-01T09:00:00Z', annotations: {{deployment.kubernetes.io/revision: '{revision}'}},
  ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: {owner}, uid: d1, controller: true}}]}}
spec: {{replicas: 3}}
status: {status}
"""


def pod(
    name, *, since="2026-11-02T08:00:00Z", created="2026-11-02T08:00:00Z", ready="False", waiting="", owner="web-1"
):
    state = f"{{waiting: {{reason: {waiting}, message: back-off}}}}" if waiting else "{running: {}}"
    return f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, uid: {name}, creationTimestamp: '{created}',
  ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {owner}, uid: {owner}, controller: true}}]}}
status: {{phase: Running, conditions: [{{type: Ready, status: '{ready}', lastTransitionTime: '{since}'}}], containerStatuses: [{{name: web, state: {state}}}]}}
"""


ROLLED_OUT = "{type: Progressing, status: 'True', reason: NewReplicaSetAvailable, lastUpdateTime: '2026-10-01T09:05:00Z', lastTransitionTime: '2026-10-01T09:05:00Z'}"


def rolling(at):
    return f"{{type: Progressing, status: 'True', reason: ReplicaSetUpdated, lastUpdateTime: '{at}', lastTransitionTime: '2026-10-01T09:00:00Z'}}"


def unavailable(at):
    return f"{{type: Available, status: 'False', reason: MinimumReplicasUnavailable, lastTransitionTime: '{at}'}}"


# --- ready replicas --------------------------------------------------------------------------------------


def test_a_pod_that_crashes_leaves_its_deployment_short_and_is_the_one_to_look_at():
    short = deployment(ROLLED_OUT, readyReplicas=2, availableReplicas=2)
    manifests = short + replica_set() + pod("web-1-a", waiting="CrashLoopBackOff") + pod("web-1-b", ready="True")
    [finding] = findings("Deployment", manifests)
    assert (finding.code, finding.severity) == ("DeploymentNotReady", "warning")
    assert "2 of 3 replicas are ready" in finding.message
    assert "web-1-a (CrashLoopBackOff)" in finding.message
    assert "web-1-b" not in finding.message
    assert [str(ref) for ref in finding.because] == ["ReplicaSet shop/web-1", "Pod shop/web-1-a"]


def test_no_ready_replica_at_all_is_critical_since_the_deployment_became_unavailable():
    down = deployment(unavailable("2026-11-02T08:40:00Z"), ROLLED_OUT, readyReplicas=0, availableReplicas=0)
    [finding] = findings("Deployment", down + replica_set() + pod("web-1-a", waiting="CrashLoopBackOff"))
    assert (finding.code, finding.severity) == ("DeploymentNotReady", "critical")
    assert "None of 3 replicas is ready" in finding.message
    assert finding.since.isoformat() == "2026-11-02T08:40:00+00:00"


@pytest.mark.parametrize(
    ("why", "manifests"),
    [
        ("all ready", deployment(ROLLED_OUT)),
        ("scaled to zero", deployment(ROLLED_OUT, readyReplicas=0, replicas=0, updatedReplicas=0).replace("replicas: 3, sel", "replicas: 0, sel")),
        ("rolling out within its deadline", deployment(rolling("2026-11-02T08:55:00Z"), readyReplicas=2, updatedReplicas=1) + replica_set() + pod("web-1-a")),
        ("just scaled up", deployment(ROLLED_OUT, readyReplicas=1) + replica_set() + pod("web-1-a", since="2026-11-02T08:58:00Z", created="2026-11-02T08:58:00Z")),
        ("just crashed for the first time", deployment(ROLLED_OUT, readyReplicas=2) + replica_set() + pod("web-1-a", since="2026-11-02T08:59:40Z", waiting="CrashLoopBackOff")),
        ("starting from zero", deployment(unavailable("2026-11-02T08:57:00Z"), ROLLED_OUT, readyReplicas=0) + replica_set() + pod("web-1-a", since="2026-11-02T08:57:00Z", created="2026-11-02T08:57:00Z")),
        ("surplus of a rollout", deployment(rolling("2026-11-02T08:59:00Z"), replicas=4, readyReplicas=4)),
        ("being deleted", deployment(ROLLED_OUT, readyReplicas=0, metadata=NAME.replace("uid", "deletionTimestamp: '2026-11-02T08:00:00Z', uid"))),
        ("a manifest that no cluster has seen", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 3}}"),
    ],
    ids=lambda value: value if len(value) < 40 else "",
)  # fmt: skip
def test_what_is_on_its_way_is_not_a_problem(why, manifests):
    assert codes("Deployment", manifests) == [], why


def test_a_rollout_whose_new_pods_fail_is_reported_before_its_deadline_has_passed():
    manifests = deployment(rolling("2026-11-02T08:55:00Z"), readyReplicas=2, updatedReplicas=1)
    manifests += replica_set() + pod("web-1-a", since="2026-11-02T08:55:00Z", waiting="ImagePullBackOff")
    [finding] = findings("Deployment", manifests)
    assert finding.code == "DeploymentNotReady"
    assert "ImagePullBackOff" in finding.message


def test_what_used_to_serve_and_has_no_ready_pod_left_is_an_outage_after_a_minute():
    down = deployment(unavailable("2026-11-02T08:58:00Z"), ROLLED_OUT, readyReplicas=0)
    [finding] = findings("Deployment", down + replica_set() + pod("web-1-a", since="2026-11-02T08:58:00Z"))
    assert finding.severity == "critical"


def test_pods_that_were_never_created_are_counted():
    manifests = deployment(ROLLED_OUT, replicas=1, readyReplicas=1)
    [finding] = findings("Deployment", manifests)
    assert "2 pods not even created" in finding.message


def test_pods_of_a_deployment_that_cannot_be_read_are_not_called_missing():
    manifests = deployment(ROLLED_OUT, readyReplicas=2) + replica_set() + pod("web-1-a", waiting="CrashLoopBackOff")
    [finding] = findings("Deployment", manifests, forbidden=["Pod"])
    assert finding.message == "2 of 3 replicas are ready."


def test_the_owner_of_an_operators_deployment_is_its_parent():
    metadata = NAME.replace(
        "uid", "ownerReferences: [{apiVersion: example.com/v1, kind: Shop, name: main, controller: true}], uid"
    )
    [finding] = findings("Deployment", deployment(ROLLED_OUT, metadata=metadata, readyReplicas=2))
    assert finding.parent == "Shop/main"


# --- rollouts --------------------------------------------------------------------------------------------

TIMED_OUT = """{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: 'ReplicaSet "web-2" has timed out progressing.', lastTransitionTime: '2026-11-02T08:30:00Z'}"""


def test_a_stopped_rollout_is_one_finding_that_names_the_newest_replica_set_first():
    manifests = deployment(TIMED_OUT, readyReplicas=2, updatedReplicas=1)
    manifests += (
        replica_set("web-1", 9) + replica_set("web-2", 10) + pod("web-2-a", owner="web-2", waiting="ImagePullBackOff")
    )
    [finding] = findings("Deployment", manifests)
    assert (finding.code, finding.severity) == ("DeploymentProgressDeadlineExceeded", "warning")
    assert "600 seconds" in finding.message
    assert "web-2-a (ImagePullBackOff)" in finding.message
    assert [ref.name for ref in finding.because] == ["web-2", "web-2-a"]
    assert "timed out progressing" in finding.evidence[0].value
    assert "web-2" in finding.masked


def test_a_stopped_rollout_that_has_left_nothing_ready_is_critical():
    [finding] = findings("Deployment", deployment(TIMED_OUT, readyReplicas=0))
    assert (finding.code, finding.severity) == ("DeploymentProgressDeadlineExceeded", "critical")


def test_a_rollout_that_cannot_begin_is_told_in_the_controllers_words():
    failed = "{type: Progressing, status: 'False', reason: ReplicaSetCreateError, message: 'Failed to create new replica set \"web-2\": forbidden', lastTransitionTime: '2026-11-02T08:30:00Z'}"
    [finding] = findings("Deployment", deployment(failed))
    assert finding.code == "DeploymentRolloutFailed"
    assert "Failed to create new replica set" in finding.message


def test_a_finished_rollout_is_silent():
    assert codes("Deployment", deployment(ROLLED_OUT, "{type: Available, status: 'True'}")) == []


def test_a_pause_is_worth_knowing_and_no_more():
    paused = (
        "{type: Progressing, status: Unknown, reason: DeploymentPaused, lastTransitionTime: '2026-10-31T09:00:00Z'}"
    )
    [finding] = findings("Deployment", deployment(paused, spec=", paused: true", updatedReplicas=0))
    assert (finding.code, finding.severity) == ("DeploymentPaused", "info")
    assert "for 2d" in finding.message
    assert "None of 3 replicas runs the current template" in finding.message


# --- pods that are refused -------------------------------------------------------------------------------


def refused(at="2026-11-02T08:30:00Z", status="True"):
    message = 'pods "web-1-x" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=5, limited: pods=5'
    return f"{{type: ReplicaFailure, status: '{status}', reason: FailedCreate, message: '{message}', lastTransitionTime: '{at}'}}"


def test_refused_pods_are_one_finding_that_points_at_the_replica_set_and_its_quota():
    manifests = deployment(refused(), TIMED_OUT, readyReplicas=1, replicas=1)
    manifests += replica_set(status=f"{{replicas: 1, readyReplicas: 1, conditions: [{refused()}]}}")
    found = {finding.kind: finding for finding in diagnose_all(manifests) if finding.severity != "info"}
    finding = found["Deployment"]
    assert (finding.code, finding.severity) == ("DeploymentReplicaFailure", "warning")
    assert "1 of 3 replicas is ready" in finding.message
    assert "exceeded quota: compute" in finding.message
    assert finding.cause == found["ReplicaSet"].id
    assert {"compute", "web-1-x"} <= set(finding.masked)


@pytest.mark.parametrize("condition", [refused("2026-11-02T08:59:50Z"), refused(status="False")])
def test_a_refusal_of_seconds_ago_or_one_that_is_over_is_silent(condition):
    assert codes("Deployment", deployment(condition, ROLLED_OUT)) == []


# --- controllers and pull secrets ------------------------------------------------------------------------


def changed(at):
    return NAME.replace(
        "uid",
        f"managedFields: [{{manager: kubectl, time: '{at}'}}, {{manager: kube-controller-manager, subresource: status, time: '2026-11-02T08:59:59Z'}}], uid",
    )


def test_a_change_that_nobody_has_acted_on_is_reported_instead_of_a_stale_status():
    stale = deployment(TIMED_OUT, metadata=changed("2026-11-02T08:30:00Z"), observedGeneration=2, readyReplicas=0)
    [finding] = findings("Deployment", stale)
    assert finding.code == "DeploymentNotReconciled"
    assert "generation 3" in finding.message
    assert "seen 2" in finding.message
    assert finding.since.isoformat() == "2026-11-02T08:30:00+00:00"


def test_a_change_of_a_minute_ago_may_be_on_its_way():
    assert codes("Deployment", deployment(metadata=changed("2026-11-02T08:59:00Z"), observedGeneration=2)) == []


PULLS = "{imagePullSecrets: [{name: registry}]}"


def test_a_missing_pull_secret_is_one_finding_however_many_pods_there_are():
    manifests = (
        deployment(ROLLED_OUT, template=PULLS)
        + replica_set()
        + pod("web-1-a", ready="True")
        + pod("web-1-b", ready="True")
    )
    [finding] = [each for each in diagnose_all(manifests) if each.code.endswith("PullSecretMissing")]
    assert (finding.code, finding.severity) == ("DeploymentImagePullSecretMissing", "warning")
    assert "registry" in finding.message
    assert str(finding.because[0]) == "Secret shop/registry"


def test_a_pull_secret_that_exists_or_cannot_be_read_is_not_missing():
    manifests = deployment(ROLLED_OUT, template=PULLS)
    secret = "\n---\n{apiVersion: v1, kind: Secret, metadata: {name: registry, namespace: shop}}"
    assert codes("Deployment", manifests + secret) == []
    assert codes("Deployment", manifests, forbidden=["Secret"]) == []
