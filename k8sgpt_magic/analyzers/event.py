"""Event: warnings that nothing else explains.

An event about an object that another analyzer reports on becomes evidence there (see ``diagnosis.diagnose``); what
is left over here is what no rule knows.

Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.resources import Event, ObjectRef
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, count, sentence

WARNING = Code(
    "EventWarning",
    "warning",
    "A component of the cluster warned about an object, and no other rule explains it.",
    "https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/",
)

# Warnings that come and go in the life of any cluster.
_HARMLESS = {
    "BackOff", "CalculateExpectedPodCountFailed", "DNSConfigForming", "FailedScheduling", "FailedToCreateEndpoint",
    "FailedToUpdateEndpoint", "FailedToUpdateEndpointSlices", "NodeNotReady", "PolicyViolation",
    "RecreatingFailedPod", "Unhealthy",
}  # fmt: skip


@analyzer(Event, codes=[WARNING], after_others=True)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Warning events of the last hour about objects that nothing else is said of."""
    alike: defaultdict[tuple[ObjectRef, str], list[Event]] = defaultdict(list)
    for event in view.all(Event):
        if event.type == "Warning":
            about = event.involved_object
            ref = ObjectRef(about.kind, about.namespace, about.name)
            if ref not in view.reported and view.is_recent(event):
                alike[ref, event.reason].append(event)
    for (ref, reason), events in alike.items():
        yield _warned(view, ref, reason, events)


def _warned(view: ClusterView, ref: ObjectRef, reason: str, events: list[Event]) -> Finding:
    newest = events[0] if len(events) == 1 else max(events, key=lambda event: event.last_seen or view.now)
    times = sum(event.occurrences for event in events)
    is_gone = ref.kind in KINDS and view.missing(KINDS[ref.kind], ref.namespace, ref.name)
    return WARNING.finding(
        ref,
        f"{reason or 'Warning'}, {count(times, 'time')}, last {ago(view.age(newest.last_seen))} ago: "
        f"{sentence(newest.message or 'no message')}{' The object no longer exists.' if is_gone else ''}",
        key=reason,
        since=min((event.first_seen for event in events if event.first_seen), default=None),
        evidence=[newest],
        severity="info" if is_gone or reason in _HARMLESS else None,
    )
