"""ConfigMap: do the pods that need one find it and its keys, is it too big, does anything use it?

Source: https://kubernetes.io/docs/concepts/configuration/configmap/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import ConfigMap, Event, ObjectRef, Pod, Resource
from k8sgpt_magic.cluster.view import ClusterView, Reference
from k8sgpt_magic.diagnosis.references import (
    TEMPLATED,
    TemplateReference,
    distinct_pods,
    mask,
    missing_references,
    needed,
    paths,
    template_references,
    waits,
)
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, count, joined

DOCS = "https://kubernetes.io/docs/concepts/configuration/configmap/"

MISSING = Code(
    "ConfigMapMissing",
    "critical",
    "Pods refer to a ConfigMap that does not exist, and their containers cannot start without it.",
    DOCS + "#using-configmaps",
)
KEY_MISSING = Code(
    "ConfigMapKeyMissing",
    "critical",
    "Pods refer to a key that their ConfigMap does not have, and their containers cannot start without it.",
    "https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/",
)
NEAR_LIMIT = Code(
    "ConfigMapNearLimit",
    "warning",
    "The ConfigMap is close to 1 MiB, past which the API server refuses every change that makes it bigger.",
    DOCS + "#motivation",
)
EMPTY = Code(
    "ConfigMapEmpty",
    "info",
    "Pods read their configuration from a ConfigMap that has nothing in it.",
    DOCS,
)
STALE_IN_PODS = Code(
    "ConfigMapChangedSinceStart",
    "info",
    "The ConfigMap was changed after pods had started that take variables or single files (subPath) from it: they go "
    "on with the old values.",
    "https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically",
)
UNUSED = Code(
    "ConfigMapUnused",
    "info",
    "No pod and no workload refers to the ConfigMap, so it may be left over.",
    DOCS + "#using-configmaps",
)

LIMIT = 1024 * 1024
"""Bytes of all values together that the API server accepts."""

NEAR = 900 * 1024

CHANGE_GRACE = 60
"""Seconds between the making of things that belong together."""

USERS: tuple[type[Resource], ...] = (Pod, *TEMPLATED)
"""The kinds that have to be known before a ConfigMap can be called unused."""

UNUSED_AGE = 86_400
"""Seconds after which a ConfigMap without users looks left over and no longer like work in progress."""

MADE_FOR_ALL = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"})
"""ConfigMaps that controllers put into every namespace, used or not."""

LOADED_LABELS = ("grafana_dashboard", "grafana_datasource", "prometheus_rule", "fluentd_config")
"""Labels by which sidecars find the ConfigMaps they load through the API."""

LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"


@analyzer(
    ConfigMap, reads=[Pod, Event, *TEMPLATED], codes=[MISSING, KEY_MISSING, NEAR_LIMIT, EMPTY, STALE_IN_PODS, UNUSED]
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """ConfigMaps that pods need and that are missing, incomplete or empty; big ones; unused ones."""
    yield from missing_references(view, ConfigMap, MISSING)
    templates = template_references(view, "ConfigMap")
    for config in view.all(ConfigMap):
        ref = config.ref
        references = view.references.get(ref, ())
        here = list(_key_missing(view, config, references))
        yield from here or _key_missing_in_templates(config, templates.get(ref, ()))
        if not config.sizes:
            yield from _empty(config, needed(view, references))
        if not references and ref not in templates:
            yield from _unused(view, config)
        yield from _near_limit(config)
        yield from _changed_since_start(config, references)


def _key_missing(view: ClusterView, config: ConfigMap, references: Sequence[Reference]) -> Iterator[Finding]:
    by_key: defaultdict[str, list[Reference]] = defaultdict(list)
    # Every pod refers to kube-root-ca.crt: what is there needs no second look.
    is_there = config.sizes.__contains__
    broken = [each for each in references if each.keys and not all(map(is_there, each.keys))]
    for reference in needed(view, broken):
        for key in reference.keys:
            if key and key not in config.sizes:
                by_key[key].append(reference)
    for key, here in by_key.items():
        pods = distinct_pods(here)
        waiting = [pod for pod in pods if waits(pod)]
        if waiting:
            needs = f"{count(len(waiting), 'pod')} cannot start without it: {joined(pod.name for pod in waiting)}"
        else:
            needs = f"{count(len(pods), 'pod')} would not come back after a restart: " + joined(
                pod.name for pod in pods
            )
        yield KEY_MISSING.finding(
            config,
            f"The ConfigMap has no key {key}. {needs}.",
            key=key,
            since=min((time for pod in waiting if (time := pod.status.start_time)), default=None),
            severity="critical" if waiting else "warning",
            evidence=[*paths(here), ("keys of data", joined(config.sizes, 20) or "none")],
            masked=[*mask(here), key, *list(config.sizes)[:20]],
        )


def _key_missing_in_templates(config: ConfigMap, references: Sequence[TemplateReference]) -> Iterator[Finding]:
    by_key: defaultdict[str, list[TemplateReference]] = defaultdict(list)
    for reference in references:
        for key in reference.keys:
            if key and key not in config.sizes and not reference.optional and not reference.is_idle:
                by_key[key].append(reference)
    for key, here in by_key.items():
        workloads = dict.fromkeys(f"{each.workload.kind} {each.workload.name}" for each in here)
        yield KEY_MISSING.finding(
            config,
            f"The ConfigMap has no key {key}. The next pods of {joined(workloads)} cannot start without it.",
            key=key,
            severity="warning",
            evidence=[
                *((str(each.workload), each.path) for each in here[:10]),
                ("keys of data", joined(config.sizes, 20) or "none"),
            ],
            masked=[*(each.workload.name for each in here), key, *list(config.sizes)[:20]],
        )


def _empty(config: ConfigMap, references: Sequence[Reference]) -> Iterator[Finding]:
    # A reference that names keys is reported for the keys it misses.
    here = [reference for reference in references if not any(reference.keys)]
    if here and len(here) == len(references):
        pods = distinct_pods(here)
        yield EMPTY.finding(
            config,
            f"The ConfigMap is empty, yet {count(len(pods), 'pod')} "
            f"{'takes' if len(pods) == 1 else 'take'} configuration from it: {joined(pod.name for pod in pods)}.",
            evidence=paths(here),
            masked=mask(here),
        )


def _changed_since_start(config: ConfigMap, references: Sequence[Reference]) -> Iterator[Finding]:
    written = config.written
    created = config.metadata.creation_timestamp
    # What has never been changed since it was made is what pods started with.
    if written is None or created is None or (written - created).total_seconds() < CHANGE_GRACE:
        return
    kept: dict[str, None] = {}
    pods: dict[ObjectRef, Pod] = {}
    for reference in references:
        for what, container in _read_once(reference):
            for pod in reference.pods:
                started = _started(pod, container) if pod.status.phase == "Running" else None
                if started and (written - started).total_seconds() > CHANGE_GRACE:
                    kept[what] = None
                    pods[pod.ref] = pod
    if pods:
        stale = sorted(pods.values(), key=lambda pod: pod.name)
        yield STALE_IN_PODS.finding(
            config,
            f"It was changed after {count(len(stale), 'pod')} had started that take {joined(kept)} from it, and go "
            f"on with the old values until they are restarted: {joined(pod.name for pod in stale)}.",
            since=written,
            evidence=[("metadata.managedFields", f"last written {written:%Y-%m-%d %H:%M} UTC")],
            masked=[pod.name for pod in stale],
        )


def _read_once(reference: Reference) -> Iterator[tuple[str, str]]:
    """What containers take from a ConfigMap only when they start, and the names of these containers."""
    kind, name = reference.place[0], reference.place[1]
    if "].env" in reference.path:
        yield "variables", name
    elif kind == "spec.volumes[":
        spec = reference.pods[0].spec
        for container in (*spec.containers, *spec.init_containers):
            if any(mount.sub_path and mount.name == name for mount in container.volume_mounts):
                yield "files by subPath", container.name


def _started(pod: Pod, container: str) -> datetime | None:
    """When a container started that runs now: one that is restarted reads everything anew."""
    for status in (*pod.status.container_statuses, *pod.status.init_container_statuses):
        if status.name == container:
            return status.state.running.started_at if status.state.running else None
    return pod.status.start_time


def _near_limit(config: ConfigMap) -> Iterator[Finding]:
    size = sum(config.sizes.values())
    if size >= NEAR:
        largest = max(config.sizes, key=lambda key: config.sizes[key])
        yield NEAR_LIMIT.finding(
            config,
            f"The values take {size // 1024:,} KiB of the {LIMIT // 1024:,} KiB that a ConfigMap may hold; "
            f"the largest is {largest} with {config.sizes[largest] // 1024:,} KiB.",
            evidence=[(f"data[{key}]", f"{bytes_:,} bytes") for key, bytes_ in list(config.sizes.items())[:10]],
            masked=[*list(config.sizes)[:10], largest],
        )


def _unused(view: ClusterView, config: ConfigMap) -> Iterator[Finding]:
    created = config.metadata.creation_timestamp
    if not view.older_than(created, UNUSED_AGE) or _is_used_in_other_ways(config):
        return
    if all(view.readable(kind, config.namespace) for kind in USERS):
        yield UNUSED.finding(
            config,
            f"No pod and no workload of its namespace refers to the ConfigMap, made {ago(view.age(created))} ago. "
            "A program that reads it through the API would not show here.",
            evidence=[("metadata.creationTimestamp", created.isoformat() if created else "")],
        )


def _is_used_in_other_ways(config: ConfigMap) -> bool:
    """Whether a ConfigMap that no pod names is likely read or written through the API."""
    metadata = config.metadata
    labels, annotations = metadata.labels, metadata.annotations
    return (
        config.namespace.startswith(("kube-", "openshift-"))
        or config.name in MADE_FOR_ALL
        or bool(metadata.owner_references)
        or LEADER_ANNOTATION in annotations
        or "leader" in config.name
        or config.name.endswith("-lock")
        or any(label in labels for label in LOADED_LABELS)
        or labels.get("k8sgpt.ai/dynamically-loaded") == "true"
        or annotations.get("k8sgpt.ai/skip-usage-check") == "true"
    )
