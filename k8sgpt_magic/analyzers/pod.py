"""Pod: what keeps it from running and from being ready, container by container.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from msgspec.structs import replace

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import (
    ConfigMap,
    Container,
    ContainerStateTerminated,
    ContainerStatus,
    Event,
    Job,
    Node,
    ObjectRef,
    OwnerReference,
    PersistentVolumeClaim,
    Pod,
    PodStatus,
    Probe,
    ReplicaSet,
    Resource,
    Secret,
    ServiceAccount,
)
from k8sgpt_magic.cluster.view import ClusterView, Reference, condition
from k8sgpt_magic.findings import Code, Finding, Severity
from k8sgpt_magic.wording import ago, count, joined, sentence

_DOCS = "https://kubernetes.io/docs"
_LIFECYCLE = f"{_DOCS}/concepts/workloads/pods/pod-lifecycle/"
_DEBUG = f"{_DOCS}/tasks/debug/debug-application/debug-pods/"
_IMAGES = f"{_DOCS}/concepts/containers/images/"
_SCHEDULING = f"{_DOCS}/concepts/scheduling-eviction/"

UNSCHEDULABLE = Code(
    "PodUnschedulable",
    "critical",
    "No node fits this pod, so it waits and does not run.",
    f"{_SCHEDULING}kube-scheduler/",
)
SCHEDULING_GATED = Code(
    "PodSchedulingGated",
    "info",
    "A scheduling gate holds this pod back until some controller removes it.",
    f"{_SCHEDULING}pod-scheduling-readiness/",
)
NOT_SCHEDULED = Code(
    "PodNotScheduled",
    "warning",
    "The scheduler has not looked at this pod, as if it were not running, or has failed while it looked for a node.",
    _DEBUG,
)
EVICTED = Code(
    "PodEvicted",
    "warning",
    "The kubelet ended this pod because its node ran short of something.",
    f"{_SCHEDULING}node-pressure-eviction/",
)
FAILED = Code("PodFailed", "warning", "The pod has ended in failure and will not run again.", _LIFECYCLE)
UNKNOWN = Code(
    "PodUnknown", "critical", "The node of this pod does not report, so nobody knows its state.", _LIFECYCLE
)
TERMINATING_STUCK = Code(
    "PodTerminatingStuck",
    "warning",
    "The pod should have been gone, and something keeps it: a finalizer, or a node that does not answer.",
    f"{_DOCS}/tasks/run-application/force-delete-stateful-set-pod/",
)
IMAGE_PULL = Code(
    "PodImagePullBackOff", "critical", "The image of a container cannot be pulled, so it does not start.", _IMAGES
)
CONFIG_ERROR = Code(
    "PodConfigError",
    "critical",
    "A container cannot be made from its configuration, most often for a missing ConfigMap, Secret or key.",
    f"{_DOCS}/tasks/configure-pod-container/configure-pod-configmap/",
)
CONTAINER_ERROR = Code(
    "PodContainerError",
    "critical",
    "The container runtime cannot create or start a container, or a lifecycle hook of it fails.",
    _DEBUG,
)
CRASH_LOOP = Code(
    "PodCrashLoopBackOff",
    "critical",
    "A container ends again and again soon after its start; each restart waits longer than the one before.",
    f"{_LIFECYCLE}#restart-policy",
)
OOM_KILLED = Code(
    "PodOOMKilled",
    "warning",
    "A container was killed because it used more memory than its limit or than the node had.",
    f"{_DOCS}/concepts/configuration/manage-resources-containers/",
)
CONTAINER_FAILED = Code(
    "PodContainerFailed", "critical", "A container has ended with an error and does not run now.", _LIFECYCLE
)
RESTARTING = Code(
    "PodRestarting", "warning", "A container runs now, and was restarted lately, not for the first time.", _LIFECYCLE
)
PROBE_FAILING = Code(
    "PodProbeFailing",
    "warning",
    "A probe fails: for readiness the pod gets no traffic, for liveness and startup its container is restarted.",
    f"{_DOCS}/concepts/configuration/liveness-readiness-startup-probes/",
)
NOT_READY = Code(
    "PodNotReady",
    "warning",
    "The pod runs and is not ready, so Services send it no traffic.",
    f"{_LIFECYCLE}#pod-conditions",
)
MOUNT_FAILED = Code(
    "PodMountFailed",
    "critical",
    "A volume cannot be attached or mounted, so the containers do not start.",
    f"{_DOCS}/concepts/storage/volumes/",
)
SANDBOX_FAILED = Code(
    "PodSandboxFailed",
    "critical",
    "The node cannot set up the pod's sandbox, most often for its network plugin.",
    f"{_DOCS}/concepts/extend-kubernetes/compute-storage-net/network-plugins/",
)
CREATION_STUCK = Code(
    "PodCreationStuck",
    "warning",
    "The containers should have started by now, and nothing says why they have not.",
    _DEBUG,
)
INIT_STUCK = Code(
    "PodInitStuck",
    "warning",
    "An init container has been running for long; the containers after it wait for its end.",
    f"{_DOCS}/concepts/workloads/pods/init-containers/",
)
SERVICE_ACCOUNT_MISSING = Code(
    "PodServiceAccountMissing",
    "warning",
    "The ServiceAccount of this pod no longer exists, so its token cannot be renewed.",
    f"{_DOCS}/tasks/configure-pod-container/configure-service-account/",
)

# A pod that has just been made or scheduled is given this long (seconds) before its waiting is a problem.
START_GRACE = 120
# Mounts and sandboxes that fail at first often work at the next try, a few seconds later.
RETRY_GRACE = 60
# Pulling a large image, or attaching a volume, takes minutes without anything being wrong.
CREATION_GRACE = 600
# A container that has just started is not ready before its first probes have passed.
READY_GRACE = 120
# Autoscalers give up on a new node after some 15 minutes; most clouds take less than five.
SCALE_UP_GRACE = 600
# As long as a rollout may take that waits for it, unless its Deployment says otherwise.
INIT_GRACE = 600
# What a failed step of a workflow tells is news for a day.
STEP_GRACE = 86_400
# Past its own grace period, the kubelet and the API server need a little to remove a pod.
TERMINATION_GRACE = 60
# What happened longer ago says little about now.
RECENT = 3600
MANY_RESTARTS = 3
MANY_FAILURES = 3

_PULL = {"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"} | {
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_CONTAINER_ERRORS = {
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
    "StartError",
}
_STARTING = {"", "ContainerCreating", "PodInitializing"}
_MOUNT_EVENTS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "VolumeFailedMount")
_SANDBOX_EVENTS = ("FailedCreatePodSandBox", "NetworkNotReady", "FailedPodSandBoxStatus", "CNIError")
# What the kubelet says once the volumes are mounted and the sandbox is there.
_CREATED_EVENTS = ("Pulling", "Pulled", "Created", "Started")
# What cluster-autoscaler and Karpenter say when they make a node for a pod.
_SCALE_UP_EVENTS = ("TriggeredScaleUp", "Nominated")
_KILLED_BY = re.compile(r"failed (liveness|startup) probe")
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


@analyzer(
    Pod,
    reads=[Event, Node, Job, ReplicaSet, PersistentVolumeClaim, ConfigMap, Secret, ServiceAccount],
    codes=[
        UNSCHEDULABLE, SCHEDULING_GATED, NOT_SCHEDULED, EVICTED, FAILED, UNKNOWN, TERMINATING_STUCK, IMAGE_PULL,
        CONFIG_ERROR, CONTAINER_ERROR, CRASH_LOOP, OOM_KILLED, CONTAINER_FAILED, RESTARTING, PROBE_FAILING, NOT_READY,
        MOUNT_FAILED, SANDBOX_FAILED, CREATION_STUCK, INIT_STUCK, SERVICE_ACCOUNT_MISSING,
    ],
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Pods that do not run, do not start, crash, restart, are not ready or do not go away."""
    namespace = account = ""
    lacks_account = False
    for pod in view.all(Pod):
        status = pod.status
        if pod.metadata.deletion_timestamp is not None:
            yield from _terminating_stuck(view, pod)
        elif status.phase == "Succeeded":
            continue
        elif status.phase == "Failed":
            yield from _failed(view, pod)
        elif status.phase == "Unknown":
            yield _unknown(view, pod)
        else:
            if not _is_healthy(pod):
                yield from _not_running(view, pod)
            if _has_restarts(status):
                yield from _restarted(view, pod)
            if status.ephemeral_container_statuses:
                yield from _debugging(view, pod)
        # Pods come by namespace, and most of one namespace have the same account.
        if pod.spec.service_account_name != account or pod.metadata.namespace != namespace:
            namespace, account = pod.metadata.namespace, pod.spec.service_account_name
            lacks_account = bool(account) and view.missing(ServiceAccount, namespace, account)
        if lacks_account and status.phase in ("Pending", "Running"):
            yield _service_account_missing(pod)


def _has_restarts(status: PodStatus) -> bool:
    # Most pods have none, so it is worth knowing before anything else is made.
    for each in status.container_statuses:
        if each.restart_count:
            return True
    return (
        any(each.restart_count for each in status.init_container_statuses)
        if status.init_container_statuses
        else False
    )


def _is_healthy(pod: Pod) -> bool:
    status = pod.status
    if status.phase != "Running":
        return False
    for each in status.conditions:
        if each.type == "Ready":
            return each.status == "True"
    return False


# --- the pod as a whole ----------------------------------------------------------------------------------


def _terminating_stuck(view: ClusterView, pod: Pod) -> Iterator[Finding]:
    # The API server has added the grace period to this time already.
    deleted = pod.metadata.deletion_timestamp
    if not view.older_than(deleted, TERMINATION_GRACE):
        return
    node = _node_trouble(view, pod)
    if pod.metadata.finalizers:
        why = f"finalizer {joined(pod.metadata.finalizers)} holds it"
    elif node:
        why = f"its node {pod.spec.node_name} {node}"
    else:
        why = (
            f"the kubelet of node {pod.spec.node_name} has not ended it" if pod.spec.node_name else "nothing says why"
        )
    yield TERMINATING_STUCK.finding(
        pod,
        f"The pod should have been gone {ago(view.age(deleted))} ago: {why}.",
        since=deleted,
        evidence=[
            ("metadata.deletionTimestamp", deleted),
            ("metadata.finalizers", joined(pod.metadata.finalizers) or "none"),
        ],
        because=_node_ref(pod) if node else (),
        masked=(pod.spec.node_name,),
    )


def _failed(view: ClusterView, pod: Pod) -> Iterator[Finding]:
    status, reason = pod.status, pod.status.reason
    severity = _severity_of_the_ended(view, pod)
    if severity is None:
        return
    ended = [each for each in _statuses(pod) if each.state.terminated and each.state.terminated.exit_code != 0]
    since = max(
        (
            each.state.terminated.finished_at
            for each in ended
            if each.state.terminated and each.state.terminated.finished_at
        ),
        default=None,
    )
    if reason == "Evicted":
        yield EVICTED.finding(
            pod,
            f"The pod was evicted: {sentence(status.message or 'the kubelet gave no reason')}",
            since=since or status.start_time,
            evidence=[("status.reason", reason), ("status.message", status.message), *view.events(pod, "Evicted")],
            because=_node_ref(pod),
            masked=(pod.spec.node_name,),
            severity=severity,
        )
        return
    if reason or not ended:
        said = status.message or _condition_message(pod, "DisruptionTarget")
        yield FAILED.finding(
            pod,
            f"The pod has failed{f' ({reason})' if reason else ''}: {sentence(said or 'nothing says why')}",
            since=since or status.start_time,
            evidence=[("status.reason", reason or "none"), ("status.message", said or "none"), *view.events(pod)[:3]],
            because=_node_ref(pod) if _node_trouble(view, pod) else (),
            masked=(pod.spec.node_name,),
            severity=severity,
        )
        return
    for each in ended:
        if terminated := each.state.terminated:
            yield CONTAINER_FAILED.finding(
                pod,
                f"The container has ended: {_ending(terminated)}",
                container=each.name,
                since=terminated.finished_at,
                evidence=[*_terminated_evidence(pod, each, "state", terminated), *view.events(pod)[:3]],
                severity=severity,
            )


def _severity_of_the_ended(view: ClusterView, pod: Pod) -> Severity | None:
    """How much a failed pod matters: nothing where its Job succeeded all the same or its controller replaced it."""
    owner = next((each for each in pod.metadata.owner_references if each.controller), None)
    if owner is None:
        return "critical"
    if owner.kind == "Job":
        job = view.get(Job, pod.namespace, owner.name)
        if job is None:
            return "warning"
        for each in job.status.conditions:
            if each.status == "True" and each.type in ("Complete", "SuccessCriteriaMet"):
                return None
            if each.status == "True" and each.type in ("Failed", "FailureTarget"):
                return "warning"
        return "info"
    # Workflows, pipelines and the like run a pod once, and nobody replaces it.
    if pod.spec.restart_policy in ("Never", "OnFailure") and not view.older_than(_ended_at(pod), STEP_GRACE):
        return "warning"
    # Other controllers replace a failed pod; what stays behind is a trace, of use for as long as it is fresh. Where
    # those that take its place fail as well, the last of them speaks for all.
    times, newest = view.kept("pods that failed lately by controller", _failed_lately)[_controller_key(pod, owner)]
    return "warning" if times >= MANY_FAILURES and newest == pod.name else "info"


def _controller_key(pod: Pod, owner: OwnerReference) -> tuple[str, str, str]:
    return pod.namespace, owner.kind, owner.name


def _failed_lately(view: ClusterView) -> defaultdict[tuple[str, str, str], tuple[int, str]]:
    """How many pods of each controller have failed lately, and the name of the newest of them."""
    found: defaultdict[tuple[str, str, str], list[Pod]] = defaultdict(list)
    for pod in view.all(Pod):
        if pod.status.phase == "Failed" and not view.older_than(_ended_at(pod), RECENT):
            for owner in pod.metadata.owner_references:
                if owner.controller:
                    found[_controller_key(pod, owner)].append(pod)
    newest = {
        key: (len(pods), max(pods, key=lambda pod: (str(pod.metadata.creation_timestamp or ""), pod.name)).name)
        for key, pods in found.items()
    }
    return defaultdict(lambda: (0, ""), newest)


def _ended_at(pod: Pod) -> datetime | None:
    ends = (each.state.terminated.finished_at for each in _statuses(pod) if each.state.terminated)
    return max((time for time in ends if time), default=pod.status.start_time)


def _unknown(view: ClusterView, pod: Pod) -> Finding:
    trouble = _node_trouble(view, pod) or "does not report it"
    said = f" {sentence(pod.status.message)}" if pod.status.message else ""
    return UNKNOWN.finding(
        pod,
        f"The state of the pod is unknown: node {pod.spec.node_name or '(none)'} {trouble}.{said}",
        since=_since_not_ready(pod),
        evidence=[("status.phase", pod.status.phase), ("status.reason", pod.status.reason or "none")],
        because=_node_ref(pod),
        masked=(pod.spec.node_name,),
    )


def _service_account_missing(pod: Pod) -> Finding:
    name = pod.spec.service_account_name
    return SERVICE_ACCOUNT_MISSING.finding(
        pod,
        f"ServiceAccount {name} does not exist in namespace {pod.namespace}.",
        evidence=[("spec.serviceAccountName", name)],
        masked=(name,),
    )


# --- pods that are not running as they should ------------------------------------------------------------


def _not_running(view: ClusterView, pod: Pod) -> Iterator[Finding]:
    if not pod.spec.node_name:
        yield from _not_scheduled(view, pod)
        return
    said = False
    for name, status, is_init in _containers_in_trouble(pod):
        for finding in _container(view, pod, name, status, is_init=is_init):
            said = True
            yield finding
    if not said:
        yield from _waiting_as_a_whole(view, pod)


def _not_scheduled(view: ClusterView, pod: Pod) -> Iterator[Finding]:
    scheduled = condition(pod.status.conditions, "PodScheduled")
    if scheduled is None or scheduled.status != "False":
        created = pod.metadata.creation_timestamp
        if pod.status.phase == "Pending" and view.older_than(created, START_GRACE):
            yield NOT_SCHEDULED.finding(
                pod,
                f"The scheduler has not looked at the pod for {ago(view.age(created))}.",
                since=created,
                evidence=[("status.conditions[PodScheduled]", "none")],
            )
        return
    evidence = [("status.conditions[PodScheduled]", f"{scheduled.reason}: {scheduled.message}")]
    if scheduled.reason == "SchedulingGated":
        gates = joined(gate.name for gate in pod.spec.scheduling_gates)
        yield SCHEDULING_GATED.finding(
            pod,
            f"The pod is held back by scheduling gate {gates}."
            if gates
            else sentence(scheduled.message or "Scheduling is gated"),
            since=scheduled.last_transition_time or pod.metadata.creation_timestamp,
            evidence=evidence,
        )
        return
    if scheduled.reason == "Unschedulable" and scheduled.message:
        waiting_for = _unusable_claims(view, pod)
        preempting = (
            f" It may take the place of others on {pod.status.nominated_node_name}."
            if pod.status.nominated_node_name
            else ""
        )
        scale_up = _scale_up(view, pod)
        adding = f" An autoscaler has been adding a node for {ago(view.age(scale_up.last_seen))}." if scale_up else ""
        yield UNSCHEDULABLE.finding(
            pod,
            f"No node fits the pod: {sentence(scheduled.message)}{preempting}{adding}",
            since=scheduled.last_transition_time or pod.metadata.creation_timestamp,
            evidence=[
                *evidence,
                *([scale_up] if scale_up else []),
                *view.events(pod, "FailedScheduling", "NotTriggerScaleUp")[:3],
            ],
            because=waiting_for,
            masked=(pod.status.nominated_node_name,),
            severity="warning" if scale_up else None,
        )
    elif scheduled.reason == "SchedulerError":
        # The scheduler has tried and failed: a volume was not provisioned in time, say. It tries again.
        since = scheduled.last_transition_time or pod.metadata.creation_timestamp
        if view.older_than(since, START_GRACE):
            yield NOT_SCHEDULED.finding(
                pod,
                f"The scheduler fails on the pod: {sentence(scheduled.message or 'it does not say why')}",
                since=since,
                evidence=[*evidence, *view.events(pod, "FailedScheduling")[:3]],
                because=_unusable_claims(view, pod),
            )


def _scale_up(view: ClusterView, pod: Pod) -> Event | None:
    """The event of an autoscaler that is making a node for a pod, unless it is old or was taken back."""
    events = view.events(pod, *_SCALE_UP_EVENTS, "NotTriggerScaleUp", type="")
    newest = events[0] if events else None
    is_under_way = (
        newest and newest.reason in _SCALE_UP_EVENTS and not view.older_than(newest.last_seen, SCALE_UP_GRACE)
    )
    return newest if is_under_way else None


def _unusable_claims(view: ClusterView, pod: Pod) -> list[ObjectRef]:
    claims = []
    for ref, _ in view.references_of(pod):
        if ref.kind == "PersistentVolumeClaim":
            claim = view.get(PersistentVolumeClaim, ref.namespace, ref.name)
            if claim is None or claim.status.phase != "Bound":
                claims.append(ref)
    return claims


def _waiting_as_a_whole(view: ClusterView, pod: Pod) -> Iterator[Finding]:
    """A pod on a node whose containers give no reason of their own: its volumes, its sandbox, its node, its gates."""
    started = pod.status.start_time or pod.metadata.creation_timestamp
    if pod.status.phase != "Running":
        if events := _still_failing(view, pod, *_SANDBOX_EVENTS):
            yield SANDBOX_FAILED.finding(
                pod,
                f"The sandbox of the pod cannot be made: {sentence(events[0].message)}",
                since=events[-1].first_seen,
                evidence=events[:3],
                because=_node_ref(pod) if _node_trouble(view, pod) else (),
                masked=(pod.spec.node_name,),
            )
        elif events := _still_failing(view, pod, *_MOUNT_EVENTS):
            yield MOUNT_FAILED.finding(
                pod,
                f"A volume cannot be mounted: {sentence(events[0].message)}",
                since=events[-1].first_seen,
                evidence=events[:3],
                because=_missing_sources(view, pod),
                masked=(pod.spec.node_name,),
            )
        elif view.older_than(started, CREATION_GRACE):
            node = _node_trouble(view, pod)
            yield CREATION_STUCK.finding(
                pod,
                f"The containers have not started for {ago(view.age(started))}"
                + (f": node {pod.spec.node_name} {node}." if node else ", and no event says why."),
                since=started,
                evidence=[("status.phase", pod.status.phase), *view.events(pod)[:3]],
                because=[*_missing_sources(view, pod), *(_node_ref(pod) if node else ())],
                masked=(pod.spec.node_name,),
            )
        return
    ready = condition(pod.status.conditions, "Ready")
    since = _since_not_ready(pod)
    if ready is None or ready.status == "True" or not view.older_than(since, READY_GRACE):
        return
    node = _node_trouble(view, pod)
    if not node and (_is_partly_done(pod) or _is_coming_up(view, pod)):
        return
    why = (
        f"node {pod.spec.node_name} {node}"
        if node
        else sentence(ready.message or ready.reason or "nothing says why").rstrip(".")
    )
    yield NOT_READY.finding(
        pod,
        f"The pod has not been ready for {ago(view.age(since))}: {why}.",
        since=since,
        evidence=[("status.conditions[Ready]", f"{ready.reason}: {ready.message}"), *view.events(pod)[:3]],
        because=_node_ref(pod) if node else (),
        masked=(pod.spec.node_name,),
    )


def _still_failing(view: ClusterView, pod: Pod, *reasons: str) -> list[Event]:
    """The recent events of these reasons, unless the kubelet has got over them or may at its next try."""
    events = _recent(view, view.events(pod, *reasons))
    began = min((time for event in events if (time := event.first_seen)), default=None)
    if not events or (began and not view.older_than(began, RETRY_GRACE)):
        return []
    later = view.events(pod, *_CREATED_EVENTS, type="Normal")
    got_on, failed = later[0].last_seen if later else None, events[0].last_seen
    return [] if got_on and failed and got_on > failed else events


def _is_partly_done(pod: Pod) -> bool:
    """Whether some containers have done their work and will not be started again, and the others are ready."""
    return pod.spec.restart_policy in ("Never", "OnFailure") and all(
        each.ready or (each.state.terminated is not None and each.state.terminated.exit_code == 0)
        for each in pod.status.container_statuses
    )


def _is_coming_up(view: ClusterView, pod: Pod) -> bool:
    """Whether a container that runs and is not ready has time left for that, by its own probes."""
    return any(
        not each.ready and each.state.running is not None and _still_starting(view, _spec_of(pod, each), each)
        for each in pod.status.container_statuses
    )


def _debugging(view: ClusterView, pod: Pod) -> Iterator[Finding]:
    """Ephemeral containers that do not start. How a debugging session ended says nothing about the pod."""
    for status in pod.status.ephemeral_container_statuses:
        for finding in _waiting(view, pod, _spec_of(pod, status), status):
            yield replace(finding, severity="warning")


# --- one container ---------------------------------------------------------------------------------------


def _containers_in_trouble(pod: Pod) -> Iterator[tuple[Container, ContainerStatus, bool]]:
    """Containers that neither run and are ready nor have done their work, with whether they are init containers."""
    for status in pod.status.init_container_statuses:
        spec = _spec_of(pod, status)
        is_sidecar = spec.restart_policy == "Always"
        terminated = status.state.terminated
        if terminated and terminated.exit_code == 0 and not is_sidecar:
            continue
        if is_sidecar and status.state.running and status.started is not False and status.ready:
            continue
        yield spec, status, not is_sidecar
    for status in pod.status.container_statuses:
        if not status.ready:
            yield _spec_of(pod, status), status, False


def _spec_of(pod: Pod, status: ContainerStatus) -> Container:
    spec = pod.spec
    for each in chain(spec.containers, spec.init_containers, spec.ephemeral_containers):
        if each.name == status.name:
            return each
    return Container(name=status.name)


def _container(
    view: ClusterView, pod: Pod, container: Container, status: ContainerStatus, *, is_init: bool
) -> Iterator[Finding]:
    waiting, terminated, running = status.state.waiting, status.state.terminated, status.state.running
    if waiting is not None:
        yield from _waiting(view, pod, container, status)
    elif terminated is not None:
        if terminated.exit_code != 0 and terminated.reason != "Completed":
            oom = terminated.reason == "OOMKilled"
            yield (OOM_KILLED if oom else CONTAINER_FAILED).finding(
                pod,
                f"The container has ended: {_ending(terminated)}{_limit_of(container) if oom else ''}",
                container=container.name,
                since=terminated.finished_at,
                evidence=[*_terminated_evidence(pod, status, "state", terminated), *view.events(pod)[:3]],
                severity=_severity_of_terminated(view, pod, status),
            )
    elif running is not None and is_init:
        if view.older_than(running.started_at, INIT_GRACE):
            yield INIT_STUCK.finding(
                pod,
                f"The init container has run for {ago(view.age(running.started_at))}, and the rest waits for it.",
                container=container.name,
                since=running.started_at,
                evidence=[
                    (f"status.initContainerStatuses[{container.name}].state.running.startedAt", running.started_at)
                ],
            )
    elif running is not None and pod.status.phase == "Running":
        yield from _running_and_not_ready(view, pod, container, status)


def _severity_of_terminated(view: ClusterView, pod: Pod, status: ContainerStatus) -> Severity:
    """A container that will be started again, or that a Job retries, is worse off than down, but not yet down."""
    if pod.spec.restart_policy == "Never" or any(owner.kind == "Job" for owner in pod.metadata.owner_references):
        return _severity_of_the_ended(view, pod) or "info"
    return "critical" if status.restart_count or pod.spec.restart_policy == "Always" else "warning"


def _waiting(view: ClusterView, pod: Pod, container: Container, status: ContainerStatus) -> Iterator[Finding]:
    waiting = status.state.waiting
    if waiting is None or waiting.reason in _STARTING:
        return
    path = f"{_path(pod, status)}.state.waiting"
    evidence: list[tuple[str, object] | Event] = [(f"{path}.reason", waiting.reason)]
    if waiting.message:
        evidence.append((f"{path}.message", waiting.message))
    since = _since_not_ready(pod)
    said = sentence(waiting.message) if waiting.message else ""
    image = container.image or status.image
    if waiting.reason in _PULL:
        events = view.events(pod, "Failed", "BackOff", "ErrImageNeverPull", "InspectFailed")
        absent = [
            each.name
            for each in pod.spec.image_pull_secrets
            if view.missing(Secret, pod.metadata.namespace, each.name)
        ]
        without = f" Its pull secret {joined(absent)} does not exist." if absent else ""
        yield IMAGE_PULL.finding(
            pod,
            f"Image {image} cannot be pulled{_pull_problem(waiting.message, events)}{without}",
            container=container.name,
            since=since or pod.status.start_time,
            evidence=[
                *evidence,
                *(("spec.imagePullSecrets", f"{name}: does not exist") for name in absent),
                *events[:4],
            ],
            masked=(image, *absent),
        )
    elif waiting.reason == "CrashLoopBackOff":
        last = status.last_state.terminated
        kills = _probe_kills(view, pod, container)
        yield CRASH_LOOP.finding(
            pod,
            f"The container ends soon after each start, {count(status.restart_count, 'restart')} so far"
            + (f". The last time: {_ending(last)}" if last else f": {said or 'it says nothing.'}")
            + (_limit_of(container) if last and last.reason == "OOMKilled" else "")
            + _killed_by(kills),
            container=container.name,
            since=since or (last.started_at if last else None),
            evidence=[
                *evidence,
                (f"{_path(pod, status)}.restartCount", status.restart_count),
                *(_terminated_evidence(pod, status, "lastState", last) if last else ()),
                *(kills[:3] or view.events(pod, "Unhealthy", "FailedPostStartHook")[:3]),
            ],
        )
    elif waiting.reason == "CreateContainerConfigError":
        yield CONFIG_ERROR.finding(
            pod,
            f"The container cannot be made from its configuration: {said or 'the kubelet does not say why.'}",
            container=container.name,
            since=since or pod.status.start_time,
            evidence=[*evidence, *view.events(pod, "Failed")[:2]],
            because=[*_missing_sources(view, pod), *_named_sources(pod, waiting.message)],
            masked=_names_in(waiting.message),
        )
    elif waiting.reason in _CONTAINER_ERRORS or waiting.reason.endswith("Error") or waiting.message:
        yield CONTAINER_ERROR.finding(
            pod,
            f"The container does not start ({waiting.reason}): {said or 'the kubelet does not say why.'}",
            container=container.name,
            since=since or pod.status.start_time,
            evidence=[*evidence, *view.events(pod)[:3]],
            because=_missing_sources(view, pod),
        )


def _running_and_not_ready(
    view: ClusterView, pod: Pod, container: Container, status: ContainerStatus
) -> Iterator[Finding]:
    events = _recent(
        view, [event for event in view.events(pod, "Unhealthy", "ProbeWarning") if _is_about(event, container)]
    )
    if not events or _still_starting(view, container, status):
        return
    kind = next(
        (kind for kind in ("Startup", "Liveness", "Readiness") if events[0].message.startswith(kind)), "Readiness"
    )
    probe = {
        "Startup": container.startup_probe,
        "Liveness": container.liveness_probe,
        "Readiness": container.readiness_probe,
    }[kind]
    then = {
        "Startup": "the kubelet restarts it when the probe has failed long enough",
        "Liveness": "the kubelet restarts it",
        "Readiness": "it gets no traffic",
    }[kind]
    restarts = f", {count(status.restart_count, 'restart')} so far" if status.restart_count else ""
    yield PROBE_FAILING.finding(
        pod,
        f"The {kind.lower()} probe fails and {then}{restarts}: {sentence(events[0].message)}",
        container=container.name,
        since=_since_not_ready(pod) or events[-1].first_seen,
        evidence=[
            *events[:3],
            *((f"spec.containers[{container.name}].{kind.lower()}Probe", _probe(probe)) for _ in [0] if probe),
        ],
        because=_node_ref(pod) if _node_trouble(view, pod) else (),
        severity="warning",
    )


def _still_starting(view: ClusterView, container: Container, status: ContainerStatus) -> bool:
    """Whether a container may still be on its way up, by what its own probes allow, or in its first minutes."""
    probe = container.startup_probe or container.readiness_probe
    started = status.state.running.started_at if status.state.running else None
    if started is None or probe is None:
        return False
    allowed = probe.initial_delay_seconds + probe.period_seconds * probe.failure_threshold
    return not view.older_than(started, max(30 if status.restart_count else READY_GRACE, allowed))


def _restarted(view: ClusterView, pod: Pod) -> Iterator[Finding]:
    """Containers that run now and did not long ago."""
    for status in chain(pod.status.container_statuses, pod.status.init_container_statuses):
        last = status.last_state.terminated
        if not status.restart_count or last is None or status.state.running is None:
            continue
        if not last.finished_at or view.older_than(last.finished_at, RECENT):
            continue
        container = next(
            (each for each in chain(pod.spec.containers, pod.spec.init_containers) if each.name == status.name),
            Container(),
        )
        evidence = [
            (f"{_path(pod, status)}.restartCount", status.restart_count),
            *_terminated_evidence(pod, status, "lastState", last),
        ]
        when = f"{ago(view.age(last.finished_at))} ago, {count(status.restart_count, 'restart')} so far"
        if last.reason == "OOMKilled":
            yield OOM_KILLED.finding(
                pod,
                f"The container was killed for its memory {when}.{_limit_of(container)}",
                container=status.name,
                since=last.finished_at,
                evidence=[*evidence, *view.events(pod, "OOMKilling")[:1]],
                because=_node_ref(pod) if _has_pressure(view, pod) else (),
            )
        elif status.restart_count >= MANY_RESTARTS:
            kills = _probe_kills(view, pod, container)
            # A program that is told to end by a probe often does so properly.
            if last.exit_code != 0 or kills:
                yield RESTARTING.finding(
                    pod,
                    f"The container was restarted {when}. The last time: {_ending(last)}{_killed_by(kills)}",
                    container=status.name,
                    since=last.finished_at,
                    evidence=[*evidence, *(kills or view.events(pod, "Unhealthy"))[:3]],
                )


def _probe_kills(view: ClusterView, pod: Pod, container: Container) -> list[Event]:
    """What the kubelet says of the liveness or startup probe that makes it restart a container, if one does.

    Killing is a Normal event, and of the kubelet's other reasons to kill a container none speaks of a probe.
    """
    killing = [event for event in view.events(pod, "Killing", type="") if _KILLED_BY.search(event.message)]
    kills = [event for event in _recent(view, killing) if _is_about(event, container)]
    if not kills:
        return []
    failures = [
        event
        for event in _recent(view, view.events(pod, "Unhealthy", type=""))
        if _is_about(event, container) and event.message.startswith(("Liveness", "Startup"))
    ]
    return [*failures[:2], *kills[:1]]


def _killed_by(kills: list[Event]) -> str:
    """``kills`` end with the event of the kill itself."""
    if not kills or not (found := _KILLED_BY.search(kills[-1].message)):
        return ""
    return f" Its {found[1]} probe fails and has it restarted: {sentence(kills[0].message)}"


# --- facts about pods ------------------------------------------------------------------------------------


def _statuses(pod: Pod) -> Iterator[ContainerStatus]:
    return chain(pod.status.init_container_statuses, pod.status.container_statuses)


def _since_not_ready(pod: Pod) -> datetime | None:
    ready = condition(pod.status.conditions, "Ready")
    return ready.last_transition_time if ready is not None and ready.status != "True" else None


def _condition_message(pod: Pod, type: str) -> str:
    found = condition(pod.status.conditions, type)
    return found.message if found is not None else ""


def _node_ref(pod: Pod) -> tuple[ObjectRef, ...]:
    return (ObjectRef("Node", "", pod.spec.node_name),) if pod.spec.node_name else ()


def _node_trouble(view: ClusterView, pod: Pod) -> str:
    """What is wrong with the pod's node, as the end of a sentence, or ""."""
    name = pod.spec.node_name
    if not name:
        return ""
    node = view.get(Node, "", name)
    if node is None:
        return "no longer exists" if view.missing(Node, "", name) else ""
    ready = condition(node.status.conditions, "Ready")
    return "is not ready" if ready is not None and ready.status != "True" else ""


def _has_pressure(view: ClusterView, pod: Pod) -> bool:
    node = view.get(Node, "", pod.spec.node_name)
    return node is not None and any(
        each.type == "MemoryPressure" and each.status == "True" for each in node.status.conditions
    )


_NEEDED: dict[str, type[Resource]] = {kind.kind: kind for kind in (PersistentVolumeClaim, ConfigMap, Secret)}


def _missing_sources(view: ClusterView, pod: Pod) -> list[ObjectRef]:
    """The ConfigMaps, Secrets and claims that the pod needs and that do not exist, and claims without a volume."""
    known: dict[int, tuple[object, list[ObjectRef]]] = view.kept("missing sources", lambda _: {})
    references = view.references_of(pod)
    # Pods of one template refer to the same objects, by the same list; it is kept, or another could get its id.
    if id(references) not in known:
        missing = dict.fromkeys(ref for ref, reference in references if _is_missing(view, ref, reference))
        known[id(references)] = (references, list(missing))
    return known[id(references)][1]


def _is_missing(view: ClusterView, ref: ObjectRef, reference: Reference) -> bool:
    if reference.optional:
        return False
    found = view.find(ref)
    if isinstance(found, PersistentVolumeClaim):
        return found.status.phase != "Bound"
    if isinstance(found, ConfigMap):
        return any(key not in found.sizes for key in reference.keys)
    kind = _NEEDED.get(ref.kind)
    return found is None and kind is not None and view.missing(kind, ref.namespace, ref.name)


_SOURCE = re.compile(r"\b(secret|configmap)s? \"?([a-z0-9][a-z0-9.-]*)\"?", re.IGNORECASE)
_IN_SOURCE = re.compile(r"\bin (Secret|ConfigMap) ([a-z0-9.-]+)/([a-z0-9][a-z0-9.-]*)")
_QUOTED = re.compile(r'"([^"]{1,253})"')


def _named_sources(pod: Pod, message: str) -> list[ObjectRef]:
    """The Secret or ConfigMap that the kubelet's message names."""
    kinds = {"secret": "Secret", "configmap": "ConfigMap"}
    found = [ObjectRef(kind, namespace, name) for kind, namespace, name in _IN_SOURCE.findall(message)]
    return found + [ObjectRef(kinds[kind.lower()], pod.namespace, name) for kind, name in _SOURCE.findall(message)]


def _names_in(message: str) -> list[str]:
    return _QUOTED.findall(message[:2000])


def _recent(view: ClusterView, events: list[Event]) -> list[Event]:
    return [event for event in events if view.is_recent(event)]


def _is_about(event: Event, container: Container) -> bool:
    path = event.involved_object.field_path
    return not path or f"{{{container.name}}}" in path


def _pull_problem(message: str, events: list[Event]) -> str:
    """Why an image cannot be pulled, as the rest of a sentence: what the registry said, sorted into a few reasons.

    The newest event is often only "Back-off pulling image", so all of them are looked at.
    """
    said = [text for text in (message, *(event.message for event in events)) if text]
    telling = next(
        (text for text in said if not text.startswith(("Back-off pulling", "Error: "))), said[0] if said else ""
    )
    lower = " ".join(said).lower()
    for words, reason in _PULL_PROBLEMS:
        if any(word in lower for word in words):
            return f": {reason}. {sentence(telling)}"
    return f": {sentence(telling)}" if telling else "."


_PULL_PROBLEMS = (
    (("unauthorized", "authentication required", "no basic auth", "access denied", "denied:", "403 forbidden"),
     "the registry does not let this node in (pull secret missing or wrong)"),
    (("not found", "manifest unknown", "no such image", "name unknown", "repository does not exist"),
     "there is no such image or tag"),
    (("toomanyrequests", "too many requests", "rate limit"), "the registry limits the rate of pulls"),
    (("no such host", "connection refused", "i/o timeout", "tls handshake", "deadline exceeded", "x509"),
     "the registry cannot be reached"),
    (("invalidimagename", "couldn't parse image", "invalid reference format"), "the name of the image is not valid"),
    (("no match for platform", "exec format"), "the image is not made for this node's platform"),
    (("not present with pull policy of never", "errimageneverpull"), "it is not on the node, and may not be pulled"),
)  # fmt: skip


def _ending(terminated: ContainerStateTerminated) -> str:
    """How a container ended: reason, exit code, signal, and its last words."""
    code, signal = terminated.exit_code, terminated.signal
    if not signal and 128 < code < 160:
        # The runtime reports a signal as 128 and its number.
        signal = code - 128
    facts = [f"exit code {code}"]
    if signal:
        facts.append(_SIGNALS.get(signal, f"signal {signal}"))
    reason = terminated.reason if terminated.reason not in ("", "Error") else ""
    words = f"{reason} ({', '.join(facts)})" if reason else ", ".join(facts)
    return f"{words}: {sentence(terminated.message)}" if terminated.message else f"{words}."


def _path(pod: Pod, status: ContainerStatus) -> str:
    """Where in the pod the status of a container stands."""
    own = pod.status
    if own.init_container_statuses and any(each is status for each in own.init_container_statuses):
        return f"status.initContainerStatuses[{status.name}]"
    if own.ephemeral_container_statuses and any(each is status for each in own.ephemeral_container_statuses):
        return f"status.ephemeralContainerStatuses[{status.name}]"
    return f"status.containerStatuses[{status.name}]"


def _terminated_evidence(
    pod: Pod, status: ContainerStatus, state: str, terminated: ContainerStateTerminated
) -> list[tuple[str, object]]:
    path = f"{_path(pod, status)}.{state}.terminated"
    facts: list[tuple[str, object]] = [(f"{path}.exitCode", terminated.exit_code)]
    if terminated.reason:
        facts.append((f"{path}.reason", terminated.reason))
    if terminated.message:
        facts.append((f"{path}.message", terminated.message))
    if terminated.finished_at:
        facts.append((f"{path}.finishedAt", terminated.finished_at))
    return facts


def _limit_of(container: Container) -> str:
    limit = container.resources.limits.get("memory")
    return f" Its memory limit is {limit}." if limit else " It has no memory limit."


def _probe(probe: Probe | None) -> str:
    if probe is None:
        return "none"
    return (
        f"delay {probe.initial_delay_seconds}s, period {probe.period_seconds}s, timeout {probe.timeout_seconds}s, "
        f"failure threshold {probe.failure_threshold}"
    )
