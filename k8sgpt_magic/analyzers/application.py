"""Application (Argo CD): is what it deployed healthy and in sync?

Source: https://argo-cd.readthedocs.io/en/stable/operator-manual/health/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import Application, ApplicationResource
from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, names_in
from k8sgpt_magic.diagnosis.workloads import for_long
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, joined, sentence

_DOCS = "https://argo-cd.readthedocs.io/en/stable/"
_HEALTH = f"{_DOCS}operator-manual/health/"
_SYNC = f"{_DOCS}user-guide/auto_sync/"

DEGRADED = Code("ApplicationDegraded", "critical", "Something that the application deployed has failed.", _HEALTH)
RESOURCES_MISSING = Code(
    "ApplicationResourcesMissing", "warning", "Objects of the application are not in the cluster.", _HEALTH
)
HEALTH_UNKNOWN = Code(
    "ApplicationHealthUnknown", "warning", "Argo CD cannot tell whether the application is healthy.", _HEALTH
)
STUCK = Code(
    "ApplicationProgressingTooLong", "warning", "The application has been coming up for long and does not.", _HEALTH
)
SUSPENDED = Code(
    "ApplicationSuspended", "info", "Something in the application is suspended and waits for somebody.", _HEALTH
)
SYNC_FAILED = Code(
    "ApplicationSyncFailed",
    "critical",
    "The last sync failed, so the cluster does not have what the repository says.",
    f"{_DOCS}user-guide/sync-options/",
)
OUT_OF_SYNC = Code("ApplicationOutOfSync", "warning", "The cluster differs from what the repository says.", _SYNC)
FAULTY = Code(
    "ApplicationFaulty",
    "critical",
    "Argo CD cannot work with the application: its spec, its repository or its cluster is not in order.",
    f"{_DOCS}operator-manual/troubleshooting/",
)
NOT_RECONCILED = Code(
    "ApplicationNotReconciled",
    "warning",
    "No controller of Argo CD has judged the application.",
    f"{_DOCS}operator-manual/app-any-namespace/",
)

PROGRESS_GRACE = 900
_IN_CLUSTER = ("https://kubernetes.default.svc", "in-cluster")


@analyzer(
    Application,
    codes=[
        DEGRADED, RESOURCES_MISSING, HEALTH_UNKNOWN, STUCK, SUSPENDED, SYNC_FAILED, OUT_OF_SYNC, FAULTY,
        NOT_RECONCILED,
    ],
    group="Integrations",
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Applications of Argo CD that are not healthy or not in sync."""
    for each in view.all(Application):
        if each.metadata.deletion_timestamp:
            continue
        status = each.status
        if not (status.health.status or status.sync.status or status.conditions):
            if view.older_than(changed(each), GRACE):
                yield NOT_RECONCILED.finding(
                    each,
                    f"The application has had no status since it was created{for_long(view, changed(each))}.",
                    since=changed(each),
                    evidence=[("status.health.status", "none"), ("status.sync.status", "none")],
                    masked=(each.spec.destination.name,),
                )
            continue
        faults = [*_faults(view, each)]
        yield from faults
        yield from _health(view, each, is_explained=bool(faults))
        yield from _sync(view, each, is_explained=bool(faults))


def _faults(view: ClusterView, each: Application) -> Iterator[Finding]:
    for found in each.status.conditions:
        # A failed sync is told with the operation; warnings are not errors.
        if not found.type.endswith("Error") or found.type == "SyncError":
            continue
        if found.last_transition_time is None or view.older_than(found.last_transition_time, GRACE):
            yield FAULTY.finding(
                each,
                f"{found.type}: {sentence(found.message or 'no reason given')}",
                key=found.type,
                since=found.last_transition_time,
                evidence=[(f"status.conditions[{found.type}]", found.message)],
                masked=(each.spec.destination.name, *names_in(found.message)),
            )


def _of_health(each: Application, *statuses: str) -> list[ApplicationResource]:
    return [one for one in each.status.resources if one.health and one.health.status in statuses]


def _refs(each: Application, resources: list[ApplicationResource]) -> list[ObjectRef]:
    """The objects, where they are in the cluster that was read."""
    destination = each.spec.destination
    if destination.server not in _IN_CLUSTER and destination.name not in _IN_CLUSTER:
        return []
    return [ObjectRef(one.kind, one.namespace, one.name) for one in resources]


def _health(view: ClusterView, each: Application, *, is_explained: bool) -> Iterator[Finding]:
    health = each.status.health
    since = health.last_transition_time or changed(each)
    if not view.older_than(since, PROGRESS_GRACE if health.status == "Progressing" else GRACE):
        return
    resources = _of_health(each, health.status)
    names = [f"{one.kind} {one.name}" for one in resources]
    evidence: list[tuple[str, object]] = [("status.health.status", health.status)]
    evidence += [
        (f"status.resources[{one.kind} {one.name}].health", f"{one.health.status}: {one.health.message}")
        for one in resources[:5]
        if one.health
    ]
    words = f": {sentence(health.message)}" if health.message else f": {joined(names, 3)}." if names else "."
    masked = (each.spec.destination.name, *(one.name for one in resources), *names_in(health.message))
    because = _refs(each, resources)
    lasts = for_long(view, health.last_transition_time)
    match health.status:
        case "Degraded":
            code, what = DEGRADED, f"The application is degraded{lasts}"
        case "Missing":
            code, what = RESOURCES_MISSING, f"Objects of the application are missing{lasts}"
        case "Unknown" if not is_explained:
            code, what = HEALTH_UNKNOWN, f"The application's health is unknown{lasts}"
        case "Progressing":
            code, what = STUCK, f"The application has been progressing{lasts}"
        case "Suspended":
            code, what = SUSPENDED, f"The application is suspended{lasts}"
        case _:
            return
    yield code.finding(
        each,
        f"{what}{words}",
        since=health.last_transition_time,
        evidence=evidence,
        because=because,
        masked=masked,
    )


def _sync(view: ClusterView, each: Application, *, is_explained: bool) -> Iterator[Finding]:
    operation, status = each.status.operation_state, each.status.sync.status
    if operation and operation.phase in ("Failed", "Error"):
        yield SYNC_FAILED.finding(
            each,
            f"The last sync {'failed' if operation.phase == 'Failed' else 'ended with an error'}: "
            f"{sentence(operation.message or 'no reason given')}",
            since=operation.finished_at or operation.started_at,
            evidence=[
                ("status.operationState.phase", operation.phase),
                ("status.operationState.message", operation.message),
                ("status.sync.status", status),
            ],
            # What was there before the sync is mostly still there.
            severity=None if each.status.health.status in ("Degraded", "Missing") else "warning",
            masked=(each.spec.destination.name, *names_in(operation.message)),
        )
    elif status == "OutOfSync" and not is_explained:
        policy = each.spec.sync_policy
        automated = bool(policy and policy.automated and policy.automated.enabled is not False)
        ended = operation.finished_at if operation else None
        since = max((time for time in (ended, changed(each)) if time), default=None)
        if not view.older_than(since, GRACE) or (operation and operation.phase == "Running"):
            return
        behind = [one for one in each.status.resources if one.status == "OutOfSync"]
        names = [f"{one.kind} {one.name}" for one in behind]
        last = f"; the last sync ended {ago(view.age(ended))} ago" if ended else ""
        yield OUT_OF_SYNC.finding(
            each,
            f"{joined(names, 3) or 'The application'} {'are' if len(names) > 1 else 'is'} not as in the repository"
            f"{', and automated sync has not changed that' if automated else ', and syncs are made by hand'}{last}.",
            evidence=[("status.sync.status", status), ("status.resources[] OutOfSync", joined(names, 10) or "none")],
            severity=None if automated else "info",
            masked=(each.spec.destination.name, *(one.name for one in behind[:10])),
        )
    elif status == "Unknown" and not is_explained and view.older_than(changed(each), GRACE):
        yield OUT_OF_SYNC.finding(
            each,
            "Argo CD cannot tell whether the application is in sync.",
            evidence=[("status.sync.status", status)],
            masked=(each.spec.destination.name,),
        )
