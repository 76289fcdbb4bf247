from __future__ import annotations

import pytest

from tests.views import codes, diagnose_all, findings

STARTED = "2026-11-02T07:00:00Z"


def job(status: str = "", spec: str = "", name: str = "nightly", created: str = STARTED, owner: str = "") -> str:
    owners = f", ownerReferences: [{{kind: CronJob, name: {owner}, controller: true}}]" if owner else ""
    return f"""
---
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}, namespace: batch, creationTimestamp: '{created}'{owners}}}
spec: {{backoffLimit: 3{", " + spec if spec else ""}}}
status: {{startTime: '{created}'{", " + status if status else ""}}}
"""


def failed_pod(job: str = "nightly") -> str:
    return f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: {job}-x1, namespace: batch, creationTimestamp: '{STARTED}', ownerReferences: [{{kind: Job, name: {job}, controller: true}}]}}
spec: {{nodeName: n, restartPolicy: Never, containers: [{{name: work}}]}}
status: {{phase: Failed, containerStatuses: [{{name: work, state: {{terminated: {{exitCode: 3, reason: Error, message: 'disk full', finishedAt: '{STARTED}'}}}}}}]}}
"""


FAILED = "failed: 4, conditions: [{type: Failed, status: 'True', reason: %s, message: 'it has %s', lastTransitionTime: '2026-11-02T08:00:00Z'}]"


@pytest.mark.parametrize("reason", ["BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy", "FailedIndexes"])
def test_a_job_that_failed_for_good_says_why_and_how_its_pods_ended(reason):
    [finding] = findings("Job", job(FAILED % (reason, reason)) + failed_pod())
    assert (finding.code, finding.severity) == ("JobFailed", "critical")
    for fact in (reason, "exit code 3", "disk full"):
        assert fact in finding.message


def test_the_pod_that_failed_is_the_cause_of_the_job():
    found = {
        finding.kind: finding for finding in diagnose_all(job(FAILED % ("BackoffLimitExceeded", "x")) + failed_pod())
    }
    assert found["Job"].cause == found["Pod"].id


@pytest.mark.parametrize("type", ["Complete", "SuccessCriteriaMet"])
def test_a_job_that_succeeded_after_retries_is_no_problem(type):
    assert codes("Job", job(f"failed: 2, succeeded: 1, conditions: [{{type: {type}, status: 'True'}}]")) == []


def test_a_failed_condition_that_is_false_is_no_failure():
    assert codes("Job", job("ready: 1, active: 1, conditions: [{type: Failed, status: 'False'}]")) == []


@pytest.mark.parametrize(("failed", "severity"), [(1, "info"), (2, "warning")])
def test_a_job_that_still_retries_is_not_failed(failed, severity):
    [finding] = findings("Job", job(f"failed: {failed}, active: 1, ready: 1") + failed_pod())
    assert (finding.code, finding.severity) == ("JobRetrying", severity)
    assert "exit code 3" in finding.message


def test_a_failed_run_is_history_once_a_later_run_succeeded():
    cron = "\n---\n{apiVersion: batch/v1, kind: CronJob, metadata: {name: report, namespace: batch}, spec: {schedule: '0 * * * *'}}"
    failed = job(FAILED % ("BackoffLimitExceeded", "x"), name="report-1", owner="report")
    later = job(
        "succeeded: 1, conditions: [{type: Complete, status: 'True'}]",
        name="report-2",
        created="2026-11-02T08:00:00Z",
        owner="report",
    )
    assert [finding.severity for finding in findings("Job", cron + failed)] == ["critical"]
    [finding] = findings("Job", cron + failed + later)
    assert finding.severity == "info"
    assert "report-2" in finding.message


def test_a_job_without_a_ready_pod_for_long_is_stuck():
    assert codes("Job", job("active: 1, ready: 0")) == ["JobStuck"]
    assert codes("Job", job("active: 1, ready: 1")) == []
    assert codes("Job", job("active: 1, ready: 0", created="2026-11-02T08:58:00Z")) == []


def pending_pod(created: str, name: str = "nightly-p1") -> str:
    return f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: batch, creationTimestamp: '{created}', ownerReferences: [{{kind: Job, name: nightly, controller: true}}]}}
spec: {{containers: [{{name: work}}]}}
status: {{phase: Pending}}
"""


def test_a_job_of_many_short_pods_gets_on_while_the_newest_is_new():
    many = job("active: 1, ready: 0, succeeded: 40", "completions: 100")
    assert codes("Job", many + pending_pod("2026-11-02T08:59:50Z")) == []
    [finding] = findings("Job", many + pending_pod("2026-11-02T08:00:00Z"))
    assert finding.code == "JobStuck"
    assert "nightly-p1" in finding.message


def test_a_job_one_of_whose_containers_has_done_its_work_while_another_works_on_gets_on():
    works = """
spec: {restartPolicy: Never, containers: [{name: work}, {name: fetch}]}
status: {phase: Running, containerStatuses: [{name: work, ready: true, state: {running: {}}}, {name: fetch, state: {terminated: {exitCode: 0}}}]}
"""
    running = job("active: 1, ready: 0") + pending_pod(STARTED).rpartition("spec:")[0] + works.lstrip()
    assert codes("Job", running) == []
    assert codes("Job", running.replace("exitCode: 0", "exitCode: 1")) == ["JobStuck"]
    assert codes("Job", running.replace("running: {}", "waiting: {reason: ErrImagePull}")) == ["JobStuck"]


def test_a_retry_that_does_not_start_is_stuck_and_one_in_its_pause_is_not():
    again = job("active: 1, ready: 0, failed: 1") + failed_pod()
    assert codes("Job", again + pending_pod("2026-11-02T08:00:00Z")) == ["JobStuck"]
    assert codes("Job", job("failed: 1") + failed_pod()) == ["JobRetrying"]


def test_pods_that_are_refused_are_reported_with_the_rule_that_refuses_them():
    refused = """
---
apiVersion: v1
kind: Event
metadata: {name: nightly.1, namespace: batch}
involvedObject: {kind: Job, namespace: batch, name: nightly}
type: Warning
reason: FailedCreate
message: 'Error creating: pods "nightly-x" is forbidden: exceeded quota: compute, requested: cpu=2, used: cpu=4, limited: cpu=4'
firstTimestamp: '2026-11-02T08:55:00Z'
lastTimestamp: '2026-11-02T08:59:00Z'
---
{apiVersion: v1, kind: ResourceQuota, metadata: {name: compute, namespace: batch}, status: {hard: {cpu: 4}, used: {cpu: 4}}}
"""
    lately = job(created="2026-11-02T08:55:00Z")
    [finding] = findings("Job", lately + refused)
    assert finding.code == "JobStuck"
    assert "compute" in finding.message
    assert [str(ref) for ref in finding.because] == ["ResourceQuota batch/compute"]
    assert codes("Job", lately) == []


def test_a_pod_that_was_evicted_or_that_failed_in_an_init_container_tells_how_it_ended():
    exceeded = FAILED % ("BackoffLimitExceeded", "x")
    ended = "containerStatuses: [{name: work, state: {terminated: {exitCode: 3"
    evicted = failed_pod().replace(
        "phase: Failed", "phase: Failed, reason: Evicted, message: 'The node was low on memory.'"
    )
    [finding] = findings("Job", job(exceeded) + evicted)
    assert "Pod nightly-x1 ended with Evicted: The node was low on memory." in finding.message
    [finding] = findings(
        "Job", job(exceeded) + failed_pod().replace(ended, ended.replace("containerS", "initContainerS"))
    )
    assert "exit code 3" in finding.message


def test_a_limit_for_each_index_is_not_told_as_two_billion_retries():
    [finding] = findings(
        "Job", job("failed: 1, active: 1, ready: 1").replace("backoffLimit: 3", "backoffLimit: 2147483647")
    )
    assert "2,147,483,647" not in finding.message


def test_a_job_that_is_being_deleted_is_not_judged():
    gone = job("active: 1, ready: 0").replace("namespace: batch", f"namespace: batch, deletionTimestamp: '{STARTED}'")
    assert codes("Job", gone) == []


def test_a_job_near_its_deadline_is_reported():
    assert codes("Job", job("active: 1, ready: 1", "activeDeadlineSeconds: 7500")) == ["JobDeadlineNear"]
    assert codes("Job", job("active: 1, ready: 1", "activeDeadlineSeconds: 75000")) == []


def test_suspension_is_worth_knowing_after_a_day_and_normal_before():
    assert codes("Job", job("", "suspend: true")) == []
    [finding] = findings("Job", job("", "suspend: true", created="2026-10-30T00:00:00Z"))
    assert (finding.code, finding.severity) == ("JobSuspended", "info")


def test_a_pull_secret_that_does_not_exist_is_reported_once_and_only_where_secrets_were_read():
    manifest = job("active: 1, ready: 1", "template: {spec: {imagePullSecrets: [{name: registry}]}}")
    assert codes("Job", manifest) == ["JobImagePullSecretMissing"]
    assert codes("Job", manifest, forbidden=["Secret"]) == []
    assert (
        codes("Job", manifest + "\n---\n{apiVersion: v1, kind: Secret, metadata: {name: registry, namespace: batch}}")
        == []
    )
