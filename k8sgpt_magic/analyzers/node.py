"""Node: is it ready, healthy, open for new pods, and has it room for them?

Source: https://kubernetes.io/docs/reference/node/node-status/
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from msgspec import Struct

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import Container, Event, Lease, Node, Pod, PodSpec, Quantity
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.findings import Code, Evidence, Finding, Severity
from k8sgpt_magic.wording import ago, count, joined, quantity, quote, sentence

STATUS_DOCS = "https://kubernetes.io/docs/reference/node/node-status/"
PRESSURE_DOCS = "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/"
TAINT_DOCS = "https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/"

NOT_READY = Code(
    "NodeNotReady",
    "critical",
    "The node cannot run pods: its kubelet says so, or has stopped reporting at all.",
    "https://kubernetes.io/docs/tasks/debug/debug-cluster/",
)
MEMORY_PRESSURE = Code(
    "NodeMemoryPressure",
    "warning",
    "The node is short of memory, so the kubelet evicts pods and admits no new best-effort ones.",
    PRESSURE_DOCS,
)
DISK_PRESSURE = Code(
    "NodeDiskPressure",
    "warning",
    "The node is short of disk space or inodes, so the kubelet deletes images and evicts pods.",
    PRESSURE_DOCS,
)
PID_PRESSURE = Code(
    "NodePIDPressure",
    "warning",
    "The node is running out of process ids, so the kubelet evicts pods.",
    "https://kubernetes.io/docs/concepts/policy/pid-limiting/",
)
NETWORK_UNAVAILABLE = Code(
    "NodeNetworkUnavailable",
    "critical",
    "The network of the node is not set up, so its pods cannot reach others.",
    STATUS_DOCS,
)
CONDITION_UNKNOWN = Code(
    "NodeConditionUnknown",
    "warning",
    "One of the node's own health conditions is no longer reported although the node counts as ready.",
    STATUS_DOCS,
)
PROBLEM_DETECTED = Code(
    "NodeProblemDetected",
    "warning",
    "A monitor on the node found a fault in its kernel, file system, kubelet or container runtime.",
    "https://kubernetes.io/docs/tasks/debug/debug-cluster/monitor-node-health/",
)
LEASE_STALE = Code(
    "NodeLeaseStale",
    "warning",
    "The kubelet has stopped renewing its heartbeat although the node still counts as ready.",
    "https://kubernetes.io/docs/concepts/architecture/leases/#node-heart-beats",
)
CORDONED = Code(
    "NodeCordoned",
    "info",
    "The node takes no new pods because somebody cordoned it, as one does for maintenance.",
    "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
)
TAINTED = Code(
    "NodeTainted",
    "info",
    "The node takes only pods that tolerate its taints.",
    TAINT_DOCS,
)
ALLOCATABLE_EXHAUSTED = Code(
    "NodeAllocatableExhausted",
    "info",
    "The pods of the node request almost all that it has, so few others can be scheduled there.",
    "https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/#node-allocatable",
)
KUBELET_VERSION_SKEW = Code(
    "NodeKubeletVersionSkew",
    "warning",
    "The kubelet of the node is too many versions behind the rest of the cluster to be supported.",
    "https://kubernetes.io/releases/version-skew-policy/#kubelet",
)

JOIN_GRACE = 300
"""Seconds in which a new node may still be installing its network plugin and starting its agents."""

DELETION_GRACE = 600
"""Seconds that a node may take to go, not ready, after somebody deleted it (an autoscaler drains it first)."""

LONG_CORDON = 86_400
"""Seconds after which a cordon looks forgotten: maintenance of one node seldom takes longer than a day."""

STALE_DURATIONS = 5
"""Lease durations without a heartbeat that no slow request explains (kubelets renew four times in one)."""

DEFAULT_LEASE_DURATION = 40

FULL = 0.95
"""The share of the allocatable amount at which hardly any other pod fits."""

MAX_MINOR_SKEW = 3
"""How many minor versions a kubelet may be behind the API server."""

PRESSURES = {"MemoryPressure": MEMORY_PRESSURE, "DiskPressure": DISK_PRESSURE, "PIDPressure": PID_PRESSURE}

DETECTED_PROBLEMS = frozenset(
    {
        "ContainerRuntimeProblem",
        "ContainerRuntimeUnhealthy",
        "CorruptDockerOverlay2",
        "CperHardwareErrorFatal",
        "FilesystemCorruptionProblem",
        "FrequentContainerdRestart",
        "FrequentDockerRestart",
        "FrequentKubeletRestart",
        "FrequentUnregisterNetDevice",
        "KernelDeadlock",
        "KubeletProblem",
        "KubeletUnhealthy",
        "NTPProblem",
        "ReadonlyFilesystem",
        "XfsShutdown",
    }
)
"""Condition types of Node Problem Detector's monitors (its own, and those of AKS), which mean trouble when True."""

REQUIRED_CONDITIONS = frozenset(
    {"AcceleratedHardwareReady", "ContainerRuntimeReady", "KernelReady", "NetworkingReady", "StorageReady"}
)
"""Condition types of the node monitoring agent of EKS, which mean trouble when False.

Other custom types are not judged: some are healthy when True, some when False, and nothing says which.
"""

UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"

EXPECTED_TAINTS = frozenset(
    {
        "node-role.kubernetes.io/control-plane",
        "node-role.kubernetes.io/master",
        # Each of these repeats a condition or a cordon, which has a finding of its own.
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/unschedulable",
        "node.kubernetes.io/memory-pressure",
        "node.kubernetes.io/disk-pressure",
        "node.kubernetes.io/pid-pressure",
        "node.kubernetes.io/network-unavailable",
    }
)


@analyzer(
    Node,
    reads=[Pod, Lease, Event],
    codes=[
        NOT_READY,
        MEMORY_PRESSURE,
        DISK_PRESSURE,
        PID_PRESSURE,
        NETWORK_UNAVAILABLE,
        CONDITION_UNKNOWN,
        PROBLEM_DETECTED,
        LEASE_STALE,
        CORDONED,
        TAINTED,
        ALLOCATABLE_EXHAUSTED,
        KUBELET_VERSION_SKEW,
    ],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Nodes that are down, under pressure, closed for new pods, full or too old."""
    nodes = list(view.all(Node))
    if not nodes:
        return
    loads = _loads(view)
    newest = max((version for node in nodes if (version := _minor_version(node))), default=None)
    latest_heartbeat = max((time for node in nodes if (time := _renewed(view, node))), default=None)
    for node in nodes:
        ready = condition(node.status.conditions, "Ready")
        is_ready = ready is None or ready.status == "True"
        if _is_joining_or_leaving(view, node):
            continue
        if not is_ready:
            yield _not_ready(view, node, loads[node.name].pods)
        yield from _pressure(view, node)
        yield from _network_unavailable(node)
        if is_ready:
            # A kubelet that is silent leaves all its conditions Unknown; that is one problem and not five.
            yield from _condition_unknown(node)
            yield from _lease_stale(view, node, latest_heartbeat)
        yield from _problem_detected(node)
        yield from _cordoned(view, node)
        yield from _tainted(view, node)
        if not node.spec.unschedulable:
            yield from _allocatable_exhausted(node, loads[node.name])
        yield from _kubelet_version_skew(node, newest)


def _is_joining_or_leaving(view: ClusterView, node: Node) -> bool:
    metadata = node.metadata
    if metadata.deletion_timestamp:
        return not view.older_than(metadata.deletion_timestamp, DELETION_GRACE)
    return metadata.creation_timestamp is not None and not view.older_than(metadata.creation_timestamp, JOIN_GRACE)


# --- conditions ------------------------------------------------------------------------------------------


def _not_ready(view: ClusterView, node: Node, pods: int) -> Finding:
    ready = condition(node.status.conditions, "Ready")
    since = ready.last_transition_time
    for_long = f" for {ago(view.age(since))}" if since else ""
    if ready.status == "Unknown":
        message = (
            f"The kubelet has not reported{for_long}: {sentence(ready.message or ready.reason or 'no reason given')}"
        )
    else:
        message = (
            f"The node has not been ready{for_long}: {sentence(ready.message or ready.reason or 'no reason given')}"
        )
    if pods:
        message += f" {count(pods, 'pod')} {'is' if pods == 1 else 'are'} bound to it."
    evidence: list[Evidence | Event | tuple[str, object]] = [
        ("status.conditions[Ready]", f"{ready.status} {ready.reason}: {ready.message}")
    ]
    if ready.last_heartbeat_time:
        evidence.append(("status.conditions[Ready].lastHeartbeatTime", ready.last_heartbeat_time.isoformat()))
    lease = view.get(Lease, "kube-node-lease", node.name)
    if lease and lease.spec.renew_time:
        evidence += [
            ("Lease kube-node-lease spec.renewTime", lease.spec.renew_time.isoformat()),
            ("Lease kube-node-lease spec.leaseDurationSeconds", lease.spec.lease_duration_seconds),
        ]
    evidence += view.events(node)
    return NOT_READY.finding(node, message, since=since, evidence=evidence)


def _pressure(view: ClusterView, node: Node) -> Iterator[Finding]:
    for each in node.status.conditions:
        code = PRESSURES.get(each.type)
        if code and each.status == "True":
            events = view.events(
                node,
                "EvictionThresholdMet",
                "FreeDiskSpaceFailed",
                "ImageGCFailed",
                "SystemOOM",
                "InvalidDiskCapacity",
            )
            yield code.finding(
                node,
                f"The kubelet reports {each.type}: {sentence(each.message or each.reason or 'no reason given')}",
                since=each.last_transition_time,
                evidence=[(f"status.conditions[{each.type}]", f"True {each.reason}: {each.message}"), *events],
            )


def _network_unavailable(node: Node) -> Iterator[Finding]:
    network = condition(node.status.conditions, "NetworkUnavailable")
    if network and network.status == "True":
        said = sentence(network.message or network.reason or "no reason given")
        yield NETWORK_UNAVAILABLE.finding(
            node,
            f"The network of the node is not set up: {said}",
            since=network.last_transition_time,
            evidence=[("status.conditions[NetworkUnavailable]", f"True {network.reason}: {network.message}")],
        )


def _condition_unknown(node: Node) -> Iterator[Finding]:
    for each in node.status.conditions:
        if each.status == "Unknown" and (each.type in PRESSURES or each.type == "NetworkUnavailable"):
            yield CONDITION_UNKNOWN.finding(
                node,
                f"{each.type} is Unknown: {sentence(each.message or each.reason or 'no reason given')}",
                key=each.type,
                since=each.last_transition_time,
                evidence=[(f"status.conditions[{each.type}]", f"Unknown {each.reason}: {each.message}")],
            )


def _problem_detected(node: Node) -> Iterator[Finding]:
    for each in node.status.conditions:
        if (each.status == "True" and each.type in DETECTED_PROBLEMS) or (
            each.status == "False" and each.type in REQUIRED_CONDITIONS
        ):
            reports = f"reports {each.type}" if each.status == "True" else f"says that {each.type} does not hold"
            yield PROBLEM_DETECTED.finding(
                node,
                f"{'Node Problem Detector' if each.status == 'True' else 'The node monitoring agent'} {reports}: "
                f"{sentence(each.message or each.reason or 'no reason given')}",
                key=each.type,
                since=each.last_transition_time,
                evidence=[(f"status.conditions[{each.type}]", f"{each.status} {each.reason}: {each.message}")],
            )


def _lease_stale(view: ClusterView, node: Node, latest: datetime | None) -> Iterator[Finding]:
    lease = view.get(Lease, "kube-node-lease", node.name)
    if lease is None or lease.spec.renew_time is None or latest is None:
        return
    renewed = lease.spec.renew_time
    duration = lease.spec.lease_duration_seconds or DEFAULT_LEASE_DURATION
    # Compared with the other nodes' heartbeats: the reader's clock may be wrong, and a snapshot's time vague.
    behind = latest - renewed
    if behind.total_seconds() > STALE_DURATIONS * duration:
        yield LEASE_STALE.finding(
            node,
            f"The kubelet last renewed its Lease {ago(behind)} before the newest one in the cluster, "
            f"although a Lease lasts {duration} s and the node counts as ready.",
            since=renewed,
            evidence=[
                ("Lease kube-node-lease spec.renewTime", renewed.isoformat()),
                ("Lease kube-node-lease spec.leaseDurationSeconds", duration),
            ],
        )


def _renewed(view: ClusterView, node: Node) -> datetime | None:
    lease = view.get(Lease, "kube-node-lease", node.name)
    return lease.spec.renew_time if lease else None


# --- cordons and taints ----------------------------------------------------------------------------------


def _cordoned(view: ClusterView, node: Node) -> Iterator[Finding]:
    if not node.spec.unschedulable:
        return
    taint = next((each for each in node.spec.taints if each.key == "node.kubernetes.io/unschedulable"), None)
    since = taint.time_added if taint else None
    is_long = view.older_than(since, LONG_CORDON)
    for_long = f" for {ago(view.age(since))}" if since else ""
    yield CORDONED.finding(
        node,
        f"The node has been cordoned{for_long} and takes no new pods"
        + (", which is long for maintenance." if is_long else "."),
        since=since,
        severity="warning" if is_long else "info",
        evidence=[("spec.unschedulable", "true")],
    )


def _tainted(view: ClusterView, node: Node) -> Iterator[Finding]:
    taints = [
        taint
        for taint in node.spec.taints
        if taint.effect in ("NoSchedule", "NoExecute") and taint.key not in EXPECTED_TAINTS
    ]
    if not taints:
        return
    written = [f"{taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect}" for taint in taints]
    since = min((taint.time_added for taint in taints if taint.time_added), default=None)
    message = f"Only pods that tolerate {quote(joined(written))} are scheduled to the node."
    if any(taint.effect == "NoExecute" for taint in taints):
        message += " Others that run there are evicted."
    severity: Severity = "info"
    if any(taint.key == UNINITIALIZED for taint in taints):
        severity = "warning"
        message += " The cloud controller manager has not initialized the node: is it running?"
    yield TAINTED.finding(
        node,
        message + (f" The oldest of these taints is {ago(view.age(since))} old." if since else ""),
        since=since,
        severity=severity,
        evidence=[("spec.taints", text) for text in written],
        masked=[text for taint in taints for text in (taint.key, taint.value)],
    )


# --- room ------------------------------------------------------------------------------------------------


class _Load(Struct):
    """What the pods that hold room on a node request: their number, cores of cpu and bytes of memory."""

    pods: int = 0
    cpu: float = 0.0
    memory: float = 0.0


class _Use(Struct):
    """How much of one resource the pods of a node take."""

    resource: str
    used: float
    allocatable: float

    @property
    def share(self) -> float:
        return self.used / self.allocatable

    def __str__(self) -> str:
        if self.resource == "cpu":
            return f"cpu {self.used:g} of {self.allocatable:g} cores"
        if self.resource == "memory":
            return f"memory {self.used / 2**30:.1f} of {self.allocatable / 2**30:.1f} GiB"
        return f"{self.used:,.0f} of {self.allocatable:,.0f} pods"


def _allocatable_exhausted(node: Node, load: _Load) -> Iterator[Finding]:
    allocatable = node.status.allocatable
    if not load.pods or not allocatable:
        return
    full = [
        use
        for use in (
            _Use("cpu", load.cpu, _number(allocatable.get("cpu", 0))),
            _Use("memory", load.memory, _number(allocatable.get("memory", 0))),
            _Use("pods", load.pods, _number(allocatable.get("pods", 0))),
        )
        if use.allocatable > 0 and use.share >= FULL
    ]
    if not full:
        return
    # Requests close to the limit are what one pays for; a node that can hold no further pod at all is not.
    is_out_of_pods = any(use.resource == "pods" and use.share >= 1 for use in full)
    yield ALLOCATABLE_EXHAUSTED.finding(
        node,
        f"{'The node can hold no more pods' if is_out_of_pods else 'The node is nearly full'}: "
        f"its pods take {joined(f'{use} ({use.share:.0%})' for use in full)}.",
        severity="warning" if is_out_of_pods else "info",
        evidence=[
            (f"status.allocatable.{use.resource}", f"{allocatable[use.resource]}, of which {use.share:.0%} is taken")
            for use in full
        ],
    )


def _loads(view: ClusterView) -> defaultdict[str, _Load]:
    """The load of each node, by name; none where not all pods are known, since sums would be wrong."""
    found: defaultdict[str, _Load] = defaultdict(_Load)
    if view.namespaces or not view.readable(Pod):
        return found
    for pods in view.alike_pods:
        cpu, memory = _requests(pods[0].spec)
        for pod in pods:
            if (name := pod.spec.node_name) and pod.status.phase not in ("Succeeded", "Failed"):
                load = found[name]
                load.pods += 1
                load.cpu += cpu
                load.memory += memory
    return found


def _requests(spec: PodSpec) -> tuple[float, float]:
    """The cpu and memory that the scheduler sets aside for a pod.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
    """
    cpu = memory = 0.0
    for container in spec.containers:
        if requests := container.resources.requests:
            cpu += _number(requests.get("cpu", 0))
            memory += _number(requests.get("memory", 0))
    if not spec.init_containers:
        return cpu, memory
    return _with_init_containers(spec.init_containers, cpu, memory)


def _with_init_containers(containers: Sequence[Container], cpu: float, memory: float) -> tuple[float, float]:
    sidecar_cpu = sidecar_memory = peak_cpu = peak_memory = 0.0
    for container in containers:
        own_cpu = _number(container.resources.requests.get("cpu", 0))
        own_memory = _number(container.resources.requests.get("memory", 0))
        if container.restart_policy == "Always":
            # A sidecar stays beside the init containers after it and beside the main ones.
            sidecar_cpu += own_cpu
            sidecar_memory += own_memory
            own_cpu = own_memory = 0.0
        peak_cpu = max(peak_cpu, own_cpu + sidecar_cpu)
        peak_memory = max(peak_memory, own_memory + sidecar_memory)
    return max(cpu + sidecar_cpu, peak_cpu), max(memory + sidecar_memory, peak_memory)


@lru_cache(maxsize=4096)
def _number(text: Quantity) -> float:
    return float(quantity(text) or Decimal(0))


# --- versions --------------------------------------------------------------------------------------------

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})")


def _minor_version(node: Node) -> tuple[int, int] | None:
    found = _VERSION.match(node.status.node_info.kubelet_version)
    return (int(found[1]), int(found[2])) if found else None


def _kubelet_version_skew(node: Node, newest: tuple[int, int] | None) -> Iterator[Finding]:
    own = _minor_version(node)
    # The newest kubelet cannot be newer than the API server, so this one is at least as far behind that.
    if own and newest and own[0] == newest[0] and newest[1] - own[1] > MAX_MINOR_SKEW:
        yield KUBELET_VERSION_SKEW.finding(
            node,
            f"The kubelet is at {node.status.node_info.kubelet_version} while another node is at "
            f"v{newest[0]}.{newest[1]}: {newest[1] - own[1]} minor versions behind, "
            f"and no more than {MAX_MINOR_SKEW} are supported.",
            evidence=[("status.nodeInfo.kubeletVersion", node.status.node_info.kubelet_version)],
        )
