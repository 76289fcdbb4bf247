"""PersistentVolume: can it be used, and is what was released taken care of?

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import Node, PersistentVolume, PersistentVolumeClaim
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, joined, sentence

_DOCS = "https://kubernetes.io/docs/concepts/storage/persistent-volumes/"

FAILED = Code(
    "PersistentVolumeFailed",
    "warning",
    "The volume could not be deleted or recycled after its claim was deleted; its data and its costs remain.",
    f"{_DOCS}#phase",
)
RELEASED = Code(
    "PersistentVolumeReleased",
    "info",
    "The claim is gone and the volume is kept, as its policy says: nobody can claim it until it is cleaned up.",
    f"{_DOCS}#retain",
)
NOT_RECLAIMED = Code(
    "PersistentVolumeNotReclaimed",
    "warning",
    "The claim is gone and the volume should have been deleted, and is still there.",
    f"{_DOCS}#delete",
)
NODE_MISSING = Code(
    "PersistentVolumeNodeMissing",
    "critical",
    "The volume can only be used on nodes that no longer exist, so no pod that needs it can be scheduled.",
    f"{_DOCS}#node-affinity",
)
TERMINATING = Code(
    "PersistentVolumeTerminating",
    "warning",
    "The volume has been told to go and is still in use or held by a finalizer.",
    f"{_DOCS}#storage-object-in-use-protection",
)

# Storage providers take some minutes to delete a disk.
GRACE = 600
_HOSTNAME = "kubernetes.io/hostname"


@analyzer(
    PersistentVolume,
    reads=[Node, PersistentVolumeClaim],
    codes=[FAILED, RELEASED, NOT_RECLAIMED, NODE_MISSING, TERMINATING],
    default=False,
    group="Storage",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """PersistentVolumes that cannot be used, were not reclaimed, or wait for somebody to clean up."""
    for volume in view.all(PersistentVolume):
        yield from _phase(view, volume)
        yield from _node_missing(view, volume)
        if view.older_than(volume.metadata.deletion_timestamp, GRACE):
            yield TERMINATING.finding(
                volume,
                f"It has been terminating for {ago(view.age(volume.metadata.deletion_timestamp))}, held by "
                f"{joined(volume.metadata.finalizers) or 'nothing that is said'}.",
                since=volume.metadata.deletion_timestamp,
                evidence=[("metadata.finalizers", joined(volume.metadata.finalizers, 20))],
                because=_claim(view, volume),
            )


def _phase(view: ClusterView, volume: PersistentVolume) -> Iterator[Finding]:
    status, since = volume.status, volume.status.last_phase_transition_time
    policy = volume.spec.persistent_volume_reclaim_policy
    reference = volume.spec.claim_ref
    claim = f"{reference.namespace}/{reference.name}" if reference else ""
    masked = [reference.namespace, reference.name] if reference else []
    evidence = [
        ("status.phase", status.phase),
        ("spec.persistentVolumeReclaimPolicy", policy),
        ("spec.claimRef", claim),
    ]
    if status.phase == "Failed":
        yield FAILED.finding(
            volume,
            f"Reclaiming it failed: {sentence(status.message or status.reason or 'no reason given')}",
            since=since,
            evidence=[*evidence, ("status.message", status.message)],
            masked=masked,
        )
    elif status.phase == "Released" and policy == "Delete":
        if since is None or view.older_than(since, GRACE):
            yield NOT_RECLAIMED.finding(
                volume,
                f"Its claim {claim} is gone, and it was to be deleted then: the provisioner has not done it.",
                since=since,
                evidence=evidence,
                masked=masked,
            )
    elif status.phase == "Released":
        yield RELEASED.finding(
            volume,
            f"Its claim {claim} is gone and the volume is kept (policy {policy}): remove spec.claimRef to use it "
            "again, or delete it.",
            since=since,
            evidence=evidence,
            masked=masked,
        )


def _node_missing(view: ClusterView, volume: PersistentVolume) -> Iterator[Finding]:
    """Local volumes are bound to a node by name; all other affinities are of zones, which come and go with nodes."""
    affinity = volume.spec.node_affinity
    if affinity is None or affinity.required is None or not view.readable(Node) or volume.status.phase == "Released":
        return
    names: list[str] = []
    for term in affinity.required.node_selector_terms:
        hosts = [
            value
            for each in (*term.match_expressions, *term.match_fields)
            if each.key in (_HOSTNAME, "metadata.name") and each.operator == "In"
            for value in each.values
        ]
        if not hosts:
            return
        names += hosts
    hostnames = view.kept("hostnames of nodes", _hostnames)
    if names and not hostnames & set(names):
        yield NODE_MISSING.finding(
            volume,
            f"It can only be used on {joined(names, 3)}, and there is no such node.",
            evidence=[("spec.nodeAffinity.required", f"{_HOSTNAME} in {joined(names, 10)}")],
            masked=names,
        )


def _hostnames(view: ClusterView) -> set[str]:
    return {name for node in view.all(Node) for name in (node.name, node.metadata.labels.get(_HOSTNAME, node.name))}


def _claim(view: ClusterView, volume: PersistentVolume) -> list[PersistentVolumeClaim]:
    reference = volume.spec.claim_ref
    found = view.get(PersistentVolumeClaim, reference.namespace, reference.name) if reference else None
    return [found] if found is not None else []
