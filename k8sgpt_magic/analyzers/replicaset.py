"""ReplicaSet: can it create its pods, and who looks after it?

Source: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import (
    Condition,
    Deployment,
    Event,
    OwnerReference,
    Pod,
    ReplicaSet,
    ReplicaSetStatus,
)
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.workloads import (
    CREATION_GRACE,
    FAILING_GRACE,
    NAMED_PODS,
    REFUSAL_GRACE,
    STARTUP_GRACE,
    Admission,
    Fact,
    are_ready,
    capitalized,
    condition_fact,
    first_seen,
    is_brand_new,
    is_failing,
    is_past,
    names_in,
    newest_failed,
    oldest,
    pod_facts,
    refusal_events,
    unready,
    with_troubles,
)
from k8sgpt_magic.findings import Code, Finding, Severity
from k8sgpt_magic.wording import count, quote

DOCS = "https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/"
WEBHOOK_DOCS = "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/"

QUOTA_EXCEEDED = Code(
    "ReplicaSetQuotaExceeded",
    "warning",
    "Pods cannot be created because a ResourceQuota of their namespace does not allow them.",
    "https://kubernetes.io/docs/concepts/policy/resource-quotas/",
)
LIMIT_RANGE_VIOLATED = Code(
    "ReplicaSetLimitRangeViolated",
    "warning",
    "Pods cannot be created because they ask for more or less than a LimitRange of their namespace permits.",
    "https://kubernetes.io/docs/concepts/policy/limit-range/",
)
POD_SECURITY_VIOLATED = Code(
    "ReplicaSetPodSecurityViolated",
    "warning",
    "Pods cannot be created because they do not meet the Pod Security Standard that their namespace enforces.",
    "https://kubernetes.io/docs/concepts/security/pod-security-admission/",
)
ADMISSION_DENIED = Code(
    "ReplicaSetAdmissionDenied",
    "warning",
    "Pods cannot be created because an admission webhook or policy rejects them.",
    WEBHOOK_DOCS,
)
WEBHOOK_FAILED = Code(
    "ReplicaSetWebhookFailed",
    "warning",
    "Pods cannot be created because an admission webhook that must approve them cannot be reached.",
    WEBHOOK_DOCS + "#failure-policy",
)
SERVICE_ACCOUNT_MISSING = Code(
    "ReplicaSetServiceAccountMissing",
    "warning",
    "Pods cannot be created because the ServiceAccount that they should run as does not exist.",
    "https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/",
)
CREATE_FAILED = Code(
    "ReplicaSetCreateFailed",
    "warning",
    "Pods cannot be created: the API server refuses them.",
    DOCS,
)
DELETE_FAILED = Code(
    "ReplicaSetDeleteFailed",
    "warning",
    "Surplus pods cannot be deleted, so more of them run than should.",
    DOCS,
)
NOT_READY = Code(
    "ReplicaSetNotReady",
    "warning",
    "Fewer pods than desired are ready in a ReplicaSet that no Deployment looks after.",
    DOCS + "#working-with-replicasets",
)
OWNER_MISSING = Code(
    "ReplicaSetOwnerMissing",
    "warning",
    "The Deployment that the ReplicaSet belongs to no longer exists, so nobody updates its pods.",
    "https://kubernetes.io/docs/concepts/architecture/garbage-collection/#orphaned-dependents",
)

BY_RULE = {
    "quota": QUOTA_EXCEEDED,
    "limit range": LIMIT_RANGE_VIOLATED,
    "pod security": POD_SECURITY_VIOLATED,
    "denied": ADMISSION_DENIED,
    "webhook failed": WEBHOOK_FAILED,
    "service account": SERVICE_ACCOUNT_MISSING,
    "other": CREATE_FAILED,
}


@analyzer(
    ReplicaSet,
    reads=[Deployment, Pod, *Admission.reads],
    codes=[*BY_RULE.values(), DELETE_FAILED, NOT_READY, OWNER_MISSING],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """ReplicaSets whose pods are refused, or that are short of ready pods without a Deployment to say so."""
    admission = Admission(view)
    for replica_set in view.all(ReplicaSet):
        desired, status = _desired(replica_set), replica_set.status
        if desired == status.replicas == 0 or replica_set.metadata.deletion_timestamp:
            continue  # An old revision, kept for rollbacks, or one that is going.
        if status.observed_generation >= replica_set.metadata.generation:
            if status.replicas > desired:
                yield from _delete_failed(view, replica_set)
            elif status.replicas < desired and (refused := _create_failed(view, admission, replica_set)):
                yield refused
            elif status.ready_replicas < desired and not _is_of_deployment(replica_set):
                yield from _not_ready(view, replica_set)
        yield from _owner_missing(view, replica_set)


def _create_failed(view: ClusterView, admission: Admission, replica_set: ReplicaSet) -> Finding | None:
    """Some or all pods were refused: by the ReplicaFailure condition or, before that is set, by events."""
    failure = _failure(replica_set)
    events = refusal_events(view, replica_set)
    since = failure.last_transition_time if failure else first_seen(events)
    if not (failure or events) or not is_past(view, since, REFUSAL_GRACE):
        return None
    refusal = admission.refusal(replica_set.namespace, _newest_words(failure, events))
    desired, status = _desired(replica_set), replica_set.status
    missing = desired - status.replicas
    return BY_RULE[refusal.rule].finding(
        replica_set,
        f"{'Its only pod' if desired == 1 else f'{missing} of {desired} pods'} cannot be created: {refusal}",
        since=since,
        severity=_severity(view, replica_set),
        evidence=[
            ("status.replicas", f"{status.replicas} of {desired}"),
            *refusal.evidence,
            *([condition_fact(failure)] if failure else []),
            *events,
        ],
        because=refusal.because,
        masked=refusal.masked,
    )


def _newest_words(failure: Condition | None, events: list[Event]) -> str:
    """What was refused last: the condition keeps the first message, however often the reason changes later."""
    if failure and failure.message:
        since, newest = failure.last_transition_time, events[0].last_seen if events else None
        if not (since and newest and newest > since):
            return failure.message
    return events[0].message if events else failure.reason if failure else ""


def _delete_failed(view: ClusterView, replica_set: ReplicaSet) -> Iterator[Finding]:
    failure = _failure(replica_set)
    events = refusal_events(view, replica_set, "FailedDelete")
    since = failure.last_transition_time if failure else first_seen(events)
    if not (failure or events) or not is_past(view, since, REFUSAL_GRACE):
        return
    words = _newest_words(failure, events)
    surplus = replica_set.status.replicas - _desired(replica_set)
    yield DELETE_FAILED.finding(
        replica_set,
        f"{count(surplus, 'surplus pod')} cannot be deleted: {quote(words or 'no reason given')}",
        since=since,
        evidence=[
            ("status.replicas", f"{replica_set.status.replicas} of {_desired(replica_set)}"),
            *([condition_fact(failure)] if failure else []),
            *events,
        ],
        masked=names_in(words),
    )


def _not_ready(view: ClusterView, replica_set: ReplicaSet) -> Iterator[Finding]:
    if replica_set.status == ReplicaSetStatus() and not replica_set.metadata.creation_timestamp:
        return  # A manifest that no cluster has seen.
    pods = unready(view.owned_by(replica_set, Pod))
    since = oldest(pods) or replica_set.metadata.creation_timestamp
    grace = FAILING_GRACE if pods and is_failing(pods[0]) else STARTUP_GRACE
    if not is_past(view, since, grace):
        return
    desired, status = _desired(replica_set), replica_set.status
    state = are_ready(status.ready_replicas, desired)
    yield NOT_READY.finding(
        replica_set,
        capitalized(f"{state}: {with_troubles(pods)}" if pods else state),
        since=since,
        severity="critical" if status.ready_replicas == 0 else "warning",
        evidence=[
            ("status.readyReplicas", f"{status.ready_replicas} of {desired}"),
            *pod_facts(pods),
            *view.events(replica_set),
        ],
        because=[pod.ref for pod in (*pods[:NAMED_PODS], *newest_failed(view.owned_by(replica_set, Pod)))],
    )


def _owner_missing(view: ClusterView, replica_set: ReplicaSet) -> Iterator[Finding]:
    owner = _controller(replica_set)
    if not owner or not _is_of_deployment(replica_set) or is_brand_new(view, replica_set, CREATION_GRACE):
        return
    if not view.missing(Deployment, replica_set.namespace, owner.name):
        return
    evidence: list[Fact] = [("metadata.ownerReferences", f"{owner.kind}/{owner.name}")]
    yield OWNER_MISSING.finding(
        replica_set,
        f"Deployment {owner.name}, which owns the ReplicaSet, does not exist: "
        f"{count(replica_set.status.replicas, 'pod')} {'runs' if replica_set.status.replicas == 1 else 'run'} on "
        "without anybody to update them, and the garbage collector should have removed them.",
        evidence=evidence,
        masked=[owner.name],
    )


def _severity(view: ClusterView, replica_set: ReplicaSet) -> Severity:
    """Critical where nothing is left to serve: neither a pod of this revision nor of the one before it."""
    if replica_set.status.ready_replicas:
        return "warning"
    owner = _controller(replica_set)
    deployment = view.get(Deployment, replica_set.namespace, owner.name) if owner else None
    return "warning" if deployment and deployment.status.ready_replicas else "critical"


def _failure(replica_set: ReplicaSet) -> Condition | None:
    failure: Condition | None = condition(replica_set.status.conditions, "ReplicaFailure")
    return failure if failure and failure.status == "True" else None


def _controller(replica_set: ReplicaSet) -> OwnerReference | None:
    return next((owner for owner in replica_set.metadata.owner_references if owner.controller), None)


def _is_of_deployment(replica_set: ReplicaSet) -> bool:
    owner = _controller(replica_set)
    return owner is not None and owner.kind == "Deployment" and owner.api_version.startswith("apps/")


def _desired(replica_set: ReplicaSet) -> int:
    return 1 if replica_set.spec.replicas is None else replica_set.spec.replicas
