"""Who picks a monitor or rules up: Prometheuses select them by labels, in namespaces that they select.

Source: https://prometheus-operator.dev/docs/developer/getting-started/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.integrations import (
    NamespaceSelector,
    PodMonitor,
    Prometheus,
    PrometheusAgent,
    PrometheusRule,
    ServiceMonitor,
    ThanosRuler,
)
from k8sgpt_magic.cluster.resources import LabelSelector, Namespace
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, reported
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined

Selected = ServiceMonitor | PodMonitor | PrometheusRule
Selecting = type[Prometheus] | type[PrometheusAgent] | type[ThanosRuler]
Field = Literal["service_monitor", "pod_monitor", "rule"]


def ignored(
    view: ClusterView, code: Code, on: Selected, field: Field, kinds: Sequence[Selecting], *, does: str
) -> Iterator[Finding]:
    """A monitor or rules that no Prometheus picks, where all Prometheuses were read and there is one at all."""
    if on.metadata.deletion_timestamp or not view.older_than(changed(on), GRACE):
        return
    if any(view.serves(kind) and not view.readable(kind) for kind in kinds) or not view.readable(Namespace):
        return
    those = [each for kind in kinds for each in view.all(kind)]
    if not those or any(_picks(view, each, on, field) for each in those):
        return
    names = [f"{each.kind} {each.namespace}/{each.name}" for each in those]
    labels = joined((f"{key}={value}" for key, value in on.metadata.labels.items()), 10)
    wanted = [
        (f"{name} spec.{_camel(field)}Selector", _text(getattr(each.spec, f"{field}_selector")))
        for name, each in zip(names, those, strict=True)
    ]
    yield code.finding(
        on,
        f"{joined(names, 3)} {'does' if len(names) == 1 else 'do'} not select it, so {does}.",
        evidence=[("metadata.labels", labels or "none"), *wanted[:5]],
        masked=(
            *(part for each in those[:5] for part in (each.namespace, each.name)),
            *on.metadata.labels.values(),
        ),
    )


def _picks(view: ClusterView, by: Prometheus | PrometheusAgent | ThanosRuler, on: Selected, field: Field) -> bool:
    selector: LabelSelector | None = getattr(by.spec, f"{field}_selector", None)
    namespaces: LabelSelector | None = getattr(by.spec, f"{field}_namespace_selector", None)
    if selector is None or not selectors.matches(selectors.from_spec(selector), on.metadata.labels):
        return False
    if namespaces is None:
        return by.namespace == on.namespace
    namespace = view.get(Namespace, "", on.namespace)
    labels = namespace.metadata.labels if namespace else {"kubernetes.io/metadata.name": on.namespace}
    return selectors.matches(selectors.from_spec(namespaces), labels)


def _camel(field: Field) -> str:
    first, *rest = field.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _text(selector: LabelSelector | None) -> str:
    return "none" if selector is None else selectors.text_of(selectors.from_spec(selector)) or "everything"


def rejected(view: ClusterView, code: Code, on: Selected) -> Iterator[Finding]:
    """What a Prometheus that picks it says against it."""
    for binding in on.status.bindings:
        accepted = condition(binding.conditions, "Accepted")
        if accepted and accepted.status == "False" and view.older_than(changed(on), GRACE):
            by = f"{binding.namespace}/{binding.name}"
            yield reported(
                code,
                on,
                accepted,
                f"{binding.resource} {by} does not take it",
                key=by,
                where=f"status.bindings[{by}]",
                masked=(binding.namespace, binding.name),
            )


def target_namespaces(view: ClusterView, on: ServiceMonitor | PodMonitor, selector: NamespaceSelector) -> list[str]:
    """Where a monitor looks for its targets."""
    if selector.any:
        return sorted(each.name for each in view.all(Namespace))
    return list(selector.match_names) or [on.namespace]
