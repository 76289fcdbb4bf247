"""Deployment: do its replicas run, and does its rollout get anywhere?

Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import (
    Deployment,
    DeploymentCondition,
    DeploymentStatus,
    Event,
    Pod,
    ReplicaSet,
    Resource,
    Secret,
)
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.workloads import (
    FAILING_GRACE,
    NAMED_PODS,
    REFUSAL_GRACE,
    STARTUP_GRACE,
    Fact,
    are_ready,
    capitalized,
    condition_fact,
    for_long,
    is_brand_new,
    is_failing,
    is_past,
    missing_pull_secrets,
    names_in,
    newest_failed,
    not_reconciled,
    oldest,
    pod_facts,
    unready,
    with_troubles,
)
from k8sgpt_magic.findings import Code, Finding, Severity
from k8sgpt_magic.wording import count, quote

DOCS = "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/"

NOT_READY = Code(
    "DeploymentNotReady",
    "warning",
    "Fewer pods of the Deployment are ready than it should have; with none ready, what it serves is down.",
    DOCS + "#deployment-status",
)
PROGRESS_DEADLINE_EXCEEDED = Code(
    "DeploymentProgressDeadlineExceeded",
    "warning",
    "The rollout of a new version has stopped: its pods did not become ready in the time that the Deployment allows.",
    DOCS + "#failed-deployment",
)
ROLLOUT_FAILED = Code(
    "DeploymentRolloutFailed",
    "warning",
    "The controller cannot carry out a rollout at all, for instance because it cannot create the ReplicaSet.",
    DOCS + "#failed-deployment",
)
REPLICA_FAILURE = Code(
    "DeploymentReplicaFailure",
    "warning",
    "Pods of the Deployment cannot be created or deleted, often because a quota or an admission rule forbids it.",
    DOCS + "#failed-deployment",
)
NOT_RECONCILED = Code(
    "DeploymentNotReconciled",
    "warning",
    "The Deployment was changed and its controller has not acted on that, so the change has no effect.",
    DOCS + "#deployment-status",
)
PAUSED = Code(
    "DeploymentPaused",
    "info",
    "Rollouts of the Deployment are paused: changes of its pod template have no effect until it is resumed.",
    DOCS + "#pausing-and-resuming-a-deployment",
)
PULL_SECRET_MISSING = Code(
    "DeploymentImagePullSecretMissing",
    "warning",
    "The pods of the Deployment name a pull secret that does not exist, so private images cannot be pulled.",
    "https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/",
)

DEFAULT_PROGRESS_DEADLINE = 600

DEADLINE_SLACK = 60
"""Seconds that the controller may take to declare a rollout dead after its deadline."""

REVISION = "deployment.kubernetes.io/revision"


@analyzer(
    Deployment,
    reads=[ReplicaSet, Pod, Secret, Event],
    codes=[
        NOT_READY,
        PROGRESS_DEADLINE_EXCEEDED,
        ROLLOUT_FAILED,
        REPLICA_FAILURE,
        NOT_RECONCILED,
        PAUSED,
        PULL_SECRET_MISSING,
    ],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Deployments whose replicas are missing, whose rollout has stopped, or that nobody reconciles."""
    for deployment in view.all(Deployment):
        if deployment.metadata.deletion_timestamp:
            continue
        if deployment.status.observed_generation < deployment.metadata.generation:
            # The status speaks of an earlier spec, so there is nothing else to judge by.
            observed = deployment.status.observed_generation
            yield from not_reconciled(view, NOT_RECONCILED, deployment, deployment.metadata, observed)
        else:
            yield from _falls_short(view, deployment)
        yield from _paused(view, deployment)
        if deployment.spec.template.spec.image_pull_secrets:
            yield from missing_pull_secrets(view, PULL_SECRET_MISSING, deployment, deployment.spec.template.spec)


def _falls_short(view: ClusterView, deployment: Deployment) -> Iterator[Finding]:
    """The one finding that says best why a Deployment is not what its spec demands."""
    status = deployment.status
    failure = condition(status.conditions, "ReplicaFailure")
    progressing = condition(status.conditions, "Progressing")
    if failure and failure.status == "True" and is_past(view, failure.last_transition_time, REFUSAL_GRACE):
        yield _replica_failure(view, deployment, failure)
    elif progressing and progressing.status == "False":
        yield _rollout_stopped(view, deployment, progressing)
    elif status.ready_replicas < _desired(deployment):
        yield from _not_ready(view, deployment, progressing)


def _replica_failure(view: ClusterView, deployment: Deployment, failure: DeploymentCondition) -> Finding:
    progressing = condition(deployment.status.conditions, "Progressing")
    pods = view.pods_of(deployment)
    action = "deleted" if failure.reason == "FailedDelete" else "created"
    evidence = [condition_fact(failure), _replicas_fact(deployment)]
    if progressing and progressing.status == "False":
        evidence.append(condition_fact(progressing))
    refused = [
        replica_set
        for replica_set in _replica_sets(view, deployment)
        if (own := condition(replica_set.status.conditions, "ReplicaFailure")) and own.status == "True"
    ]
    return REPLICA_FAILURE.finding(
        deployment,
        f"Pods cannot be {action}, and {_state(deployment)}: "
        f"{quote(failure.message or failure.reason or 'no reason given')}",
        since=failure.last_transition_time,
        severity=_severity(deployment),
        evidence=evidence,
        because=[*refused, *_explanations(view, deployment, unready(pods), pods)],
        masked=names_in(failure.message),
    )


def _rollout_stopped(view: ClusterView, deployment: Deployment, progressing: DeploymentCondition) -> Finding:
    status = deployment.status
    all_pods = view.pods_of(deployment)
    pods = unready(all_pods)
    if progressing.reason == "ProgressDeadlineExceeded":
        code = PROGRESS_DEADLINE_EXCEEDED
        message = (
            f"The rollout has made no progress within {_deadline(deployment):,} seconds, and {_state(deployment)}; "
            f"{count(status.updated_replicas, 'replica')} of the new version "
            f"{'exists' if status.updated_replicas == 1 else 'exist'}."
        )
    else:
        code = ROLLOUT_FAILED
        words = quote(progressing.message or progressing.reason or "no reason given")
        message = capitalized(f"The rollout has failed, and {_state(deployment)}: {words}")
    if pods:
        message += f" Not ready: {with_troubles(pods)}."
    return code.finding(
        deployment,
        message,
        since=progressing.last_transition_time,
        severity=_severity(deployment),
        evidence=[
            condition_fact(progressing),
            _replicas_fact(deployment),
            *pod_facts(pods),
            *view.events(deployment),
        ],
        because=_explanations(view, deployment, pods, all_pods),
        # The controller names the ReplicaSet that has timed out.
        masked=[each.name for each in _replica_sets(view, deployment)],
    )


def _not_ready(
    view: ClusterView, deployment: Deployment, progressing: DeploymentCondition | None
) -> Iterator[Finding]:
    if deployment.status == DeploymentStatus() and not deployment.metadata.creation_timestamp:
        return  # A manifest that no cluster has seen.
    all_pods = view.pods_of(deployment)
    pods = unready(all_pods)
    fails = bool(pods) and is_failing(pods[0])
    if not fails and _is_rolling_out(view, deployment, progressing):
        return
    since = _short_since(deployment, pods, progressing)
    # What was rolled out and has no ready pod left, nor a new one, is not starting up: it is down.
    is_outage = (
        deployment.status.ready_replicas == 0
        and progressing is not None
        and _is_rolled_out(progressing)
        and not any(is_brand_new(view, pod, STARTUP_GRACE) for pod in pods)
    )
    if not is_past(view, since, FAILING_GRACE if fails or is_outage else STARTUP_GRACE):
        return
    message = _state(deployment)
    if pods:
        message += f": {with_troubles(pods)}"
    elif deployment.status.replicas < _desired(deployment):
        message += f", and {count(_desired(deployment) - deployment.status.replicas, 'pod')} not even created"
    available = condition(deployment.status.conditions, "Available")
    yield NOT_READY.finding(
        deployment,
        capitalized(message),
        since=since,
        severity=_severity(deployment),
        evidence=[
            _replicas_fact(deployment),
            *([condition_fact(available)] if available and available.status != "True" else []),
            *pod_facts(pods),
            *view.events(deployment),
        ],
        because=_explanations(view, deployment, pods, all_pods),
    )


def _paused(view: ClusterView, deployment: Deployment) -> Iterator[Finding]:
    if not deployment.spec.paused:
        return
    progressing = condition(deployment.status.conditions, "Progressing")
    since = progressing.last_transition_time if progressing and progressing.reason == "DeploymentPaused" else None
    updated, desired = deployment.status.updated_replicas, _desired(deployment)
    waits = ""
    if updated < desired:
        runs = "run" if updated > 1 else "runs"
        waits = f" {updated or 'None'} of {count(desired, 'replica')} {runs} the current template."
    yield PAUSED.finding(
        deployment,
        f"Rollouts have been paused{for_long(view, since)}.{waits}" if since else f"Rollouts are paused.{waits}",
        since=since,
        evidence=[("spec.paused", "true"), ("status.updatedReplicas", updated)],
    )


def _is_rolling_out(view: ClusterView, deployment: Deployment, progressing: DeploymentCondition | None) -> bool:
    """Whether a rollout is under way and within its deadline. A paused Deployment does not roll out."""
    if deployment.spec.paused or (progressing and _is_rolled_out(progressing)):
        return False
    status = deployment.status
    if not progressing and status.updated_replicas >= max(status.replicas, _desired(deployment)):
        return False
    moved = (progressing.last_update_time or progressing.last_transition_time) if progressing else None
    moved = moved or deployment.metadata.creation_timestamp
    return moved is not None and not view.older_than(moved, _deadline(deployment) + DEADLINE_SLACK)


def _is_rolled_out(progressing: DeploymentCondition) -> bool:
    return progressing.reason == "NewReplicaSetAvailable"


def _short_since(
    deployment: Deployment, pods: Sequence[Pod], progressing: DeploymentCondition | None
) -> datetime | None:
    available = condition(deployment.status.conditions, "Available")
    if available and available.status == "False" and available.last_transition_time:
        since: datetime = available.last_transition_time
        return since
    if pods and (since_pods := oldest(pods)):
        return since_pods
    if progressing and (moved := progressing.last_update_time or progressing.last_transition_time):
        return moved
    return deployment.metadata.creation_timestamp


def _explanations(
    view: ClusterView, deployment: Deployment, waited_for: Sequence[Pod], pods: Sequence[Pod]
) -> list[Resource]:
    """The current ReplicaSet, then the pods that are not ready, then those that failed and were replaced."""
    return [*_replica_sets(view, deployment)[:1], *waited_for[:NAMED_PODS], *newest_failed(pods)]


def _replica_sets(view: ClusterView, deployment: Deployment) -> list[ReplicaSet]:
    """The ReplicaSets of a Deployment, the one of its newest revision first."""
    owned = view.owned_by(deployment, ReplicaSet)
    return sorted(owned, key=lambda each: (-_revision(each), each.name)) if len(owned) > 1 else owned


def _revision(replica_set: ReplicaSet) -> int:
    text = replica_set.metadata.annotations.get(REVISION, "")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _desired(deployment: Deployment) -> int:
    return 1 if deployment.spec.replicas is None else deployment.spec.replicas


def _deadline(deployment: Deployment) -> int:
    deadline = deployment.spec.progress_deadline_seconds
    return DEFAULT_PROGRESS_DEADLINE if deadline is None else deadline


def _severity(deployment: Deployment) -> Severity:
    return "critical" if deployment.status.ready_replicas == 0 and _desired(deployment) > 0 else "warning"


def _state(deployment: Deployment) -> str:
    return are_ready(deployment.status.ready_replicas, _desired(deployment))


def _replicas_fact(deployment: Deployment) -> Fact:
    return ("status.readyReplicas", f"{deployment.status.ready_replicas} of {_desired(deployment)}")
