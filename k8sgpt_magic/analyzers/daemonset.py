"""DaemonSet: which nodes lack its pod, and why? Does its update get anywhere?

Source: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import DaemonSet, Node, ObjectRef, Pod, PodSpec, Secret, Taint, Toleration
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.workloads import (
    FAILING_GRACE,
    NAMED_PODS,
    REFUSAL_GRACE,
    STARTUP_GRACE,
    Admission,
    Fact,
    changed_at,
    first_seen,
    is_brand_new,
    is_failing,
    is_past,
    missing_pull_secrets,
    not_reconciled,
    oldest,
    pod_facts,
    refusal_events,
    trouble_of,
    unready,
)
from k8sgpt_magic.findings import Code, Finding, Severity
from k8sgpt_magic.wording import count, joined, quote

DOCS = "https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/"

NOT_READY = Code(
    "DaemonSetNotReady",
    "warning",
    "Some nodes that should run a pod of the DaemonSet have none that is ready.",
    DOCS + "#how-daemon-pods-are-scheduled",
)
CREATE_FAILED = Code(
    "DaemonSetCreateFailed",
    "warning",
    "Pods of the DaemonSet cannot be created on some nodes: the API server refuses them.",
    DOCS,
)
UPDATE_STUCK = Code(
    "DaemonSetUpdateStuck",
    "warning",
    "The rolling update of the DaemonSet has stopped before all nodes run the new version.",
    "https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/#daemonset-rolling-update-is-stuck",
)
MISSCHEDULED = Code(
    "DaemonSetMisscheduled",
    "warning",
    "Pods of the DaemonSet run on nodes where its node selector or the nodes' taints do not want them.",
    DOCS + "#taints-and-tolerations",
)
NO_NODE_MATCHES = Code(
    "DaemonSetNoNodeMatches",
    "info",
    "No node has the labels that the DaemonSet selects by, so it runs nowhere.",
    DOCS + "#running-pods-on-select-nodes",
)
NOT_RECONCILED = Code(
    "DaemonSetNotReconciled",
    "warning",
    "The DaemonSet was changed and its controller has not acted on that, so the change has no effect.",
    DOCS,
)
PULL_SECRET_MISSING = Code(
    "DaemonSetImagePullSecretMissing",
    "warning",
    "The pods of the DaemonSet name a pull secret that does not exist, so private images cannot be pulled.",
    "https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/",
)

UPDATE_GRACE = 600
"""Seconds without a new pod after which an update no longer moves; one node after the other gets its own."""

TOLERATED_KEYS = frozenset(
    f"node.kubernetes.io/{condition}"
    for condition in (
        "not-ready",
        "unreachable",
        "disk-pressure",
        "memory-pressure",
        "pid-pressure",
        "unschedulable",
        "network-unavailable",
    )
)
"""Taints that the controller lets all pods of DaemonSets tolerate (the last of them on the host network only)."""


@analyzer(
    DaemonSet,
    reads=[Node, Pod, Secret, *Admission.reads],
    codes=[
        NOT_READY,
        CREATE_FAILED,
        UPDATE_STUCK,
        MISSCHEDULED,
        NO_NODE_MATCHES,
        NOT_RECONCILED,
        PULL_SECRET_MISSING,
    ],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """DaemonSets that lack a ready pod on some node, run where they should not, or run nowhere."""
    admission = Admission(view)
    for daemon_set in view.all(DaemonSet):
        if daemon_set.metadata.deletion_timestamp:
            continue
        if daemon_set.status.observed_generation < daemon_set.metadata.generation:
            observed = daemon_set.status.observed_generation
            yield from not_reconciled(view, NOT_RECONCILED, daemon_set, daemon_set.metadata, observed)
        else:
            yield from _falls_short(view, admission, daemon_set)
            if daemon_set.status.number_misscheduled > 0:
                yield from _misscheduled(view, daemon_set)
            if daemon_set.status.desired_number_scheduled == 0:
                yield from _no_node_matches(view, daemon_set)
        if daemon_set.spec.template.spec.image_pull_secrets:
            yield from missing_pull_secrets(view, PULL_SECRET_MISSING, daemon_set, daemon_set.spec.template.spec)


# --- nodes without a ready pod ---------------------------------------------------------------------------


class _Gap(Struct):
    """A node without a ready pod of the DaemonSet. ``node`` is its name, where the pod has got one."""

    node: str
    pod: Pod | None
    reason: str
    because: list[ObjectRef]

    def __str__(self) -> str:
        return f"{self.node} ({self.reason})" if self.node else self.reason


def _falls_short(view: ClusterView, admission: Admission, daemon_set: DaemonSet) -> Iterator[Finding]:
    """The one finding that says best why a DaemonSet is not everywhere where it should be."""
    status = daemon_set.status
    is_short = status.number_ready < status.desired_number_scheduled
    update_stops = _update_stops(view, daemon_set)
    if not is_short and not update_stops:
        return
    gaps = _gaps(view, daemon_set)
    refused = _create_failed(view, admission, daemon_set, gaps)
    if refused:
        yield refused
    elif update_stops:
        yield _update_stuck(view, daemon_set, gaps)
    else:
        yield from _not_ready(view, daemon_set, gaps)


def _gaps(view: ClusterView, daemon_set: DaemonSet) -> list[_Gap]:
    """Where a ready pod is missing, nodes that are down first, and why."""
    pods = view.owned_by(daemon_set, Pod)
    gaps = [_gap(view, pod) for pod in unready(pods)]
    placed = {pod.spec.node_name for pod in pods if pod.spec.node_name}
    unplaced = sum(not pod.spec.node_name for pod in pods)
    without = daemon_set.status.desired_number_scheduled - len(placed) - unplaced
    if without > 0 and view.readable(Node) and view.readable(Pod, daemon_set.namespace):
        template = daemon_set.spec.template.spec
        candidates = [node for node in view.all(Node) if node.name not in placed and _should_run(template, node)]
        # Node affinity is not known here, so that more nodes than the controller counts mean that some do not count.
        if len(candidates) == without:
            gaps += [
                _Gap(node.name, None, "no pod" if _is_ready(node) else "node not ready, no pod", [node.ref])
                for node in candidates
            ]
    gaps.sort(key=lambda gap: not gap.reason.startswith("node "))
    return gaps


def _gap(view: ClusterView, pod: Pod) -> _Gap:
    name = pod.spec.node_name
    if not name:
        return _Gap("", pod, f"{pod.name}: {quote(trouble_of(pod), 60)}", [pod.ref])
    node = view.get(Node, "", name)
    if node and not _is_ready(node):
        return _Gap(name, pod, "node not ready", [node.ref, pod.ref])
    if view.missing(Node, "", name):
        return _Gap(name, pod, "node does not exist", [pod.ref])
    return _Gap(name, pod, f"{pod.name}: {quote(trouble_of(pod), 60)}", [pod.ref])


def _not_ready(view: ClusterView, daemon_set: DaemonSet, gaps: Sequence[_Gap]) -> Iterator[Finding]:
    pods = [gap.pod for gap in gaps if gap.pod]
    # Nobody knows since when a node lacks a pod that is not there; the newest thing that happened came before.
    since = oldest(pods) or _last_step(view, daemon_set, gaps)
    fails = any(is_failing(pod) for pod in pods)
    if not is_past(view, since, FAILING_GRACE if fails else STARTUP_GRACE):
        return
    yield NOT_READY.finding(
        daemon_set,
        f"{_state(daemon_set)}. {_missing_on(gaps)}".strip(),
        since=since,
        severity=_severity(daemon_set),
        evidence=[_ready_fact(daemon_set), *_gap_facts(gaps), *pod_facts(pods), *view.events(daemon_set)],
        because=_explanations(gaps),
        masked=_names(gaps),
    )


def _create_failed(
    view: ClusterView, admission: Admission, daemon_set: DaemonSet, gaps: Sequence[_Gap]
) -> Finding | None:
    status = daemon_set.status
    if status.current_number_scheduled >= status.desired_number_scheduled:
        return None
    events = refusal_events(view, daemon_set)
    since = first_seen(events)
    if not events or not is_past(view, since, REFUSAL_GRACE):
        return None
    refusal = admission.refusal(daemon_set.namespace, events[0].message)
    missing = status.desired_number_scheduled - status.current_number_scheduled
    return CREATE_FAILED.finding(
        daemon_set,
        f"{_state(daemon_set)}, and {count(missing, 'pod')} cannot be created: {refusal}",
        since=since,
        severity=_severity(daemon_set),
        evidence=[
            _ready_fact(daemon_set),
            (
                "status.currentNumberScheduled",
                f"{status.current_number_scheduled} of {status.desired_number_scheduled}",
            ),
            *refusal.evidence,
            *events,
        ],
        because=[*refusal.because, *_explanations(gaps)],
        masked=refusal.masked,
    )


def _missing_on(gaps: Sequence[_Gap]) -> str:
    return f"Missing on {joined([str(gap) for gap in gaps], 4)}." if gaps else ""


def _gap_facts(gaps: Sequence[_Gap]) -> list[Fact]:
    return [(f"Node {gap.node}", gap.reason) for gap in gaps[:NAMED_PODS] if gap.node]


def _explanations(gaps: Sequence[_Gap]) -> list[ObjectRef]:
    return list(dict.fromkeys(ref for gap in gaps[:NAMED_PODS] for ref in gap.because))


def _names(gaps: Sequence[_Gap]) -> list[str]:
    return [gap.node for gap in gaps[:NAMED_PODS]]


# --- updates ---------------------------------------------------------------------------------------------


def _update_stops(view: ClusterView, daemon_set: DaemonSet) -> bool:
    """Whether a rolling update is unfinished and no pod has been replaced for long."""
    status = daemon_set.status
    if status.updated_number_scheduled >= status.desired_number_scheduled:
        return False
    if daemon_set.spec.update_strategy.type not in ("", "RollingUpdate"):
        return False  # With OnDelete, pods stay as they are until somebody deletes them.
    # Where no pod is outdated, those that are not updated are those that are not there.
    if status.updated_number_scheduled >= status.current_number_scheduled:
        return False
    last = _last_step(view, daemon_set, ())
    return last is not None and view.older_than(last, UPDATE_GRACE)


def _last_step(view: ClusterView, daemon_set: DaemonSet, gaps: Sequence[_Gap]) -> datetime | None:
    times = [pod.metadata.creation_timestamp for pod in view.owned_by(daemon_set, Pod)]
    nodes = [view.get(Node, "", gap.node) for gap in gaps if gap.node and not gap.pod]
    times += [node.metadata.creation_timestamp for node in nodes if node]
    return max((time for time in (*times, changed_at(daemon_set.metadata)) if time), default=None)


def _update_stuck(view: ClusterView, daemon_set: DaemonSet, gaps: Sequence[_Gap]) -> Finding:
    status = daemon_set.status
    pods = [gap.pod for gap in gaps if gap.pod]
    return UPDATE_STUCK.finding(
        daemon_set,
        f"The rolling update has stopped: {status.updated_number_scheduled} of "
        f"{count(status.desired_number_scheduled, 'pod')} "
        f"{'runs' if status.updated_number_scheduled == 1 else 'run'} the new version. "
        f"{_state(daemon_set)}. {_missing_on(gaps)}".strip(),
        since=_last_step(view, daemon_set, ()),
        severity=_severity(daemon_set),
        evidence=[
            (
                "status.updatedNumberScheduled",
                f"{status.updated_number_scheduled} of {status.desired_number_scheduled}",
            ),
            _ready_fact(daemon_set),
            *_gap_facts(gaps),
            *pod_facts(pods),
            *view.events(daemon_set),
        ],
        because=_explanations(gaps),
        masked=_names(gaps),
    )


# --- nodes that should and should not run it -------------------------------------------------------------


def _misscheduled(view: ClusterView, daemon_set: DaemonSet) -> Iterator[Finding]:
    if not is_past(view, changed_at(daemon_set.metadata), STARTUP_GRACE):
        return  # The controller is still removing them.
    template = daemon_set.spec.template.spec
    pods = [
        (pod, node)
        for pod in view.owned_by(daemon_set, Pod)
        if (node := view.get(Node, "", pod.spec.node_name)) and not _should_run(template, node)
    ]
    if pods and all(
        pod.metadata.deletion_timestamp and not view.older_than(pod.metadata.deletion_timestamp, STARTUP_GRACE)
        for pod, _ in pods
    ):
        return  # They are going.
    number = daemon_set.status.number_misscheduled
    where = joined([f"{pod.name} on {node.name} ({_objection(template, node)})" for pod, node in pods], 3)
    yield MISSCHEDULED.finding(
        daemon_set,
        f"{count(number, 'pod')} {'runs' if number == 1 else 'run'} where the DaemonSet should not"
        + (f": {where}." if where else "."),
        evidence=[
            ("status.numberMisscheduled", number),
            *((f"Pod {pod.name} spec.nodeName", node.name) for pod, node in pods[:NAMED_PODS]),
        ],
        masked=[
            text
            for pod, node in pods[:NAMED_PODS]
            for text in (
                pod.name,
                node.name,
                *template.node_selector.values(),
                *(part for taint in node.spec.taints for part in (taint.key, taint.value)),
            )
        ],
    )


def _objection(template: PodSpec, node: Node) -> str:
    for key, value in template.node_selector.items():
        if node.metadata.labels.get(key) != value:
            return quote(f"no label {key}={value}", 100)
    taint = next((taint for taint in node.spec.taints if not _is_tolerated(taint, template.tolerations)), Taint())
    return quote(f"taint {taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect}", 100)


def _no_node_matches(view: ClusterView, daemon_set: DaemonSet) -> Iterator[Finding]:
    selector = daemon_set.spec.template.spec.node_selector
    if not selector or not view.readable(Node) or is_brand_new(view, daemon_set, STARTUP_GRACE):
        return
    nodes = view.all(Node)
    if any(selector.items() <= node.metadata.labels.items() for node in nodes):
        return
    written = [f"{key}={value}" for key, value in selector.items()]
    others = sorted(
        {f"{key}={node.metadata.labels[key]}" for node in nodes for key in selector if key in node.metadata.labels}
    )
    has_instead = f" Nodes have {quote(joined(others, 3))} instead." if others else ""
    yield NO_NODE_MATCHES.finding(
        daemon_set,
        f"None of {count(sum(1 for _ in nodes), 'node')} has the labels {quote(joined(written))}, "
        f"so the DaemonSet runs nowhere.{has_instead}",
        evidence=[("spec.template.spec.nodeSelector", text) for text in written],
        masked=[text.partition("=")[2] for text in (*written, *others)],
    )


def _should_run(template: PodSpec, node: Node) -> bool:
    """Whether the node selector and the taints want a pod on a node (affinity is not known here).

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#how-daemon-pods-are-scheduled
    """
    labels = node.metadata.labels
    return all(labels.get(key) == value for key, value in template.node_selector.items()) and all(
        _is_tolerated(taint, template.tolerations) for taint in node.spec.taints
    )


def _is_tolerated(taint: Taint, tolerations: Sequence[Toleration]) -> bool:
    if taint.effect == "PreferNoSchedule" or taint.key in TOLERATED_KEYS:
        return True
    return any(
        toleration.effect in ("", taint.effect)
        and (
            (toleration.operator == "Exists" and toleration.key in ("", taint.key))
            or (
                toleration.operator in ("", "Equal")
                and (toleration.key, toleration.value) == (taint.key, taint.value)
            )
        )
        for toleration in tolerations
    )


def _is_ready(node: Node) -> bool:
    ready = condition(node.status.conditions, "Ready")
    return ready is None or ready.status == "True"


def _state(daemon_set: DaemonSet) -> str:
    ready, desired = daemon_set.status.number_ready, daemon_set.status.desired_number_scheduled
    return f"{ready or 'None'} of {count(desired, 'node')} {'have' if ready > 1 else 'has'} a ready pod"


def _severity(daemon_set: DaemonSet) -> Severity:
    status = daemon_set.status
    return "critical" if status.number_ready == 0 and status.desired_number_scheduled > 0 else "warning"


def _ready_fact(daemon_set: DaemonSet) -> Fact:
    return ("status.numberReady", f"{daemon_set.status.number_ready} of {daemon_set.status.desired_number_scheduled}")
