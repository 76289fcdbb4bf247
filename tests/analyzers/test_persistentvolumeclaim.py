import pytest

from tests.views import codes, diagnose_all, findings, view_of

EARLY = "2026-11-02T08:00:00Z"


def claim(
    spec: str = "{storageClassName: fast, accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}",
    *,
    phase: str = "Pending",
    created: str = EARLY,
    metadata: str = "",
    status: str = "",
) -> str:
    return f"""
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data-0, namespace: data, uid: claim-1, creationTimestamp: "{created}"{", " + metadata if metadata else ""}}}
spec: {spec}
status:
  phase: {phase}
  {status}
"""


def storage_class(name: str = "fast", mode: str = "Immediate", default: bool = False) -> str:
    annotations = 'annotations: {storageclass.kubernetes.io/is-default-class: "true"}' if default else ""
    return f"""
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {name}, {annotations}}}
provisioner: disk.csi.example.com
volumeBindingMode: {mode}
"""


def event(reason: str, message: str, *, type: str = "Warning", at: str = "08:50:00", uid: str = "claim-1") -> str:
    return f"""
---
apiVersion: v1
kind: Event
metadata: {{name: data-0.{reason.lower()}{at.replace(":", "")}, namespace: data}}
involvedObject: {{kind: PersistentVolumeClaim, namespace: data, name: data-0, uid: {uid}}}
type: {type}
reason: {reason}
message: "{message}"
firstTimestamp: "2026-11-02T08:01:00Z"
lastTimestamp: "2026-11-02T{at}Z"
"""


def volume(name: str = "pv-1", *, phase: str = "Available", spec: str = "") -> str:
    return f"""
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec: {{capacity: {{storage: 10Gi}}, accessModes: [ReadWriteOnce], {spec}}}
status: {{phase: {phase}}}
"""


def pod(
    phase: str = "Pending", unschedulable: str = "", use: str = "persistentVolumeClaim: {claimName: data-0}"
) -> str:
    scheduled = (
        f'[{{type: PodScheduled, status: "False", reason: Unschedulable, message: "{unschedulable}"}}]'
        if unschedulable
        else "[]"
    )
    return f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: db-0, namespace: data, creationTimestamp: "{EARLY}"}}
spec: {{volumes: [{{name: data, {use}}}], containers: [{{name: db}}]}}
status: {{phase: {phase}, conditions: {scheduled}}}
"""


NAMES = "{storageClassName: %s, volumeName: pv-1, accessModes: [ReadWriteOnce]}"


def test_a_missing_claim_holds_up_its_pod():
    [finding] = findings("PersistentVolumeClaim", pod())
    assert (finding.code, finding.severity) == ("PersistentVolumeClaimMissing", "critical")
    assert (finding.namespace, finding.name) == ("data", "data-0")
    assert "db-0" in finding.message


@pytest.mark.parametrize("manifests", [pod("Succeeded"), pod("Running") + claim(phase="Bound")])
def test_claims_that_exist_or_are_no_longer_needed_are_not_missing(manifests):
    assert codes("PersistentVolumeClaim", manifests) == []


def test_a_claim_that_could_not_be_read_is_not_missing():
    assert codes("PersistentVolumeClaim", view_of(pod(), forbidden=["PersistentVolumeClaim"])) == []


def test_the_claim_of_an_ephemeral_volume_is_looked_up_under_the_pods_name():
    [finding] = findings("PersistentVolumeClaim", pod(use="ephemeral: {}"))
    assert finding.name == "db-0-data"


def test_a_lost_claim_is_critical_and_names_its_volume():
    manifests = claim("{volumeName: pv-9}", phase="Lost") + event(
        "ClaimLost", "Bound claim has lost its PersistentVolume!"
    )
    [finding] = findings("PersistentVolumeClaim", manifests)
    assert (finding.code, finding.severity) == ("PersistentVolumeClaimLost", "critical")
    assert "pv-9, which no longer exists" in finding.message
    assert "Bound claim has lost" in finding.message


def test_a_failed_provisioning_is_found_behind_later_events_and_keeps_all_words():
    manifests = (
        claim()
        + storage_class()
        + pod()
        + event("ExternalProvisioning", "Waiting for a volume", type="Normal", at="08:59:00")
        + event("ProvisioningFailed", "rpc error: quota exceeded", at="08:50:00")
        + event("ProvisioningFailed", "rpc error: timed out", at="08:20:00")
    )
    [finding] = findings("PersistentVolumeClaim", manifests)
    assert (finding.code, finding.severity) == ("PersistentVolumeClaimProvisioningFailed", "critical")
    assert "quota exceeded" in finding.message
    assert "db-0" in finding.message
    assert [fact.value for fact in finding.evidence][:2] == ["rpc error: quota exceeded", "rpc error: timed out"]


def test_an_event_of_the_time_before_the_class_existed_does_not_count():
    early = event("ProvisioningFailed", r"storageclass.storage.k8s.io \"fast\" not found", at="08:01:00")
    assert codes("PersistentVolumeClaim", claim() + storage_class() + early) == ["PersistentVolumeClaimPending"]
    assert codes("PersistentVolumeClaim", claim() + early) == ["PersistentVolumeClaimStorageClassMissing"]


def test_a_claim_that_nobody_waits_for_is_a_warning():
    [finding] = findings("PersistentVolumeClaim", claim() + storage_class() + event("ProvisioningFailed", "no quota"))
    assert finding.severity == "warning"


def test_a_failure_of_an_earlier_claim_of_the_same_name_does_not_count():
    manifests = claim(created="2026-11-02T08:58:00Z") + storage_class()
    assert codes("PersistentVolumeClaim", manifests + event("ProvisioningFailed", "no quota", uid="claim-0")) == []


def test_a_failure_before_the_claim_was_bound_is_over():
    assert codes("PersistentVolumeClaim", claim(phase="Bound") + event("ProvisioningFailed", "timed out")) == []


def test_a_storage_class_that_does_not_exist_is_one_finding_that_names_those_that_do():
    manifests = claim() + storage_class("slow") + event("ProvisioningFailed", "storageclass fast not found")
    [finding] = findings("PersistentVolumeClaim", manifests)
    assert finding.code == "PersistentVolumeClaimStorageClassMissing"
    assert "fast" in finding.message
    assert "slow" in finding.message


def test_a_class_that_only_volumes_have_is_not_missing():
    manifests = claim(created="2026-11-02T08:59:00Z") + volume(spec="storageClassName: fast")
    assert codes("PersistentVolumeClaim", manifests) == []


def test_storage_classes_that_could_not_be_read_are_not_missing():
    view = view_of(claim(created="2026-11-02T08:59:00Z"), forbidden=["StorageClass"])
    assert codes("PersistentVolumeClaim", view) == []


NO_CLASS = "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}"


def test_no_class_without_a_default_class_is_reported():
    [finding] = findings("PersistentVolumeClaim", claim(NO_CLASS) + storage_class("slow"))
    assert finding.code == "PersistentVolumeClaimNoStorageClass"
    assert "no default" in finding.message


@pytest.mark.parametrize(
    "other", [storage_class("slow", default=True), volume()], ids=["default class", "fitting volume"]
)
def test_no_class_is_fine_where_a_default_class_or_a_fitting_volume_exists(other):
    assert codes("PersistentVolumeClaim", claim(NO_CLASS, created="2026-11-02T08:59:00Z") + other) == []


def test_volumes_that_are_too_small_do_not_fit():
    small = volume().replace("10Gi", "5Gi")
    assert codes("PersistentVolumeClaim", claim(NO_CLASS) + small) == ["PersistentVolumeClaimNoStorageClass"]


def test_a_claim_on_a_volume_that_does_not_exist_is_reported():
    [finding] = findings("PersistentVolumeClaim", claim(NAMES % "fast") + storage_class())
    assert finding.code == "PersistentVolumeClaimVolumeMissing"
    assert "pv-1" in finding.message


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        ("namespace: shop, name: other, uid: x", "claim shop/other"),
        ("namespace: data, name: data-0, uid: claim-0", "earlier claim"),
    ],
)
def test_a_claim_on_a_volume_of_another_claim_is_reported(owner, words):
    taken = volume(phase="Bound", spec=f"claimRef: {{{owner}}}")
    [finding] = findings("PersistentVolumeClaim", claim(NAMES % "fast") + storage_class() + taken)
    assert finding.code == "PersistentVolumeClaimVolumeTaken"
    assert words in finding.message


def test_a_claim_on_a_volume_kept_for_it_is_about_to_be_bound():
    kept = volume(spec="claimRef: {namespace: data, name: data-0}")
    manifests = claim(NAMES % "fast", created="2026-11-02T08:59:00Z") + storage_class() + kept
    assert codes("PersistentVolumeClaim", manifests) == []


def test_a_binding_that_failed_is_reported_though_its_event_is_normal():
    manifests = claim('{storageClassName: ""}') + event(
        "FailedBinding", "no persistent volumes available", type="Normal"
    )
    [finding] = findings("PersistentVolumeClaim", manifests)
    assert finding.code == "PersistentVolumeClaimBindingFailed"
    assert "no persistent volumes available" in finding.message


def test_a_claim_pending_past_the_time_a_disk_takes_is_reported():
    [finding] = findings("PersistentVolumeClaim", claim() + storage_class())
    assert finding.code == "PersistentVolumeClaimPending"
    assert "60m" in finding.message
    assert "disk.csi.example.com" in finding.message
    assert codes("PersistentVolumeClaim", claim(created="2026-11-02T08:58:00Z") + storage_class()) == []


LATE = storage_class(mode="WaitForFirstConsumer")


def test_a_claim_that_waits_for_a_first_consumer_is_fine():
    assert codes("PersistentVolumeClaim", claim() + LATE) == []
    assert codes("PersistentVolumeClaim", claim() + LATE + pod("Succeeded")) == []


def test_a_claim_that_waits_for_a_first_consumer_is_fine_where_classes_cannot_be_read():
    manifests = claim() + pod() + event("WaitForFirstConsumer", "waiting for first consumer", type="Normal")
    assert codes("PersistentVolumeClaim", view_of(manifests, forbidden=["StorageClass"])) == []


def test_a_claim_whose_pod_finds_no_node_follows_from_the_pod():
    [finding] = findings("PersistentVolumeClaim", claim() + LATE + pod(unschedulable="3 Insufficient memory"))
    assert (finding.code, finding.severity) == ("PersistentVolumeClaimConsumerUnschedulable", "info")
    assert "Insufficient memory" in finding.message
    assert [str(ref) for ref in finding.because] == ["Pod data/db-0"]


def test_a_claim_that_keeps_its_pod_from_all_nodes_is_itself_the_cause():
    said = "3 node(s) did not find available persistent volumes to bind"
    [finding] = findings("PersistentVolumeClaim", claim() + LATE + pod(unschedulable=said))
    assert (finding.code, finding.severity, finding.because) == (
        "PersistentVolumeClaimConsumerUnschedulable",
        "warning",
        (),
    )


def test_a_disk_that_does_not_come_after_a_node_was_chosen_is_reported():
    chosen = claim(metadata="annotations: {volume.kubernetes.io/selected-node: node-a}")
    assert codes("PersistentVolumeClaim", chosen + LATE + pod()) == ["PersistentVolumeClaimPending"]


GROWING = "{resources: {requests: {storage: 20Gi}}}"


def grown(condition: str, since: str = EARLY) -> str:
    conditions = f'capacity: {{storage: 10Gi}}\n  conditions: [{{type: {condition}, status: "True", message: disk is full, lastTransitionTime: "{since}"}}]'
    return claim(GROWING, phase="Bound", status=conditions)


@pytest.mark.parametrize("condition", ["ControllerResizeError", "NodeResizeError"])
def test_a_resize_that_failed_is_a_warning_with_both_sizes(condition):
    [finding] = findings("PersistentVolumeClaim", grown(condition))
    assert (finding.code, finding.severity) == ("PersistentVolumeClaimResizeFailed", "warning")
    assert "10Gi" in finding.message
    assert "20Gi" in finding.message
    assert "disk is full" in finding.message


def test_a_resize_that_failed_is_known_from_events_where_the_condition_only_says_resizing():
    manifests = grown("Resizing", "2026-11-02T08:55:00Z") + event("VolumeResizeFailed", "cannot grow past 16Gi")
    [finding] = findings("PersistentVolumeClaim", manifests)
    assert finding.code == "PersistentVolumeClaimResizeFailed"
    assert "16Gi" in finding.message


@pytest.mark.parametrize(
    ("manifests", "expected"),
    [
        (grown("Resizing"), ["PersistentVolumeClaimResizeStuck"]),
        (grown("Resizing", "2026-11-02T08:50:00Z"), []),
        (grown("FileSystemResizePending") + pod("Running"), ["PersistentVolumeClaimResizeStuck"]),
        (grown("FileSystemResizePending", "2026-11-02T08:58:00Z") + pod("Running"), []),
        (grown("FileSystemResizePending"), []),
    ],
    ids=["resizing long", "resizing", "file system long", "file system", "file system that nobody mounts"],
)
def test_a_resize_is_stuck_only_after_a_time_and_where_something_could_end_it(manifests, expected):
    assert codes("PersistentVolumeClaim", manifests) == expected


def deleted(at: str, finalizers: str = "[kubernetes.io/pvc-protection]") -> str:
    return claim(phase="Bound", metadata=f'deletionTimestamp: "{at}", finalizers: {finalizers}')


def test_a_deleted_claim_that_pods_still_use_is_worth_knowing():
    [finding] = findings("PersistentVolumeClaim", deleted("2026-11-02T08:00:00Z") + pod("Running"))
    assert (finding.code, finding.severity) == ("PersistentVolumeClaimTerminating", "info")
    assert "db-0" in finding.message
    assert codes("PersistentVolumeClaim", deleted("2026-11-02T08:59:00Z") + pod("Running")) == []


def test_a_deleted_claim_that_nobody_uses_names_what_holds_it():
    held = deleted("2026-11-02T08:00:00Z", "[snapshot.storage.kubernetes.io/pvc-as-source-protection]")
    [finding] = findings("PersistentVolumeClaim", held)
    assert "pvc-as-source-protection" in finding.message


def test_a_pending_claim_and_its_waiting_pod_do_not_blame_each_other_in_a_circle():
    said = "pod has unbound immediate PersistentVolumeClaims"
    manifests = claim() + storage_class() + event("ProvisioningFailed", "no quota") + pod(unschedulable=said)
    found = {finding.code: finding for finding in diagnose_all(manifests)}
    assert found["PersistentVolumeClaimProvisioningFailed"].cause == ""
