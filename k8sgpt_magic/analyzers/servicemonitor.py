"""ServiceMonitor (Prometheus Operator): does it select Services, and does a Prometheus select it?

Source: https://prometheus-operator.dev/docs/developer/getting-started/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.integrations import Prometheus, PrometheusAgent, ServiceMonitor
from k8sgpt_magic.cluster.resources import Namespace, Service
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import GRACE, changed
from k8sgpt_magic.diagnosis.monitors import ignored, rejected, target_namespaces
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined

_TROUBLE = "https://prometheus-operator.dev/docs/platform/troubleshooting/"

SELECTS_NOTHING = Code(
    "ServiceMonitorSelectsNothing",
    "warning",
    "The monitor matches no Service, so nothing is measured by it.",
    _TROUBLE,
)
PORT_MISSING = Code(
    "ServiceMonitorPortMissing",
    "warning",
    "The monitor names a port that none of its Services has, so nothing is measured there.",
    f"{_TROUBLE}#using-textual-port-number-instead-of-port-name",
)
NOT_SELECTED = Code(
    "ServiceMonitorNotSelected", "warning", "No Prometheus selects the monitor, so it has no effect.", _TROUBLE
)
REJECTED = Code(
    "ServiceMonitorRejected", "warning", "A Prometheus refuses the monitor, so it has no effect.", _TROUBLE
)


@analyzer(
    ServiceMonitor,
    reads=[Service, Namespace, Prometheus, PrometheusAgent],
    codes=[SELECTS_NOTHING, PORT_MISSING, NOT_SELECTED, REJECTED],
    group="Integrations",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """ServiceMonitors that measure nothing."""
    for each in view.all(ServiceMonitor):
        yield from _targets(view, each)
        yield from rejected(view, REJECTED, each)
        yield from ignored(
            view,
            NOT_SELECTED,
            each,
            "service_monitor",
            (Prometheus, PrometheusAgent),
            does="nothing is measured by it",
        )


def _by_namespace(view: ClusterView) -> dict[str, list[Service]]:
    found: defaultdict[str, list[Service]] = defaultdict(list)
    for each in view.everything():
        if isinstance(each, Service):
            found[each.namespace].append(each)
    return dict(found)


def _targets(view: ClusterView, each: ServiceMonitor) -> Iterator[Finding]:
    if not view.older_than(changed(each), GRACE):
        return
    any_namespace = each.spec.namespace_selector.any
    namespaces = target_namespaces(view, each, each.spec.namespace_selector)
    if not (view.readable(Service) if any_namespace else all(view.readable(Service, name) for name in namespaces)):
        return
    selector, services = selectors.from_spec(each.spec.selector), view.kept("services by namespace", _by_namespace)
    found = [
        one
        for name in namespaces
        for one in services.get(name, ())
        if selectors.matches(selector, one.metadata.labels)
    ]
    where = "in any namespace" if any_namespace else f"in {joined(namespaces, 3)}"
    shown = selectors.text_of(selector) or "(empty)"
    masked = (*namespaces[:10], *each.spec.selector.match_labels.values())
    if not found:
        yield SELECTS_NOTHING.finding(
            each,
            f"No Service {where} matches {shown}.",
            evidence=[("spec.selector", shown), ("spec.namespaceSelector", where)],
            masked=masked,
        )
        return
    names = {port.name for one in found for port in one.spec.ports}
    for endpoint in each.spec.endpoints:
        if endpoint.port and endpoint.port not in names:
            known = sorted(filter(None, names))
            yield PORT_MISSING.finding(
                each,
                f"No Service that it matches has a port named {endpoint.port}; they have "
                f"{joined(known) or 'none by name'}.",
                key=endpoint.port,
                evidence=[("spec.endpoints[].port", endpoint.port), ("Service spec.ports[].name", joined(known, 10))],
                masked=(*masked, endpoint.port, *known),
            )
