"""PrometheusRule (Prometheus Operator): does anything evaluate its rules?

Source: https://prometheus-operator.dev/docs/developer/alerting/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import Prometheus, PrometheusRule, ThanosRuler
from k8sgpt_magic.cluster.resources import Namespace
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.monitors import ignored, rejected
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://prometheus-operator.dev/docs/developer/alerting/"

NOT_SELECTED = Code(
    "PrometheusRuleNotSelected",
    "warning",
    "No Prometheus selects the rules, so none of their alerts can fire.",
    f"{_DOCS}#deploying-prometheus-rules",
)
REJECTED = Code(
    "PrometheusRuleRejected", "warning", "A Prometheus refuses the rules, so none of their alerts can fire.", _DOCS
)


@analyzer(
    PrometheusRule,
    reads=[Namespace, Prometheus, ThanosRuler],
    codes=[NOT_SELECTED, REJECTED],
    group="Integrations",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """PrometheusRules that nothing evaluates."""
    for each in view.all(PrometheusRule):
        if each.spec.groups:
            yield from rejected(view, REJECTED, each)
            yield from ignored(
                view, NOT_SELECTED, each, "rule", (Prometheus, ThanosRuler), does="its rules are not evaluated"
            )
