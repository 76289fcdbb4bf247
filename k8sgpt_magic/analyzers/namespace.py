"""Namespace: does one that was deleted come to its end?

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.extension import APIService
from k8sgpt_magic.cluster.resources import Namespace, ObjectRef
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, joined, sentence

_DOCS = "https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/"

STUCK = Code(
    "NamespaceStuck",
    "warning",
    "The namespace is being deleted and something in it cannot be, so it stays Terminating.",
    _DOCS,
)

# An empty namespace is gone in seconds, one full of pods in as long as the slowest of them takes to stop.
GRACE = 300
LONG = 3600
# In the order in which they tell more; each is True where there is something left to do.
# https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/#NamespaceStatus
_CONDITIONS = (
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
)


@analyzer(Namespace, reads=[APIService], codes=[STUCK], default=False)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Namespaces that stay Terminating, and what holds them."""
    for namespace in view.all(Namespace):
        since = namespace.metadata.deletion_timestamp
        if not view.older_than(since, GRACE):
            continue
        held = [
            each
            for name in _CONDITIONS
            if (each := condition(namespace.status.conditions, name)) is not None and each.status == "True"
        ]
        # A finalizer of a namespace itself is in spec; the one called kubernetes is the controller's own.
        own = [*namespace.metadata.finalizers, *(each for each in namespace.spec.finalizers if each != "kubernetes")]
        why = (
            sentence(held[0].message)
            if held
            else f"It is held by the finalizers {joined(own)}."
            if own
            else "Nothing says what holds it."
        )
        yield STUCK.finding(
            namespace,
            f"It has been terminating for {ago(view.age(since))}. {why}",
            since=since,
            evidence=[
                *((f"status.conditions[{each.type}]", each.message) for each in held),
                *([("spec.finalizers", joined(own, 20))] if own else []),
            ],
            # What an API service that is down would have listed, the controller cannot delete.
            because=[ObjectRef("APIService", "", each.name) for each in _down(view)]
            if held and held[0].type == _CONDITIONS[0]
            else (),
            severity="critical" if view.older_than(since, LONG) else None,
        )


def _down(view: ClusterView) -> list[APIService]:
    return [
        each
        for each in view.all(APIService)
        if (available := condition(each.status.conditions, "Available")) is not None and available.status != "True"
    ]
