"""PodDisruptionBudget: does it guard pods, and can a node still be drained?

Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import Pod, PodDisruptionBudget
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.findings import Code, Finding

DOCS = "https://kubernetes.io/docs/tasks/run-application/configure-pdb/"

SYNC_FAILED = Code(
    "PodDisruptionBudgetSyncFailed",
    "warning",
    "The controller cannot compute this budget, so it allows no eviction at all.",
    DOCS,
)


@analyzer(PodDisruptionBudget, reads=[Pod], codes=[SYNC_FAILED])
def analyze(view: ClusterView) -> Iterator[Finding]:
    """PodDisruptionBudgets that guard nothing or that can never allow an eviction."""
    for budget in view.all(PodDisruptionBudget):
        status = budget.status
        allowed = condition(status.conditions, "DisruptionAllowed")
        if allowed and allowed.status == "False" and allowed.reason == "SyncFailed":
            yield SYNC_FAILED.finding(
                budget,
                f"The budget cannot be computed: {allowed.message or 'no reason given'}",
                since=allowed.last_transition_time,
                evidence=[("status.conditions[DisruptionAllowed]", allowed.message)],
            )
