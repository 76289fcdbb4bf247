"""What the kinds that own pods have in common: pods that are not ready, pods that are refused, pull secrets.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from msgspec import Struct

from k8sgpt_magic.cluster.resources import (
    Condition,
    Event,
    MutatingWebhookConfiguration,
    Namespace,
    ObjectRef,
    Pod,
    PodSpec,
    Resource,
    ResourceQuota,
    Secret,
    ValidatingWebhookConfiguration,
    Webhook,
    WorkloadMeta,
)
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.findings import Code, Evidence, Finding
from k8sgpt_magic.wording import EVIDENCE_LIMIT, ago, count, joined, quantity, quote

Fact = Evidence | Event | tuple[str, object]

STARTUP_GRACE = 300
"""Seconds that new pods may take to be scheduled, pull their images, start and pass their readiness probes."""

FAILING_GRACE = 60
"""Seconds after which pods that visibly fail count: a first crash or a scheduling delay often heals itself."""

REFUSAL_GRACE = 30
"""Seconds in which a controller's next attempt may already get through, as after a conflict of two writers."""

REFUSAL_WINDOW = 1800
"""Seconds that a refusal counts as current: controllers try again at the latest every 1,000 seconds."""

RECONCILE_GRACE = 300
"""Seconds that a controller may take to notice a change; it takes milliseconds, or a failover of a minute."""

CREATION_GRACE = 60
"""Seconds in which what is applied together with a workload may come after it."""

NAMED_PODS = 10
"""How many unready pods a finding names as possible causes."""

QUOTED_PODS = 3
"""How many of them it quotes as evidence."""


# --- time ------------------------------------------------------------------------------------------------


def is_past(view: ClusterView, time: datetime | None, seconds: float) -> bool:
    """Whether a grace period is over. What bears no time at all is judged as it stands."""
    return time is None or view.older_than(time, seconds)


def is_brand_new(view: ClusterView, workload: Resource, seconds: float = CREATION_GRACE) -> bool:
    return not is_past(view, workload.metadata.creation_timestamp, seconds)


def changed_at(metadata: WorkloadMeta) -> datetime | None:
    """When anything but the status of an object was last written, or else when it was created."""
    times = [entry.time for entry in metadata.managed_fields if entry.time and entry.subresource != "status"]
    return max(times, default=metadata.creation_timestamp)


def for_long(view: ClusterView, since: datetime | None) -> str:
    """`` for 12m``, or nothing where the beginning is not known or lies in the future."""
    return f" for {ago(view.age(since))}" if since and view.age(since) > timedelta(0) else ""


# --- pods that are not ready -----------------------------------------------------------------------------

_NORMAL_WAITS = frozenset({"", "ContainerCreating", "PodInitializing"})
_UNKNOWN = datetime.min.replace(tzinfo=UTC)
_NO_FAULTS = frozenset({"not ready", "starting", "terminating", "SchedulingGated"})


def is_ready(pod: Pod) -> bool:
    if pod.metadata.deletion_timestamp:
        return False
    # Asked of every pod by every kind that has pods, so not by way of condition().
    for each in pod.status.conditions:
        if each.type == "Ready":
            return each.status == "True"
    return False


def unready(pods: Iterable[Pod]) -> list[Pod]:
    """The pods that a workload waits for: those that fail first, then those not ready for longest."""
    waited_for = [pod for pod in pods if pod.status.phase not in ("Succeeded", "Failed") and not is_ready(pod)]
    if len(waited_for) > 1:
        waited_for.sort(key=lambda pod: (not is_failing(pod), unready_since(pod) or _UNKNOWN, pod.metadata.name))
    return waited_for


def newest_failed(pods: Iterable[Pod]) -> list[Pod]:
    """The pods that ended in failure and were replaced, newest first: they tell why none of them stays."""
    failed = [pod for pod in pods if pod.status.phase == "Failed"]
    failed.sort(key=lambda pod: (str(pod.metadata.creation_timestamp or ""), pod.name), reverse=True)
    return failed[:QUOTED_PODS]


def is_failing(pod: Pod) -> bool:
    """Whether a pod shows a fault, rather than being on its way or just not passing its readiness probe."""
    return trouble_of(pod) not in _NO_FAULTS


def trouble_of(pod: Pod) -> str:
    """Why a pod is not ready, in a word or two: mostly the reason that ``kubectl get pods`` shows."""
    status = pod.status
    if pod.metadata.deletion_timestamp:
        return "terminating"
    for container in status.init_container_statuses + status.container_statuses:
        state = container.state
        if (waiting := state.waiting) is not None and waiting.reason not in _NORMAL_WAITS:
            return waiting.reason
        if (terminated := state.terminated) is not None and terminated.exit_code:
            return terminated.reason or f"exit code {terminated.exit_code}"
    scheduled = condition(status.conditions, "PodScheduled")
    if scheduled and scheduled.status == "False":
        return scheduled.reason or "not scheduled"
    if status.reason or status.phase in ("Failed", "Unknown"):
        return status.reason or status.phase
    return "not ready" if status.phase == "Running" else "starting"


def unready_since(pod: Pod) -> datetime | None:
    ready = condition(pod.status.conditions, "Ready")
    return (ready.last_transition_time if ready else None) or pod.metadata.creation_timestamp


def oldest(pods: Iterable[Pod]) -> datetime | None:
    """Since when the pod that has been unready for longest has been so."""
    return min((time for pod in pods if (time := unready_since(pod))), default=None)


def with_troubles(pods: Sequence[Pod], limit: int = 3) -> str:
    """``web-1 (CrashLoopBackOff) and web-2 (not ready)``."""
    named = [f"{pod.name} ({quote(trouble_of(pod), 60)})" for pod in pods[:limit]]
    return joined(named + [pod.name for pod in pods[limit:]], limit)


def pod_facts(pods: Sequence[Pod]) -> list[Fact]:
    """What the pods' own conditions say, as evidence; details are in the pods' own findings."""
    facts: list[Fact] = []
    for pod in pods[:QUOTED_PODS]:
        ready = condition(pod.status.conditions, "Ready")
        words = f": {ready.message}" if ready and ready.message else ""
        facts.append((f"Pod {pod.name}", f"{pod.status.phase} {trouble_of(pod)}{words}"))
    return facts


def condition_fact(found: Condition) -> Fact:
    text = " ".join(filter(None, (found.status, f"{found.reason}:" if found.reason else "", found.message)))
    return (f"status.conditions[{found.type}]", text)


def are_ready(ready: int, desired: int) -> str:
    """``none of 3 replicas is ready``, ``1 of 3 replicas is ready``, ``2 of 3 replicas are ready``."""
    if desired == 1:
        return f"its only replica is {'ready' if ready else 'not ready'}"
    return f"{ready or 'none'} of {count(desired, 'replica')} {'are' if ready > 1 else 'is'} ready"


def capitalized(text: str) -> str:
    """Text that starts with a capital and ends with one full stop."""
    return text[:1].upper() + text[1:].rstrip(" .") + "."


# --- controllers that do not act -------------------------------------------------------------------------


def not_reconciled(
    view: ClusterView, code: Code, workload: Resource, metadata: WorkloadMeta, observed: int
) -> Iterator[Finding]:
    """A change of the spec that the controller has long not taken notice of."""
    since = changed_at(metadata)
    if since and view.older_than(since, RECONCILE_GRACE):
        yield code.finding(
            workload,
            f"The controller has not acted on the last change of the {workload.kind}{for_long(view, since)}: "
            f"it is at generation {metadata.generation}, and the controller has seen {observed}.",
            since=since,
            evidence=[("metadata.generation", metadata.generation), ("status.observedGeneration", observed)],
        )


# --- pull secrets ----------------------------------------------------------------------------------------


def missing_pull_secrets(view: ClusterView, code: Code, workload: Resource, template: PodSpec) -> Iterator[Finding]:
    """One finding a missing pull secret of a workload, however many pods it has."""
    for secret in dict.fromkeys(reference.name for reference in template.image_pull_secrets):
        if not secret or not view.missing(Secret, workload.namespace, secret) or is_brand_new(view, workload):
            continue
        yield code.finding(
            workload,
            f"The image pull secret {secret} does not exist, so images of a private registry cannot be pulled.",
            key=secret,
            evidence=[("spec.template.spec.imagePullSecrets", secret)],
            because=[ObjectRef("Secret", workload.namespace, secret)],
        )


# --- pods that are refused -------------------------------------------------------------------------------


class Refusal(Struct, frozen=True):
    """Why the API server does not let a controller create a pod.

    ``rule`` is quota, limit range, pod security, denied, webhook failed, service account or other. ``blames`` ends
    a sentence (empty: no known rule), and ``words`` are the server's own. ``because`` are the objects in whose name
    it refuses.
    """

    rule: str
    blames: str
    words: str
    because: tuple[ObjectRef, ...] = ()
    evidence: tuple[Fact, ...] = ()
    masked: tuple[str, ...] = ()

    def __str__(self) -> str:
        says = f"API server says: {quote(self.words or 'nothing')}"
        return f"{self.blames}. The {says}" if self.blames else f"the {says}"


_QUOTA = re.compile(r"(?:exceeded quota|failed quota): ([a-z0-9.-]+?)(?=[,:\s]|$)")
_LIMIT_RANGE = re.compile(r"\b(?:minimum|maximum) \S+ usage per (?:Container|Pod)\b|\blimit to request ratio per\b")
_POD_SECURITY = re.compile(r"violates PodSecurity \"?([^\":]*)")
_WEBHOOK_DENIED = re.compile(r"admission webhook \"([^\"]+)\" denied")
_WEBHOOK_FAILED = re.compile(r"failed calling (?:admission )?webhook \"([^\"]+)\"")
_POLICY_DENIED = re.compile(r"ValidatingAdmissionPolicy '([^']+)'")
_SERVICE_ACCOUNT = re.compile(r"service ?account ([a-z0-9-]+)/([a-z0-9.-]+): .*not found", re.IGNORECASE)
_REQUESTED = re.compile(r"requested: (.+?)(?:, used: |$)")
_HOST = re.compile(r"https?://([^/:\"\s]+)")
_NAMED = re.compile(r"\b(?:pods?|containers?|volumes?|namespaces?|serviceaccounts?|webhook)((?:,? \"[^\"]+\")+)")
_IN_QUOTES = re.compile(r"\"([^\"]+)\"")
_ENFORCED_LEVEL = "pod-security.kubernetes.io/enforce"
_READ_CHARACTERS = 8 * EVIDENCE_LIMIT


class Admission:
    """Tells from the API server's words which admission rule refuses the pods of a workload."""

    reads: tuple[type[Resource], ...] = (
        Event,
        ResourceQuota,
        Namespace,
        MutatingWebhookConfiguration,
        ValidatingWebhookConfiguration,
    )

    def __init__(self, view: ClusterView) -> None:
        self._view = view

    def refusal(self, namespace: str, message: str) -> Refusal:
        # Long enough for any real message; a longer one is not worth the time of these expressions.
        words = message[:_READ_CHARACTERS].removeprefix("Error creating: ")
        if found := _QUOTA.search(words):
            return self._by_quota(namespace, found[1], words)
        if _LIMIT_RANGE.search(words):
            return Refusal("limit range", "a LimitRange forbids what they request", words, masked=names_in(words))
        if found := _POD_SECURITY.search(words):
            return self._by_pod_security(namespace, found[1], words)
        if found := _WEBHOOK_DENIED.search(words):
            return self._by_webhook("denied", f"admission webhook {found[1]} denies them", found[1], words)
        if found := _WEBHOOK_FAILED.search(words):
            blames = f"admission webhook {found[1]} cannot be called"
            return self._by_webhook("webhook failed", blames, found[1], words)
        if found := _POLICY_DENIED.search(words):
            blames = f"ValidatingAdmissionPolicy {found[1]} denies them"
            return Refusal("denied", blames, words, masked=names_in(words))
        if found := _SERVICE_ACCOUNT.search(words):
            account = ObjectRef("ServiceAccount", found[1], found[2])
            blames = f"their ServiceAccount {account.name} does not exist"
            return Refusal("service account", blames, words, (account,), masked=names_in(words))
        return Refusal("other", "", words, masked=names_in(words))

    def _by_quota(self, namespace: str, name: str, words: str) -> Refusal:
        if "failed quota" in words:
            blames = f"ResourceQuota {name} demands requests or limits that they do not state"
        else:
            blames = f"ResourceQuota {name} leaves no room for them"
        evidence: list[Fact] = []
        if quota := self._view.get(ResourceQuota, namespace, name):
            full = _exhausted(quota, words)
            if full:
                blames += f" ({joined(full, 3)})"
            evidence = [(f"ResourceQuota {name} status.used of status.hard", text) for text in full]
        ref = ObjectRef("ResourceQuota", namespace, name)
        return Refusal("quota", blames, words, (ref,), tuple(evidence), names_in(words))

    def _by_pod_security(self, namespace: str, level: str, words: str) -> Refusal:
        evidence: list[Fact] = []
        found = self._view.get(Namespace, "", namespace)
        if found and (enforced := found.metadata.labels.get(_ENFORCED_LEVEL)):
            evidence.append((f"Namespace {namespace} metadata.labels[{_ENFORCED_LEVEL}]", enforced))
        blames = f"they do not meet the Pod Security Standard {level or 'of the namespace'}"
        return Refusal("pod security", blames, words, (), tuple(evidence), names_in(words))

    def _by_webhook(self, rule: str, blames: str, name: str, words: str) -> Refusal:
        found = self._webhooks.get(name, ())
        because = tuple(configuration for configuration, _ in found)
        masked = list(names_in(words))
        evidence: list[Fact] = []
        for configuration, webhook in found:
            evidence.append((f"{configuration} webhooks[{name}].failurePolicy", webhook.failure_policy))
            if service := webhook.client_config.service:
                evidence.append(
                    (f"{configuration} webhooks[{name}].clientConfig.service", f"{service.namespace}/{service.name}")
                )
                masked += [service.namespace, service.name]
        return Refusal(rule, blames, words, because, tuple(evidence), tuple(masked))

    @cached_property
    def _webhooks(self) -> Mapping[str, list[tuple[ObjectRef, Webhook]]]:
        found: dict[str, list[tuple[ObjectRef, Webhook]]] = {}
        configurations: tuple[ValidatingWebhookConfiguration | MutatingWebhookConfiguration, ...] = (
            *self._view.all(ValidatingWebhookConfiguration),
            *self._view.all(MutatingWebhookConfiguration),
        )
        for configuration in configurations:
            for webhook in configuration.webhooks:
                found.setdefault(webhook.name, []).append((configuration.ref, webhook))
        return found


def refusal_events(view: ClusterView, workload: Resource, reason: str = "FailedCreate") -> list[Event]:
    """The recent events of a controller that could not create (or delete) a pod, newest first."""
    return [
        event
        for event in view.events(workload, reason)
        if event.message and view.age(event.last_seen).total_seconds() <= REFUSAL_WINDOW
    ]


def first_seen(events: Iterable[Event]) -> datetime | None:
    return min((time for event in events if (time := event.first_seen)), default=None)


def _exhausted(quota: ResourceQuota, words: str) -> list[str]:
    """``limits.cpu 4 of 4 used`` of each resource that was asked for, or else of each that is used up."""
    hard, used = quota.status.hard or quota.spec.hard, quota.status.used
    asked = _REQUESTED.search(words)
    names = [part.partition("=")[0].strip() for part in asked[1].split(",")] if asked else []
    named = [name for name in names if name in hard] or [
        name for name in hard if _is_used_up(used.get(name, 0), hard[name])
    ]
    return [f"{name}: {used.get(name, 0)} of {hard[name]} used" for name in named]


def _is_used_up(used: str | int | float, hard: str | int | float) -> bool:
    taken, limit = quantity(used), quantity(hard)
    return taken is not None and limit is not None and taken >= limit


def names_in(words: str) -> tuple[str, ...]:
    """The names of the user's in a message of the API server, such as those in ``pods "web-x2k4q" is forbidden``."""
    words = words[:_READ_CHARACTERS]
    names = [name for found in _NAMED.findall(words) for name in _IN_QUOTES.findall(found)]
    for expression in (_QUOTA, _POLICY_DENIED, _HOST):
        names += expression.findall(words)
    return tuple(dict.fromkeys(names))
