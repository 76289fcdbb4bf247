"""Prometheus (Prometheus Operator): do its replicas run, with the configuration that is asked for?

Source: https://prometheus-operator.dev/docs/developer/prometheus/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import Prometheus
from k8sgpt_magic.cluster.resources import ObjectRef, Pod, Resource, StatefulSet
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import lasting, reported, unreconciled
from k8sgpt_magic.diagnosis.workloads import unready
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://prometheus-operator.dev/docs/api-reference/api/"
_TROUBLE = "https://prometheus-operator.dev/docs/platform/troubleshooting/"

NOT_AVAILABLE = Code(
    "PrometheusNotAvailable",
    "critical",
    "No replica of Prometheus runs: nothing is measured, and no alert fires.",
    _TROUBLE,
)
DEGRADED = Code("PrometheusDegraded", "warning", "Some replicas of Prometheus do not run.", _TROUBLE)
RECONCILE_FAILED = Code(
    "PrometheusReconcileFailed",
    "warning",
    "The operator cannot bring Prometheus to what its spec asks for, so it runs with an older configuration.",
    _TROUBLE,
)
NOT_RECONCILED = Code(
    "PrometheusNotReconciled", "warning", "No operator has judged the Prometheus or its last change.", _DOCS
)
PAUSED = Code("PrometheusPaused", "info", "The operator leaves the Prometheus alone until it is resumed.", _DOCS)


@analyzer(
    Prometheus,
    reads=[StatefulSet, Pod],
    codes=[NOT_AVAILABLE, DEGRADED, RECONCILE_FAILED, NOT_RECONCILED, PAUSED],
    group="Integrations",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Prometheuses of the Prometheus Operator that do not run as they should."""
    for each in view.all(Prometheus):
        if each.metadata.deletion_timestamp:
            continue
        conditions = each.status.conditions
        if each.spec.paused:
            yield PAUSED.finding(
                each, "The operator does not act on it: it is paused.", evidence=[("spec.paused", True)]
            )
        else:
            yield from unreconciled(view, NOT_RECONCILED, each, conditions, "Reconciled")
        because = _behind(view, each)
        if down := lasting(view, each, conditions, "Available"):
            yield reported(NOT_AVAILABLE, each, down, "No replica is available", because=because)
        elif degraded := lasting(view, each, conditions, "Available", "Degraded"):
            yield reported(DEGRADED, each, degraded, "Not all replicas are available", because=because)
        if failed := lasting(view, each, conditions, "Reconciled"):
            yield reported(RECONCILE_FAILED, each, failed, "The operator cannot bring it to its spec")


def _behind(view: ClusterView, each: Prometheus) -> list[ObjectRef]:
    pods = unready(view.pods_matching(each.namespace, {"operator.prometheus.io/name": each.name}))
    found: list[Resource] = [*view.owned_by(each, StatefulSet), *pods[:20]]
    return [one.ref for one in found]
