"""StatefulSet: which of its pods holds up the others, and why? Are its volumes and its Service there?

Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import (
    ObjectRef,
    PersistentVolumeClaim,
    Pod,
    Secret,
    Service,
    StatefulSet,
    StatefulSetStatus,
    StorageClass,
)
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.workloads import (
    FAILING_GRACE,
    NAMED_PODS,
    REFUSAL_GRACE,
    STARTUP_GRACE,
    Admission,
    Fact,
    are_ready,
    capitalized,
    changed_at,
    first_seen,
    is_brand_new,
    is_failing,
    is_past,
    is_ready,
    missing_pull_secrets,
    not_reconciled,
    pod_facts,
    refusal_events,
    trouble_of,
    unready_since,
)
from k8sgpt_magic.findings import Code, Finding, Severity
from k8sgpt_magic.wording import EVIDENCE_LIMIT, count, joined, quote

DOCS = "https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/"

NOT_READY = Code(
    "StatefulSetNotReady",
    "warning",
    "Fewer pods of the StatefulSet are ready than it should have; often one pod holds up those after it.",
    DOCS + "#deployment-and-scaling-guarantees",
)
UPDATE_STUCK = Code(
    "StatefulSetUpdateStuck",
    "warning",
    "The rolling update of the StatefulSet has stopped before all pods run the new revision.",
    DOCS + "#forced-rollback",
)
CREATE_FAILED = Code(
    "StatefulSetCreateFailed",
    "warning",
    "The next pod of the StatefulSet, or its volume claim, cannot be created: the API server refuses it.",
    DOCS + "#deployment-and-scaling-guarantees",
)
SERVICE_MISSING = Code(
    "StatefulSetServiceMissing",
    "warning",
    "The headless Service that gives the pods of the StatefulSet their DNS names does not exist.",
    DOCS + "#stable-network-id",
)
STORAGE_CLASS_MISSING = Code(
    "StatefulSetStorageClassMissing",
    "warning",
    "No StorageClass serves the volume claims of the StatefulSet: the one they name is missing, or none is default.",
    "https://kubernetes.io/docs/concepts/storage/storage-classes/",
)
CLAIM_LOST = Code(
    "StatefulSetClaimLost",
    "critical",
    "A volume claim of the StatefulSet has lost its volume, so the data on it cannot be reached any more.",
    "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#phase",
)
NOT_RECONCILED = Code(
    "StatefulSetNotReconciled",
    "warning",
    "The StatefulSet was changed and its controller has not acted on that, so the change has no effect.",
    DOCS,
)
PULL_SECRET_MISSING = Code(
    "StatefulSetImagePullSecretMissing",
    "warning",
    "The pods of the StatefulSet name a pull secret that does not exist, so private images cannot be pulled.",
    "https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/",
)

UPDATE_GRACE = 600
"""Seconds without a new pod after which an update no longer moves: a pod of a database may start slowly."""

EXAMINED_ORDINALS = 1000
"""How many ordinals of one set are looked at: the first that is not ready is mostly the one that matters."""

DEFAULT_CLASS_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)

Claims = Mapping[str, Sequence[PersistentVolumeClaim]]


@analyzer(
    StatefulSet,
    reads=[Service, StorageClass, PersistentVolumeClaim, Pod, Secret, *Admission.reads],
    codes=[
        NOT_READY,
        UPDATE_STUCK,
        CREATE_FAILED,
        SERVICE_MISSING,
        STORAGE_CLASS_MISSING,
        CLAIM_LOST,
        NOT_RECONCILED,
        PULL_SECRET_MISSING,
    ],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """StatefulSets held up by a pod, a volume claim, a storage class or an update, or without their Service."""
    admission = Admission(view)
    lost = _lost_claims(view)
    has_default_class = _has_default_class(view)
    for stateful_set in view.all(StatefulSet):
        if stateful_set.metadata.deletion_timestamp:
            continue
        if stateful_set.status.observed_generation < stateful_set.metadata.generation:
            observed = stateful_set.status.observed_generation
            yield from not_reconciled(view, NOT_RECONCILED, stateful_set, stateful_set.metadata, observed)
        else:
            yield from _falls_short(view, admission, stateful_set)
        yield from _service_missing(view, stateful_set)
        if stateful_set.spec.volume_claim_templates:
            yield from _storage_class_missing(view, stateful_set, has_default_class)
            yield from _claim_lost(stateful_set, lost)
        if stateful_set.spec.template.spec.image_pull_secrets:
            yield from missing_pull_secrets(view, PULL_SECRET_MISSING, stateful_set, stateful_set.spec.template.spec)


# --- pods ------------------------------------------------------------------------------------------------


class _Ordinal(Struct):
    """One place in the set whose pod is not ready. ``claims`` are its volume claims that are not bound."""

    number: int
    name: str
    pod: Pod | None
    claims: list[PersistentVolumeClaim]

    @property
    def trouble(self) -> str:
        trouble = quote(trouble_of(self.pod), 60) if self.pod else "not created"
        if self.claims:
            words = [f"claim {claim.name} is {claim.status.phase or 'not bound'}" for claim in self.claims]
            trouble = f"{trouble}, {joined(words)}"
        return f"{self.name} ({trouble})"


def _falls_short(view: ClusterView, admission: Admission, stateful_set: StatefulSet) -> Iterator[Finding]:
    """The one finding that says best why a StatefulSet is not what its spec demands."""
    status = stateful_set.status
    is_short = status.ready_replicas < _desired(stateful_set)
    update_stops = _update_stops(view, stateful_set)
    if not is_short and not update_stops:
        return
    if status == StatefulSetStatus() and not stateful_set.metadata.creation_timestamp:
        return  # A manifest that no cluster has seen.
    waiting = _waiting_ordinals(view, stateful_set)
    refused = _create_failed(view, admission, stateful_set, waiting) if is_short else None
    if refused:
        yield refused
    elif update_stops:
        yield _update_stuck(view, stateful_set, waiting)
    else:
        yield from _not_ready(view, stateful_set, waiting)


def _waiting_ordinals(view: ClusterView, stateful_set: StatefulSet) -> list[_Ordinal]:
    """The places without a ready pod, in the order in which the controller fills them."""
    start = stateful_set.spec.ordinals.start if stateful_set.spec.ordinals else 0
    waiting: list[_Ordinal] = []
    for number in range(start, start + min(_desired(stateful_set), EXAMINED_ORDINALS)):
        name = f"{stateful_set.name}-{number}"
        pod = view.get(Pod, stateful_set.namespace, name)
        # A pod that was not read may be there and ready.
        if (pod and not is_ready(pod)) or view.missing(Pod, stateful_set.namespace, name):
            waiting.append(_Ordinal(number, name, pod, _unbound_claims(view, stateful_set, number)))
    return waiting


def _unbound_claims(view: ClusterView, stateful_set: StatefulSet, number: int) -> list[PersistentVolumeClaim]:
    return [
        claim
        for name in _claim_names(stateful_set, number)
        if (claim := view.get(PersistentVolumeClaim, stateful_set.namespace, name)) and claim.status.phase != "Bound"
    ]


def _claim_names(stateful_set: StatefulSet, number: int) -> list[str]:
    templates = stateful_set.spec.volume_claim_templates
    return [f"{template.metadata.name}-{stateful_set.name}-{number}" for template in templates]


def _create_failed(
    view: ClusterView, admission: Admission, stateful_set: StatefulSet, waiting: Sequence[_Ordinal]
) -> Finding | None:
    # Only a pod that is not there can have been refused; older events may tell of one that came later.
    absent = {ordinal.number: ordinal for ordinal in waiting if ordinal.pod is None}
    refused = [
        (absent[number], event)
        for event in refusal_events(view, stateful_set)
        if (number := _ordinal_in(stateful_set, event.message)) in absent
    ]
    since = first_seen(event for _, event in refused)
    if not refused or not is_past(view, since, REFUSAL_GRACE):
        return None
    ordinal, newest = refused[0]
    refusal = admission.refusal(stateful_set.namespace, newest.message)
    return CREATE_FAILED.finding(
        stateful_set,
        f"{capitalized(_state(stateful_set))} {ordinal.name} cannot be created: {refusal}",
        since=since,
        severity=_severity(stateful_set),
        evidence=[_replicas_fact(stateful_set), *refusal.evidence, *(event for _, event in refused)],
        because=[*refusal.because, *_explanations(waiting)],
        masked=[*refusal.masked, *(ordinal.name for ordinal in waiting[:NAMED_PODS])],
    )


def _ordinal_in(stateful_set: StatefulSet, message: str) -> int:
    """The ordinal of the pod that a message of the controller is about, or -1."""
    found = re.search(rf"\b[Pp]od {re.escape(stateful_set.name)}-(\d{{1,9}})\b", message[:EVIDENCE_LIMIT])
    return int(found[1]) if found else -1


def _not_ready(view: ClusterView, stateful_set: StatefulSet, waiting: Sequence[_Ordinal]) -> Iterator[Finding]:
    since = _waiting_since(view, stateful_set, waiting)
    fails = any(ordinal.pod and is_failing(ordinal.pod) for ordinal in waiting)
    if not is_past(view, since, FAILING_GRACE if fails else STARTUP_GRACE):
        return
    yield NOT_READY.finding(
        stateful_set,
        f"{capitalized(_state(stateful_set))} {_held_up(stateful_set, waiting)}".strip(),
        since=since,
        severity=_severity(stateful_set),
        evidence=[_replicas_fact(stateful_set), *_ordinal_facts(waiting), *view.events(stateful_set)],
        because=_explanations(waiting),
        masked=[ordinal.name for ordinal in waiting[:NAMED_PODS]],
    )


def _held_up(stateful_set: StatefulSet, waiting: Sequence[_Ordinal]) -> str:
    """Which pods are waited for: with ordered management the first of them alone, as it holds up the others."""
    if not waiting:
        return ""
    behind = [ordinal for ordinal in waiting[1:] if ordinal.pod is None]
    if stateful_set.spec.pod_management_policy == "Parallel" or not behind:
        return f"Not ready: {joined([ordinal.trouble for ordinal in waiting], 3)}."
    others = [ordinal.trouble for ordinal in waiting[1:] if ordinal.pod is not None]
    also = f" Also not ready: {joined(others, 3)}." if others else ""
    names = joined([ordinal.name for ordinal in behind], 3)
    verb = "waits" if len(behind) == 1 else "wait"
    return f"{waiting[0].trouble} is not ready, and {names} {verb} for it (OrderedReady).{also}"


def _waiting_since(view: ClusterView, stateful_set: StatefulSet, waiting: Sequence[_Ordinal]) -> datetime | None:
    """Since when the pod that holds up the set has done so."""
    times = [time for ordinal in waiting if ordinal.pod and (time := unready_since(ordinal.pod))]
    if times:
        return min(times)
    # Nobody knows when a pod vanished that is not there; the newest thing that happened came before.
    return _last_step(view, stateful_set)


def _explanations(waiting: Sequence[_Ordinal]) -> list[ObjectRef]:
    """The pods that are waited for and their unbound claims, pod by pod."""
    refs: list[ObjectRef] = []
    for ordinal in waiting[:NAMED_PODS]:
        if ordinal.pod:
            refs.append(ordinal.pod.ref)
        refs += [claim.ref for claim in ordinal.claims]
    return refs


def _ordinal_facts(waiting: Sequence[_Ordinal]) -> list[Fact]:
    facts = pod_facts([ordinal.pod for ordinal in waiting if ordinal.pod])
    for ordinal in waiting[:NAMED_PODS]:
        for claim in ordinal.claims:
            facts.append((f"PersistentVolumeClaim {claim.name} status.phase", claim.status.phase))
    return facts


# --- updates ---------------------------------------------------------------------------------------------


def _update_stops(view: ClusterView, stateful_set: StatefulSet) -> bool:
    """Whether a rolling update is unfinished and no pod has been replaced for long.

    Pods below the partition are meant to stay as they are, and with OnDelete all are until somebody deletes them.
    """
    status, strategy = stateful_set.status, stateful_set.spec.update_strategy
    if status.current_revision == status.update_revision or not status.current_revision:
        return False
    if strategy.type not in ("", "RollingUpdate") or not status.update_revision:
        return False
    if status.updated_replicas >= _to_update(stateful_set):
        return False
    last = _last_step(view, stateful_set)
    return last is not None and view.older_than(last, UPDATE_GRACE)


def _to_update(stateful_set: StatefulSet) -> int:
    rolling = stateful_set.spec.update_strategy.rolling_update
    start = stateful_set.spec.ordinals.start if stateful_set.spec.ordinals else 0
    # The partition is an ordinal, so it counts from zero even where the ordinals do not.
    kept = max(0, (rolling.partition or 0) - start) if rolling else 0
    return max(0, _desired(stateful_set) - kept)


def _last_step(view: ClusterView, stateful_set: StatefulSet) -> datetime | None:
    times = [pod.metadata.creation_timestamp for pod in view.owned_by(stateful_set, Pod)]
    return max((time for time in (*times, changed_at(stateful_set.metadata)) if time), default=None)


def _update_stuck(view: ClusterView, stateful_set: StatefulSet, waiting: Sequence[_Ordinal]) -> Finding:
    status = stateful_set.status
    held_up = f" Not ready: {joined([ordinal.trouble for ordinal in waiting], 3)}." if waiting else ""
    return UPDATE_STUCK.finding(
        stateful_set,
        f"The rolling update has stopped: {status.updated_replicas} of {count(_to_update(stateful_set), 'pod')} "
        f"{'runs' if status.updated_replicas == 1 else 'run'} revision {status.update_revision}, "
        f"and {_state(stateful_set)}.{held_up}",
        since=_last_step(view, stateful_set),
        severity=_severity(stateful_set),
        evidence=[
            ("status.updateRevision", status.update_revision),
            ("status.currentRevision", status.current_revision),
            ("status.updatedReplicas", status.updated_replicas),
            _replicas_fact(stateful_set),
            *_ordinal_facts(waiting),
            *view.events(stateful_set),
        ],
        because=_explanations(waiting),
        masked=[
            status.update_revision,
            status.current_revision,
            *(ordinal.name for ordinal in waiting[:NAMED_PODS]),
        ],
    )


# --- what the set needs ----------------------------------------------------------------------------------


def _service_missing(view: ClusterView, stateful_set: StatefulSet) -> Iterator[Finding]:
    service = stateful_set.spec.service_name
    if not service or not view.missing(Service, stateful_set.namespace, service):
        return
    if is_brand_new(view, stateful_set):
        return
    yield SERVICE_MISSING.finding(
        stateful_set,
        f"Its governing Service {service} does not exist, so its pods have no DNS names of their own.",
        severity="warning" if _desired(stateful_set) else "info",
        evidence=[("spec.serviceName", service)],
        because=[ObjectRef("Service", stateful_set.namespace, service)],
    )


def _storage_class_missing(
    view: ClusterView, stateful_set: StatefulSet, has_default_class: bool
) -> Iterator[Finding]:
    if is_brand_new(view, stateful_set):
        return
    for template in stateful_set.spec.volume_claim_templates:
        storage_class = template.spec.storage_class_name
        if storage_class == "" or template.spec.volume_name:
            continue  # Volumes made by hand, which need no class.
        if storage_class is None and not has_default_class:
            problem = f"Claim template {template.metadata.name} names no StorageClass, and no class is the default"
        elif storage_class and view.missing(StorageClass, "", storage_class):
            problem = f"StorageClass {storage_class} of claim template {template.metadata.name} does not exist"
        else:
            continue
        unbound = _without_volume(view, stateful_set, template.metadata.name)
        if storage_class is None and not unbound:
            continue  # They were bound to volumes made by hand, or while there was a default.
        path = f"spec.volumeClaimTemplates[{template.metadata.name}].spec.storageClassName"
        # Volumes made by hand may bear the name of a class that was never meant to exist.
        effect = (
            f"{joined(unbound, 3)} {'has' if len(unbound) == 1 else 'have'} no volume"
            if unbound
            else "the claims there are have their volumes, but no new ones will be made"
        )
        yield STORAGE_CLASS_MISSING.finding(
            stateful_set,
            f"{problem}: {effect}.",
            key=template.metadata.name,
            severity=_severity(stateful_set) if unbound else "info",
            evidence=[(path, storage_class if storage_class is not None else "not set")],
            because=[
                *([ObjectRef("StorageClass", "", storage_class)] if storage_class else []),
                *(ObjectRef("PersistentVolumeClaim", stateful_set.namespace, name) for name in unbound[:NAMED_PODS]),
            ],
            masked=[template.metadata.name],
        )


def _without_volume(view: ClusterView, stateful_set: StatefulSet, template: str) -> list[str]:
    """The claims of a template that are not bound, or do not exist yet although their pod should."""
    start = stateful_set.spec.ordinals.start if stateful_set.spec.ordinals else 0
    names = [
        f"{template}-{stateful_set.name}-{number}"
        for number in range(start, start + min(_desired(stateful_set), EXAMINED_ORDINALS))
    ]
    return [
        name
        for name in names
        if view.missing(PersistentVolumeClaim, stateful_set.namespace, name)
        or (
            (claim := view.get(PersistentVolumeClaim, stateful_set.namespace, name)) and claim.status.phase != "Bound"
        )
    ]


def _has_default_class(view: ClusterView) -> bool:
    """Whether a claim without a class gets one; where classes cannot be read, nothing speaks against it."""
    return not view.readable(StorageClass) or any(
        storage_class.metadata.annotations.get(annotation) == "true"
        for storage_class in view.all(StorageClass)
        for annotation in DEFAULT_CLASS_ANNOTATIONS
    )


def _lost_claims(view: ClusterView) -> Claims:
    """The claims without their volume, by namespace: hardly ever any, so few names are compared."""
    found: defaultdict[str, list[PersistentVolumeClaim]] = defaultdict(list)
    for claim in view.all(PersistentVolumeClaim):
        if claim.status.phase == "Lost":
            found[claim.namespace].append(claim)
    return found


def _claim_lost(stateful_set: StatefulSet, lost: Claims) -> Iterator[Finding]:
    for claim in lost.get(stateful_set.namespace, ()):
        for template in stateful_set.spec.volume_claim_templates:
            prefix = f"{template.metadata.name}-{stateful_set.name}-"
            if claim.name.startswith(prefix) and claim.name[len(prefix) :].isdecimal():
                pod = ObjectRef("Pod", stateful_set.namespace, f"{stateful_set.name}-{claim.name[len(prefix) :]}")
                yield CLAIM_LOST.finding(
                    stateful_set,
                    f"Claim {claim.name} of {pod.name} has lost its volume {claim.spec.volume_name}".rstrip()
                    + ", which no longer exists or is bound to another claim.",
                    key=claim.name,
                    evidence=[
                        (f"PersistentVolumeClaim {claim.name} status.phase", "Lost"),
                        (f"PersistentVolumeClaim {claim.name} spec.volumeName", claim.spec.volume_name),
                    ],
                    because=[claim.ref],
                    masked=[pod.name, claim.spec.volume_name],
                )


def _desired(stateful_set: StatefulSet) -> int:
    return 1 if stateful_set.spec.replicas is None else stateful_set.spec.replicas


def _severity(stateful_set: StatefulSet) -> Severity:
    return "critical" if stateful_set.status.ready_replicas == 0 and _desired(stateful_set) > 0 else "warning"


def _state(stateful_set: StatefulSet) -> str:
    return are_ready(stateful_set.status.ready_replicas, _desired(stateful_set))


def _replicas_fact(stateful_set: StatefulSet) -> Fact:
    return ("status.readyReplicas", f"{stateful_set.status.ready_replicas} of {_desired(stateful_set)}")
