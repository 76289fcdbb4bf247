"""PersistentVolumeClaim: does it exist, does it get a volume, does it keep it, can it grow?

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import (
    Condition,
    Event,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    StorageClass,
)
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.references import distinct_pods, missing_reference, needed, waits
from k8sgpt_magic.findings import Code, Evidence, Finding, Severity
from k8sgpt_magic.wording import ago, count, joined, quantity, sentence

DOCS = "https://kubernetes.io/docs/concepts/storage/persistent-volumes/"
CLASS_DOCS = "https://kubernetes.io/docs/concepts/storage/storage-classes/"

MISSING = Code(
    "PersistentVolumeClaimMissing",
    "critical",
    "Pods refer to a claim that does not exist, so they cannot be scheduled.",
    DOCS + "#claims-as-volumes",
)
LOST = Code(
    "PersistentVolumeClaimLost",
    "critical",
    "The volume that the claim was bound to is gone, and its data may be too.",
    DOCS + "#binding",
)
STORAGE_CLASS_MISSING = Code(
    "PersistentVolumeClaimStorageClassMissing",
    "critical",
    "The claim asks for a StorageClass that does not exist, so nothing makes a volume for it.",
    CLASS_DOCS,
)
NO_STORAGE_CLASS = Code(
    "PersistentVolumeClaimNoStorageClass",
    "critical",
    "The claim names no StorageClass, the cluster has no default one, and no existing volume fits.",
    CLASS_DOCS + "#default-storageclass",
)
PROVISIONING_FAILED = Code(
    "PersistentVolumeClaimProvisioningFailed",
    "critical",
    "The storage provisioner tried to make a volume for the claim and failed.",
    DOCS + "#provisioning",
)
VOLUME_MISSING = Code(
    "PersistentVolumeClaimVolumeMissing",
    "critical",
    "The claim asks for one certain PersistentVolume, which does not exist.",
    DOCS + "#reserving-a-persistentvolume",
)
VOLUME_TAKEN = Code(
    "PersistentVolumeClaimVolumeTaken",
    "critical",
    "The claim asks for one certain PersistentVolume, which belongs to another claim.",
    DOCS + "#reserving-a-persistentvolume",
)
BINDING_FAILED = Code(
    "PersistentVolumeClaimBindingFailed",
    "critical",
    "No existing PersistentVolume could be bound to the claim.",
    DOCS + "#binding",
)
CONSUMER_UNSCHEDULABLE = Code(
    "PersistentVolumeClaimConsumerUnschedulable",
    "info",
    "The volume is made where the claim's pod runs, and no node has been found for that pod.",
    CLASS_DOCS + "#volume-binding-mode",
)
PENDING = Code(
    "PersistentVolumeClaimPending",
    "critical",
    "The claim has been waiting for a volume for longer than making one takes.",
    DOCS + "#binding",
)
RESIZE_FAILED = Code(
    "PersistentVolumeClaimResizeFailed",
    "warning",
    "The volume of the claim could not be made bigger.",
    DOCS + "#recovering-from-failure-when-expanding-volumes",
)
RESIZE_STUCK = Code(
    "PersistentVolumeClaimResizeStuck",
    "warning",
    "The claim's volume is being made bigger, and that has not ended.",
    DOCS + "#expanding-persistent-volumes-claims",
)
TERMINATING = Code(
    "PersistentVolumeClaimTerminating",
    "info",
    "Somebody deleted the claim, and it stays as long as something still protects it.",
    DOCS + "#storage-object-in-use-protection",
)

PENDING_GRACE = 300
"""Seconds that a cloud may take to make a disk."""

RESIZE_GRACE = 1800
"""Seconds that a controller may take to grow a disk; some clouds only queue it."""

FILE_SYSTEM_GRACE = 600
"""Seconds that a kubelet may take to grow the file system of a mounted volume."""

TERMINATION_GRACE = 120
"""Seconds in which the pods that use a deleted claim may end as well."""

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
BETA_DEFAULT_CLASS = "storageclass.beta.kubernetes.io/is-default-class"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
SELECTED_NODE = "volume.kubernetes.io/selected-node"

_RESIZE_ERRORS = ("ControllerResizeError", "NodeResizeError")

_NO_STORAGE_THERE = ("persistent volumes to bind", "volume node affinity", "free storage", "volume zone")
"""The scheduler's words for nodes that it passes over because this kind of claim can have no volume there."""


@analyzer(
    PersistentVolumeClaim,
    reads=[Pod, PersistentVolume, StorageClass, Event],
    codes=[
        MISSING,
        LOST,
        STORAGE_CLASS_MISSING,
        NO_STORAGE_CLASS,
        PROVISIONING_FAILED,
        VOLUME_MISSING,
        VOLUME_TAKEN,
        BINDING_FAILED,
        CONSUMER_UNSCHEDULABLE,
        PENDING,
        RESIZE_FAILED,
        RESIZE_STUCK,
        TERMINATING,
    ],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Claims that are missing, lost, waiting for a volume, failing to grow, or stuck while being deleted."""
    yield from _missing(view)
    for claim in view.all(PersistentVolumeClaim):
        phase = claim.status.phase
        if phase == "Lost":
            yield _lost(view, claim)
        elif claim.metadata.deletion_timestamp:
            yield from _terminating(view, claim)
        elif phase == "Pending":
            # Only the first of these says why; what comes after it follows from it.
            yield from _first(
                _volume_missing_or_taken(view, claim),
                _storage_class_missing(view, claim),
                _provisioning_failed(view, claim),
                _no_storage_class(view, claim),
                _waiting_for_consumer(view, claim),
                _binding_failed(view, claim),
                _pending(view, claim),
            )
        elif claim.status.conditions:
            yield from _resize(view, claim)


def _first(*rules: Iterator[Finding | None]) -> Iterator[Finding]:
    """The findings of the first rule that applies. One that yields None explains the state as normal."""
    for rule in rules:
        found = list(rule)
        if found:
            yield from (finding for finding in found if finding is not None)
            return


def _missing(view: ClusterView) -> Iterator[Finding]:
    for target, references in view.references.items():
        if target.kind != PersistentVolumeClaim.kind or view.find(target) is not None:
            continue
        if view.missing(PersistentVolumeClaim, target.namespace, target.name) and (here := needed(view, references)):
            yield missing_reference(view, target, MISSING, here)


def _lost(view: ClusterView, claim: PersistentVolumeClaim) -> Finding:
    name = claim.spec.volume_name
    events = view.events(claim, "ClaimLost", "ClaimMisbound")
    consumers = _consumers(view, claim)
    message = f"The claim has lost its volume {name}" if name else "The claim has lost its volume"
    if name and view.missing(PersistentVolume, "", name):
        message += ", which no longer exists"
    message += f": {sentence(events[0].message)}" if events else "."
    if consumers:
        message += f" {count(len(consumers), 'pod')} {'uses' if len(consumers) == 1 else 'use'} it."
    return LOST.finding(
        claim,
        message,
        since=min((time for event in events if (time := event.first_seen)), default=None),
        evidence=[("status.phase", "Lost"), ("spec.volumeName", name), *events],
        masked=[name],
    )


# --- waiting for a volume --------------------------------------------------------------------------------


def _volume_missing_or_taken(view: ClusterView, claim: PersistentVolumeClaim) -> Iterator[Finding]:
    name = claim.spec.volume_name
    if not name:
        return
    volume = view.get(PersistentVolume, "", name)
    facts = [("spec.volumeName", name), *_used_by(view, claim)]
    if volume is None:
        if view.missing(PersistentVolume, "", name):
            yield VOLUME_MISSING.finding(
                claim,
                f"The claim asks for PersistentVolume {name}, which does not exist.{_needs(view, claim)}",
                since=claim.metadata.creation_timestamp,
                severity=_severity(view, claim),
                evidence=facts,
                masked=[name, *_consumer_names(view, claim)],
            )
        return
    owner = volume.spec.claim_ref
    if owner is None or not owner.name:
        return
    if (owner.namespace, owner.name) != (claim.namespace, claim.name):
        whose = f"claim {owner.namespace}/{owner.name}"
    elif owner.uid and claim.uid and owner.uid != claim.uid:
        whose = "an earlier claim of the same name, which was deleted"
    else:
        return
    yield VOLUME_TAKEN.finding(
        claim,
        f"The claim asks for PersistentVolume {name}, which is bound to {whose}.{_needs(view, claim)}",
        since=claim.metadata.creation_timestamp,
        severity=_severity(view, claim),
        evidence=[
            *facts,
            (f"PersistentVolume {name} spec.claimRef", f"{owner.namespace}/{owner.name} uid {owner.uid}"),
            (f"PersistentVolume {name} status.phase", volume.status.phase),
            *view.events(claim, "FailedBinding", "VolumeMismatch"),
        ],
        masked=[name, owner.namespace, owner.name, *_consumer_names(view, claim)],
    )


def _storage_class_missing(view: ClusterView, claim: PersistentVolumeClaim) -> Iterator[Finding]:
    name = _class_name(claim)
    # Volumes and claims may share a class name that no StorageClass has: they find each other by it.
    if not name or not view.missing(StorageClass, "", name) or _fitting_volumes(view, claim):
        return
    known = sorted(each.name for each in view.all(StorageClass))
    yield STORAGE_CLASS_MISSING.finding(
        claim,
        f"StorageClass {name} does not exist; the cluster has {joined(known) or 'none at all'}.{_needs(view, claim)}",
        since=claim.metadata.creation_timestamp,
        severity=_severity(view, claim),
        evidence=[
            ("spec.storageClassName", name),
            *_used_by(view, claim),
            *view.events(claim, "ProvisioningFailed"),
        ],
        masked=[name, *known, *_consumer_names(view, claim)],
    )


def _provisioning_failed(view: ClusterView, claim: PersistentVolumeClaim) -> Iterator[Finding]:
    name = _class_name(claim)
    # A claim is often applied before its class, and the event of that moment outlives the fault.
    was_missing = f'"{name}" not found' if name and view.get(StorageClass, "", name) else None
    events = [
        event
        for event in view.events(claim, "ProvisioningFailed")
        if was_missing is None or was_missing not in event.message
    ]
    if events:
        yield PROVISIONING_FAILED.finding(
            claim,
            f"The provisioner cannot make the volume: {sentence(events[0].message)}{_needs(view, claim)}",
            since=min((time for event in events if (time := event.first_seen)), default=None),
            severity=_severity(view, claim),
            evidence=[*events, ("spec.storageClassName", name), *_used_by(view, claim)],
            masked=[name or "", *_consumer_names(view, claim)],
        )


def _no_storage_class(view: ClusterView, claim: PersistentVolumeClaim) -> Iterator[Finding]:
    if _class_name(claim) is not None or claim.spec.volume_name or not view.readable(StorageClass):
        return
    if any(_is_default(each) for each in view.all(StorageClass)):
        # The control plane writes the default class into the claim at its next look.
        return
    if not view.readable(PersistentVolume) or _fitting_volumes(view, claim):
        return
    yield NO_STORAGE_CLASS.finding(
        claim,
        "The claim names no StorageClass, the cluster has no default one, and no available PersistentVolume "
        f"without a class fits.{_needs(view, claim)}",
        since=claim.metadata.creation_timestamp,
        severity=_severity(view, claim),
        evidence=[
            ("spec.storageClassName", "not set"),
            *_used_by(view, claim),
            *view.events(claim, "FailedBinding", type=""),
        ],
        masked=_consumer_names(view, claim),
    )


def _waiting_for_consumer(view: ClusterView, claim: PersistentVolumeClaim) -> Iterator[Finding | None]:
    name = _class_name(claim)
    storage_class = view.get(StorageClass, "", name) if name else None
    if storage_class is not None:
        waits_for_pod = storage_class.volume_binding_mode == "WaitForFirstConsumer"
    else:
        waits_for_pod = bool(view.events(claim, "WaitForFirstConsumer", "WaitForPodScheduled", type=""))
    if not waits_for_pod:
        return
    consumers = _consumers(view, claim)
    stuck = [(pod, said) for pod in consumers if (said := _unschedulable(pod))]
    if stuck:
        pod, said = stuck[0]
        blames_volumes = any(words in said.lower() for words in _NO_STORAGE_THERE)
        yield CONSUMER_UNSCHEDULABLE.finding(
            claim,
            f"The volume is made once a node is found for pod {pod.name}, and none is: {sentence(said)}",
            since=(scheduled := condition(pod.status.conditions, "PodScheduled")) and scheduled.last_transition_time,
            # Where the scheduler rejects nodes for their storage, the fault lies here and not with the pod.
            severity="warning" if blames_volumes else "info",
            evidence=[
                ("spec.storageClassName", name),
                (f"Pod {pod.name} status.conditions[PodScheduled]", said),
                *view.events(pod, "FailedScheduling"),
            ],
            because=() if blames_volumes else [each for each, _ in stuck],
            masked=[name or "", *(each.name for each in consumers)],
        )
    elif SELECTED_NODE not in claim.metadata.annotations and not any(pod.spec.node_name for pod in consumers):
        # Nobody uses it yet, or the scheduler is still at work: as it should be.
        yield None


def _binding_failed(view: ClusterView, claim: PersistentVolumeClaim) -> Iterator[Finding]:
    # The controller writes FailedBinding as a Normal event where it merely finds no volume.
    events = view.events(claim, "FailedBinding", "VolumeMismatch", type="")
    if events and view.older_than(claim.metadata.creation_timestamp, PENDING_GRACE):
        yield BINDING_FAILED.finding(
            claim,
            f"No volume can be bound: {sentence(events[0].message)}{_needs(view, claim)}",
            since=claim.metadata.creation_timestamp,
            severity=_severity(view, claim),
            evidence=[*events, *_wants(claim), *_used_by(view, claim)],
            masked=[_class_name(claim) or "", claim.spec.volume_name, *_consumer_names(view, claim)],
        )


def _pending(view: ClusterView, claim: PersistentVolumeClaim) -> Iterator[Finding]:
    created = claim.metadata.creation_timestamp
    if not view.older_than(created, PENDING_GRACE):
        return
    name = _class_name(claim)
    if name and not view.readable(StorageClass) and not _consumers(view, claim):
        # The class may well wait for a first pod.
        return
    storage_class = view.get(StorageClass, "", name) if name else None
    events = view.events(claim, type="")
    if events:
        reason = f": {sentence(events[0].message)}"
    elif storage_class and storage_class.provisioner == "kubernetes.io/no-provisioner":
        reason = f": StorageClass {name} makes no volumes, and no existing one has been bound."
    elif storage_class:
        reason = f", and provisioner {storage_class.provisioner} has said nothing lately; is it running?"
    else:
        reason = "."
    yield PENDING.finding(
        claim,
        f"The claim has been Pending for {ago(view.age(created))}{reason}{_needs(view, claim)}",
        since=created,
        severity=_severity(view, claim),
        evidence=[*events, *_wants(claim), *_used_by(view, claim)],
        masked=[
            name or "",
            claim.spec.volume_name,
            storage_class.provisioner if storage_class else "",
            *_consumer_names(view, claim),
        ],
    )


def _class_name(claim: PersistentVolumeClaim) -> str | None:
    """The class asked for: "" means none and no provisioning, None the default class."""
    return claim.metadata.annotations.get(BETA_CLASS, claim.spec.storage_class_name)


def _is_default(storage_class: StorageClass) -> bool:
    annotations = storage_class.metadata.annotations
    return "true" in (annotations.get(DEFAULT_CLASS), annotations.get(BETA_DEFAULT_CLASS))


def _fitting_volumes(view: ClusterView, claim: PersistentVolumeClaim) -> list[PersistentVolume]:
    """The available volumes that may be bound to a claim, by class, access modes and size."""
    wanted = quantity(claim.spec.resources.requests.get("storage", 0)) or Decimal(0)
    return [
        volume
        for volume in view.all(PersistentVolume)
        if volume.status.phase == "Available"
        and volume.spec.storage_class_name == (_class_name(claim) or "")
        and set(claim.spec.access_modes) <= set(volume.spec.access_modes)
        and (quantity(volume.spec.capacity.get("storage", 0)) or Decimal(0)) >= wanted
    ]


def _wants(claim: PersistentVolumeClaim) -> list[tuple[str, object]]:
    name = _class_name(claim)
    return [
        ("spec.storageClassName", "not set" if name is None else name or '""'),
        ("spec.resources.requests.storage", claim.spec.resources.requests.get("storage", "not set")),
        ("spec.accessModes", ", ".join(claim.spec.access_modes)),
    ]


# --- who uses it -----------------------------------------------------------------------------------------


def _consumers(view: ClusterView, claim: PersistentVolumeClaim) -> list[Pod]:
    """The unfinished pods that mount a claim, those that wait first."""
    return [
        pod
        for pod in distinct_pods(view.references.get(claim.ref, ()))
        if pod.status.phase not in ("Succeeded", "Failed")
    ]


def _consumer_names(view: ClusterView, claim: PersistentVolumeClaim) -> list[str]:
    return [pod.name for pod in _consumers(view, claim)]


def _severity(view: ClusterView, claim: PersistentVolumeClaim) -> Severity:
    """A claim without a volume holds up the pods that mount it; without any it harms nobody yet."""
    return "critical" if any(waits(pod) for pod in _consumers(view, claim)) else "warning"


def _needs(view: ClusterView, claim: PersistentVolumeClaim) -> str:
    waiting = [pod.name for pod in _consumers(view, claim) if waits(pod)]
    return f" {count(len(waiting), 'pod')} cannot start without it: {joined(waiting)}." if waiting else ""


def _used_by(view: ClusterView, claim: PersistentVolumeClaim) -> list[tuple[str, object]]:
    names = _consumer_names(view, claim)
    return [("used by pods", joined(names, 10))] if names else []


def _unschedulable(pod: Pod) -> str:
    """Why no node is found for a pod, or "" where that is not so."""
    scheduled = condition(pod.status.conditions, "PodScheduled")
    if pod.spec.node_name or not scheduled or scheduled.status != "False" or scheduled.reason != "Unschedulable":
        return ""
    return str(scheduled.message or scheduled.reason)


# --- growing and going -----------------------------------------------------------------------------------


def _resize(view: ClusterView, claim: PersistentVolumeClaim) -> Iterator[Finding]:
    requested = claim.spec.resources.requests.get("storage", "an unknown size")
    capacity = claim.status.capacity.get("storage", "an unknown size")
    sizes: list[Evidence | Event | tuple[str, object]] = [
        ("spec.resources.requests.storage", requested),
        ("status.capacity.storage", capacity),
    ]
    failed = [each for type_ in _RESIZE_ERRORS if (each := _holds(claim, type_))]
    events = view.events(claim, "VolumeResizeFailed", "FileSystemResizeFailed")
    pending, resizing = _holds(claim, "FileSystemResizePending"), _holds(claim, "Resizing")
    if failed or (events and (pending or resizing)):
        said = next((each.message for each in failed if each.message), events[0].message if events else "")
        yield RESIZE_FAILED.finding(
            claim,
            f"The volume cannot grow from {capacity} to {requested}: {sentence(said or 'no reason given')}",
            since=min((each.last_transition_time for each in failed if each.last_transition_time), default=None),
            evidence=[*((f"status.conditions[{each.type}]", each.message) for each in failed), *sizes, *events],
        )
        return
    if pending:
        # Without a running pod nobody mounts the file system, and it grows when somebody does.
        running = [pod for pod in _consumers(view, claim) if pod.status.phase == "Running"]
        if running and view.older_than(pending.last_transition_time, FILE_SYSTEM_GRACE):
            yield RESIZE_STUCK.finding(
                claim,
                f"The disk has grown to {requested} but its file system has stayed at {capacity} for "
                f"{ago(view.age(pending.last_transition_time))}: pod {running[0].name} may have to be restarted.",
                since=pending.last_transition_time,
                evidence=[("status.conditions[FileSystemResizePending]", pending.message), *sizes],
                masked=[pod.name for pod in running],
            )
        return
    if resizing and view.older_than(resizing.last_transition_time, RESIZE_GRACE):
        yield RESIZE_STUCK.finding(
            claim,
            f"The volume has been growing from {capacity} to {requested} for "
            f"{ago(view.age(resizing.last_transition_time))}.",
            since=resizing.last_transition_time,
            evidence=[("status.conditions[Resizing]", resizing.message), *sizes],
        )


def _holds(claim: PersistentVolumeClaim, type_: str) -> Condition | None:
    found = condition(claim.status.conditions, type_)
    return found if found and found.status == "True" else None


def _terminating(view: ClusterView, claim: PersistentVolumeClaim) -> Iterator[Finding]:
    deleted = claim.metadata.deletion_timestamp
    if not view.older_than(deleted, TERMINATION_GRACE) or not claim.metadata.finalizers:
        return
    names = _consumer_names(view, claim)
    if names:
        why = f"{count(len(names), 'pod')} still {'uses' if len(names) == 1 else 'use'} it: {joined(names)}"
    else:
        why = f"these finalizers are still on it: {joined(claim.metadata.finalizers)}"
    yield TERMINATING.finding(
        claim,
        f"The claim was deleted {ago(view.age(deleted))} ago and stays, because {why}.",
        since=deleted,
        evidence=[("metadata.finalizers", ", ".join(claim.metadata.finalizers)), *_used_by(view, claim)],
        masked=names,
    )
