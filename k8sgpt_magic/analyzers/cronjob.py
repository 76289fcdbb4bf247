"""CronJob: does it run when it should, and do its runs succeed?

Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
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
# How many times may come without a success: one run may fail, and the next be under way.
DUE_TIMES = 4
FAILED_RUNS = 2
# Where no time zone is given, the controller's own counts, and it may be any.
ANY_ZONE = timedelta(hours=14)

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_WITH_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)")
# Kubernetes' parser refuses these, and the one that computes the times here takes them.
_NO_DAY_OF_MONTH = re.compile(r"[LW]", re.IGNORECASE)
_NO_DAY_OF_WEEK = re.compile(r"[L#]|(?<![/\d])7(?!\d)", re.IGNORECASE)


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
            yield _suspended(view, cron_job)
            continue
        name, schedule = _zone_and_schedule(cron_job)
        if (zone := _zone(name or "UTC")) is None:
            yield INVALID_TIME_ZONE.finding(
                cron_job,
                f"The time zone {quote(name, 60)!r} is not known.",
                evidence=[("spec.timeZone", spec.time_zone) if spec.time_zone else ("spec.schedule", spec.schedule)],
            )
            continue
        if spec.starting_deadline_seconds is not None and spec.starting_deadline_seconds < CONTROLLER_SECONDS:
            yield SHORT_DEADLINE.finding(
                cron_job,
                f"A run must start within {spec.starting_deadline_seconds} s of its time, and the controller only "
                f"looks every {CONTROLLER_SECONDS} s.",
                evidence=[("spec.startingDeadlineSeconds", spec.starting_deadline_seconds)],
            )
        failing = list(_runs_failing(view, cron_job))
        yield from failing
        due = _due(schedule, view.now.astimezone(zone))
        if due is None:
            if schedule and not schedule.startswith("@every"):
                yield INVALID_SCHEDULE.finding(
                    cron_job,
                    f"The schedule {quote(spec.schedule, 60)!r} is not a cron schedule of five fields, or it names a "
                    "day that never comes.",
                    evidence=[("spec.schedule", spec.schedule)],
                )
            continue
        running = _oldest_active_run(view, cron_job) if spec.concurrency_policy == "Forbid" else None
        if running is not None:
            # Later runs rightly wait for this one; that is a problem once several of them do.
            if _was_due_twice_since(view, running, due):
                yield _blocked(view, cron_job, running)
            continue
        slack = timedelta(0) if name or _is_due_by_utc(cron_job, schedule) else ANY_ZONE
        missed = list(_missed(view, cron_job, due, slack))
        yield from missed
        if not missed and not failing:
            yield from _not_succeeding(view, cron_job, due, slack)


def _suspended(view: ClusterView, cron_job: CronJob) -> Finding:
    last = cron_job.status.last_schedule_time
    ran = f"its last run started {ago(view.age(last))} ago" if last else "it has never run"
    return SUSPENDED.finding(
        cron_job,
        f"The CronJob is suspended; {ran}.",
        evidence=[("spec.suspend", True), ("status.lastScheduleTime", last or "none")],
    )


def _missed(view: ClusterView, cron_job: CronJob, due: tuple[datetime, ...], slack: timedelta) -> Iterator[Finding]:
    # The newest due time may still be on its way; the one before must have been met.
    last_due = next((time for time in due if view.older_than(time, MISSED_GRACE)), None)
    last_run, created = cron_job.status.last_schedule_time, cron_job.metadata.creation_timestamp
    if last_due is None or created is None or max(created, last_run or created) >= last_due - slack:
        return
    # Of more due times than these, the first that was missed is not known.
    missed = [time for time in due if time <= last_due and time > max(created, last_run or created)]
    yield MISSED.finding(
        cron_job,
        f"A run was due {ago(view.age(last_due))} ago and did not start; the last one started "
        f"{f'{ago(view.age(last_run))} ago' if last_run else 'never'}.",
        since=missed[-1] if missed else last_due,
        evidence=[
            ("spec.schedule", cron_job.spec.schedule),
            ("status.lastScheduleTime", last_run or "none"),
            *view.events(cron_job)[:3],
        ],
    )


def _runs(view: ClusterView, cron_job: CronJob) -> list[Job]:
    """Its Jobs, the newest first."""
    return sorted(
        view.owned_by(cron_job, Job),
        key=lambda job: (str(job.metadata.creation_timestamp or ""), job.name),
        reverse=True,
    )


def _outcome(job: Job) -> str:
    """``Complete``, ``Failed``, or nothing while it has not ended."""
    ended = (each.type for each in job.status.conditions if each.status == "True")
    return next((each for each in ended if each in ("Complete", "Failed")), "")


def _oldest_active_run(view: ClusterView, cron_job: CronJob) -> Job | None:
    active = [job for job in _runs(view, cron_job) if job.status.active and not _outcome(job)]
    return active[-1] if active else None


def _was_due_twice_since(view: ClusterView, running: Job, due: tuple[datetime, ...]) -> bool:
    started = running.status.start_time
    return started is not None and started < due[1] and view.older_than(due[0], MISSED_GRACE)


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
    ended = [job for job in _runs(view, cron_job) if _outcome(job)]
    failed = list(takewhile(lambda job: _outcome(job) == "Failed", ended))
    if len(failed) >= FAILED_RUNS or (failed and len(failed) == len(ended)):
        last = cron_job.status.last_successful_time
        yield RUNS_FAILING.finding(
            cron_job,
            f"The last {count(len(failed), 'run').removeprefix('1 ')} failed, the newest {failed[0].name}; "
            f"{f'the last success was {ago(view.age(last))} ago' if last else 'none has succeeded yet'}.",
            since=failed[-1].metadata.creation_timestamp,
            evidence=[("status.lastSuccessfulTime", last or "none")],
            because=failed[:1],
            severity="critical" if len(failed) >= FAILED_RUNS else "warning",
        )


def _not_succeeding(
    view: ClusterView, cron_job: CronJob, due: tuple[datetime, ...], slack: timedelta
) -> Iterator[Finding]:
    last, created = cron_job.status.last_successful_time, cron_job.metadata.creation_timestamp
    since = last or created
    if since is None or cron_job.status.last_schedule_time is None or since >= due[-1] - slack:
        return
    runs = _runs(view, cron_job)
    if last is None and any(_outcome(job) == "Complete" for job in runs):
        return
    ends = f"The last run that succeeded did so {ago(view.age(last))} ago" if last else "No run has ever succeeded"
    yield NEVER_SUCCEEDS.finding(
        cron_job,
        f"{ends}, though at least {len(due)} have been due since.",
        since=last,
        evidence=[("status.lastSuccessfulTime", last or "none"), ("spec.schedule", cron_job.spec.schedule)],
        because=runs[:3],
    )


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _zone_and_schedule(cron_job: CronJob) -> tuple[str, str]:
    """The zone, if one is given, and the schedule. Old CronJobs may name the zone in their schedule and still run."""
    schedule = cron_job.spec.schedule
    found = _WITH_ZONE.fullmatch(schedule[:200].strip()) if "TZ=" in schedule[:20] else None
    zone, fields = found.groups() if found else ("", schedule.strip())
    return cron_job.spec.time_zone or zone, fields


def _is_due_by_utc(cron_job: CronJob, schedule: str) -> bool:
    """Whether a schedule without a zone means UTC: it is due at the same minutes of every hour, or last ran by it."""
    fields = _DESCRIPTORS.get(schedule, schedule).split()
    if fields[1:] == ["*"] * 4:
        return True
    last_run = cron_job.status.last_schedule_time
    # The time kept is the one that the run was due at, so it lies right at a due time or the zone is another.
    due = _due(schedule, last_run.astimezone(UTC) + timedelta(seconds=60)) if last_run else None
    return last_run is not None and due is not None and abs(last_run - due[0]) < timedelta(seconds=90)


@lru_cache(maxsize=1024)
def _due(schedule: str, now: datetime) -> tuple[datetime, ...] | None:
    """The last times that a schedule was due, the newest first, or None where it is no schedule (of cron)."""
    from cronsim import CronSim, CronSimError

    # As Kubernetes' own parser has it, ``?`` is another way to write ``*``.
    fields = _DESCRIPTORS.get(schedule, schedule).replace("?", "*").split()
    if len(fields) != 5 or _NO_DAY_OF_MONTH.search(fields[2]) or _NO_DAY_OF_WEEK.search(fields[4]):
        return None
    try:
        times = tuple(islice(CronSim(" ".join(fields), now, reverse=True), DUE_TIMES))
    except (CronSimError, ValueError, OverflowError):
        return None
    return times if len(times) == DUE_TIMES else None
