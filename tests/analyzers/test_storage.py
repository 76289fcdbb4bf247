"""StorageClass, PersistentVolume and VolumeAttachment: the opt-in analyzers of storage."""

from __future__ import annotations

import pytest

from tests.views import codes, findings

DEFAULT = "storageclass.kubernetes.io/is-default-class: 'true'"


def storage_class(
    name: str, provisioner: str = "disk.csi.example.com", *, default: bool = False, created: str = "2026-01-01"
) -> str:
    annotations = f", annotations: {{{DEFAULT}}}" if default else ""
    return f"""---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {name}, creationTimestamp: '{created}T00:00:00Z'{annotations}}}
provisioner: {provisioner}
"""


DRIVER = "---\n{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: disk.csi.example.com}}\n"


def test_one_default_class_with_its_driver_is_fine():
    assert codes("StorageClass", DRIVER + storage_class("fast", default=True) + storage_class("slow")) == []


def test_a_class_may_be_the_default_by_the_old_annotation():
    old = storage_class("fast", default=True).replace("storageclass.", "storageclass.beta.")
    assert codes("StorageClass", DRIVER + old) == []


def test_no_default_class_is_worth_knowing():
    [found] = findings("StorageClass", DRIVER + storage_class("fast"))
    assert (found.code, found.severity) == ("StorageClassNoDefault", "info")
    assert "fast" in found.message
    assert codes("StorageClass", DRIVER, forbidden=["StorageClass"]) == []


def test_of_several_defaults_the_newest_is_named_as_the_one_that_counts():
    [found] = findings(
        "StorageClass",
        DRIVER + storage_class("old", default=True) + storage_class("new", default=True, created="2026-06-01"),
    )
    assert (found.code, found.name) == ("StorageClassSeveralDefaults", "new")
    assert "and not old" in found.message


@pytest.mark.parametrize(
    ("provisioner", "code"),
    [
        ("kubernetes.io/glusterfs", "StorageClassProvisionerRemoved"),
        ("kubernetes.io/aws-ebs", "StorageClassDriverMissing"),
        ("other.csi.example.com", "StorageClassDriverMissing"),
        # Local volumes are made by hand, and not every provisioner is a CSI driver.
        ("kubernetes.io/no-provisioner", ""),
        ("rancher.io/local-path", ""),
    ],
)
def test_provisioners_that_nobody_serves(provisioner, code):
    manifests = DRIVER + storage_class("only", provisioner, default=True)
    assert codes("StorageClass", manifests) == ([code] if code else [])
    assert "StorageClassDriverMissing" not in codes("StorageClass", manifests, forbidden=["CSIDriver"])


def volume(status: str, *, policy: str = "Delete", more: str = "", spec: str = "") -> str:
    return f"""
apiVersion: v1
kind: PersistentVolume
metadata: {{name: disk{more}}}
spec:
  persistentVolumeReclaimPolicy: {policy}
  claimRef: {{namespace: shop, name: data}}
  {spec}
status: {status}
"""


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        (volume("{phase: Bound}"), []),
        (volume("{phase: Available}"), []),
        (volume("{phase: Failed, message: still attached}"), ["PersistentVolumeFailed"]),
        (volume("{phase: Released, lastPhaseTransitionTime: '2026-10-01T00:00:00Z'}"), ["PersistentVolumeNotReclaimed"]),
        # The provisioner is at it.
        (volume("{phase: Released, lastPhaseTransitionTime: '2026-11-02T08:59:00Z'}"), []),
        (volume("{phase: Released, lastPhaseTransitionTime: '2026-10-01T00:00:00Z'}", policy="Retain"), ["PersistentVolumeReleased"]),
        (volume("{phase: Bound}", more=", deletionTimestamp: '2026-11-01T00:00:00Z', finalizers: [kubernetes.io/pv-protection]"), ["PersistentVolumeTerminating"]),
        (volume("{phase: Bound}", more=", deletionTimestamp: '2026-11-02T08:59:00Z'"), []),
    ],
)  # fmt: skip
def test_phases_of_volumes(manifest, found):
    assert codes("PersistentVolume", manifest) == found


def test_small_volumes_and_kept_ones_are_no_problem():
    kept = findings("PersistentVolume", volume("{phase: Released}", policy="Retain"))
    assert [each.severity for each in kept] == ["info"]
    assert codes("PersistentVolume", volume("{phase: Bound}", spec="capacity: {storage: 1Mi}")) == []


def affinity(key: str, value: str) -> str:
    return (
        "nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: "
        f"[{{key: {key}, operator: In, values: [{value}]}}]}}]}}}}"
    )


NODE = "---\n{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {kubernetes.io/hostname: host-1}}}\n"


def test_a_volume_of_a_node_that_is_gone():
    gone = volume("{phase: Bound}", spec=affinity("kubernetes.io/hostname", "host-2"))
    [found] = findings("PersistentVolume", gone + NODE)
    assert (found.code, found.severity) == ("PersistentVolumeNodeMissing", "critical")
    assert codes("PersistentVolume", gone + NODE, forbidden=["Node"]) == []
    there = volume("{phase: Bound}", spec=affinity("kubernetes.io/hostname", "host-1"))
    assert codes("PersistentVolume", there + NODE) == []
    # A zone may have nodes again.
    assert (
        codes("PersistentVolume", volume("{phase: Bound}", spec=affinity("topology.kubernetes.io/zone", "z")) + NODE)
        == []
    )


def attachment(status: str, node: str = "n1", created: str = "2026-11-02T08:00:00Z") -> str:
    return f"""
apiVersion: storage.k8s.io/v1
kind: VolumeAttachment
metadata: {{name: csi-1, creationTimestamp: '{created}'}}
spec: {{attacher: disk.csi.example.com, nodeName: {node}, source: {{persistentVolumeName: disk}}}}
status: {status}
"""


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        (attachment("{attached: true}"), []),
        (attachment("{attached: false, attachError: {time: '2026-11-02T08:30:00Z', message: in use elsewhere}}"), ["VolumeAttachmentAttachFailed"]),
        (attachment("{attached: true, detachError: {message: no answer}}"), ["VolumeAttachmentDetachFailed"]),
        (attachment("{attached: false}"), ["VolumeAttachmentPending"]),
        (attachment("{attached: false}", created="2026-11-02T08:58:00Z"), []),
        (attachment("{attached: true}", node="gone"), ["VolumeAttachmentNodeMissing"]),
    ],
)  # fmt: skip
def test_attachments(manifest, found):
    assert codes("VolumeAttachment", manifest + NODE) == found


def test_an_attachment_says_since_when_and_on_what_it_rests():
    error = "{attached: false, attachError: {time: '2026-11-02T08:30:00Z', message: in use elsewhere}}"
    [found] = findings("VolumeAttachment", attachment(error) + NODE)
    assert f"{found.since:%H:%M}" == "08:30"
    assert "in use elsewhere" in found.message
    assert [str(each) for each in found.because] == ["Node n1", "PersistentVolume disk"]
