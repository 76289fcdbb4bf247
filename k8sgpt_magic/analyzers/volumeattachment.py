"""VolumeAttachment: is each volume attached to the node that needs it, and detached from the others?

Source: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import Node, ObjectRef, PersistentVolume, VolumeAttachment
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, sentence

_DOCS = "https://kubernetes.io/docs/concepts/storage/volumes/"
_REFERENCE = "https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/"

ATTACH_FAILED = Code(
    "VolumeAttachmentAttachFailed",
    "critical",
    "The volume cannot be attached to its node, so the pods there that need it do not start.",
    _REFERENCE,
)
DETACH_FAILED = Code(
    "VolumeAttachmentDetachFailed",
    "warning",
    "The volume cannot be detached from a node, so it cannot move to another one.",
    _REFERENCE,
)
PENDING = Code(
    "VolumeAttachmentPending",
    "warning",
    "Nobody has attached the volume for minutes, and nobody says why: the driver's controller may be down.",
    f"{_DOCS}#csi",
)
NODE_MISSING = Code(
    "VolumeAttachmentNodeMissing",
    "warning",
    "The volume counts as attached to a node that no longer exists, and may not be attached elsewhere meanwhile.",
    "https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/#storage-force-detach-on-timeout",
)

GRACE = 300


@analyzer(
    VolumeAttachment,
    reads=[Node, PersistentVolume],
    codes=[ATTACH_FAILED, DETACH_FAILED, PENDING, NODE_MISSING],
    default=False,
    group="Storage",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """VolumeAttachments: volumes that cannot be attached to a node or detached from it."""
    for attachment in view.all(VolumeAttachment):
        spec, status = attachment.spec, attachment.status
        volume, node = spec.source.persistent_volume_name, spec.node_name
        because = [ObjectRef("Node", "", node), ObjectRef("PersistentVolume", "", volume)]
        what = f"Volume {volume or '(inline)'}"
        evidence = [("spec.attacher", spec.attacher), ("spec.nodeName", node)]
        if status.attach_error is not None and not status.attached:
            error = status.attach_error
            yield ATTACH_FAILED.finding(
                attachment,
                f"{what} cannot be attached to {node}: {sentence(error.message)}",
                since=error.time,
                evidence=[*evidence, ("status.attachError.message", error.message)],
                because=because,
            )
        elif status.detach_error is not None:
            error = status.detach_error
            yield DETACH_FAILED.finding(
                attachment,
                f"{what} cannot be detached from {node}: {sentence(error.message)}",
                since=error.time,
                evidence=[*evidence, ("status.detachError.message", error.message)],
                because=because,
            )
        elif view.missing(Node, "", node):
            yield NODE_MISSING.finding(
                attachment,
                f"{what} counts as attached to {node}, which does not exist.",
                evidence=[*evidence, ("status.attached", status.attached)],
                because=because,
                masked=[node],
            )
        elif not status.attached and view.older_than(attachment.metadata.creation_timestamp, GRACE):
            created = attachment.metadata.creation_timestamp
            yield PENDING.finding(
                attachment,
                f"{what} has not been attached to {node} for {ago(view.age(created))}, and {spec.attacher} gives no "
                "reason.",
                since=created,
                evidence=[*evidence, ("status.attached", False)],
                because=because,
            )
