"""CronJob: does it run when it should, and do its runs succeed?

Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import CronJob, Event, Job
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, count, quote

_DOCS = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"

INVALID_SCHEDULE = Code(
    "CronJobInvalidSchedule",
    "critical",
    "The schedule cannot be understood, so it never runs.",
    f"{_DOCS}#schedule-syntax",
)
INVALID_TIME_ZONE = Code(
    "CronJobInvalidTimeZone", "critical", "The time zone is not known, so it never runs.", f"{_DOCS}#time-zones"
)
SUSPENDED = Code(
    "CronJobSuspended",
    "info",
    "The CronJob is suspended: no run starts until someone resumes it.",
    f"{_DOCS}#schedule-suspension",
)
MISSED = Code("CronJobMissedSchedule", "warning", "Runs were due and did not start.", f"{_DOCS}#job-limitations")
BLOCKED = Code(
    "CronJobBlocked",
    "warning",
    "A run that does not end keeps all later ones from starting, since runs may not overlap.",
    f"{_DOCS}#concurrency-policy",
)
RUNS_FAILING = Code("CronJobRunsFailing", "critical", "The last runs have failed.", _DOCS)
NEVER_SUCCEEDS = Code("CronJobNotSucceeding", "warning", "It is long since a run has succeeded.", _DOCS)
SHORT_DEADLINE = Code(
    "CronJobShortDeadline",
    "warning",
    "The starting deadline is shorter than the controller's own interval, so runs may never start.",
    f"{_DOCS}#starting-deadline",
)

# The controller looks at all CronJobs every ten seconds.
CONTROLLER_SECONDS = 10
# A due run starts within seconds; minutes allow for a busy controller.
MISSED_GRACE = 300
# How many periods may pass without success: one run may fail, and the next be under way.
PERIODS = 3
FAILED_RUNS = 2

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip


@analyzer(
    CronJob,
    reads=[Job, Event],
    codes=[
        INVALID_SCHEDULE, INVALID_TIME_ZONE, SUSPENDED, MISSED, BLOCKED, RUNS_FAILING, NEVER_SUCCEEDS, SHORT_DEADLINE,
    ],
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """CronJobs that do not run when they are due, and those whose runs fail."""
    for cron_job in view.all(CronJob):
        spec = cron_job.spec
        if spec.suspend:
            yield SUSPENDED.finding(cron_job, "The CronJob is suspended.", evidence=[("spec.suspend", True)])
            continue
        if (zone := _zone(spec.time_zone or "UTC")) is None:
            yield INVALID_TIME_ZONE.finding(
                cron_job,
                f"The time zone {quote(str(spec.time_zone), 60)!r} is not known.",
                evidence=[("spec.timeZone", spec.time_zone)],
            )
            continue
        if spec.starting_deadline_seconds is not None and spec.starting_deadline_seconds < CONTROLLER_SECONDS:
            yield SHORT_DEADLINE.finding(
                cron_job,
                f"A run must start within {spec.starting_deadline_seconds} s of its time, and the controller only "
                f"looks every {CONTROLLER_SECONDS} s.",
                evidence=[("spec.startingDeadlineSeconds", spec.starting_deadline_seconds)],
            )
        due = _due(spec.schedule, view.now.astimezone(zone))
        if due is None:
            if spec.schedule and not spec.schedule.startswith("@every"):
                yield INVALID_SCHEDULE.finding(
                    cron_job,
                    f"The schedule {quote(spec.schedule, 60)!r} is not a cron schedule of five fields.",
                    evidence=[("spec.schedule", spec.schedule)],
                )
            yield from _runs_failing(view, cron_job)
            continue
        blocking = _blocking_run(view, cron_job, due)
        if blocking is not None:
            yield _blocked(view, cron_job, blocking)
        else:
            yield from _missed(view, cron_job, due)
        failing = list(_runs_failing(view, cron_job))
        yield from failing
        if not failing and blocking is None:
            yield from _not_succeeding(view, cron_job, due)


def _missed(view: ClusterView, cron_job: CronJob, due: tuple[datetime, datetime]) -> Iterator[Finding]:
    last_due, before = due
    last_run = cron_job.status.last_schedule_time
    created = cron_job.metadata.creation_timestamp
    if created is None or last_due <= created or not view.older_than(last_due, MISSED_GRACE):
        # The newest due time may still be on its way; the one before must have been met.
        last_due = before
    if created is None or last_due <= created or (last_run is not None and last_run >= last_due):
        return
    # A schedule that was changed lately was not due at these times.
    yield MISSED.finding(
        cron_job,
        f"A run was due {ago(view.age(last_due))} ago and did not start; the last one started "
        f"{f'{ago(view.age(last_run))} ago' if last_run else 'never'}.",
        since=last_due,
        evidence=[
            ("spec.schedule", cron_job.spec.schedule),
            ("status.lastScheduleTime", last_run or "none"),
            *view.events(cron_job)[:3],
        ],
    )


def _blocking_run(view: ClusterView, cron_job: CronJob, due: tuple[datetime, datetime]) -> Job | None:
    """The run that holds up later ones: active over several periods, where runs may not overlap."""
    if cron_job.spec.concurrency_policy != "Forbid":
        return None
    period = due[0] - due[1]
    return next(
        (
            job
            for job in view.owned_by(cron_job, Job)
            if job.status.active
            and not any(
                each.status == "True" and each.type in ("Complete", "Failed") for each in job.status.conditions
            )
            and view.age(job.status.start_time) > 2 * period + timedelta(seconds=MISSED_GRACE)
        ),
        None,
    )


def _blocked(view: ClusterView, cron_job: CronJob, job: Job) -> Finding:
    return BLOCKED.finding(
        cron_job,
        f"Run {job.name} has been active for {ago(view.age(job.status.start_time))}, and the concurrency policy "
        "Forbid lets no other start.",
        since=job.status.start_time,
        evidence=[
            ("spec.concurrencyPolicy", "Forbid"),
            ("spec.schedule", cron_job.spec.schedule),
            *view.events(cron_job)[:2],
        ],
        because=[job],
    )


def _runs_failing(view: ClusterView, cron_job: CronJob) -> Iterator[Finding]:
    ended = [
        (job, each.type)
        for job in view.owned_by(cron_job, Job)
        for each in job.status.conditions
        if each.status == "True" and each.type in ("Complete", "Failed")
    ]
    ended.sort(key=lambda run: (str(run[0].metadata.creation_timestamp or ""), run[0].name), reverse=True)
    failed = []
    for job, outcome in ended:
        if outcome == "Complete":
            break
        failed.append(job)
    if len(failed) >= FAILED_RUNS or (failed and len(failed) == len(ended)):
        last = cron_job.status.last_successful_time
        yield RUNS_FAILING.finding(
            cron_job,
            f"The last {count(len(failed), 'run').removeprefix('1 ')} failed, the newest {failed[0].name}; "
            f"{f'the last success was {ago(view.age(last))} ago' if last else 'none has succeeded yet'}.",
            since=failed[-1].metadata.creation_timestamp,
            evidence=[("status.lastSuccessfulTime", last or "none")],
            because=failed[:3],
            severity="critical" if len(failed) >= FAILED_RUNS else "warning",
        )


def _not_succeeding(view: ClusterView, cron_job: CronJob, due: tuple[datetime, datetime]) -> Iterator[Finding]:
    last, period = cron_job.status.last_successful_time, due[0] - due[1]
    if (
        last is not None
        and cron_job.status.last_schedule_time
        and view.age(last) > (PERIODS + 1) * period + timedelta(hours=1)
    ):
        yield NEVER_SUCCEEDS.finding(
            cron_job,
            f"The last run that succeeded did so {ago(view.age(last))} ago, though one is due every {ago(period)}.",
            since=last,
            evidence=[("status.lastSuccessfulTime", last), ("spec.schedule", cron_job.spec.schedule)],
            because=view.owned_by(cron_job, Job)[:3],
        )


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=1024)
def _due(schedule: str, now: datetime) -> tuple[datetime, datetime] | None:
    """The last two times that a schedule was due, the newest first, or None where it is no schedule (of cron)."""
    from cronsim import CronSim, CronSimError

    try:
        times = CronSim(_DESCRIPTORS.get(schedule, schedule), now, reverse=True)
        return next(times), next(times)
    except (CronSimError, StopIteration, ValueError, OverflowError):
        return None
