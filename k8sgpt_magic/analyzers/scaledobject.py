"""ScaledObject (KEDA): is its target there, and can KEDA scale it?

Source: https://keda.sh/docs/latest/reference/scaledobject-spec/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import ScaledObject
from k8sgpt_magic.cluster.resources import Deployment, HorizontalPodAutoscaler, ObjectRef, StatefulSet
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, lasting, reported, unreconciled
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import count, joined

_DOCS = "https://keda.sh/docs/latest/reference/scaledobject-spec/"
_TROUBLE = "https://keda.sh/docs/latest/troubleshooting/"

NOT_READY = Code(
    "ScaledObjectNotReady", "critical", "KEDA cannot use the ScaledObject, so nothing is scaled.", _TROUBLE
)
TARGET_MISSING = Code(
    "ScaledObjectTargetMissing",
    "critical",
    "The workload that should be scaled does not exist.",
    f"{_DOCS}#scaletargetref",
)
TRIGGERS_FAILING = Code(
    "ScaledObjectTriggersFailing", "warning", "KEDA cannot get the metric of a trigger.", _TROUBLE
)
FALLBACK = Code(
    "ScaledObjectFallback",
    "warning",
    "KEDA cannot get the metrics and runs the number of replicas that is named for this case.",
    f"{_DOCS}#fallback",
)
PAUSED = Code(
    "ScaledObjectPaused",
    "info",
    "Scaling is paused, so the workload keeps its size whatever its load.",
    "https://keda.sh/docs/latest/concepts/scaling-deployments/",
)
REQUESTS_MISSING = Code(
    "ScaledObjectRequestsMissing",
    "warning",
    "A trigger goes by utilization, and containers of the target request none of that resource.",
    "https://keda.sh/docs/latest/scalers/cpu/#prerequisites",
)
TARGET_SHARED = Code(
    "ScaledObjectTargetShared",
    "warning",
    "Something else scales the same workload, so the two undo each other's work.",
    "https://keda.sh/docs/latest/concepts/scaling-deployments/",
)
NOT_RECONCILED = Code("ScaledObjectNotReconciled", "warning", "KEDA has not judged the ScaledObject.", _TROUBLE)

_PAUSED = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")
_ADOPTION = "scaledobject.keda.sh/transfer-hpa-ownership"


@analyzer(
    ScaledObject,
    reads=[Deployment, StatefulSet, HorizontalPodAutoscaler],
    codes=[
        NOT_READY, TARGET_MISSING, TRIGGERS_FAILING, FALLBACK, PAUSED, REQUESTS_MISSING, TARGET_SHARED,
        NOT_RECONCILED,
    ],
    group="Integrations",
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """ScaledObjects of KEDA that scale nothing, or not by their metrics."""
    scaled: defaultdict[ObjectRef, list[ScaledObject]] = defaultdict(list)
    for each in view.all(ScaledObject):
        if each.metadata.deletion_timestamp:
            continue
        target = _target(each)
        scaled[target].append(each)
        conditions = each.status.conditions
        autoscaler = ObjectRef(
            "HorizontalPodAutoscaler", each.namespace, each.status.hpa_name or f"keda-hpa-{each.name}"
        )
        missing = _is_missing(view, target) and view.older_than(changed(each), GRACE)
        if missing:
            yield TARGET_MISSING.finding(
                each,
                f"{target.kind} {target.name} does not exist.",
                evidence=[("spec.scaleTargetRef", f"{target.kind} {target.name}")],
                masked=(target.name,),
            )
        elif unready := lasting(view, each, conditions, "Ready"):
            yield reported(NOT_READY, each, unready, "KEDA cannot use the ScaledObject", because=[target, autoscaler])
        else:
            yield from unreconciled(view, NOT_RECONCILED, each, conditions, "Ready")
            yield from _requests(view, each, target)
        yield from _metrics(view, each)
        yield from _paused(each)
    yield from _shared(view, scaled)


def _target(each: ScaledObject) -> ObjectRef:
    reference = each.spec.scale_target_ref
    return ObjectRef(reference.kind or "Deployment", each.namespace, reference.name)


def _is_missing(view: ClusterView, target: ObjectRef) -> bool:
    kind: type[Deployment] | type[StatefulSet] | None = {"Deployment": Deployment, "StatefulSet": StatefulSet}.get(
        target.kind
    )  # type: ignore[assignment]
    return kind is not None and view.missing(kind, target.namespace, target.name)


def _metrics(view: ClusterView, each: ScaledObject) -> Iterator[Finding]:
    failing = {name: health for name, health in each.status.health.items() if health.status == "Failing"}
    fallback = lasting(view, each, each.status.conditions, "Fallback", "True", grace=0)
    if fallback:
        yield reported(FALLBACK, each, fallback, "The number of replicas is that of the fallback")
    elif failing:
        failures = max(health.number_of_failures for health in failing.values())
        yield TRIGGERS_FAILING.finding(
            each,
            f"KEDA cannot get {count(len(failing), 'metric')}: {joined(failing, 3)}, "
            f"{count(failures, 'failure')} in a row.",
            evidence=[
                (f"status.health[{name}]", f"{health.status}, {count(health.number_of_failures, 'failure')}")
                for name, health in failing.items()
            ],
            masked=tuple(failing),
        )


def _paused(each: ScaledObject) -> Iterator[Finding]:
    paused, replicas = (each.metadata.annotations.get(name, "") for name in _PAUSED)
    held = condition(each.status.conditions, "Paused")
    if replicas or paused.lower() == "true" or (held is not None and held.status == "True"):
        yield PAUSED.finding(
            each,
            f"Scaling is paused{f' at {replicas} replicas' if replicas else ''}.",
            evidence=[
                (f"metadata.annotations[{name}]", value)
                for name, value in zip(_PAUSED, (paused, replicas), strict=True)
                if value
            ],
        )


def _requests(view: ClusterView, each: ScaledObject, target: ObjectRef) -> Iterator[Finding]:
    workload = view.find(target)
    if not isinstance(workload, Deployment | StatefulSet):
        return
    for resource in dict.fromkeys(
        trigger.type
        for trigger in each.spec.triggers
        if trigger.type in ("cpu", "memory") and trigger.metric_type in ("", "Utilization")
    ):
        lacking = [
            container.name
            for container in workload.spec.template.spec.containers
            # A limit alone makes a request of the same size.
            if resource not in container.resources.requests and resource not in container.resources.limits
        ]
        if lacking:
            yield REQUESTS_MISSING.finding(
                each,
                f"The {resource} trigger goes by utilization, and {joined(lacking, 3)} of "
                f"{target.kind} {target.name} {'requests' if len(lacking) == 1 else 'request'} no {resource}.",
                key=resource,
                evidence=[(f"{target.kind} containers[{name}] requests.{resource}", "none") for name in lacking],
                masked=(target.name, *lacking),
            )


def _shared(view: ClusterView, scaled: dict[ObjectRef, list[ScaledObject]]) -> Iterator[Finding]:
    others: defaultdict[ObjectRef, list[HorizontalPodAutoscaler]] = defaultdict(list)
    for autoscaler in view.all(HorizontalPodAutoscaler):
        if not any(owner.kind == "ScaledObject" for owner in autoscaler.metadata.owner_references):
            reference = autoscaler.spec.scale_target_ref
            others[ObjectRef(reference.kind, autoscaler.namespace, reference.name)].append(autoscaler)
    for target, several in scaled.items():
        first = min(several, key=lambda each: each.name)
        rivals = [each.ref for each in several if each is not first]
        if not first.metadata.annotations.get(_ADOPTION):
            rivals += [each.ref for each in others.get(target, ())]
        if rivals:
            names = [f"{ref.kind} {ref.name}" for ref in rivals]
            yield TARGET_SHARED.finding(
                first,
                f"{joined(names)} also {'scales' if len(names) == 1 else 'scale'} {target.kind} {target.name}.",
                evidence=[("spec.scaleTargetRef", f"{target.kind} {target.name}")],
                masked=(target.name, *(ref.name for ref in rivals)),
            )
