"""PodMonitor (Prometheus Operator): does it select pods, and does a Prometheus select it?

Source: https://prometheus-operator.dev/docs/developer/getting-started/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.integrations import PodMonitor, Prometheus, PrometheusAgent
from k8sgpt_magic.cluster.resources import Namespace, Pod
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import GRACE, changed
from k8sgpt_magic.diagnosis.monitors import ignored, rejected, target_namespaces
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined

_TROUBLE = "https://prometheus-operator.dev/docs/platform/troubleshooting/"

SELECTS_NOTHING = Code(
    "PodMonitorSelectsNothing", "warning", "The monitor matches no pod, so nothing is measured by it.", _TROUBLE
)
NOT_SELECTED = Code(
    "PodMonitorNotSelected", "warning", "No Prometheus selects the monitor, so it has no effect.", _TROUBLE
)
REJECTED = Code("PodMonitorRejected", "warning", "A Prometheus refuses the monitor, so it has no effect.", _TROUBLE)


@analyzer(
    PodMonitor,
    reads=[Pod, Namespace, Prometheus, PrometheusAgent],
    codes=[SELECTS_NOTHING, NOT_SELECTED, REJECTED],
    group="Integrations",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """PodMonitors that measure nothing."""
    for each in view.all(PodMonitor):
        yield from _targets(view, each)
        yield from rejected(view, REJECTED, each)
        yield from ignored(
            view, NOT_SELECTED, each, "pod_monitor", (Prometheus, PrometheusAgent), does="nothing is measured by it"
        )


def _targets(view: ClusterView, each: PodMonitor) -> Iterator[Finding]:
    any_namespace = each.spec.namespace_selector.any
    namespaces = target_namespaces(view, each, each.spec.namespace_selector)
    is_known = view.readable(Pod) if any_namespace else all(view.readable(Pod, name) for name in namespaces)
    if not is_known or not view.older_than(changed(each), GRACE):
        return
    if any(view.pods_matching(name, each.spec.selector) for name in namespaces):
        return
    where = "in any namespace" if any_namespace else f"in {joined(namespaces, 3)}"
    shown = selectors.text_of(selectors.from_spec(each.spec.selector)) or "(empty)"
    yield SELECTS_NOTHING.finding(
        each,
        f"No pod {where} matches {shown}.",
        evidence=[("spec.selector", shown), ("spec.namespaceSelector", where)],
        masked=(*namespaces[:10], *each.spec.selector.match_labels.values()),
    )
