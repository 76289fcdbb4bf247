from __future__ import annotations

import pytest

from tests.analyzers.test_job import FAILED, job
from tests.views import codes, diagnose_all, findings


def cron(
    spec: str = "schedule: '0 * * * *'",
    status: str = "lastScheduleTime: '2026-11-02T09:00:00Z', lastSuccessfulTime: '2026-11-02T08:01:00Z'",
) -> str:
    return f"""
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: report, namespace: batch, creationTimestamp: '2026-01-01T00:00:00Z'}}
spec: {{{spec}}}
status: {{{status}}}
"""


COMPLETE = "succeeded: 1, conditions: [{type: Complete, status: 'True'}]"


def test_a_cron_job_that_runs_on_time_and_succeeds_is_no_problem():
    assert codes("CronJob", cron() + job(COMPLETE, name="r", owner="report")) == []


def test_a_suspended_one_is_worth_knowing_and_nothing_else_is_said_of_it():
    [finding] = findings("CronJob", cron("schedule: '0 * * * *', suspend: true", ""))
    assert (finding.code, finding.severity) == ("CronJobSuspended", "info")


@pytest.mark.parametrize(
    "schedule",
    ["61 * * * *", "not a schedule", "* * *", "0 0 * * * *", "0 0 * * 7", "0 0 L * *", "0 0 * * 5#2", "0 0 30 2 *"],
)
def test_a_schedule_that_is_none_is_named(schedule):
    [finding] = findings("CronJob", cron(f"schedule: '{schedule}'"))
    assert finding.code == "CronJobInvalidSchedule"
    assert schedule in finding.message


@pytest.mark.parametrize(
    "schedule",
    [
        "@hourly",
        "@every 1h",
        "*/15 8-18 * * 1-5",
        "0 0 1 1 *",
        "0 * ? * *",
        "CRON_TZ=Europe/Berlin 0 8 * * Mon-Fri",
        "*/7 * * * *",
        "0 0 1-7 JUL *",
    ],
)
def test_schedules_that_kubernetes_takes_are_fine(schedule):
    assert "CronJobInvalidSchedule" not in codes("CronJob", cron(f"schedule: '{schedule}'"))


def test_an_unknown_time_zone_is_named_and_a_known_one_counts():
    assert codes("CronJob", cron("schedule: '0 * * * *', timeZone: Mars/Olympus")) == ["CronJobInvalidTimeZone"]
    # Nine in the morning UTC is ten in Berlin, where this was due half an hour ago.
    late = cron(
        "schedule: '30 9 * * *', timeZone: Europe/Berlin",
        "lastScheduleTime: '2026-11-01T08:30:00Z', lastSuccessfulTime: '2026-11-01T08:31:00Z'",
    )
    assert codes("CronJob", late) == ["CronJobMissedSchedule"]
    assert codes("CronJob", late.replace("2026-11-01T08:30", "2026-11-02T08:30")) == []


def test_a_run_that_was_due_and_did_not_start_is_missed():
    [finding] = findings(
        "CronJob", cron(status="lastScheduleTime: '2026-11-02T05:00:00Z', lastSuccessfulTime: '2026-11-02T05:01:00Z'")
    )
    assert (finding.code, finding.severity) == ("CronJobMissedSchedule", "warning")


def test_a_missed_run_is_not_also_reported_as_long_without_success():
    status = "lastScheduleTime: '2026-11-01T05:00:00Z', lastSuccessfulTime: '2026-11-01T05:01:00Z'"
    assert codes("CronJob", cron(status=status)) == ["CronJobMissedSchedule"]


def test_without_a_zone_the_hours_of_the_controllers_own_zone_count():
    # Two in the morning in Singapore is 18:00 UTC, so nothing has been missed.
    elsewhere = "lastScheduleTime: '2026-11-01T18:00:00Z', lastSuccessfulTime: '2026-11-01T18:01:00Z'"
    assert codes("CronJob", cron("schedule: '0 2 * * *'", elsewhere)) == []
    utc = elsewhere.replace("T18:", "T02:")
    assert codes("CronJob", cron("schedule: '0 2 * * *'", utc)) == ["CronJobMissedSchedule"]
    assert codes("CronJob", cron("schedule: '0 2 * * *', timeZone: Etc/UTC", elsewhere)) == ["CronJobMissedSchedule"]


def test_a_new_cron_job_has_missed_nothing_before_it_was_due():
    assert codes("CronJob", cron(status="").replace("2026-01-01T00:00:00Z", "2026-11-02T08:30:00Z")) == []


def test_a_run_that_does_not_end_blocks_the_others_where_runs_may_not_overlap():
    hanging = job("active: 1, ready: 1", name="report-1", created="2026-11-02T04:00:00Z", owner="report")
    blocked = cron("schedule: '0 * * * *', concurrencyPolicy: Forbid", "lastScheduleTime: '2026-11-02T04:00:00Z'")
    [finding] = findings("CronJob", blocked + hanging)
    assert finding.code == "CronJobBlocked"
    assert "report-1" in finding.message
    assert codes("CronJob", blocked.replace("Forbid", "Allow") + hanging) == ["CronJobMissedSchedule"]


def test_the_next_run_may_wait_for_one_that_takes_a_little_longer():
    slow = job("active: 1, ready: 1", name="report-1", created="2026-11-02T07:30:00Z", owner="report")
    spec = "schedule: '30 * * * *', concurrencyPolicy: Forbid"
    assert codes("CronJob", cron(spec, "lastScheduleTime: '2026-11-02T07:30:00Z'") + slow) == []


def test_runs_that_fail_one_after_the_other_are_reported_with_the_job_as_cause():
    runs = "".join(
        job(
            FAILED % ("BackoffLimitExceeded", "x"),
            name=f"report-{hour}",
            created=f"2026-11-02T0{hour}:00:00Z",
            owner="report",
        )
        for hour in (6, 7)
    )
    [finding] = findings("CronJob", cron() + runs)
    assert (finding.code, finding.severity) == ("CronJobRunsFailing", "critical")
    assert "2 runs" in finding.message
    found = {each.code: each for each in diagnose_all(cron() + runs)}
    assert found["CronJobRunsFailing"].cause == "Job/batch/report-7/JobFailed"


def test_a_failure_followed_by_a_success_is_none():
    runs = job(FAILED % ("x", "x"), name="r1", created="2026-11-02T06:00:00Z", owner="report") + job(
        COMPLETE, name="r2", created="2026-11-02T07:00:00Z", owner="report"
    )
    assert codes("CronJob", cron() + runs) == []


def test_long_without_success_is_reported_even_when_the_jobs_are_gone():
    [finding] = findings(
        "CronJob", cron(status="lastScheduleTime: '2026-11-02T09:00:00Z', lastSuccessfulTime: '2026-11-01T09:00:00Z'")
    )
    assert finding.code == "CronJobNotSucceeding"


def test_a_weekend_without_due_times_is_not_long_without_success():
    office_hours = cron(
        "schedule: '0 7-17 * * 1-5', timeZone: Etc/UTC",
        "lastScheduleTime: '2026-11-02T09:00:00Z', lastSuccessfulTime: '2026-10-30T17:01:00Z'",
    )
    assert codes("CronJob", office_hours) == []
    assert codes("CronJob", office_hours.replace("0 7-17", "0 5-17")) == ["CronJobNotSucceeding"]


def test_one_that_never_succeeded_is_reported_unless_a_success_is_still_there():
    never = cron(status="lastScheduleTime: '2026-11-02T09:00:00Z'")
    assert codes("CronJob", never) == ["CronJobNotSucceeding"]
    assert codes("CronJob", never + job(COMPLETE, name="r", owner="report")) == []


def test_a_deadline_shorter_than_the_controllers_interval_is_reported():
    assert codes("CronJob", cron("schedule: '0 * * * *', startingDeadlineSeconds: 5")) == ["CronJobShortDeadline"]
    assert codes("CronJob", cron("schedule: '0 * * * *', startingDeadlineSeconds: 60")) == []
