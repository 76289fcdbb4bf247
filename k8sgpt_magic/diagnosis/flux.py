"""What Flux's controllers say of what they apply, the same way for Kustomizations and HelmReleases.

Source: https://fluxcd.io/flux/components/kustomize/kustomizations/#kustomization-status
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from k8sgpt_magic.cluster.integrations import HelmRelease, Kustomization
from k8sgpt_magic.cluster.resources import DaemonSet, Deployment, ObjectRef, Resource, StatefulSet
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import lasting, reported, unreconciled
from k8sgpt_magic.findings import Code, Finding

WORKLOADS = (Deployment, StatefulSet, DaemonSet)
# The controllers wait five minutes for health checks and Helm by default, and then once more.
PROGRESS_GRACE = 900


class Codes(Struct, frozen=True):
    not_ready: Code
    stalled: Code
    not_reconciled: Code
    suspended: Code


def judged(view: ClusterView, on: Kustomization | HelmRelease, codes: Codes) -> Iterator[Finding]:
    """Suspended, stalled, not ready or not judged: the first of these that holds."""
    conditions = on.status.conditions
    if on.metadata.deletion_timestamp:
        return
    because = [*_dependencies(on), *_workloads(view, on)]
    stalled = lasting(view, on, conditions, "Stalled", "True", grace=0)
    unready = lasting(view, on, conditions, "Ready")
    if on.spec.suspend:
        yield codes.suspended.finding(
            on,
            "It is suspended: changes in its source are not applied."
            + (" When it was, it was not ready." if unready else ""),
            evidence=[("spec.suspend", True)],
        )
    elif stalled:
        yield reported(codes.stalled, on, stalled, "It has stalled and is not tried again", because=because)
    elif unready:
        failed = unready.reason == "InstallFailed"
        yield reported(
            codes.not_ready,
            on,
            unready,
            "It is not ready",
            because=because,
            severity="critical" if failed else None,
        )
    else:
        yield from unreconciled(
            view,
            codes.not_reconciled,
            on,
            conditions,
            "Ready",
            observed=on.status.observed_generation,
            grace=PROGRESS_GRACE,
            because=because,
        )


def _dependencies(on: Kustomization | HelmRelease) -> list[ObjectRef]:
    return [ObjectRef(on.kind, each.namespace or on.namespace, each.name) for each in on.spec.depends_on]


def _workloads(view: ClusterView, on: Kustomization | HelmRelease) -> list[ObjectRef]:
    """The workloads that it applied, which Flux labels."""
    return view.kept("workloads by what of Flux applied them", _labelled).get(on.ref, [])[:20]


def _labelled(view: ClusterView) -> dict[ObjectRef, list[ObjectRef]]:
    found: dict[ObjectRef, list[ObjectRef]] = {}
    for each in view.everything():
        if isinstance(each, WORKLOADS):
            for kind in (Kustomization, HelmRelease):
                if owner := _applied_by(each, kind):
                    found.setdefault(owner, []).append(each.ref)
    return found


def _applied_by(each: Resource, kind: type[Resource]) -> ObjectRef | None:
    labels = each.metadata.labels
    name, namespace = labels.get(f"{kind.group}/name"), labels.get(f"{kind.group}/namespace", "")
    return ObjectRef(kind.kind, namespace, name) if name else None
