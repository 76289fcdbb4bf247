"""HorizontalPodAutoscaler: can it measure, can it scale, and does it have room to?

Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import (
    Deployment,
    Event,
    HorizontalPodAutoscaler,
    ObjectRef,
    Pod,
    PodTemplateSpec,
    ReplicaSet,
    ReplicationController,
    Resource,
    StatefulSet,
)
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, joined, sentence

_DOCS = "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/"

TARGET_MISSING = Code(
    "HorizontalPodAutoscalerTargetMissing", "critical", "What the autoscaler should scale does not exist.", _DOCS
)
CANNOT_SCALE = Code(
    "HorizontalPodAutoscalerCannotScale",
    "critical",
    "The autoscaler cannot read or change the scale of its target.",
    _DOCS,
)
METRICS_UNAVAILABLE = Code(
    "HorizontalPodAutoscalerMetricsUnavailable",
    "warning",
    "The autoscaler gets no metrics, so it does not scale: the metrics API, or what should be measured, is down.",
    f"{_DOCS}#support-for-metrics-apis",
)
REQUEST_MISSING = Code(
    "HorizontalPodAutoscalerRequestMissing",
    "warning",
    "A share of a resource request is to be measured, and a container requests nothing of that resource.",
    f"{_DOCS}#algorithm-details",
)
AT_MAXIMUM = Code(
    "HorizontalPodAutoscalerAtMaximum",
    "warning",
    "The autoscaler wants more replicas than it may make.",
    f"{_DOCS}#algorithm-details",
)
TARGET_NOT_READY = Code(
    "HorizontalPodAutoscalerTargetNotReady",
    "warning",
    "The pods of the target are not ready, so what is measured of them says little and scaling does not help.",
    f"{_DOCS}#algorithm-details",
)
SHARED_TARGET = Code(
    "HorizontalPodAutoscalerSharedTarget",
    "warning",
    "Several autoscalers scale the same target, each against the others.",
    _DOCS,
)
INVALID_BOUNDS = Code(
    "HorizontalPodAutoscalerInvalidBounds", "warning", "The least number of replicas is above the greatest.", _DOCS
)

# A new pod is not measured at once, and the controller looks every 15 seconds.
GRACE = 300
# A short stay at the limit is what the limit is for.
MAXIMUM_GRACE = 900

_SCALABLE: dict[str, type[Resource]] = {
    kind.kind: kind for kind in (Deployment, ReplicaSet, StatefulSet, ReplicationController)
}
_METRIC_REASONS = {
    "FailedGetResourceMetric": "the resource metrics API (metrics-server)",
    "FailedGetContainerResourceMetric": "the resource metrics API (metrics-server)",
    "FailedGetPodsMetric": "the custom metrics API (a metrics adapter)",
    "FailedGetObjectMetric": "the custom metrics API (a metrics adapter)",
    "FailedGetExternalMetric": "the external metrics API (a metrics adapter)",
    "FailedComputeMetricsReplicas": "",
    "InvalidMetricSourceType": "",
}


@analyzer(
    HorizontalPodAutoscaler,
    reads=[Deployment, StatefulSet, ReplicaSet, ReplicationController, Pod, Event],
    codes=[
        TARGET_MISSING, CANNOT_SCALE, METRICS_UNAVAILABLE, REQUEST_MISSING, AT_MAXIMUM, TARGET_NOT_READY,
        SHARED_TARGET, INVALID_BOUNDS,
    ],
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Autoscalers that cannot measure, cannot scale, or want more than they may."""
    by_target: defaultdict[ObjectRef, list[HorizontalPodAutoscaler]] = defaultdict(list)
    for autoscaler in view.all(HorizontalPodAutoscaler):
        target = _target(autoscaler)
        by_target[target].append(autoscaler)
        if target.kind in _SCALABLE and view.missing(_SCALABLE[target.kind], target.namespace, target.name):
            yield TARGET_MISSING.finding(
                autoscaler,
                f"{target.kind} {target.name} does not exist in namespace {target.namespace}.",
                evidence=[("spec.scaleTargetRef", f"{target.kind}/{target.name}")],
                masked=(target.name,),
            )
            continue
        if (autoscaler.spec.min_replicas or 1) > autoscaler.spec.max_replicas > 0:
            yield INVALID_BOUNDS.finding(
                autoscaler,
                f"minReplicas {autoscaler.spec.min_replicas} is above maxReplicas {autoscaler.spec.max_replicas}.",
                evidence=[
                    ("spec.minReplicas", autoscaler.spec.min_replicas),
                    ("spec.maxReplicas", autoscaler.spec.max_replicas),
                ],
            )
        observed = autoscaler.status.observed_generation
        if observed is not None and observed < autoscaler.metadata.generation:
            continue
        without_request = list(_request_missing(view, autoscaler, target))
        yield from without_request
        measured = list(_conditions(view, autoscaler, target, has_cause=bool(without_request)))
        yield from measured
        if not measured:
            yield from _target_not_ready(view, autoscaler, target)
    for target, autoscalers in by_target.items():
        if len(autoscalers) > 1 and target.name:
            yield from _shared(target, autoscalers)


def _target(autoscaler: HorizontalPodAutoscaler) -> ObjectRef:
    reference = autoscaler.spec.scale_target_ref
    return ObjectRef(reference.kind, autoscaler.namespace, reference.name)


def _conditions(
    view: ClusterView, autoscaler: HorizontalPodAutoscaler, target: ObjectRef, *, has_cause: bool
) -> Iterator[Finding]:
    able = condition(autoscaler.status.conditions, "AbleToScale")
    if able and able.status == "False" and view.older_than(able.last_transition_time, GRACE):
        yield CANNOT_SCALE.finding(
            autoscaler,
            f"{target.kind} {target.name} cannot be scaled ({able.reason}): {sentence(able.message)}",
            since=able.last_transition_time,
            evidence=[
                ("status.conditions[AbleToScale]", f"{able.reason}: {able.message}"),
                *view.events(autoscaler)[:2],
            ],
            because=[target],
        )
    active = condition(autoscaler.status.conditions, "ScalingActive")
    # A target that is scaled to zero switches scaling off, as documented.
    if active and active.status == "False" and active.reason != "ScalingDisabled":
        if not has_cause and view.older_than(active.last_transition_time, GRACE):
            api = _METRIC_REASONS.get(active.reason, "")
            said = sentence(active.message or active.reason)
            yield METRICS_UNAVAILABLE.finding(
                autoscaler,
                f"There are no metrics to scale by{api and f', from {api}'}: {said}",
                since=active.last_transition_time,
                evidence=[
                    ("status.conditions[ScalingActive]", f"{active.reason}: {active.message}"),
                    *view.events(autoscaler)[:3],
                ],
                because=[target],
            )
        return
    limited = condition(autoscaler.status.conditions, "ScalingLimited")
    # At the floor, TooFewReplicas only says that less would do.
    is_pinned = limited and limited.status == "True" and limited.reason == "TooManyReplicas"
    if is_pinned and view.older_than(limited.last_transition_time, MAXIMUM_GRACE):
        yield AT_MAXIMUM.finding(
            autoscaler,
            f"The target has had its greatest number of replicas, {autoscaler.spec.max_replicas}, for "
            f"{ago(view.age(limited.last_transition_time))}, and more are wanted.",
            since=limited.last_transition_time,
            evidence=[
                ("status.conditions[ScalingLimited]", f"{limited.reason}: {limited.message}"),
                ("spec.maxReplicas", autoscaler.spec.max_replicas),
                ("status.currentReplicas", autoscaler.status.current_replicas),
            ],
        )


def _request_missing(view: ClusterView, autoscaler: HorizontalPodAutoscaler, target: ObjectRef) -> Iterator[Finding]:
    """Utilization is a share of the request, so every measured container must request the measured resource."""
    template = _template(view, target)
    if template is None:
        return
    for metric in autoscaler.spec.metrics:
        source = metric.resource or metric.container_resource
        if source is None or source.target.average_utilization is None or not source.name:
            continue
        lacking = [
            container.name
            for container in template.spec.containers
            if (not source.container or container.name == source.container)
            # A limit without a request is the request too.
            and source.name not in container.resources.requests
            and source.name not in container.resources.limits
        ]
        if lacking and not _pods_request(view, target, source.name, lacking):
            yield REQUEST_MISSING.finding(
                autoscaler,
                f"The use of {source.name} is to be measured as a share of the request, and {joined(lacking)} of "
                f"{target.kind} {target.name} {'requests' if len(lacking) == 1 else 'request'} none.",
                key=source.name,
                evidence=[
                    ("spec.metrics", f"{source.name} averageUtilization {source.target.average_utilization}"),
                    ("spec.template.spec.containers", f"no {source.name} request: {joined(lacking)}"),
                ],
                masked=(target.name, *lacking),
            )


def _pods_request(view: ClusterView, target: ObjectRef, resource: str, names: list[str]) -> bool:
    """Whether the pods have the request all the same: a LimitRange or a webhook may have added it."""
    owner = view.find(target)
    pods = view.pods_of(owner) if owner else []
    containers = [each for pod in pods for each in pod.spec.containers if each.name in names]
    return bool(containers) and all(
        resource in each.resources.requests or resource in each.resources.limits for each in containers
    )


def _template(view: ClusterView, target: ObjectRef) -> PodTemplateSpec | None:
    owner = view.find(target)
    return owner.spec.template if isinstance(owner, Deployment | StatefulSet) else None


def _target_not_ready(view: ClusterView, autoscaler: HorizontalPodAutoscaler, target: ObjectRef) -> Iterator[Finding]:
    owner = view.find(target)
    if not isinstance(owner, Deployment | StatefulSet):
        return
    wanted = owner.spec.replicas if owner.spec.replicas is not None else 1
    if (
        not wanted
        or owner.status.ready_replicas >= wanted
        or not view.older_than(owner.metadata.creation_timestamp, GRACE)
    ):
        return
    unready = [
        ready.last_transition_time
        for pod in view.pods_of(owner)
        if (ready := condition(pod.status.conditions, "Ready")) is not None and ready.status != "True"
    ]
    since = min((time for time in unready if time), default=None)
    if not view.older_than(since, GRACE):
        return
    yield TARGET_NOT_READY.finding(
        autoscaler,
        f"{owner.status.ready_replicas} of {wanted} replicas of {target.kind} {target.name} are ready, so what is "
        "measured says little.",
        since=since,
        evidence=[(f"{target.kind} status.readyReplicas", owner.status.ready_replicas), ("spec.replicas", wanted)],
        because=[target],
        severity="warning" if not owner.status.ready_replicas else "info",
    )


def _shared(target: ObjectRef, autoscalers: list[HorizontalPodAutoscaler]) -> Iterator[Finding]:
    names = sorted(each.name for each in autoscalers)
    for autoscaler in autoscalers:
        others = [name for name in names if name != autoscaler.name]
        yield SHARED_TARGET.finding(
            autoscaler,
            f"{target.kind} {target.name} is also scaled by {joined(others)}.",
            evidence=[("spec.scaleTargetRef", f"{target.kind}/{target.name}")],
            masked=(target.name, *others),
        )
