"""HorizontalPodAutoscaler: can it measure, can it scale, and does it have room to?

Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import VerticalPodAutoscaler
from k8sgpt_magic.cluster.resources import (
    Condition,
    Container,
    Deployment,
    Event,
    HorizontalPodAutoscaler,
    ObjectRef,
    Pod,
    ReplicaSet,
    ReplicationController,
    Resource,
    ResourceMetric,
    StatefulSet,
)
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.workloads import are_ready
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
CONTAINER_MISSING = Code(
    "HorizontalPodAutoscalerContainerMissing",
    "warning",
    "One container's use is to be measured, and the pods have no container of that name.",
    f"{_DOCS}#container-resource-metrics",
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

# Other groups have kinds of the same names, such as the StatefulSet of apps.kruise.io.
_SCALABLE: dict[tuple[str, str], type[Resource]] = {
    (kind.group, kind.kind): kind for kind in (Deployment, ReplicaSet, StatefulSet, ReplicationController)
}
_RESOURCE_METRICS = frozenset({"FailedGetResourceMetric", "FailedGetContainerResourceMetric"})
_METRIC_REASONS = {
    "FailedGetResourceMetric": "the resource metrics API (metrics-server)",
    "FailedGetContainerResourceMetric": "the resource metrics API (metrics-server)",
    "FailedGetPodsMetric": "the custom metrics API (a metrics adapter)",
    "FailedGetObjectMetric": "the custom metrics API (a metrics adapter)",
    "FailedGetExternalMetric": "the external metrics API (a metrics adapter)",
}
# What the controller says of an API that does not answer, and of one that knows nothing of the pods.
_API_DOWN = ("unable to fetch metrics from", "unable to handle the request", "could not find the requested resource")
_PODS_UNKNOWN = ("no metrics returned from", "did not receive metrics for")
# Where nearly every cluster runs it.
_METRICS_SERVER = ObjectRef("Deployment", "kube-system", "metrics-server")


@analyzer(
    HorizontalPodAutoscaler,
    reads=[Deployment, StatefulSet, ReplicaSet, ReplicationController, VerticalPodAutoscaler, Pod, Event],
    codes=[
        TARGET_MISSING, CANNOT_SCALE, METRICS_UNAVAILABLE, REQUEST_MISSING, CONTAINER_MISSING, AT_MAXIMUM,
        TARGET_NOT_READY, SHARED_TARGET, INVALID_BOUNDS,
    ],
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Autoscalers that cannot measure, cannot scale, or want more than they may."""
    by_target: defaultdict[tuple[str, ObjectRef], list[HorizontalPodAutoscaler]] = defaultdict(list)
    for autoscaler in view.all(HorizontalPodAutoscaler):
        target, group = _target(autoscaler), _group(autoscaler)
        by_target[group, target].append(autoscaler)
        kind = _SCALABLE.get((group, target.kind))
        if kind and target.name and view.missing(kind, target.namespace, target.name):
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
        owner = view.find(target) if kind else None
        unmeasurable = list(_unmeasurable(view, autoscaler, owner))
        yield from unmeasurable
        found = list(_conditions(view, autoscaler, target, owner, is_explained=bool(unmeasurable)))
        yield from found
        if not any(target in finding.because for finding in found):
            yield from _target_not_ready(view, autoscaler, owner)
    for (_, target), autoscalers in by_target.items():
        if len(autoscalers) > 1 and target.name:
            yield from _shared(target, autoscalers)
    for vertical in view.all(VerticalPodAutoscaler):
        reference = vertical.spec.target_ref
        target = ObjectRef(reference.kind, vertical.namespace, reference.name)
        for autoscaler in by_target.get((_group_of(reference.api_version), target), ()):
            yield from _against_vertical(autoscaler, vertical, target)


def _target(autoscaler: HorizontalPodAutoscaler) -> ObjectRef:
    reference = autoscaler.spec.scale_target_ref
    return ObjectRef(reference.kind, autoscaler.namespace, reference.name)


def _group(autoscaler: HorizontalPodAutoscaler) -> str:
    # The controller looks a target up by group and kind, whatever the version.
    return _group_of(autoscaler.spec.scale_target_ref.api_version)


def _group_of(api_version: str) -> str:
    group, slash, _ = api_version.partition("/")
    return group if slash else ""


def _conditions(
    view: ClusterView,
    autoscaler: HorizontalPodAutoscaler,
    target: ObjectRef,
    owner: Resource | None,
    *,
    is_explained: bool,
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
            # Permissions or admission are at fault, nothing that the target itself shows.
            masked=(target.name,),
        )
    active = condition(autoscaler.status.conditions, "ScalingActive")
    # A target that is scaled to zero switches scaling off, as documented.
    if active and active.status == "False" and active.reason != "ScalingDisabled":
        if not (is_explained and _is_about_resources(active)) and view.older_than(active.last_transition_time, GRACE):
            yield _no_metrics(view, autoscaler, target, active)
        return
    limited = condition(autoscaler.status.conditions, "ScalingLimited")
    # At the floor, TooFewReplicas only says that less would do.
    is_pinned = limited and limited.status == "True" and limited.reason == "TooManyReplicas"
    if is_pinned and view.older_than(limited.last_transition_time, MAXIMUM_GRACE):
        spec = autoscaler.spec
        yield AT_MAXIMUM.finding(
            autoscaler,
            f"The target has had its greatest number of replicas, {spec.max_replicas}, for "
            f"{ago(view.age(limited.last_transition_time))}, and more are wanted.",
            since=limited.last_transition_time,
            evidence=[
                ("status.conditions[ScalingLimited]", f"{limited.reason}: {limited.message}"),
                ("spec.maxReplicas", spec.max_replicas),
                ("status.currentReplicas", autoscaler.status.current_replicas),
            ],
            # Replicas that do not serve leave their load to the others.
            because=[target] if _short_since(view, owner) else (),
            # Who sets both bounds alike has pinned the number on purpose.
            severity="info" if spec.min_replicas == spec.max_replicas else None,
        )


def _is_about_resources(active: Condition) -> bool:
    return active.reason in _RESOURCE_METRICS or "missing request for" in active.message


def _no_metrics(
    view: ClusterView, autoscaler: HorizontalPodAutoscaler, target: ObjectRef, active: Condition
) -> Finding:
    """The reason names the metrics API, and only the message tells whether it is down or the pods are."""
    api = _METRIC_REASONS.get(active.reason, "")
    because = [target]
    if "missing request for" in active.message:
        # The template lacks it, however well its pods are.
        because = []
        why = ", since a container lacks the resource request that its use is a share of"
    elif any(words in active.message for words in _PODS_UNKNOWN):
        why = f"; {api or 'the metrics API'} answers, and knows nothing of the target's pods"
    elif any(words in active.message for words in _API_DOWN):
        # The target has no part in this.
        because = [_METRICS_SERVER] if active.reason in _RESOURCE_METRICS else []
        why = f", since {api or 'the metrics API'} does not answer"
    else:
        why = api and f", from {api}"
    return METRICS_UNAVAILABLE.finding(
        autoscaler,
        f"There are no metrics to scale by{why}: {sentence(active.message or active.reason)}",
        since=active.last_transition_time,
        evidence=[
            ("status.conditions[ScalingActive]", f"{active.reason}: {active.message}"),
            *view.events(autoscaler)[:3],
        ],
        because=because,
    )


def _unmeasurable(
    view: ClusterView, autoscaler: HorizontalPodAutoscaler, owner: Resource | None
) -> Iterator[Finding]:
    """Metrics of resources that the target's containers, or the one that is named, do not have."""
    if not isinstance(owner, Deployment | StatefulSet):
        return
    metrics = autoscaler.spec.metrics
    active = condition(autoscaler.status.conditions, "ScalingActive")
    if len(metrics) == 1 and active and active.status == "True":
        # It was measured all the same: the whole pod may have the request (spec.resources).
        return
    for position, metric in enumerate(metrics):
        source = metric.resource or metric.container_resource
        if source is None or not source.name:
            continue
        pods = view.pods_of(owner)
        if source.container and pods and not _has_container(owner, pods, source.container):
            yield _container_missing(autoscaler, owner, source, position)
        elif source.target.average_utilization is not None:
            lacking = _without_request(owner, pods, source)
            if lacking:
                yield _request_missing(autoscaler, owner, source, lacking)


def _has_container(owner: Deployment | StatefulSet, pods: list[Pod], name: str) -> bool:
    # A webhook may add containers to the pods, as service meshes do.
    specs = (owner.spec.template.spec, *(pod.spec for pod in pods))
    return any(each.name == name for spec in specs for each in (*spec.containers, *spec.init_containers))


def _container_missing(
    autoscaler: HorizontalPodAutoscaler, owner: Resource, source: ResourceMetric, position: int
) -> Finding:
    return CONTAINER_MISSING.finding(
        autoscaler,
        f"The use of {source.name} by container {source.container} is to be measured, and the pods of {owner.kind} "
        f"{owner.name} have no such container.",
        key=f"{source.container} {source.name}",
        evidence=[(f"spec.metrics[{position}].containerResource.container", source.container)],
        masked=(owner.name, source.container),
    )


def _without_request(owner: Deployment | StatefulSet, pods: list[Pod], source: ResourceMetric) -> list[str]:
    """Utilization is a share of the request, so every measured container must request the measured resource."""
    lacking = [
        each.name
        for each in owner.spec.template.spec.containers
        if (not source.container or each.name == source.container) and not _requests(each, source.name)
    ]
    # A LimitRange or a webhook may have given it to the pods.
    running = [each for pod in pods for each in pod.spec.containers if each.name in lacking] if lacking else []
    return [] if running and all(_requests(each, source.name) for each in running) else lacking


def _requests(container: Container, resource: str) -> bool:
    # A limit without a request is the request too.
    return resource in container.resources.requests or resource in container.resources.limits


def _request_missing(
    autoscaler: HorizontalPodAutoscaler, owner: Resource, source: ResourceMetric, lacking: list[str]
) -> Finding:
    return REQUEST_MISSING.finding(
        autoscaler,
        f"The use of {source.name} is to be measured as a share of the request, and {joined(lacking)} of "
        f"{owner.kind} {owner.name} {'requests' if len(lacking) == 1 else 'request'} none.",
        key=" ".join(filter(None, (source.container, source.name))),
        evidence=[
            ("spec.metrics", f"{source.name} averageUtilization {source.target.average_utilization}"),
            ("spec.template.spec.containers", f"no {source.name} request: {joined(lacking)}"),
        ],
        masked=(owner.name, *lacking),
    )


def _wanted(owner: Deployment | StatefulSet) -> int:
    return 1 if owner.spec.replicas is None else owner.spec.replicas


def _short_since(view: ClusterView, owner: Resource | None) -> datetime | None:
    """Since when the target has had fewer ready replicas than it should, if that is longer than a start takes."""
    if not isinstance(owner, Deployment | StatefulSet) or owner.status.ready_replicas >= _wanted(owner):
        return None
    unready = [
        ready.last_transition_time
        for pod in view.pods_of(owner)
        if (ready := condition(pod.status.conditions, "Ready")) is not None and ready.status != "True"
    ]
    # Pods that cannot even be created have no conditions.
    available = condition(owner.status.conditions, "Available")
    if available and available.status == "False":
        unready.append(available.last_transition_time)
    since = min((time for time in unready if time), default=None)
    return since if view.older_than(since, GRACE) else None


def _target_not_ready(
    view: ClusterView, autoscaler: HorizontalPodAutoscaler, owner: Resource | None
) -> Iterator[Finding]:
    since = _short_since(view, owner)
    if since is None or not isinstance(owner, Deployment | StatefulSet):
        return
    ready, wanted = owner.status.ready_replicas, _wanted(owner)
    yield TARGET_NOT_READY.finding(
        autoscaler,
        f"Of {owner.kind} {owner.name}, {are_ready(ready, wanted)}, so what is measured says little.",
        since=since,
        evidence=[(f"{owner.kind} status.readyReplicas", ready), (f"{owner.kind} spec.replicas", wanted)],
        because=[owner],
        severity="warning" if not ready else "info",
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


def _against_vertical(
    autoscaler: HorizontalPodAutoscaler, vertical: VerticalPodAutoscaler, target: ObjectRef
) -> Iterator[Finding]:
    """A vertical autoscaler that changes the requests whose share is measured moves what this one scales by.

    Source: https://github.com/kubernetes/autoscaler/blob/master/vertical-pod-autoscaler/docs/known-limitations.md
    """
    # With Off it only recommends.
    if vertical.spec.update_policy.update_mode == "Off":
        return
    policies = vertical.spec.resource_policy.container_policies
    changed = {name for each in policies if each.mode != "Off" for name in each.controlled_resources}
    if all(each.container_name != "*" for each in policies):
        # Containers without a policy of their own get both.
        changed |= {"cpu", "memory"}
    sources = (metric.resource or metric.container_resource for metric in autoscaler.spec.metrics)
    measured = [each.name for each in sources if each and each.target.average_utilization is not None]
    shared = sorted(changed & set(measured))
    if shared:
        yield SHARED_TARGET.finding(
            autoscaler,
            f"VerticalPodAutoscaler {vertical.name} changes the {joined(shared)} requests of {target.kind} "
            f"{target.name}, and their use is measured as a share of them here.",
            key=f"VerticalPodAutoscaler {vertical.name}",
            evidence=[
                ("spec.metrics", f"averageUtilization of {joined(measured)}"),
                (
                    f"VerticalPodAutoscaler {vertical.name} spec.updatePolicy.updateMode",
                    vertical.spec.update_policy.update_mode or "not set",
                ),
            ],
            masked=(target.name, vertical.name),
        )
