"""Job: has it failed for good, is it still trying, or does it not get on?

Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import CronJob, Event, Job, Pod, Secret
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.workloads import missing_pull_secrets
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
# What part of the deadline has to be used up before its end is near.
DEADLINE_SHARE = 0.9
# Queueing systems suspend Jobs for hours as a matter of course.
SUSPENDED_GRACE = 86_400


@analyzer(
    Job,
    reads=[Pod, CronJob, Event, Secret],
    codes=[FAILED, RETRYING, STUCK, DEADLINE_NEAR, SUSPENDED, PULL_SECRET_MISSING],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Jobs that have failed, that keep failing, or that do not get on."""
    for job in view.all(Job):
        conditions = job.status.conditions
        if any(each.status == "True" and each.type in ("Complete", "SuccessCriteriaMet") for each in conditions):
            continue
        failed = next((each for each in conditions if each.status == "True" and each.type == "Failed"), None)
        if failed is None:
            failed = next(
                (each for each in conditions if each.status == "True" and each.type == "FailureTarget"), None
            )
        if failed is not None:
            yield _failed(view, job, failed.reason, failed.message, failed.last_transition_time)
            continue
        if job.spec.suspend:
            yield from _suspended(view, job)
            continue
        yield from _retrying(view, job)
        yield from _stuck(view, job)
        yield from _deadline_near(view, job)
        if not any(owner.kind == "CronJob" for owner in job.metadata.owner_references):
            yield from missing_pull_secrets(view, PULL_SECRET_MISSING, job, job.spec.template.spec)


def _failed(view: ClusterView, job: Job, reason: str, message: str, since: object) -> Finding:
    pods = _failed_pods(view, job)
    later = _later_success(view, job)
    indexes = f" Failed indexes: {job.status.failed_indexes}." if job.status.failed_indexes else ""
    said = sentence(message or "the controller does not say why")
    return FAILED.finding(
        job,
        f"The Job has failed ({reason or 'no reason given'}): {said}"
        + indexes
        + (f" A later run, {later.name}, has succeeded." if later else "")
        + _last_exit(pods),
        since=since,  # type: ignore[arg-type]
        evidence=[
            ("status.conditions[Failed]", f"{reason}: {message}"),
            ("status.failed", job.status.failed),
            ("spec.backoffLimit", 6 if job.spec.backoff_limit is None else job.spec.backoff_limit),
            *_exit_evidence(pods),
            *view.events(job)[:3],
        ],
        because=pods[:5],
        masked=(later.name,) if later else (),
        severity="info" if later else None,
    )


def _retrying(view: ClusterView, job: Job) -> Iterator[Finding]:
    limit = 6 if job.spec.backoff_limit is None else job.spec.backoff_limit
    if not job.status.failed:
        return
    pods = _failed_pods(view, job)
    left = limit - job.status.failed
    yield RETRYING.finding(
        job,
        f"{count(job.status.failed, 'pod')} of the Job failed, and it tries again, up to {count(limit, 'retry')}."
        + _last_exit(pods),
        since=job.status.start_time,
        evidence=[("status.failed", job.status.failed), ("spec.backoffLimit", limit), *_exit_evidence(pods)],
        because=pods[:5],
        severity="warning" if left <= 1 else None,
    )


def _stuck(view: ClusterView, job: Job) -> Iterator[Finding]:
    started = job.status.start_time or job.metadata.creation_timestamp
    if job.status.active and (job.status.ready is None or job.status.ready):
        return
    if job.status.failed or not view.older_than(started, STUCK_GRACE) or job.spec.parallelism == 0:
        return
    pods = [pod for pod in view.owned_by(job, Pod) if pod.status.phase not in ("Succeeded", "Failed")]
    what = (
        f"not ready {'is' if len(pods) == 1 else 'are'} {joined(pod.name for pod in pods)}"
        if pods
        else "it has no pods"
    )
    yield STUCK.finding(
        job,
        f"The Job has not got on for {ago(view.age(started))}: {what}.",
        since=started,
        evidence=[("status.active", job.status.active), ("status.ready", job.status.ready), *view.events(job)[:3]],
        because=pods[:5],
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
        or any(
            (each.last_state.terminated and each.last_state.terminated.exit_code)
            or (each.state.terminated and each.state.terminated.exit_code)
            for each in pod.status.container_statuses
        )
    ]
    return sorted(pods, key=lambda pod: (str(pod.metadata.creation_timestamp or ""), pod.name), reverse=True)


def _exits(pods: list[Pod]) -> Iterator[tuple[Pod, str, str]]:
    for pod in pods:
        for each in pod.status.container_statuses:
            ended = each.state.terminated or each.last_state.terminated
            if ended and ended.exit_code:
                said = f": {sentence(ended.message)}" if ended.message else "."
                reason = f" ({ended.reason})" if ended.reason not in ("", "Error") else ""
                yield pod, each.name, f"exit code {ended.exit_code}{reason}{said}"


def _last_exit(pods: list[Pod]) -> str:
    first = next(_exits(pods), None)
    return f" Container {first[1]} of {first[0].name} ended with {first[2]}" if first else ""


def _exit_evidence(pods: list[Pod]) -> list[tuple[str, str]]:
    return [(f"Pod {pod.name} container {container}", how) for pod, container, how in list(_exits(pods))[:3]]


def _later_success(view: ClusterView, job: Job) -> Job | None:
    """A later run of the same CronJob that has succeeded: this failure is history then."""
    owner = next((each for each in job.metadata.owner_references if each.controller and each.kind == "CronJob"), None)
    cron_job = view.get(CronJob, job.namespace, owner.name) if owner else None
    created = job.metadata.creation_timestamp
    if cron_job is None or created is None:
        return None
    return next(
        (
            other
            for other in view.owned_by(cron_job, Job)
            if other.metadata.creation_timestamp
            and other.metadata.creation_timestamp > created
            and any(each.type == "Complete" and each.status == "True" for each in other.status.conditions)
        ),
        None,
    )
