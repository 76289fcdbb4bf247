"""LimitRange: do its bounds and defaults fit together, and the pods that are there?

Source: https://kubernetes.io/docs/concepts/policy/limit-range/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import Container, LimitRange, LimitRangeItem, Pod, Quantity
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import count, joined, quantity

_DOCS = "https://kubernetes.io/docs/concepts/policy/limit-range/"

CONTRADICTS_ITSELF = Code(
    "LimitRangeContradictsItself",
    "warning",
    "Two bounds or defaults of the range exclude each other, so what takes its defaults is refused.",
    f"{_DOCS}#constraints-on-resource-limits-and-requests",
)
PODS_OUTSIDE = Code(
    "LimitRangePodsOutside",
    "warning",
    "Pods are running that the range would refuse: they were made before it, and cannot be made again.",
    _DOCS,
)


@analyzer(LimitRange, reads=[Pod], codes=[CONTRADICTS_ITSELF, PODS_OUTSIDE], default=False)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """LimitRanges whose bounds exclude each other, or pods that are running."""
    for limits in view.all(LimitRange):
        for item in limits.spec.limits:
            for upper, lower, resource, high, low in _contradictions(item):
                yield CONTRADICTS_ITSELF.finding(
                    limits,
                    f"For each {item.type}, the {upper} of {resource} is {high}, less than the {lower} of {low}.",
                    key=f"{item.type}.{resource}.{upper}.{lower}",
                    evidence=[(f"spec.limits[{item.type}].{upper}.{resource}", high), (f"{lower}.{resource}", low)],
                )
        yield from _pods_outside(view, limits)


_ORDER = (
    ("max", "default"),
    ("max", "default_request"),
    ("max", "min"),
    ("default", "default_request"),
    ("default", "min"),
    ("default_request", "min"),
)


def _contradictions(item: LimitRangeItem) -> Iterator[tuple[str, str, str, Quantity, Quantity]]:
    """Each pair that must not be the other way round: the field that is less than it may be, and the other one."""
    for upper, lower in _ORDER:
        high, low = getattr(item, upper), getattr(item, lower)
        for resource in sorted(high.keys() & low.keys()):
            if _less(high[resource], low[resource]):
                yield upper.replace("_r", "R"), lower.replace("_r", "R"), resource, high[resource], low[resource]


def _less(one: Quantity, other: Quantity) -> bool:
    first, second = quantity(one), quantity(other)
    return first is not None and second is not None and first < second


def _pods_outside(view: ClusterView, limits: LimitRange) -> Iterator[Finding]:
    item = next((each for each in limits.spec.limits if each.type == "Container"), None)
    if item is None:
        return
    outside: dict[str, list[str]] = {}
    for pod in view.pods_matching(limits.namespace, {}):
        if pod.status.phase in ("Succeeded", "Failed"):
            continue
        for container in pod.spec.containers:
            for reason in _refused(container, item):
                outside.setdefault(reason, []).append(pod.name)
    for reason, pods in sorted(outside.items()):
        names = list(dict.fromkeys(pods))
        yield PODS_OUTSIDE.finding(
            limits,
            f"{count(len(names), 'pod')} could not be made again, as {reason}: {joined(sorted(names), 3)}.",
            key=reason,
            evidence=[("spec.limits[Container]", reason), ("pods", joined(sorted(names), 10))],
            masked=names,
        )


def _refused(container: Container, item: LimitRangeItem) -> Iterator[str]:
    """What the range would say of a container. Its defaults fill in what a container says nothing of."""
    resources = container.resources
    for resource, most in sorted(item.max.items()):
        limit = resources.limits.get(resource, item.default.get(resource))
        if limit is not None and _less(most, limit):
            yield f"their limit of {resource} is above {most}"
    for resource, least in sorted(item.min.items()):
        request = _first(resource, resources.requests, resources.limits, item.default_request, item.default)
        if request is not None and _less(request, least):
            yield f"their request of {resource} is below {least}"


def _first(resource: str, *places: Mapping[str, Quantity]) -> Quantity | None:
    return next((place[resource] for place in places if resource in place), None)
