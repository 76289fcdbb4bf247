import pytest

from tests.views import codes, diagnose_all, findings

CLAIMS = "volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: fast}}]"
SERVICE = "\n---\n{apiVersion: v1, kind: Service, metadata: {name: db, namespace: data}, spec: {clusterIP: None}}"
CLASS = "\n---\n{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}}"
DEFAULT_CLASS = "\n---\n{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: slow, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}}"


def stateful_set(
    ready=3, *spec, replicas=3, updated=3, revisions=("db-1", "db-1"), observed=2, metadata="", template="{}"
):
    """A StatefulSet and its Service."""
    return f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db, namespace: data, uid: s1, generation: 2, creationTimestamp: '2026-10-01T09:00:00Z'{metadata}}}
spec: {{{", ".join([f"replicas: {replicas}", f"template: {{spec: {template}}}", "serviceName: db", *spec])}}}
status: {{observedGeneration: {observed}, replicas: {replicas}, readyReplicas: {ready}, updatedReplicas: {updated}, currentRevision: {revisions[0]}, updateRevision: {revisions[1]}}}
{SERVICE}"""


def pod(
    ordinal,
    waiting="",
    *,
    ready="False",
    phase="Running",
    since="2026-11-02T08:00:00Z",
    created="2026-11-02T08:00:00Z",
    scheduled="True",
):
    state = f"{{waiting: {{reason: {waiting}}}}}" if waiting else "{running: {}}"
    return f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: db-{ordinal}, namespace: data, uid: p{ordinal}, creationTimestamp: '{created}', ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: s1, controller: true}}]}}
status: {{phase: {phase}, conditions: [{{type: Ready, status: '{ready}', lastTransitionTime: '{since}'}}, {{type: PodScheduled, status: '{scheduled}', reason: Unschedulable}}], containerStatuses: [{{name: db, state: {state}}}]}}
"""


def ready_pod(ordinal, created="2026-10-01T09:00:00Z"):
    return pod(ordinal, ready="True", since=created, created=created)


def claim(ordinal, phase="Bound", volume="pv-1"):
    return f"\n---\n{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data-db-{ordinal}, namespace: data, creationTimestamp: '2026-11-02T08:00:00Z'}}, spec: {{storageClassName: fast, volumeName: {volume}}}, status: {{phase: {phase}}}}}"


def event(message, last="2026-11-02T08:55:00Z"):
    return f"""
---
apiVersion: v1
kind: Event
metadata: {{name: e1, namespace: data}}
involvedObject: {{kind: StatefulSet, namespace: data, name: db, uid: s1}}
type: Warning
reason: FailedCreate
message: '{message}'
firstTimestamp: '2026-11-02T08:20:00Z'
lastTimestamp: '{last}'
"""


# --- ready replicas --------------------------------------------------------------------------------------


def test_the_first_ordinal_holds_up_the_others_and_its_claim_holds_up_itself():
    manifests = (
        stateful_set(0, CLAIMS) + CLASS + pod(0, phase="Pending", scheduled="False") + claim(0, "Pending", "''")
    )
    [finding] = findings("StatefulSet", manifests)
    assert (finding.code, finding.severity) == ("StatefulSetNotReady", "critical")
    assert "None of 3 replicas is ready" in finding.message
    assert "db-0 (Unschedulable, claim data-db-0 is Pending) is not ready" in finding.message
    assert "db-1 and db-2 wait for it" in finding.message
    assert [str(ref) for ref in finding.because] == ["Pod data/db-0", "PersistentVolumeClaim data/data-db-0"]
    assert {"db-0", "db-1", "db-2"} <= set(finding.masked)


def test_a_pod_that_runs_but_is_not_ready_is_named():
    [finding] = findings("StatefulSet", stateful_set(2) + ready_pod(0) + pod(1) + ready_pod(2))
    assert (finding.code, finding.severity) == ("StatefulSetNotReady", "warning")
    assert "2 of 3 replicas are ready" in finding.message
    assert "db-1 (not ready)" in finding.message
    assert "wait for it" not in finding.message


def test_with_parallel_management_every_pod_stands_for_itself():
    manifests = stateful_set(1, "podManagementPolicy: Parallel") + pod(0, "CrashLoopBackOff") + ready_pod(1)
    [finding] = findings("StatefulSet", manifests)
    assert "db-0 (CrashLoopBackOff) and db-2 (not created)" in finding.message


def test_ordinals_begin_where_the_spec_says():
    manifests = stateful_set(1, "ordinals: {start: 5}", replicas=2) + ready_pod(5) + pod(6, "CrashLoopBackOff")
    [finding] = findings("StatefulSet", manifests)
    assert "db-6 (CrashLoopBackOff)" in finding.message
    assert "db-0" not in finding.message


@pytest.mark.parametrize(
    "manifests",
    [
        stateful_set(3) + ready_pod(0) + ready_pod(1) + ready_pod(2),
        stateful_set(0, replicas=0),
        stateful_set(1) + ready_pod(0) + pod(1, since="2026-11-02T08:58:00Z", created="2026-11-02T08:58:00Z"),
        stateful_set(2) + ready_pod(0) + ready_pod(1, created="2026-11-02T08:57:00Z"),
        "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {replicas: 3}}",
    ],
    ids=["all ready", "scaled to zero", "starting one after the other", "next one not yet made", "not of a cluster"],
)
def test_what_is_on_its_way_is_not_a_problem(manifests):
    assert codes("StatefulSet", manifests) == []


def test_pods_that_cannot_be_read_are_not_called_missing():
    [finding] = findings("StatefulSet", stateful_set(2), forbidden=["Pod"])
    assert finding.message == "2 of 3 replicas are ready."


def test_a_set_of_more_replicas_than_can_be_is_judged_all_the_same():
    assert codes("StatefulSet", stateful_set(0, replicas=2**62)) == ["StatefulSetNotReady"]


# --- pods that are refused -------------------------------------------------------------------------------

DENIED = 'create Pod db-1 in StatefulSet db failed error: pods "db-1" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=5, limited: pods=5'


def test_a_pod_that_is_refused_is_named_with_the_quota_that_refuses_it():
    quota = "\n---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: compute, namespace: data}, status: {hard: {pods: '5'}, used: {pods: '5'}}}"
    [finding] = findings("StatefulSet", stateful_set(1) + ready_pod(0) + event(DENIED) + quota)
    assert (finding.code, finding.severity) == ("StatefulSetCreateFailed", "warning")
    assert "db-1 cannot be created: ResourceQuota compute leaves no room" in finding.message
    assert "pods: 5 of 5 used" in finding.message
    assert str(finding.because[0]) == "ResourceQuota data/compute"


def test_a_refusal_of_a_pod_that_has_come_since_or_of_long_ago_is_not_the_reason():
    there = stateful_set(2) + ready_pod(0) + ready_pod(1) + pod(2, "CrashLoopBackOff")
    assert codes("StatefulSet", there + event(DENIED)) == ["StatefulSetNotReady"]
    assert codes("StatefulSet", stateful_set(1) + ready_pod(0) + event(DENIED, "2026-11-02T07:00:00Z")) == [
        "StatefulSetNotReady"
    ]


# --- updates ---------------------------------------------------------------------------------------------

UPDATING = ("db-1", "db-2")


def test_an_update_that_stops_at_a_pod_that_does_not_start():
    manifests = (
        stateful_set(2, updated=1, revisions=UPDATING) + ready_pod(0) + ready_pod(1) + pod(2, "CrashLoopBackOff")
    )
    [finding] = findings("StatefulSet", manifests)
    assert (finding.code, finding.severity) == ("StatefulSetUpdateStuck", "warning")
    assert "1 of 3 pods runs revision db-2" in finding.message
    assert "db-2 (CrashLoopBackOff)" in finding.message
    assert [str(ref) for ref in finding.because] == ["Pod data/db-2"]


def test_an_update_that_never_begins_although_all_pods_are_ready():
    manifests = stateful_set(3, updated=0, revisions=UPDATING) + ready_pod(0) + ready_pod(1) + ready_pod(2)
    assert codes("StatefulSet", manifests) == ["StatefulSetUpdateStuck"]


@pytest.mark.parametrize(
    "manifests",
    [
        stateful_set(3, updated=1, revisions=UPDATING)
        + ready_pod(0)
        + ready_pod(1)
        + ready_pod(2, "2026-11-02T08:55:00Z"),
        stateful_set(
            3, "updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}", updated=1, revisions=UPDATING
        ),
        stateful_set(
            3,
            "updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 6}}",
            "ordinals: {start: 5}",
            updated=2,
            revisions=UPDATING,
        ),
        stateful_set(3, "updateStrategy: {type: OnDelete}", updated=0, revisions=UPDATING),
        stateful_set(3, updated=3),
    ],
    ids=["moving", "as far as the partition", "partition with ordinals", "on delete", "complete"],
)
def test_updates_that_move_or_are_meant_to_wait_are_silent(manifests):
    assert codes("StatefulSet", manifests) == []


# --- what the set needs ----------------------------------------------------------------------------------


def test_a_governing_service_that_does_not_exist():
    [finding] = findings("StatefulSet", stateful_set().replace(SERVICE, ""))
    assert (finding.code, finding.severity) == ("StatefulSetServiceMissing", "warning")
    assert "Service db" in finding.message
    assert str(finding.because[0]) == "Service data/db"


def test_no_service_named_or_none_readable_is_not_a_missing_one():
    assert codes("StatefulSet", stateful_set().replace(SERVICE, ""), forbidden=["Service"]) == []
    assert (
        codes("StatefulSet", stateful_set().replace("serviceName: db", "serviceName: ''").replace(SERVICE, "")) == []
    )


def test_a_storage_class_that_does_not_exist_leaves_claims_without_volumes():
    manifests = stateful_set(0, CLAIMS, replicas=1) + pod(0, phase="Pending") + claim(0, "Pending", "''")
    found = {finding.code: finding for finding in diagnose_all(manifests) if finding.kind == "StatefulSet"}
    finding = found["StatefulSetStorageClassMissing"]
    assert finding.severity == "critical"
    assert "StorageClass fast of claim template data does not exist" in finding.message
    assert "data-db-0 has no volume" in finding.message
    assert found["StatefulSetNotReady"].cause


def test_a_missing_class_of_volumes_that_are_there_is_worth_knowing():
    manifests = stateful_set(1, CLAIMS, replicas=1) + ready_pod(0) + claim(0)
    [finding] = findings("StatefulSet", manifests)
    assert (finding.code, finding.severity) == ("StatefulSetStorageClassMissing", "info")


def test_no_class_named_and_none_the_default():
    manifests = stateful_set(0, CLAIMS.replace("storageClassName: fast", ""), replicas=1) + CLASS
    found = {finding.code: finding for finding in findings("StatefulSet", manifests)}
    assert "no class is the default" in found["StatefulSetStorageClassMissing"].message


@pytest.mark.parametrize(
    ("claims", "classes", "forbidden"),
    [
        (CLAIMS, CLASS, []),
        (CLAIMS, "", ["StorageClass"]),
        (CLAIMS.replace("fast", "''"), "", []),
        (CLAIMS.replace("storageClassName: fast", ""), DEFAULT_CLASS, []),
        (CLAIMS.replace("storageClassName: fast", ""), "", ["StorageClass"]),
        (CLAIMS.replace("storageClassName: fast", ""), CLASS + claim(0), []),
    ],
    ids=[
        "exists",
        "not readable",
        "static volumes",
        "default class",
        "default not readable",
        "bound without a class",
    ],
)
def test_storage_classes_that_are_not_missed(claims, classes, forbidden):
    manifests = stateful_set(1, claims, replicas=1) + ready_pod(0) + classes
    assert codes("StatefulSet", manifests, forbidden=forbidden) == []


def test_a_claim_that_has_lost_its_volume_under_a_running_pod():
    manifests = stateful_set(1, CLAIMS, replicas=1) + CLASS + ready_pod(0) + claim(0, "Lost")
    [finding] = findings("StatefulSet", manifests)
    assert (finding.code, finding.severity) == ("StatefulSetClaimLost", "critical")
    assert "data-db-0" in finding.message
    assert str(finding.because[0]) == "PersistentVolumeClaim data/data-db-0"


def test_a_bound_claim_and_the_lost_one_of_another_set_are_silent():
    other = claim(0, "Lost").replace("data-db-0", "data-db-other-0")
    assert codes("StatefulSet", stateful_set(1, CLAIMS, replicas=1) + CLASS + ready_pod(0) + claim(0) + other) == []


def test_a_change_that_nobody_has_acted_on():
    changed = ", managedFields: [{manager: kubectl, time: '2026-11-02T08:30:00Z'}]"
    [finding] = findings("StatefulSet", stateful_set(observed=1, metadata=changed))
    assert finding.code == "StatefulSetNotReconciled"
    assert codes("StatefulSet", stateful_set(observed=1, metadata=changed.replace("08:30", "08:59"))) == []


def test_a_missing_pull_secret():
    manifests = stateful_set(template="{imagePullSecrets: [{name: registry}]}")
    assert codes("StatefulSet", manifests) == ["StatefulSetImagePullSecretMissing"]
    assert codes("StatefulSet", manifests, forbidden=["Secret"]) == []
