"""Service: does traffic to it reach a pod that is ready?

Source: https://kubernetes.io/docs/concepts/services-networking/service/
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
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
from k8sgpt_magic.diagnosis.workloads import is_brand_new, is_failing, is_ready, unready_since, with_troubles
from k8sgpt_magic.findings import Code, Finding, Severity
from k8sgpt_magic.wording import ago, count, joined, sentence

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

# Labels that name an application, so that one of them may be mistaken for another.
_NAMING_KEYS = {"app", "name", "k8s-app", "app.kubernetes.io/name", "app.kubernetes.io/instance", "component"}

Workload = Deployment | StatefulSet | DaemonSet


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
            if pods := _pods(view, service):
                yield from _with_pods(view, service, pods)
            else:
                yield from _without_pods(view, service)
        else:
            yield from _by_slices_alone(view, service)


def sends_nowhere(view: ClusterView, service: Service) -> bool:
    """Whether a Service has been without a ready endpoint for longer than a rollout or a restart takes."""
    if service.spec.type == "ExternalName" or service.spec.publish_not_ready_addresses:
        return False
    knows_pods = bool(service.spec.selector) and view.readable(Pod, service.namespace)
    if not knows_pods and not view.readable(EndpointSlice, service.namespace):
        return False
    pods = _pods(view, service) if knows_pods else []
    if _has_ready_endpoint(view, service, pods):
        return False
    return view.older_than(_since(pods) or service.metadata.creation_timestamp, _grace(view, pods))


def down_since(view: ClusterView, service: Service) -> datetime | None:
    """Since when no pod behind a Service has been ready, where its pods tell."""
    if not service.spec.selector or not view.readable(Pod, service.namespace):
        return None
    return _since(_pods(view, service))


def _grace(view: ClusterView, pods: Sequence[Pod]) -> int:
    """How long no pod may be ready: a first rollout has images to pull, and what ran before has none."""
    is_first = pods and all(
        is_brand_new(view, pod, UNREADY_GRACE) and not is_failing(pod) and not pod.metadata.deletion_timestamp
        for pod in pods
    )
    return UNREADY_GRACE if is_first else GRACE


def is_scaled_to_zero(view: ClusterView, service: Service) -> bool:
    """Whether a Service has no pods because all workloads behind it are to have none."""
    if not service.spec.selector or not view.readable(Pod, service.namespace) or _pods(view, service):
        return False
    behind = _workloads_behind(view, service)
    return bool(behind) and all(map(_is_idle, behind))


def _pods(view: ClusterView, service: Service) -> list[Pod]:
    """The pods that are, or may come to be, endpoints of a Service; those that have ended never will."""
    chosen = view.pods_matching(service.namespace, service.spec.selector)
    return [pod for pod in chosen if not _has_ended(pod)]


def _has_ended(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


def _with_pods(view: ClusterView, service: Service, pods: list[Pod]) -> Iterator[Finding]:
    if not service.spec.publish_not_ready_addresses:
        unready = [pod for pod in pods if not is_ready(pod)]
        if not _has_ready_endpoint(view, service, pods):
            if len(unready) < len(pods):
                yield from _not_in_slices(view, service, [pod for pod in pods if is_ready(pod)])
            elif view.older_than(_since(unready), _grace(view, unready)):
                yield _none_ready(view, service, unready)
        elif unready:
            yield from _some_not_ready(view, service, unready, len(pods))
    yield from _target_port_missing(service, pods)


def _none_ready(view: ClusterView, service: Service, pods: list[Pod]) -> Finding:
    pods = _failing_first(pods)
    which = "the one pod behind it is not" if len(pods) == 1 else f"none of {count(len(pods), 'pod')} behind it is"
    evidence: list[tuple[str, object]] = [("spec.selector", _selector(service))]
    if view.readable(EndpointSlice, service.namespace):
        evidence.append(("EndpointSlice endpoints[].conditions.ready", f"0 of {len(pods)}"))
    else:
        evidence.append(("Pod status.conditions[Ready]", f"0 of {len(pods)}"))
    return NO_READY_ENDPOINTS.finding(
        service,
        f"The Service has no ready endpoint: {which} ready: {with_troubles(pods)}.",
        since=_since(pods),
        evidence=evidence,
        because=pods[:20],
        masked=service.spec.selector.values(),
    )


def _not_in_slices(view: ClusterView, service: Service, ready: list[Pod]) -> Iterator[Finding]:
    """Pods that are ready and yet no endpoints: the control plane keeps the slices, not the pods."""
    since = min((time for pod in ready if (time := _ready_since(pod))), default=None)
    if view.older_than(since, GRACE):
        names = joined((pod.name for pod in ready), 3)
        are = "is" if len(ready) == 1 else "are"
        yield NO_READY_ENDPOINTS.finding(
            service,
            f"No EndpointSlice of the Service has a ready endpoint, although {count(len(ready), 'pod')} that it "
            f"selects {are} ready ({names}). Does the kube-controller-manager run?",
            since=since,
            evidence=[
                ("spec.selector", _selector(service)),
                ("endpoint slices", len(view.endpoint_slices(service.namespace, service.name))),
                ("Pod status.conditions[Ready]", f"{len(ready)} True"),
            ],
            masked=(*service.spec.selector.values(), *(pod.name for pod in ready[:3])),
        )


def _some_not_ready(view: ClusterView, service: Service, unready: list[Pod], of: int) -> Iterator[Finding]:
    late = [
        pod
        for pod in unready
        if not pod.metadata.deletion_timestamp and view.older_than(unready_since(pod), UNREADY_GRACE)
    ]
    if late:
        late = _failing_first(late)
        yield SOME_NOT_READY.finding(
            service,
            f"{len(late)} of {count(of, 'pod')} behind the Service {'is' if len(late) == 1 else 'are'} not ready: "
            f"{with_troubles(late)}.",
            since=_since(late),
            evidence=[("spec.selector", _selector(service))],
            because=late[:20],
            masked=service.spec.selector.values(),
        )


def _failing_first(pods: list[Pod]) -> list[Pod]:
    return sorted(pods, key=lambda pod: not is_failing(pod)) if len(pods) > 1 else pods


def _by_slices_alone(view: ClusterView, service: Service) -> Iterator[Finding]:
    """Where pods may not be read, slices still tell that none is ready, but neither which nor for how long."""
    if service.spec.publish_not_ready_addresses or not view.readable(EndpointSlice, service.namespace):
        return
    slices = view.endpoint_slices(service.namespace, service.name)
    known = sum(len(each.endpoints or ()) for each in slices)
    if (
        known
        and not _has_ready_endpoint(view, service, ())
        and view.older_than(service.metadata.creation_timestamp, GRACE)
    ):
        yield NO_READY_ENDPOINTS.finding(
            service,
            f"The Service has no ready endpoint: none of {count(known, 'endpoint')} in its EndpointSlices is ready.",
            # It may be a restart that is over in a minute.
            severity="warning",
            evidence=[("EndpointSlice endpoints[].conditions.ready", f"0 of {known}")],
        )


def _without_pods(view: ClusterView, service: Service) -> Iterator[Finding]:
    created = service.metadata.creation_timestamp
    # Endpoints that somebody manages by hand, or leader election, make up for pods.
    if not view.older_than(created, GRACE) or _has_ready_endpoint(view, service, ()):
        return
    behind = _workloads_behind(view, service)
    evidence: list[tuple[str, object]] = [("spec.selector", _selector(service)), ("matching pods", 0)]
    masked = tuple(service.spec.selector.values())
    if behind and all(map(_is_idle, behind)):
        yield SCALED_TO_ZERO.finding(
            service,
            f"Scaled to zero: {joined(f'{each.kind} {each.name}' for each in behind)}.",
            evidence=evidence,
            masked=(*masked, *(each.name for each in behind)),
        )
    elif ended := view.pods_matching(service.namespace, service.spec.selector):
        evidence[1] = ("matching pods that have not ended", 0)
        yield NO_PODS.finding(
            service,
            f"The pods that match the selector {_selector(service)} have all ended: "
            f"{joined((pod.name for pod in ended), 3)}.",
            severity=_severity_without_pods(view, service),
            evidence=evidence,
            because=[*(each for each in behind if not _is_idle(each)), *ended[:20]],
            masked=masked,
        )
    else:
        hint, other = _near_miss(view, service)
        yield NO_PODS.finding(
            service,
            f"No pod matches the selector {_selector(service)}.{hint}",
            severity=_severity_without_pods(view, service),
            evidence=evidence,
            because=[each for each in behind if not _is_idle(each)],
            masked=(*masked, other),
        )


def _severity_without_pods(view: ClusterView, service: Service) -> Severity | None:
    # What may not be read may be scaled to zero on purpose.
    known = all(view.readable(kind, service.namespace) for kind in (Deployment, StatefulSet))
    return None if known else "warning"


def _is_idle(workload: Workload) -> bool:
    return not isinstance(workload, DaemonSet) and workload.spec.replicas == 0


def _workloads_behind(view: ClusterView, service: Service) -> list[Workload]:
    """The workloads whose pods the Service would select, if they had any."""
    by_label = view.kept("workloads by the labels of their pods", _workloads_by_label)
    labels = service.spec.selector.items()
    # The rarest of the labels leaves the fewest workloads to test.
    candidates = min((by_label.get((service.namespace, *label), []) for label in labels), key=len, default=[])
    selector = selectors.from_labels(service.spec.selector)
    return [each for each in candidates if selectors.matches(selector, each.spec.template.metadata.labels)]


def _workloads_by_label(view: ClusterView) -> dict[tuple[str, str, str], list[Workload]]:
    found: defaultdict[tuple[str, str, str], list[Workload]] = defaultdict(list)
    workloads: list[Workload] = [*view.all(Deployment), *view.all(StatefulSet), *view.all(DaemonSet)]
    for each in workloads:
        for key, value in each.spec.template.metadata.labels.items():
            found[each.namespace, key, value].append(each)
    return dict(found)


def _near_miss(view: ClusterView, service: Service) -> tuple[str, str]:
    """A hint at pods that differ in one label of the selector, most likely those meant, and that label's value."""
    wanted = service.spec.selector
    lacking = ""
    for key, value in wanted.items() if len(wanted) > 1 else ():
        rest = {other: text for other, text in wanted.items() if other != key}
        near = [pod for pod in view.pods_matching(service.namespace, rest) if not _has_ended(pod)]
        values = Counter(pod.metadata.labels[key] for pod in near if key in pod.metadata.labels)
        if values:
            other, alike = values.most_common(1)[0]
            return f" {count(alike, 'pod')} would match with {key}={other} in place of {key}={value}.", other
        if near and not lacking:
            lacking = f" {count(len(near), 'pod')} would match without {key}={value}, a label they do not have."
    if lacking:
        return lacking, ""
    if len(wanted) == 1:
        # The same name under another key: charts move from app to app.kubernetes.io/name.
        [(key, value)] = wanted.items()
        keys = view.kept("label keys of pods by value", _label_keys_by_value).get((service.namespace, value))
        if keys:
            other, alike = keys.most_common(1)[0]
            return f" {count(alike, 'pod')} would match with {other}={value} in place of {key}={value}.", ""
    return "", ""


def _label_keys_by_value(view: ClusterView) -> dict[tuple[str, str], Counter[str]]:
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for pod in view.all(Pod):
        if not _has_ended(pod):
            for key, value in pod.metadata.labels.items():
                # Short values such as "true" and "v1" say nothing about what was meant.
                if len(value) > 2 and key in _NAMING_KEYS:
                    found[pod.namespace, value][key] += 1
    return dict(found)


def _without_selector(view: ClusterView, service: Service) -> Iterator[Finding]:
    if not view.readable(EndpointSlice, service.namespace):
        return
    # The API server's own Service has endpoints that it keeps itself.
    if (service.namespace, service.name) == ("default", "kubernetes"):
        return
    # Without ports nothing is sent anywhere: Patroni, say, keeps such a Service only to hold its Endpoints.
    if not service.spec.ports:
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
    named = [
        port for port in service.spec.ports if isinstance(port.target_port, str) and not port.target_port.isdigit()
    ]
    if not named:
        return
    # Pods of one template share their containers; native sidecars (init containers that stay) have ports too.
    templates = {id(each): each for pod in pods for each in (pod.spec.containers, pod.spec.init_containers)}
    names = {
        (port.name, port.protocol)
        for containers in templates.values()
        for container in containers
        for port in container.ports
    }
    missing = [port for port in named if port.target_port and (port.target_port, port.protocol) not in names]
    known = sorted({name for name, _ in names if name})
    for port in missing:
        # With no port left that leads anywhere, the Service is down.
        yield _missing_port(service, port, known, "critical" if len(missing) == len(service.spec.ports) else None)


def _missing_port(service: Service, port: ServicePort, known: list[str], severity: Severity | None) -> Finding:
    declared = f"they declare {joined(known)}" if known else "they declare none by name"
    return TARGET_PORT_MISSING.finding(
        service,
        f"No container of its pods has a {port.protocol} port named {port.target_port!r}; {declared}.",
        severity=severity,
        # Only together are number and protocol unique: DNS has port 53 twice.
        key=str(port.port) if port.protocol == "TCP" else f"{port.port}/{port.protocol}",
        evidence=[(f"spec.ports[{port.name or port.port}].targetPort", port.target_port)],
        masked=(str(port.target_port), *known),
    )


def _load_balancer_pending(view: ClusterView, service: Service) -> Iterator[Finding]:
    created = service.metadata.creation_timestamp
    if service.status.load_balancer.ingress or not view.older_than(created, LOAD_BALANCER_GRACE):
        return
    # Each load balancer controller has reasons of its own; only those about endpoints are no answer.
    events = [event for event in view.events(service) if "Endpoint" not in event.reason]
    why = (
        f": {sentence(events[0].message)}" if events else "; no controller says why, so perhaps none is there for it."
    )
    yield LOAD_BALANCER_PENDING.finding(
        service,
        f"The Service has been waiting {ago(view.age(created))} for a load balancer{why}",
        since=created,
        evidence=[("status.loadBalancer.ingress", "none"), *events],
    )


def _has_ready_endpoint(view: ClusterView, service: Service, pods: Sequence[Pod]) -> bool:
    """Whether anything is ready behind a Service: by its EndpointSlices or, where they may not be read, its pods."""
    if not view.readable(EndpointSlice, service.namespace):
        return any(is_ready(pod) for pod in pods)
    return any(
        # Unknown readiness is to be taken for ready, says the API. What still serves while it terminates gets
        # the traffic where nothing else is ready.
        endpoint.conditions.ready is not False or endpoint.conditions.serving
        for each in view.endpoint_slices(service.namespace, service.name)
        for endpoint in each.endpoints or ()
    )


def _ready_since(pod: Pod) -> datetime | None:
    ready = condition(pod.status.conditions, "Ready")
    return ready.last_transition_time if ready else None


def _since(pods: Sequence[Pod]) -> datetime | None:
    """Since when none of them has been ready: the last to go decides."""
    times = (pod.metadata.deletion_timestamp or unready_since(pod) for pod in pods if not is_ready(pod))
    return max((time for time in times if time), default=None)


def _selector(service: Service) -> str:
    return selectors.text_of(selectors.from_labels(service.spec.selector))
