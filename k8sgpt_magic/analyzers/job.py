"""Job: has it failed for good, is it still trying, or does it not get on?

Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import Condition, ContainerStatus, CronJob, Job, ObjectRef, Pod, Secret
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.workloads import (
    REFUSAL_GRACE,
    Admission,
    capitalized,
    first_seen,
    is_ready,
    missing_pull_secrets,
    refusal_events,
)
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, count, joined, sentence

_DOCS = "https://kubernetes.io/docs/concepts/workloads/controllers/job/"

FAILED = Code(
    "JobFailed",
    "critical",
    "The Job has failed for good: its work was not done.",
    f"{_DOCS}#job-termination-and-cleanup",
)
RETRYING = Code(
    "JobRetrying", "info", "Pods of the Job have failed and it tries again.", f"{_DOCS}#pod-backoff-failure-policy"
)
STUCK = Code("JobStuck", "warning", "The Job should be running, and none of its pods gets ready.", _DOCS)
DEADLINE_NEAR = Code(
    "JobDeadlineNear",
    "warning",
    "The Job will soon be ended by its deadline.",
    f"{_DOCS}#job-termination-and-cleanup",
)
SUSPENDED = Code(
    "JobSuspended",
    "info",
    "The Job is suspended: it makes no pods until someone resumes it.",
    f"{_DOCS}#suspending-a-job",
)
PULL_SECRET_MISSING = Code(
    "JobImagePullSecretMissing",
    "warning",
    "A pull secret that the Job's pods name does not exist, so images of a private registry cannot be pulled.",
    "https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/",
)

# A pod needs some minutes to be scheduled, to pull its image and to start.
STUCK_GRACE = 600
# What Kubernetes takes where none is given; with a limit for each index the limit of all is the greatest number.
DEFAULT_BACKOFF_LIMIT = 6
NO_BACKOFF_LIMIT = 2**31 - 1
# What part of the deadline has to be used up before its end is near.
DEADLINE_SHARE = 0.9
# Queueing systems suspend Jobs for hours as a matter of course.
SUSPENDED_GRACE = 86_400


@analyzer(
    Job,
    reads=[Pod, CronJob, Secret, *Admission.reads],
    codes=[FAILED, RETRYING, STUCK, DEADLINE_NEAR, SUSPENDED, PULL_SECRET_MISSING],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Jobs that have failed, that keep failing, or that do not get on."""
    admission = Admission(view)
    for job in view.all(Job):
        conditions = job.status.conditions
        if job.metadata.deletion_timestamp or any(
            each.status == "True" and each.type in ("Complete", "SuccessCriteriaMet") for each in conditions
        ):
            continue
        # FailureTarget comes first, while the last pods still end.
        failed = _holds(conditions, "Failed") or _holds(conditions, "FailureTarget")
        if failed is not None:
            yield _failed(view, job, failed)
        elif job.spec.suspend:
            yield from _suspended(view, job)
        else:
            stuck = list(_stuck(view, job, admission))
            yield from stuck or _retrying(view, job)
            yield from _deadline_near(view, job)
            if not any(owner.kind == "CronJob" for owner in job.metadata.owner_references):
                yield from missing_pull_secrets(view, PULL_SECRET_MISSING, job, job.spec.template.spec)


def _holds(conditions: tuple[Condition, ...], type: str) -> Condition | None:
    return next((each for each in conditions if each.type == type and each.status == "True"), None)


def _backoff_limit(job: Job) -> int:
    return DEFAULT_BACKOFF_LIMIT if job.spec.backoff_limit is None else job.spec.backoff_limit


def _failed(view: ClusterView, job: Job, failed: Condition) -> Finding:
    pods = _failed_pods(view, job)
    exits = _exits(pods)
    later = _later_success(view, job)
    indexes = f" Failed indexes: {sentence(job.status.failed_indexes)}" if job.status.failed_indexes else ""
    said = sentence(failed.message or "the controller does not say why")
    return FAILED.finding(
        job,
        f"The Job has failed ({failed.reason or 'no reason given'}): {said}"
        + indexes
        + (f" A later run, {later}, has succeeded." if later else "")
        + _last_exit(exits),
        since=failed.last_transition_time,
        evidence=[
            (f"status.conditions[{failed.type}]", f"{failed.reason}: {failed.message}"),
            ("status.failed", job.status.failed),
            ("spec.backoffLimit", _backoff_limit(job)),
            *_exit_evidence(exits),
            *view.events(job)[:3],
        ],
        because=pods[:5],
        masked=(later, *_container_names(pods)),
        severity="info" if later else None,
    )


def _retrying(view: ClusterView, job: Job) -> Iterator[Finding]:
    if not job.status.failed:
        return
    limit, pods = _backoff_limit(job), _failed_pods(view, job)
    exits = _exits(pods)
    up_to = f", up to {count(limit, 'retry')}" if limit < NO_BACKOFF_LIMIT else ""
    yield RETRYING.finding(
        job,
        f"{count(job.status.failed, 'pod')} of the Job failed, and it tries again{up_to}.{_last_exit(exits)}",
        since=job.status.start_time,
        evidence=[("status.failed", job.status.failed), ("spec.backoffLimit", limit), *_exit_evidence(exits)],
        because=pods[:5],
        masked=_container_names(pods),
        severity="warning" if limit - job.status.failed <= 1 else None,
    )


def _stuck(view: ClusterView, job: Job, admission: Admission) -> Iterator[Finding]:
    """A Job none of whose pods runs for long. One pod after the other being new is how many Jobs get on."""
    status = job.status
    if (status.active and (status.ready is None or status.ready)) or job.spec.parallelism == 0:
        return
    pods = view.owned_by(job, Pod)
    unfinished = [pod for pod in pods if pod.status.phase not in ("Succeeded", "Failed")]
    if not unfinished:
        refused = list(_refused(view, job, admission))
        if refused:
            yield from refused
            return
        # Between two tries the controller waits; where pods have come and gone, nothing tells for how long.
        if status.failed or status.succeeded:
            return
    started = status.start_time or job.metadata.creation_timestamp
    newest = max(
        (each.metadata.creation_timestamp for each in pods if each.metadata.creation_timestamp), default=None
    )
    since = max((time for time in (started, newest) if time), default=None)
    if not view.older_than(since, STUCK_GRACE) or any(is_ready(pod) or _works(pod) for pod in unfinished):
        return
    if unfinished:
        what = f"not ready {'is' if len(unfinished) == 1 else 'are'} {joined(pod.name for pod in unfinished)}"
    else:
        # Pods that could not be read are known by their number alone.
        what = f"none of its pods ({status.active} active) is ready" if status.active else "it has no pods"
    yield STUCK.finding(
        job,
        f"The Job has not got on for {ago(view.age(since))}: {what}.",
        since=since,
        evidence=[("status.active", status.active), ("status.ready", status.ready), *view.events(job)[:3]],
        because=unfinished[:5],
    )


def _works(pod: Pod) -> bool:
    """Whether a container of a pod works on while others have done their part; such a pod is not ready."""
    statuses = pod.status.container_statuses
    return any(each.state.running for each in statuses) and all(
        each.ready or (each.state.terminated is not None and each.state.terminated.exit_code == 0)
        for each in statuses
    )


def _refused(view: ClusterView, job: Job, admission: Admission) -> Iterator[Finding]:
    """The API server does not let the controller create the pods."""
    events = refusal_events(view, job)
    since = first_seen(events)
    if not events or not view.older_than(since, REFUSAL_GRACE):
        return
    refusal = admission.refusal(job.namespace, events[0].message)
    yield STUCK.finding(
        job,
        f"The Job has no pods, since they cannot be created: {capitalized(str(refusal))}",
        since=since,
        evidence=[("status.active", job.status.active), *refusal.evidence, *events[:3]],
        because=refusal.because,
        masked=refusal.masked,
    )


def _deadline_near(view: ClusterView, job: Job) -> Iterator[Finding]:
    deadline, started = job.spec.active_deadline_seconds, job.status.start_time
    if not deadline or started is None or not view.older_than(started, DEADLINE_SHARE * deadline):
        return
    left = timedelta(seconds=deadline) - view.age(started)
    used, allowed = ago(view.age(started)), ago(timedelta(seconds=deadline))
    yield DEADLINE_NEAR.finding(
        job,
        f"The Job has used {used} of its {allowed}; it will be ended in {ago(left)}.",
        since=started,
        evidence=[("spec.activeDeadlineSeconds", deadline), ("status.startTime", started)],
    )


def _suspended(view: ClusterView, job: Job) -> Iterator[Finding]:
    suspended = condition(job.status.conditions, "Suspended")
    since = suspended.last_transition_time if suspended else job.metadata.creation_timestamp
    if view.older_than(since, SUSPENDED_GRACE):
        yield SUSPENDED.finding(
            job,
            f"The Job has been suspended for {ago(view.age(since))}.",
            since=since,
            evidence=[("spec.suspend", True)],
        )


def _failed_pods(view: ClusterView, job: Job) -> list[Pod]:
    """The pods that failed or keep failing, the newest first."""
    pods = [
        pod
        for pod in view.owned_by(job, Pod)
        if pod.status.phase == "Failed"
        or any(_exit_code(each) for each in (*pod.status.container_statuses, *pod.status.init_container_statuses))
    ]
    return sorted(pods, key=lambda pod: (str(pod.metadata.creation_timestamp or ""), pod.name), reverse=True)


def _exit_code(status: ContainerStatus) -> int:
    ended = status.state.terminated or status.last_state.terminated
    return ended.exit_code if ended else 0


class _Exit(Struct, frozen=True, gc=False):
    """How a pod of the Job, or a container in it, came to its end."""

    pod: str
    container: str
    how: str


def _exits(pods: list[Pod]) -> list[_Exit]:
    found = []
    for pod in pods[:5]:
        status = pod.status
        if status.reason:
            # Evicted, Preempting, NodeLost: the end came from outside, whatever the containers ended with.
            said = f": {sentence(status.message)}" if status.message else "."
            found.append(_Exit(pod.name, "", f"{status.reason}{said}"))
            continue
        # An init container counts only where the others never ran; a sidecar is always stopped at the end.
        ended = [each for each in status.container_statuses if _exit_code(each)] or [
            each for each in status.init_container_statuses if _exit_code(each)
        ]
        found += [_Exit(pod.name, each.name, _how(each)) for each in ended]
    return found


def _how(status: ContainerStatus) -> str:
    ended = status.state.terminated or status.last_state.terminated
    if ended is None:
        return ""
    reason = f" ({ended.reason})" if ended.reason not in ("", "Error") else ""
    said = f": {sentence(ended.message)}" if ended.message else "."
    return f"exit code {ended.exit_code}{reason}{said}"


def _last_exit(exits: list[_Exit]) -> str:
    if not exits:
        return ""
    first = exits[0]
    ended = f"Container {first.container} of {first.pod}" if first.container else f"Pod {first.pod}"
    return f" {ended} ended with {first.how}"


def _exit_evidence(exits: list[_Exit]) -> list[tuple[str, str]]:
    return [
        (f"Pod {each.pod} container {each.container}" if each.container else f"Pod {each.pod}", each.how)
        for each in exits[:3]
    ]


def _container_names(pods: list[Pod]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            each.name
            for pod in pods[:5]
            for each in (*pod.status.container_statuses, *pod.status.init_container_statuses)
        )
    )


def _later_success(view: ClusterView, job: Job) -> str:
    """The newest run of the same CronJob that has succeeded, if it is later than this: this is history then."""
    owner = next((each for each in job.metadata.owner_references if each.controller and each.kind == "CronJob"), None)
    if owner is None or job.metadata.creation_timestamp is None:
        return ""
    cron_job = ObjectRef("CronJob", job.namespace, owner.name)
    newest = view.kept("newest successful run of each CronJob", _newest_successes).get((cron_job, owner.uid))
    return newest[1] if newest and newest[0] > job.metadata.creation_timestamp else ""


def _newest_successes(view: ClusterView) -> dict[tuple[ObjectRef, str], tuple[datetime, str]]:
    found: dict[tuple[ObjectRef, str], tuple[datetime, str]] = {}
    for job in view.all(Job):
        created = job.metadata.creation_timestamp
        if created is None or _holds(job.status.conditions, "Complete") is None:
            continue
        for owner in job.metadata.owner_references:
            if owner.controller and owner.kind == "CronJob":
                key = (ObjectRef("CronJob", job.namespace, owner.name), owner.uid)
                found[key] = max(found.get(key, (created, job.name)), (created, job.name))
    return found
