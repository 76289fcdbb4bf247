from __future__ import annotations

from tests.analyzers.test_pod import LONG_AGO, READY, container, pod
from tests.views import codes, diagnose_all, findings


def budget(
    status: str, spec: str = "maxUnavailable: 1", selector: str = "{matchLabels: {app: web}}", name: str = "web"
) -> str:
    return f"""
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: {name}, namespace: shop, generation: 1, creationTimestamp: '2026-10-01T00:00:00Z'}}
spec: {{{spec}, selector: {selector}}}
status: {{observedGeneration: 1, {status}}}
"""


HEALTHY_POD = pod(
    container(f"running: {{startedAt: '{LONG_AGO}'}}", ready="true", conditions=READY), metadata="labels: {app: web}"
)
FAILING_POD = pod(container("waiting: {reason: ErrImagePull}"), metadata="labels: {app: web}")
BLOCKED = "disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 2, expectedPods: 3, conditions: [{type: DisruptionAllowed, status: 'False', reason: InsufficientPods, lastTransitionTime: '2026-11-02T07:00:00Z'}]"


def test_a_budget_that_allows_evictions_is_no_problem():
    assert (
        codes(
            "PodDisruptionBudget",
            HEALTHY_POD + budget("disruptionsAllowed: 1, currentHealthy: 3, desiredHealthy: 2, expectedPods: 3"),
        )
        == []
    )


def test_a_budget_that_cannot_be_computed_is_reported_with_the_controllers_words():
    status = "conditions: [{type: Other, status: 'True'}, {type: DisruptionAllowed, status: 'False', reason: SyncFailed, message: 'found no controllers for pod web-0'}]"
    [finding] = findings("PodDisruptionBudget", budget(status))
    assert finding.code == "PodDisruptionBudgetSyncFailed"
    assert "found no controllers for pod web-0" in finding.message


def test_a_budget_that_can_never_allow_an_eviction_is_reported():
    status = "disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 2, expectedPods: 2"
    [finding] = findings("PodDisruptionBudget", HEALTHY_POD + budget(status, "minAvailable: 100%"))
    assert finding.code == "PodDisruptionBudgetNeverAllows"
    assert "minAvailable 100%" in finding.message


def test_too_few_healthy_pods_are_reported_when_it_lasts_and_the_pods_are_the_cause():
    found = {finding.kind: finding for finding in diagnose_all(FAILING_POD + budget(BLOCKED))}
    assert found["PodDisruptionBudget"].code == "PodDisruptionBudgetBlocked"
    assert found["PodDisruptionBudget"].cause == found["Pod"].id
    assert codes("PodDisruptionBudget", FAILING_POD + budget(BLOCKED.replace("T07:00", "T08:58"))) == []


def test_a_status_of_an_older_generation_is_not_judged():
    assert (
        codes("PodDisruptionBudget", FAILING_POD + budget(BLOCKED).replace("generation: 1,", "generation: 2,")) == []
    )


def test_a_selector_that_matches_nothing_is_worth_knowing():
    empty = "disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0"
    [finding] = findings(
        "PodDisruptionBudget",
        HEALTHY_POD + budget(empty, selector="{matchExpressions: [{key: app, operator: In, values: [api]}]}"),
    )
    assert (finding.code, finding.severity) == ("PodDisruptionBudgetSelectsNothing", "info")
    assert "app=api" in finding.message
    assert codes("PodDisruptionBudget", budget(empty), forbidden=["Pod"]) == []


def test_a_pod_under_two_budgets_is_reported_once():
    fine = "disruptionsAllowed: 1, currentHealthy: 3, desiredHealthy: 2, expectedPods: 3"
    [finding] = findings(
        "PodDisruptionBudget", HEALTHY_POD + budget(fine) + budget(fine, name="other", selector="{}")
    )
    assert finding.code == "PodDisruptionBudgetOverlapping"
    assert "web-1" in finding.message


def test_a_pod_that_has_ended_is_under_no_budget():
    fine = "disruptionsAllowed: 1, currentHealthy: 3, desiredHealthy: 2, expectedPods: 3"
    ended = pod("phase: Succeeded", metadata="labels: {app: web}")
    assert codes("PodDisruptionBudget", ended + budget(fine) + budget(fine, name="other", selector="{}")) == []


def test_a_workload_that_is_scaled_to_zero_will_have_pods_again():
    empty = budget("disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0")
    resting = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {replicas: 0, template: {metadata: {labels: {app: web}}}}
"""
    assert codes("PodDisruptionBudget", empty + resting) == []
    assert codes("PodDisruptionBudget", empty + resting.replace("app: web", "app: api")) == [
        "PodDisruptionBudgetSelectsNothing"
    ]
