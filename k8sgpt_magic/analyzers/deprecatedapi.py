"""DeprecatedAPI: is anything still written in a version of its API that is gone, or will be?

When an object was last written, and in which version, is in its ``metadata.managedFields``; the object itself always
comes in the version that was asked for. What only stands in a manifest that nobody applies any more is not seen.

Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.extension import CustomResourceDefinition
from k8sgpt_magic.cluster.resources import (
    CronJob,
    DaemonSet,
    Deployment,
    HorizontalPodAutoscaler,
    Ingress,
    IngressClass,
    ManagedFieldsEntry,
    MutatingWebhookConfiguration,
    NetworkPolicy,
    Node,
    PodDisruptionBudget,
    RemovedVersion,
    Resource,
    StatefulSet,
    ValidatingWebhookConfiguration,
    WorkloadMeta,
)
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding

IN_USE = Code(
    "DeprecatedAPIInUse",
    "warning",
    "Somebody last wrote the object in a version of its API that is not served any more, or soon will not be.",
    "https://kubernetes.io/docs/reference/using-api/deprecation-guide/",
    explains=False,
)

# The minor version of Kubernetes 1 that serves a version of an API no longer, and what takes its place.
_REMOVED: dict[RemovedVersion, tuple[int, str]] = {
    RemovedVersion.EXTENSIONS_V1BETA1: (16, ""),
    RemovedVersion.APPS_V1BETA1: (16, "apps/v1"),
    RemovedVersion.APPS_V1BETA2: (16, "apps/v1"),
    RemovedVersion.ADMISSION_V1BETA1: (22, "admissionregistration.k8s.io/v1"),
    RemovedVersion.DEFINITIONS_V1BETA1: (22, "apiextensions.k8s.io/v1"),
    RemovedVersion.NETWORKING_V1BETA1: (22, "networking.k8s.io/v1"),
    RemovedVersion.BATCH_V1BETA1: (25, "batch/v1"),
    RemovedVersion.POLICY_V1BETA1: (25, "policy/v1"),
    RemovedVersion.AUTOSCALING_V2BETA1: (25, "autoscaling/v2"),
    RemovedVersion.AUTOSCALING_V2BETA2: (26, "autoscaling/v2"),
}
_KINDS: tuple[type[Resource], ...] = (
    Deployment, StatefulSet, DaemonSet, CronJob, Ingress, IngressClass, NetworkPolicy, HorizontalPodAutoscaler,
    PodDisruptionBudget, MutatingWebhookConfiguration, ValidatingWebhookConfiguration, CustomResourceDefinition,
)  # fmt: skip


@analyzer(Deployment, reads=[*_KINDS[1:], Node], codes=[IN_USE], default=False, name="DeprecatedAPI")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Objects that somebody still writes in a version of their API that is gone, or will be."""
    minor = _oldest_minor(view)
    for kind in _KINDS:
        for each in view.all(kind):
            if not isinstance(each.metadata, WorkloadMeta):
                continue
            writers = [entry for entry in each.metadata.managed_fields if entry.api_version in _REMOVED]
            if writers:
                yield _finding(each, max(writers, key=_written), minor)


def _written(entry: ManagedFieldsEntry) -> str:
    return entry.time.isoformat() if entry.time else ""


def _finding(each: Resource, entry: ManagedFieldsEntry, minor: int) -> Finding:
    old = entry.api_version.value
    removed, instead = _REMOVED[entry.api_version]
    instead = instead or f"{each.group}/{each.version}"
    gone = minor >= removed
    when = (
        f"is not served since Kubernetes 1.{removed}"
        if gone
        else f"will not be served from Kubernetes 1.{removed} on"
    )
    return IN_USE.finding(
        each,
        f"It was last written as {old}, which {when}: write it as {instead}.",
        since=entry.time,
        evidence=[
            ("metadata.managedFields[].apiVersion", old),
            ("removed in", f"1.{removed}"),
        ],
        severity=None if gone else "info",
    )


def _oldest_minor(view: ClusterView) -> int:
    """The minor version of the oldest kubelet: an API server is never older. As good as new where nobody tells."""
    found = [
        int(version[1])
        for node in view.all(Node)
        if (version := re.match(r"v1\.(\d+)", node.status.node_info.kubelet_version)) is not None
    ]
    return min(found, default=99)
