import pytest

from tests.views import codes, diagnose_all, findings

OWNED = "[{apiVersion: apps/v1, kind: Deployment, name: web, uid: d1, controller: true}]"


def replica_set(
    status="replicas: 0", *, replicas=3, owners=OWNED, created="2026-11-02T08:00:00Z", generation=1, conditions=""
):
    return f"""
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: web-1, namespace: shop, uid: r1, generation: {generation}, creationTimestamp: '{created}', ownerReferences: {owners}}}
spec: {{replicas: {replicas}}}
status: {{observedGeneration: 1, {status}, conditions: [{conditions}]}}
"""


def deployment(ready=0):
    return f"\n---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web, namespace: shop, uid: d1}}, status: {{replicas: 3, readyReplicas: {ready}}}, spec: {{replicas: {ready}}}}}"


def failure(message, reason="FailedCreate", status="True", at="2026-11-02T08:30:00Z"):
    message = message.replace("'", "''")
    return f"{{type: ReplicaFailure, status: '{status}', reason: {reason}, message: '{message}', lastTransitionTime: '{at}'}}"


def event(message, reason="FailedCreate", last="2026-11-02T08:58:00Z", uid="r1"):
    return f"""
---
apiVersion: v1
kind: Event
metadata: {{name: e.{last[14:16]}, namespace: shop}}
involvedObject: {{kind: ReplicaSet, namespace: shop, name: web-1, uid: {uid}}}
type: Warning
reason: {reason}
message: '{message.replace("'", "''")}'
count: 12
firstTimestamp: '2026-11-02T08:20:00Z'
lastTimestamp: '{last}'
"""


def pod(name, ready="False", waiting="CrashLoopBackOff", since="2026-11-02T08:10:00Z"):
    return f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{since}', ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r1, controller: true}}]}}
status: {{phase: Running, conditions: [{{type: Ready, status: '{ready}', lastTransitionTime: '{since}'}}], containerStatuses: [{{name: web, state: {{waiting: {{reason: {waiting}}}}}}}]}}
"""


QUOTA = 'pods "web-1-x" is forbidden: exceeded quota: compute, requested: pods=1,limits.cpu=2, used: pods=3,limits.cpu=4, limited: pods=9,limits.cpu=4'
WEBHOOK_DOWN = 'Internal error occurred: failed calling webhook "check.guard.example.com": failed to call webhook: Post "https://guard.platform.svc:443/admit?timeout=10s": no endpoints available for service "guard"'

REFUSALS = [
    (QUOTA, "ReplicaSetQuotaExceeded", "ResourceQuota compute", ["ResourceQuota shop/compute"]),
    ('pods "web-1-x" is forbidden: failed quota: compute: must specify limits.cpu for: web', "ReplicaSetQuotaExceeded", "demands requests or limits", ["ResourceQuota shop/compute"]),
    ('pods "web-1-x" is forbidden: [maximum memory usage per Container is 2Gi, but limit is 4Gi]', "ReplicaSetLimitRangeViolated", "LimitRange", []),
    ('pods "web-1-x" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000', "ReplicaSetLimitRangeViolated", "LimitRange", []),
    ('pods "web-1-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "web" must set securityContext.runAsNonRoot=true)', "ReplicaSetPodSecurityViolated", "Standard restricted", []),
    ('admission webhook "check.guard.example.com" denied the request: no team label', "ReplicaSetAdmissionDenied", "check.guard.example.com", ["ValidatingWebhookConfiguration guard"]),
    ("pods \"web-1-x\" is forbidden: ValidatingAdmissionPolicy 'owners' with binding 'all' denied request: no team label", "ReplicaSetAdmissionDenied", "ValidatingAdmissionPolicy owners", []),
    (WEBHOOK_DOWN, "ReplicaSetWebhookFailed", "cannot be called", ["ValidatingWebhookConfiguration guard"]),
    ('pods "web-1-x" is forbidden: error looking up service account shop/builder: serviceaccount "builder" not found', "ReplicaSetServiceAccountMissing", "ServiceAccount builder does not exist", ["ServiceAccount shop/builder"]),
    ('pods "web-1-x" is forbidden: no PriorityClass with name high was found', "ReplicaSetCreateFailed", "no PriorityClass with name high", []),
]  # fmt: skip

GUARD = """
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard}
webhooks:
- {name: check.guard.example.com, failurePolicy: Fail, clientConfig: {service: {namespace: platform, name: guard}}, rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
"""


@pytest.mark.parametrize(
    ("message", "code", "words", "because"),
    REFUSALS,
    ids=[each[1] + str(number) for number, each in enumerate(REFUSALS)],
)
@pytest.mark.parametrize("told_by", ["condition", "event"])
def test_the_rule_that_refuses_the_pods_is_named(message, code, words, because, told_by):
    manifests = (
        replica_set(conditions=failure(message))
        if told_by == "condition"
        else replica_set() + event("Error creating: " + message)
    )
    [finding] = findings("ReplicaSet", manifests + deployment() + GUARD)
    assert (finding.code, finding.severity) == (code, "critical")
    assert "3 of 3 pods cannot be created" in finding.message
    assert words in finding.message
    assert [str(ref) for ref in finding.because] == because


def test_the_numbers_of_the_quota_are_in_the_message_and_the_evidence():
    quota = "\n---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: compute, namespace: shop}, status: {hard: {pods: '9', limits.cpu: '4', limits.memory: 8Gi}, used: {pods: '3', limits.cpu: '4', limits.memory: 1Gi}}}"
    [finding] = findings("ReplicaSet", replica_set(conditions=failure(QUOTA)) + deployment() + quota)
    values = [fact.value for fact in finding.evidence]
    assert "limits.cpu: 4 of 4 used" in values
    assert not any("limits.memory" in value and "of 8Gi" in value for value in values)
    assert "limits.cpu: 4 of 4 used" in finding.message


def test_a_webhook_that_is_down_is_the_cause_of_the_pods_that_it_keeps_out():
    found = diagnose_all(replica_set(conditions=failure(WEBHOOK_DOWN)) + deployment() + GUARD)
    [finding] = [each for each in found if each.kind == "ReplicaSet"]
    assert finding.cause.startswith("ValidatingWebhookConfiguration/guard/")
    assert {"guard.platform.svc", "check.guard.example.com", "guard"} <= set(finding.masked)


def test_the_names_in_an_admission_message_are_masked():
    [finding] = findings("ReplicaSet", replica_set(conditions=failure(REFUSALS[4][0])) + deployment())
    assert {"web", "web-1-x"} <= set(finding.masked)
    assert "restricted" not in finding.masked


def test_some_pods_refused_is_a_warning_and_so_is_all_while_the_old_version_serves():
    [partial] = findings(
        "ReplicaSet", replica_set("replicas: 1, readyReplicas: 1", conditions=failure(QUOTA)) + deployment()
    )
    assert partial.severity == "warning"
    assert "2 of 3 pods cannot be created" in partial.message
    [replaced] = findings("ReplicaSet", replica_set(conditions=failure(QUOTA)) + deployment(ready=3))
    assert replaced.severity == "warning"


def test_the_newest_refusal_counts_where_the_reason_has_changed():
    newer = event(WEBHOOK_DOWN)
    [finding] = findings("ReplicaSet", replica_set(conditions=failure(QUOTA)) + newer + deployment())
    assert finding.code == "ReplicaSetWebhookFailed"
    assert any("exceeded quota" in fact.value for fact in finding.evidence)


@pytest.mark.parametrize(
    "manifests",
    [
        replica_set("replicas: 0", replicas=0, conditions=failure(QUOTA)),
        replica_set("replicas: 3, readyReplicas: 3", conditions=failure(QUOTA)),
        replica_set(conditions=failure(QUOTA, status="False")),
        replica_set(conditions=failure(QUOTA, at="2026-11-02T08:59:50Z")),
        replica_set(conditions=failure(QUOTA), generation=2),
        replica_set() + event(QUOTA, last="2026-11-02T07:00:00Z"),
        replica_set() + event(QUOTA, uid="an-earlier-one"),
    ],
    ids=[
        "old revision",
        "all there",
        "condition False",
        "just now",
        "stale status",
        "old event",
        "of an earlier object",
    ],
)
def test_refusals_that_are_over_are_silent(manifests):
    assert codes("ReplicaSet", manifests + deployment()) == []


# --- surplus pods ----------------------------------------------------------------------------------------


def test_surplus_pods_that_cannot_be_deleted():
    told = failure('admission webhook "keep.example.com" denied the request: open sessions', reason="FailedDelete")
    [finding] = findings(
        "ReplicaSet", replica_set("replicas: 2, readyReplicas: 2", replicas=0, conditions=told) + deployment()
    )
    assert finding.code == "ReplicaSetDeleteFailed"
    assert "2 surplus pods" in finding.message
    assert "open sessions" in finding.message


def test_surplus_pods_that_are_just_going_are_silent():
    assert codes("ReplicaSet", replica_set("replicas: 2, readyReplicas: 2", replicas=0) + deployment()) == []


# --- without a Deployment --------------------------------------------------------------------------------


def test_a_replica_set_of_its_own_reports_the_pods_that_are_not_ready():
    manifests = (
        replica_set("replicas: 2, readyReplicas: 1", replicas=2, owners="[]")
        + pod("web-1-a", "True")
        + pod("web-1-b")
    )
    [finding] = findings("ReplicaSet", manifests)
    assert (finding.code, finding.severity) == ("ReplicaSetNotReady", "warning")
    assert "1 of 2 replicas is ready" in finding.message
    assert "web-1-b (CrashLoopBackOff)" in finding.message
    assert [ref.name for ref in finding.because] == ["web-1-b"]


def test_a_replica_set_of_another_controller_reports_them_too():
    rollout = "[{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web, controller: true}]"
    [finding] = findings("ReplicaSet", replica_set("replicas: 3", owners=rollout))
    assert (finding.code, finding.severity, finding.parent) == ("ReplicaSetNotReady", "critical", "Rollout/web")


def test_a_deployment_speaks_for_its_replica_sets():
    manifests = replica_set("replicas: 2, readyReplicas: 1", replicas=2) + pod("web-1-b")
    assert codes("ReplicaSet", manifests + deployment()) == []


def test_pods_that_are_starting_are_silent():
    manifests = replica_set("replicas: 2, readyReplicas: 1", replicas=2, owners="[]")
    manifests += pod("web-1-b", since="2026-11-02T08:59:30Z")
    assert codes("ReplicaSet", manifests) == []


def test_a_replica_set_whose_deployment_is_gone():
    [finding] = findings("ReplicaSet", replica_set("replicas: 3, readyReplicas: 3"))
    assert (finding.code, finding.severity) == ("ReplicaSetOwnerMissing", "warning")
    assert "Deployment web" in finding.message
    assert "3 pods run on" in finding.message


def test_a_deployment_that_was_not_read_or_whose_replica_set_is_brand_new_is_not_gone():
    assert codes("ReplicaSet", replica_set("replicas: 3, readyReplicas: 3"), forbidden=["Deployment"]) == []
    assert codes("ReplicaSet", replica_set("replicas: 3, readyReplicas: 3", created="2026-11-02T08:59:30Z")) == []
    assert codes("ReplicaSet", replica_set("replicas: 0", replicas=0)) == []
