"""What pods and workloads need of other objects: shared rules for ConfigMaps, Secrets and volume claims.

Source: https://kubernetes.io/docs/concepts/configuration/configmap/#using-configmaps
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from k8sgpt_magic.cluster.resources import (
    CronJob,
    DaemonSet,
    Deployment,
    Event,
    Job,
    ObjectRef,
    Pod,
    PodSpec,
    Resource,
    StatefulSet,
)
from k8sgpt_magic.cluster.view import ClusterView, Reference, spec_references
from k8sgpt_magic.findings import Code, Evidence, Finding, Severity
from k8sgpt_magic.wording import count, joined, quote

TEMPLATED: tuple[type[Resource], ...] = (Deployment, StatefulSet, DaemonSet, Job, CronJob)
"""The kinds that hold a pod template, read to know what their next pods will need."""

CREATION_GRACE = 30
"""Seconds in which what is applied together with a pod may come after it."""

_FINISHED = ("Succeeded", "Failed")
_REFUSED = ("CreateContainerConfigError", "CreateContainerError")
_BRACKETED = re.compile(r"\[([^\[\]]+)\]")
_QUOTED_EVENTS_OF = 3


class TemplateReference(Struct, frozen=True, gc=False):
    """One use of an object by the pods that a workload will make. ``is_idle``: it makes none as it stands."""

    workload: ObjectRef
    spec: str
    reference: Reference
    is_idle: bool

    @property
    def path(self) -> str:
        """The path of the field, such as ``spec.template.spec.volumes[data]``."""
        return f"{self.spec}.{self.reference.path}"

    @property
    def keys(self) -> tuple[str, ...]:
        return self.reference.keys

    @property
    def optional(self) -> bool:
        return self.reference.optional


def template_references(view: ClusterView, kind: str) -> dict[ObjectRef, list[TemplateReference]]:
    """Which workloads refer to each object of a kind in their pod templates, whether or not pods exist."""
    by_kind: dict[str, dict[ObjectRef, list[TemplateReference]]] = view.kept("template references", _all_references)
    return by_kind.get(kind, {})


def _all_references(view: ClusterView) -> dict[str, dict[ObjectRef, list[TemplateReference]]]:
    found: defaultdict[str, defaultdict[ObjectRef, list[TemplateReference]]] = defaultdict(lambda: defaultdict(list))
    for workload, spec, prefix, is_idle in _templates(view):
        if not (spec.volumes or spec.containers):
            continue
        ref = workload.ref
        for target, reference in spec_references(spec, ref.namespace):
            found[target.kind][target].append(TemplateReference(ref, prefix, reference, is_idle))
    return {kind: dict(targets) for kind, targets in found.items()}


def _templates(view: ClusterView) -> Iterator[tuple[Resource, PodSpec, str, bool]]:
    prefix = "spec.template"
    for deployment in view.all(Deployment):
        yield deployment, deployment.spec.template.spec, prefix, deployment.spec.replicas == 0
    for stateful_set in view.all(StatefulSet):
        yield stateful_set, stateful_set.spec.template.spec, prefix, stateful_set.spec.replicas == 0
    for daemon_set in view.all(DaemonSet):
        yield daemon_set, daemon_set.spec.template.spec, prefix, False
    for job in view.all(Job):
        is_over = job.spec.suspend or any(
            each.type in ("Complete", "Failed") and each.status == "True" for each in job.status.conditions
        )
        yield job, job.spec.template.spec, prefix, is_over
    for cron_job in view.all(CronJob):
        spec = cron_job.spec.job_template.spec.template.spec
        yield cron_job, spec, "spec.jobTemplate.spec.template", cron_job.spec.suspend


def needed(view: ClusterView, references: Iterable[Reference]) -> list[Reference]:
    """The references that must hold: not optional, and of pods that are neither finished nor brand-new."""
    needing = []
    for reference in references:
        if reference.optional:
            continue
        pods = [pod for pod in reference.pods if pod.status.phase not in _FINISHED and not _is_brand_new(view, pod)]
        if pods:
            needing.append(replace(reference, pods=pods))
    return needing


def _is_brand_new(view: ClusterView, pod: Pod) -> bool:
    created = pod.metadata.creation_timestamp
    return created is not None and not view.older_than(created, CREATION_GRACE)


def waits(pod: Pod) -> bool:
    """Whether a pod has not started, or one of its containers cannot be made from its configuration."""
    if pod.metadata.deletion_timestamp:
        return False
    status = pod.status
    return status.phase in ("", "Pending") or any(
        container.state.waiting is not None and container.state.waiting.reason in _REFUSED
        for container in (*status.container_statuses, *status.init_container_statuses)
    )


def distinct_pods(references: Iterable[Reference]) -> list[Pod]:
    """The pods of some references, each once: those that wait first, then by name."""
    pods = {pod.ref: pod for reference in references for pod in reference.pods}
    return sorted(pods.values(), key=lambda pod: (not waits(pod), pod.name))


def missing_references(view: ClusterView, kind: type[Resource], code: Code) -> Iterator[Finding]:
    """One finding on each object of a kind that pods cannot do without, and that does not exist."""
    known: set[ObjectRef] = set()  # to live pods, which say more than the templates they came from
    for target, references in view.references.items():
        if target.kind == kind.kind and _is_missing(view, kind, target):
            if here := needed(view, references):
                yield missing_reference(view, target, code, here)
            if any(pod.status.phase not in _FINISHED for reference in references for pod in reference.pods):
                known.add(target)
    for target, templates in template_references(view, kind.kind).items():
        if target not in known and _is_missing(view, kind, target):
            yield from _missing_in_templates(target, code, templates)


def _is_missing(view: ClusterView, kind: type[Resource], target: ObjectRef) -> bool:
    return view.find(target) is None and view.missing(kind, target.namespace, target.name)


def missing_reference(view: ClusterView, target: ObjectRef, code: Code, here: Sequence[Reference]) -> Finding:
    """The finding on an object that does not exist, with the pods that need it."""
    pods = distinct_pods(here)
    waiting = [pod for pod in pods if waits(pod)]
    severity: Severity = "critical" if waiting else "warning"
    if waiting:
        needs = f"{count(len(waiting), 'pod')} cannot start without it: {joined(pod.name for pod in waiting)}"
        if len(waiting) < len(pods):
            needs += f"; {count(len(pods) - len(waiting), 'other pod')} would not come back after a restart"
    else:
        needs = f"{count(len(pods), 'pod')} would not come back after a restart: {joined(pod.name for pod in pods)}"
    return code.finding(
        target,
        f"{target.kind} {target.name} does not exist in namespace {target.namespace}. {needs}.",
        since=_waiting_since(waiting),
        severity=severity,
        evidence=[*paths(here), *_kubelets_words(view, target, waiting)],
        masked=mask(here),
    )


def _missing_in_templates(
    target: ObjectRef, code: Code, references: Sequence[TemplateReference]
) -> Iterator[Finding]:
    needing = [reference for reference in references if not reference.optional and not reference.is_idle]
    if needing:
        workloads = list(dict.fromkeys(f"{each.workload.kind} {each.workload.name}" for each in needing))
        yield code.finding(
            target,
            f"{target.kind} {target.name} does not exist in namespace {target.namespace}. "
            f"The next pods of {joined(workloads)} cannot start without it.",
            severity="warning",
            evidence=[(str(each.workload), each.path) for each in needing[:10]],
            masked=[text for each in needing for text in (each.workload.name, *_BRACKETED.findall(each.path))],
        )


def paths(references: Sequence[Reference], limit: int = 10) -> list[tuple[str, object]]:
    """Where pods name an object, as evidence: each path once, with the pods that have it."""
    by_path: defaultdict[str, list[str]] = defaultdict(list)
    for reference in references:
        by_path[reference.path] += [pod.name for pod in reference.pods]
    return [(f"Pod {path}", joined(dict.fromkeys(names))) for path, names in list(by_path.items())[:limit]]


def mask(references: Iterable[Reference]) -> list[str]:
    """What ``paths`` and messages name of the user's: pods, containers, volumes and variables."""
    names: dict[str, None] = {}
    for reference in references:
        names.update((pod.name, None) for pod in reference.pods)
        names.update(dict.fromkeys(_BRACKETED.findall(reference.path)))
    return list(names)


def _waiting_since(pods: Iterable[Pod]) -> datetime | None:
    return min((time for pod in pods if (time := pod.status.start_time)), default=None)


def _kubelets_words(view: ClusterView, target: ObjectRef, pods: Sequence[Pod]) -> Iterator[Evidence | Event]:
    """What the kubelet says about the object on the first few pods that wait for it."""
    for pod in pods[:_QUOTED_EVENTS_OF]:
        for container in (*pod.status.container_statuses, *pod.status.init_container_statuses):
            waiting = container.state.waiting
            if waiting and target.name in waiting.message:
                path = f"Pod {pod.name} status of {container.name}: {waiting.reason}"
                yield Evidence(path, quote(waiting.message))
        for event in view.events(pod, "FailedMount", "Failed", "FailedScheduling"):
            if target.name in event.message:
                yield event
