"""Service: does traffic to it reach a pod that is ready?

Source: https://kubernetes.io/docs/concepts/services-networking/service/
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.resources import (
    DaemonSet,
    Deployment,
    EndpointSlice,
    Event,
    Pod,
    Service,
    ServicePort,
    StatefulSet,
)
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, count, joined

_DOCS = "https://kubernetes.io/docs/concepts/services-networking/service/"
_DEBUG = "https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/"

NO_PODS = Code(
    "ServiceSelectsNoPods", "critical", "The Service's selector matches no pod, so it sends traffic nowhere.", _DEBUG
)
SCALED_TO_ZERO = Code(
    "ServiceScaledToZero",
    "info",
    "Everything behind the Service is scaled to zero, so it sends traffic nowhere.",
    _DEBUG,
)
NO_READY_ENDPOINTS = Code(
    "ServiceNoReadyEndpoints",
    "critical",
    "None of the pods behind the Service is ready, so it sends traffic nowhere.",
    _DEBUG,
)
SOME_NOT_READY = Code(
    "ServiceEndpointsNotReady",
    "info",
    "Some of the pods behind the Service are not ready; the others carry the load.",
    _DEBUG,
)
NO_ENDPOINTS = Code(
    "ServiceNoEndpoints",
    "warning",
    "The Service has no selector, and nobody has given it endpoints, so it sends traffic nowhere.",
    f"{_DOCS}#services-without-selectors",
)
TARGET_PORT_MISSING = Code(
    "ServiceTargetPortMissing",
    "warning",
    "The Service sends to a port by a name that no container of its pods has.",
    f"{_DOCS}#field-spec-ports",
)
LOAD_BALANCER_PENDING = Code(
    "ServiceLoadBalancerPending",
    "warning",
    "The Service should have an address at a load balancer and has got none.",
    f"{_DOCS}#loadbalancer",
)

# Endpoints follow pods within seconds; a rollout makes pods unready for some minutes.
GRACE = 120
UNREADY_GRACE = 300
# Clouds take minutes to set up a load balancer.
LOAD_BALANCER_GRACE = 600


@analyzer(
    Service,
    reads=[EndpointSlice, Pod, Deployment, StatefulSet, DaemonSet, Event],
    codes=[
        NO_PODS, SCALED_TO_ZERO, NO_READY_ENDPOINTS, SOME_NOT_READY, NO_ENDPOINTS, TARGET_PORT_MISSING,
        LOAD_BALANCER_PENDING,
    ],
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Services that send traffic nowhere, or not to where it should go."""
    for service in view.all(Service):
        # An ExternalName is an alias in DNS and has no endpoints.
        if service.spec.type == "ExternalName" or service.metadata.deletion_timestamp:
            continue
        if service.spec.type == "LoadBalancer":
            yield from _load_balancer_pending(view, service)
        if not service.spec.selector:
            yield from _without_selector(view, service)
        elif view.readable(Pod, service.namespace):
            pods = [
                pod
                for pod in view.pods_matching(service.namespace, service.spec.selector)
                if pod.status.phase not in ("Succeeded", "Failed")
            ]
            if pods:
                yield from _with_pods(view, service, pods)
            else:
                yield from _without_pods(view, service)


def _with_pods(view: ClusterView, service: Service, pods: list[Pod]) -> Iterator[Finding]:
    ready = _has_ready_endpoint(view, service, pods)
    if not ready and not service.spec.publish_not_ready_addresses:
        unready = [pod for pod in pods if not _is_ready(pod)]
        since = _since(pods)
        if view.older_than(since or pods[0].metadata.creation_timestamp, GRACE):
            which = "the one pod" if len(pods) == 1 else f"none of {count(len(pods), 'pod')}"
            verb = "is not ready" if len(pods) == 1 else "is ready"
            names = joined((pod.name for pod in unready or pods), 3)
            yield NO_READY_ENDPOINTS.finding(
                service,
                f"The Service has no ready endpoint: {which} behind it {verb} ({names}).",
                since=since,
                evidence=[
                    ("spec.selector", _selector(service)),
                    ("EndpointSlice endpoints[].conditions.ready", f"0 of {len(pods)}"),
                ],
                because=unready[:20] or pods[:20],
                masked=tuple(service.spec.selector.values()),
            )
            return
    late = [pod for pod in pods if not _is_ready(pod) and view.older_than(_since([pod]), UNREADY_GRACE)]
    if late and ready and not service.spec.publish_not_ready_addresses:
        verb = "is" if len(late) == 1 else "are"
        names = joined((pod.name for pod in late), 3)
        yield SOME_NOT_READY.finding(
            service,
            f"{len(late)} of {count(len(pods), 'pod')} behind the Service {verb} not ready: {names}.",
            since=_since(late),
            evidence=[("spec.selector", _selector(service))],
            because=late[:20],
            masked=tuple(service.spec.selector.values()),
        )
    yield from _target_port_missing(service, pods)


def _without_pods(view: ClusterView, service: Service) -> Iterator[Finding]:
    created = service.metadata.creation_timestamp
    # Endpoints that somebody manages by hand, or leader election, make up for pods.
    if not view.older_than(created, GRACE) or _has_ready_endpoint(view, service, ()):
        return
    behind = _workloads_behind(view, service)
    idle = [each for each in behind if not isinstance(each, DaemonSet) and each.spec.replicas == 0]
    evidence: list[tuple[str, object]] = [("spec.selector", _selector(service)), ("matching pods", 0)]
    masked = tuple(service.spec.selector.values())
    if idle:
        yield SCALED_TO_ZERO.finding(
            service,
            f"Scaled to zero: {joined(f'{each.kind} {each.name}' for each in idle)}.",
            evidence=evidence,
            masked=(*masked, *(each.name for each in idle)),
        )
        return
    yield NO_PODS.finding(
        service,
        f"No pod matches the selector {_selector(service)}.{_near_miss(view, service)}",
        since=None,
        evidence=evidence,
        because=behind,
        masked=masked,
    )


def _workloads_behind(view: ClusterView, service: Service) -> list[Deployment | StatefulSet | DaemonSet]:
    """The workloads whose pods the Service would select, if they had any."""
    selector = selectors.from_labels(service.spec.selector)
    workloads: list[Deployment | StatefulSet | DaemonSet] = [
        *view.all(Deployment), *view.all(StatefulSet), *view.all(DaemonSet),
    ]  # fmt: skip
    return [
        each
        for each in workloads
        if each.namespace == service.namespace and selectors.matches(selector, each.spec.template.metadata.labels)
    ]


def _near_miss(view: ClusterView, service: Service) -> str:
    """Pods that all but one label of the selector match: most likely the ones that were meant."""
    wanted = service.spec.selector
    for key, value in wanted.items():
        rest = {other: text for other, text in wanted.items() if other != key}
        near = (
            [pod for pod in view.pods_matching(service.namespace, rest) if key in pod.metadata.labels] if rest else []
        )
        if near:
            other = near[0].metadata.labels[key]
            return f" {count(len(near), 'pod')} would match with {key}={other} in place of {key}={value}."
    return ""


def _without_selector(view: ClusterView, service: Service) -> Iterator[Finding]:
    if not view.readable(EndpointSlice, service.namespace):
        return
    # The API server's own Service has endpoints that it keeps itself.
    if (service.namespace, service.name) == ("default", "kubernetes"):
        return
    if _has_ready_endpoint(view, service, ()) or not view.older_than(service.metadata.creation_timestamp, GRACE):
        return
    yield NO_ENDPOINTS.finding(
        service,
        "The Service has no selector and no ready endpoint in any EndpointSlice.",
        evidence=[
            ("spec.selector", "none"),
            ("endpoint slices", len(view.endpoint_slices(service.namespace, service.name))),
        ],
    )


def _target_port_missing(service: Service, pods: list[Pod]) -> Iterator[Finding]:
    """Only a name can be missing: a container may listen on a port that it does not declare."""
    names = {(port.name, port.protocol) for pod in pods for each in pod.spec.containers for port in each.ports}
    # Native sidecars (init containers that stay) have ports of their own.
    names |= {(port.name, port.protocol) for pod in pods for each in pod.spec.init_containers for port in each.ports}
    for port in service.spec.ports:
        if (
            isinstance(port.target_port, str)
            and not port.target_port.isdigit()
            and (port.target_port, port.protocol) not in names
        ):
            yield _missing_port(service, port, sorted({name for name, _ in names if name}))


def _missing_port(service: Service, port: ServicePort, known: list[str]) -> Finding:
    declared = f"they declare {joined(known)}" if known else "they declare none by name"
    return TARGET_PORT_MISSING.finding(
        service,
        f"No container of its pods has a {port.protocol} port named {port.target_port!r}; {declared}.",
        key=str(port.port),
        evidence=[(f"spec.ports[{port.name or port.port}].targetPort", port.target_port)],
        masked=(str(port.target_port), *known),
    )


def _load_balancer_pending(view: ClusterView, service: Service) -> Iterator[Finding]:
    created = service.metadata.creation_timestamp
    if service.status.load_balancer.ingress or not view.older_than(created, LOAD_BALANCER_GRACE):
        return
    events = view.events(service, "SyncLoadBalancerFailed", "CreatingLoadBalancerFailed", "UpdateLoadBalancerFailed")
    why = f": {events[0].message[:200]}" if events else "; no controller says why, so perhaps none is there for it"
    yield LOAD_BALANCER_PENDING.finding(
        service,
        f"The Service has been waiting {ago(view.age(created))} for a load balancer{why.rstrip('.')}.",
        since=created,
        evidence=[("status.loadBalancer.ingress", "none"), *events[:3]],
    )


def _has_ready_endpoint(view: ClusterView, service: Service, pods: list[Pod] | tuple[()]) -> bool:
    """Whether anything is ready behind a Service: by its EndpointSlices or, where they may not be read, its pods."""
    if not view.readable(EndpointSlice, service.namespace):
        return any(_is_ready(pod) for pod in pods)
    return any(
        # Unknown readiness is to be taken for ready, says the API.
        endpoint.conditions.ready is not False
        for each in view.endpoint_slices(service.namespace, service.name)
        for endpoint in each.endpoints or ()
    )


def _is_ready(pod: Pod) -> bool:
    ready = condition(pod.status.conditions, "Ready")
    return ready is not None and ready.status == "True"


def _since(pods: list[Pod]) -> datetime | None:
    """Since when none of them has been ready: the last to go decides."""
    times = [
        ready.last_transition_time
        for pod in pods
        if (ready := condition(pod.status.conditions, "Ready")) is not None and ready.status != "True"
    ]
    return max((time for time in times if time), default=None)


def _selector(service: Service) -> str:
    return selectors.text_of(selectors.from_labels(service.spec.selector))
