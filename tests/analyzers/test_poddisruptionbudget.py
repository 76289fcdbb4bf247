from tests.views import findings

SYNC_FAILED = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
status:
  conditions:
  - {type: DisruptionAllowed, status: "False", reason: SyncFailed, message: "found no controllers for pod web-0"}
"""


def test_a_budget_that_cannot_be_computed_is_reported_with_the_controllers_words():
    [finding] = findings("PodDisruptionBudget", SYNC_FAILED)
    assert finding.code == "PodDisruptionBudgetSyncFailed"
    assert "found no controllers for pod web-0" in finding.message
