"""HTTPRoute: does a listener take it, and do its rules lead to something that answers?

Source: https://gateway-api.sigs.k8s.io/api-types/httproute/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.analyzers.service import down_since, is_scaled_to_zero, sends_nowhere
from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.gateway import (
    GROUP,
    BackendReference,
    Gateway,
    HTTPRoute,
    Listener,
    ParentReference,
    ReferenceGrant,
    RouteParentStatus,
)
from k8sgpt_magic.cluster.resources import (
    DaemonSet,
    Deployment,
    EndpointSlice,
    Namespace,
    ObjectRef,
    Pod,
    Service,
    StatefulSet,
)
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, lasting, reported, unreconciled
from k8sgpt_magic.diagnosis.grants import is_refused
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined

_DOCS = "https://gateway-api.sigs.k8s.io/api-types/httproute/"
_ATTACHING = "https://gateway-api.sigs.k8s.io/concepts/api-overview/#attaching-routes-to-gateways"

GATEWAY_MISSING = Code(
    "HTTPRouteGatewayMissing",
    "critical",
    "The route names a Gateway that does not exist, so it gets no traffic from it.",
    _ATTACHING,
)
LISTENER_MISSING = Code(
    "HTTPRouteListenerMissing",
    "critical",
    "The route names a listener or a port that its Gateway does not have.",
    _ATTACHING,
)
NOT_ALLOWED = Code(
    "HTTPRouteNotAllowed",
    "critical",
    "No listener of the Gateway takes HTTPRoutes of this namespace.",
    "https://gateway-api.sigs.k8s.io/guides/multiple-ns/",
)
HOSTNAME_MISMATCH = Code(
    "HTTPRouteHostnameMismatch",
    "critical",
    "None of the route's hostnames is one that the Gateway's listeners serve.",
    f"{_DOCS}#hostnames",
)
NOT_ACCEPTED = Code(
    "HTTPRouteNotAccepted", "critical", "The Gateway's controller refuses the route.", f"{_DOCS}#routestatus"
)
UNRESOLVED = Code(
    "HTTPRouteReferencesUnresolved",
    "critical",
    "The Gateway's controller cannot resolve what the route refers to.",
    f"{_DOCS}#routestatus",
)
NOT_RECONCILED = Code(
    "HTTPRouteNotReconciled",
    "warning",
    "No controller has judged the route, or its last change, for one of its Gateways.",
    f"{_DOCS}#routestatus",
)
SERVICE_MISSING = Code(
    "HTTPRouteServiceMissing",
    "critical",
    "A rule leads to a Service that does not exist, so it answers with an error.",
    f"{_DOCS}#backendrefs-optional",
)
SERVICE_PORT_MISSING = Code(
    "HTTPRouteServicePortMissing",
    "critical",
    "A rule leads to a port that its Service does not have.",
    f"{_DOCS}#backendrefs-optional",
)
REFERENCE_NOT_GRANTED = Code(
    "HTTPRouteReferenceNotGranted",
    "critical",
    "A rule leads to a Service of another namespace, and no ReferenceGrant there allows it.",
    "https://gateway-api.sigs.k8s.io/api-types/referencegrant/",
)
NO_READY_ENDPOINTS = Code(
    "HTTPRouteNoReadyEndpoints",
    "critical",
    "A rule leads to a Service without a ready endpoint, so it answers with an error.",
    f"{_DOCS}#backendrefs-optional",
)

# The protocols whose listeners take HTTPRoutes where they do not say which kinds.
_HTTP = {"HTTP", "HTTPS"}


@analyzer(
    HTTPRoute,
    reads=[Gateway, ReferenceGrant, Namespace, Service, EndpointSlice, Pod, Deployment, StatefulSet, DaemonSet],
    codes=[
        GATEWAY_MISSING, LISTENER_MISSING, NOT_ALLOWED, HOSTNAME_MISMATCH, NOT_ACCEPTED, UNRESOLVED, NOT_RECONCILED,
        SERVICE_MISSING, SERVICE_PORT_MISSING, REFERENCE_NOT_GRANTED, NO_READY_ENDPOINTS,
    ],
    default=False,
    group="GatewayAPI",
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """HTTPRoutes that no Gateway serves, and rules that lead nowhere."""
    for route in view.all(HTTPRoute):
        if route.metadata.deletion_timestamp or not view.older_than(changed(route), GRACE):
            continue
        backends = [*_backends(view, route)]
        yield from backends
        for parent in route.spec.parent_refs:
            # For a service mesh a route may hang on a Service.
            if (parent.group, parent.kind) == (GROUP, "Gateway"):
                yield from _parent(view, route, parent, explained=bool(backends))


# --- Gateways --------------------------------------------------------------------------------------------


def _parent(view: ClusterView, route: HTTPRoute, parent: ParentReference, *, explained: bool) -> Iterator[Finding]:
    namespace = parent.namespace or route.namespace
    ref = ObjectRef("Gateway", namespace, parent.name)
    key = f"{namespace}/{parent.name}" + (f"/{parent.section_name}" if parent.section_name else "")
    gateway = view.get(Gateway, namespace, parent.name)
    if gateway is None:
        if view.missing(Gateway, namespace, parent.name):
            yield GATEWAY_MISSING.finding(
                route,
                f"{ref} does not exist.",
                key=key,
                evidence=[("spec.parentRefs", key)],
                masked=(namespace, parent.name),
            )
        return
    if wrong := _mismatch(view, route, parent, gateway, key):
        yield wrong
        return
    status = next((each for each in route.status.parents if _is_of(each, route, parent)), None)
    conditions = status.conditions if status else ()
    yield from unreconciled(view, NOT_RECONCILED, route, conditions, "Accepted", because=[gateway])
    where, evidence = f"status.parents[{parent.name}]", [("spec.parentRefs", key)]
    if refused := lasting(view, route, conditions, "Accepted"):
        yield reported(
            NOT_ACCEPTED, route, refused, f"{ref} does not accept the route", key=key, where=where,
            evidence=evidence, because=[gateway],
        )  # fmt: skip
    if not explained and (unresolved := lasting(view, route, conditions, "ResolvedRefs")):
        yield reported(
            UNRESOLVED, route, unresolved, f"{ref} cannot resolve a reference of the route", key=key, where=where,
            evidence=evidence,
        )  # fmt: skip


def _is_of(status: RouteParentStatus, route: HTTPRoute, parent: ParentReference) -> bool:
    of = status.parent_ref
    return (of.namespace or route.namespace, of.name, of.section_name, of.port) == (
        parent.namespace or route.namespace,
        parent.name,
        parent.section_name,
        parent.port,
    )


def _mismatch(
    view: ClusterView, route: HTTPRoute, parent: ParentReference, gateway: Gateway, key: str
) -> Finding | None:
    """Why no listener of a Gateway takes a route, if none does. One that takes it is enough."""
    listeners = [
        each
        for each in gateway.spec.listeners
        if parent.section_name in ("", each.name) and parent.port in (None, each.port)
    ]
    # Other objects (ListenerSets) may add listeners to a Gateway.
    names = [each.name for each in gateway.spec.listeners]
    if not listeners:
        named = f"named {parent.section_name}" if parent.section_name else ""
        wanted = " ".join(filter(None, (named, f"on port {parent.port}" if parent.port else "")))
        return LISTENER_MISSING.finding(
            route,
            f"{gateway.ref} has no listener {wanted}; it has {joined(names) or 'none'}.",
            key=key,
            evidence=[("spec.parentRefs", key), ("Gateway spec.listeners[].name", joined(names, 10))],
            masked=(gateway.namespace, gateway.name, parent.section_name, *names),
        )
    open_to_it = [each for each in listeners if _allows(view, route, gateway, each)]
    if not open_to_it:
        froms = {each.name: each.allowed_routes.namespaces.from_ for each in listeners}
        return NOT_ALLOWED.finding(
            route,
            f"No listener of {gateway.ref} takes HTTPRoutes of namespace {route.namespace}: "
            f"{joined(f'{each.name} takes {_taken(each)}' for each in listeners)}.",
            key=key,
            evidence=[
                (f"Gateway spec.listeners[{name}].allowedRoutes.namespaces.from", how) for name, how in froms.items()
            ],
            masked=(gateway.namespace, gateway.name, *froms, *_label_values(listeners)),
        )
    if route.spec.hostnames and not any(
        _intersect(each.hostname, host) for each in open_to_it for host in route.spec.hostnames
    ):
        served = [each.hostname for each in open_to_it]
        return HOSTNAME_MISMATCH.finding(
            route,
            f"{gateway.ref} serves {joined(served)}, and the route is for {joined(route.spec.hostnames, 3)}.",
            key=key,
            evidence=[
                ("spec.hostnames", joined(route.spec.hostnames, 10)),
                ("Gateway spec.listeners[].hostname", joined(served, 10)),
            ],
            masked=(gateway.namespace, gateway.name, *served, *route.spec.hostnames),
        )
    return None


def _taken(listener: Listener) -> str:
    allowed = listener.allowed_routes
    if allowed.kinds and not any((each.group, each.kind) == (GROUP, "HTTPRoute") for each in allowed.kinds):
        return f"{joined(each.kind for each in allowed.kinds)} only"
    match allowed.namespaces.from_:
        case "Same":
            return "those of its own namespace"
        case "Selector" if allowed.namespaces.selector:
            return f"those of namespaces with {selectors.text_of(selectors.from_spec(allowed.namespaces.selector))}"
        case "None":
            return "none"
    return f"none by {listener.protocol}"


def _label_values(listeners: list[Listener]) -> list[str]:
    chosen = [each.allowed_routes.namespaces.selector for each in listeners]
    return [value for selector in chosen if selector for value in selector.match_labels.values()]


def _allows(view: ClusterView, route: HTTPRoute, gateway: Gateway, listener: Listener) -> bool:
    allowed = listener.allowed_routes
    if allowed.kinds:
        if not any((each.group, each.kind) == (GROUP, "HTTPRoute") for each in allowed.kinds):
            return False
    # Protocols of a controller's own take what it says.
    elif listener.protocol not in _HTTP and listener.protocol in ("TCP", "UDP", "TLS"):
        return False
    match allowed.namespaces.from_:
        case "Same":
            return route.namespace == gateway.namespace
        case "None":
            return False
        case "Selector":
            namespace = view.get(Namespace, "", route.namespace)
            if namespace is None or allowed.namespaces.selector is None:
                # An invalid selector is the listener's trouble, and unknown labels may match.
                return True
            return selectors.matches(selectors.from_spec(allowed.namespaces.selector), namespace.metadata.labels)
    return True


def _intersect(listener: str, host: str) -> bool:
    """Whether two hostnames have one in common; a wildcard stands for one or more labels."""
    if not listener or not host or listener == host:
        return True
    if listener.startswith("*.") and host.startswith("*."):
        return listener.endswith(host[1:]) or host.endswith(listener[1:])
    if listener.startswith("*."):
        return host.endswith(listener[1:])
    return host.startswith("*.") and listener.endswith(host[1:])


# --- backends --------------------------------------------------------------------------------------------


def _backends(view: ClusterView, route: HTTPRoute) -> Iterator[Finding]:
    """One finding for each Service in trouble, however many rules lead to it."""
    places: dict[tuple[str, str, int | None], list[str]] = {}
    for number, rule in enumerate(route.spec.rules):
        for backend in rule.backend_refs:
            # What gets no share of the traffic may well be missing.
            if (backend.group, backend.kind) == ("", "Service") and backend.weight:
                key = (backend.namespace or route.namespace, backend.name, backend.port)
                places.setdefault(key, []).append(f"spec.rules[{number}].backendRefs")
    told: set[tuple[str, str]] = set()
    for (namespace, name, port), where in places.items():
        if (namespace, name) not in told:
            found = _backend(view, route, BackendReference(namespace=namespace, name=name, port=port), where)
            if found:
                yield found
                if found.code != SERVICE_PORT_MISSING.name:
                    told.add((namespace, name))


def _backend(view: ClusterView, route: HTTPRoute, backend: BackendReference, places: list[str]) -> Finding | None:
    target = ObjectRef("Service", backend.namespace, backend.name)
    shown = backend.name if backend.namespace == route.namespace else f"{backend.namespace}/{backend.name}"
    evidence = [(place, shown) for place in places[:10]]
    masked = (backend.namespace, backend.name)
    service = view.get(Service, backend.namespace, backend.name)
    if is_refused(view, route, target):
        return REFERENCE_NOT_GRANTED.finding(
            route,
            f"Service {shown} is of another namespace, and no ReferenceGrant there allows HTTPRoutes of "
            f"{route.namespace} to refer to it.",
            key=shown,
            evidence=evidence,
            masked=masked,
        )
    if service is None:
        if not view.missing(Service, backend.namespace, backend.name):
            return None
        return SERVICE_MISSING.finding(
            route, f"Service {shown} does not exist.", key=shown, evidence=evidence, masked=masked
        )
    if backend.port is not None and all(each.port != backend.port for each in service.spec.ports):
        known = joined(str(each.port) for each in service.spec.ports)
        return SERVICE_PORT_MISSING.finding(
            route,
            f"Service {shown} has no port {backend.port}; it has {known or 'none'}.",
            key=f"{shown}:{backend.port}",
            evidence=[*evidence, ("Service spec.ports[].port", known)],
            masked=masked,
        )
    if sends_nowhere(view, service):
        idle = is_scaled_to_zero(view, service)
        return NO_READY_ENDPOINTS.finding(
            route,
            f"Service {shown} {'is scaled to zero' if idle else 'has no ready endpoint'}.",
            key=shown,
            since=down_since(view, service),
            severity="info" if idle else None,
            evidence=evidence,
            because=[service],
            masked=masked,
        )
    return None
