"""Ingress: does a controller serve it, and do its paths lead to something that answers?

Source: https://kubernetes.io/docs/concepts/services-networking/ingress/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.analyzers.service import is_scaled_to_zero, sends_nowhere
from k8sgpt_magic.cluster.resources import (
    DaemonSet,
    Deployment,
    EndpointSlice,
    Ingress,
    IngressBackend,
    IngressClass,
    Pod,
    Secret,
    Service,
    StatefulSet,
)
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, joined

_DOCS = "https://kubernetes.io/docs/concepts/services-networking/ingress/"

NO_CLASS = Code(
    "IngressNoClass",
    "warning",
    "The Ingress names no class and the cluster has no default one, so no controller may serve it.",
    f"{_DOCS}#default-ingress-class",
)
CLASS_MISSING = Code(
    "IngressClassMissing",
    "critical",
    "The Ingress names a class that does not exist, so no controller serves it.",
    f"{_DOCS}#ingress-class",
)
SERVICE_MISSING = Code(
    "IngressServiceMissing",
    "critical",
    "A path leads to a Service that does not exist, so it answers with an error.",
    f"{_DOCS}#the-ingress-resource",
)
SERVICE_PORT_MISSING = Code(
    "IngressServicePortMissing",
    "critical",
    "A path leads to a port that its Service does not have.",
    f"{_DOCS}#the-ingress-resource",
)
NO_READY_ENDPOINTS = Code(
    "IngressNoReadyEndpoints",
    "critical",
    "A path leads to a Service without a ready endpoint, so it answers with an error.",
    f"{_DOCS}#the-ingress-resource",
)
TLS_SECRET_MISSING = Code(
    "IngressTLSSecretMissing",
    "warning",
    "The Secret with the certificate does not exist, so clients see the controller's own certificate or none.",
    f"{_DOCS}#tls",
)
TLS_SECRET_WRONG_TYPE = Code(
    "IngressTLSSecretWrongType",
    "warning",
    "The Secret named for TLS is not of the type that holds certificates.",
    f"{_DOCS}#tls",
)
CONFLICT = Code(
    "IngressPathConflict",
    "warning",
    "Two Ingresses claim the same host and path; which of them gets it is a matter of luck.",
    f"{_DOCS}#multiple-matches",
)
NO_ADDRESS = Code(
    "IngressNoAddress",
    "warning",
    "No controller has given the Ingress an address, though others of its class have one.",
    f"{_DOCS}#ingress-controllers",
)

LEGACY_CLASS = "kubernetes.io/ingress.class"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
# GKE's controller serves these without an IngressClass object.
_CLASSES_WITHOUT_OBJECT = {"gce", "gce-internal"}
_CANARY = "nginx.ingress.kubernetes.io/canary"
_DEFAULT_BACKEND = "the default backend"
# The AWS controller's port name for a backend that names an action in an annotation and no Service.
_ACTION_PORT = "use-annotation"
ADDRESS_GRACE = 600


@analyzer(
    Ingress,
    reads=[IngressClass, Service, EndpointSlice, Secret, Pod, Deployment, StatefulSet, DaemonSet],
    codes=[
        NO_CLASS, CLASS_MISSING, SERVICE_MISSING, SERVICE_PORT_MISSING, NO_READY_ENDPOINTS, TLS_SECRET_MISSING,
        TLS_SECRET_WRONG_TYPE, CONFLICT, NO_ADDRESS,
    ],
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Ingresses that nothing serves, and paths that lead nowhere."""
    default = _default_class(view)
    served_classes = {_class_of(each, default) for each in view.all(Ingress) if each.status.load_balancer.ingress}
    for ingress in view.all(Ingress):
        if ingress.metadata.deletion_timestamp:
            continue
        yield from _class(view, ingress, default)
        yield from _backends(view, ingress)
        yield from _tls(view, ingress)
        created = ingress.metadata.creation_timestamp
        if (
            not ingress.status.load_balancer.ingress
            and _class_of(ingress, default) in served_classes
            and view.older_than(created, ADDRESS_GRACE)
        ):
            yield NO_ADDRESS.finding(
                ingress,
                f"The Ingress has had no address for {ago(view.age(created))}; others of its class have one.",
                since=created,
                evidence=[("status.loadBalancer.ingress", "none")],
            )
    yield from _conflicts(view, default)


def _default_class(view: ClusterView) -> str:
    marked = (each for each in view.all(IngressClass) if each.metadata.annotations.get(DEFAULT_CLASS) == "true")
    return next((each.name for each in marked), "")


def _class_of(ingress: Ingress, default: str) -> str:
    return ingress.spec.ingress_class_name or ingress.metadata.annotations.get(LEGACY_CLASS) or default


def _class(view: ClusterView, ingress: Ingress, default: str) -> Iterator[Finding]:
    named = ingress.spec.ingress_class_name
    if named:
        if named not in _CLASSES_WITHOUT_OBJECT and view.missing(IngressClass, "", named):
            known = sorted(each.name for each in view.all(IngressClass))
            yield CLASS_MISSING.finding(
                ingress,
                f"IngressClass {named} does not exist; there are {joined(known) or 'none'}.",
                evidence=[("spec.ingressClassName", named)],
                masked=(named, *known[:20]),
            )
        return
    # Controllers that go by the old annotation need no IngressClass object.
    if LEGACY_CLASS in ingress.metadata.annotations or not view.readable(IngressClass):
        return
    if not default:
        yield NO_CLASS.finding(
            ingress,
            "The Ingress names no class, and no IngressClass is marked as the default.",
            evidence=[("spec.ingressClassName", "none")],
        )


def _backends(view: ClusterView, ingress: Ingress) -> Iterator[Finding]:
    """One finding for each Service in trouble, with all the paths that lead to it."""
    paths: defaultdict[str, defaultdict[str | int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for where, backend in _routes(ingress):
        if backend.service is not None and backend.service.name and backend.service.port.name != _ACTION_PORT:
            paths[backend.service.name][backend.service.port.name or backend.service.port.number].append(where)
    for name, by_port in paths.items():
        service = view.get(Service, ingress.namespace, name)
        if service is None:
            if view.missing(Service, ingress.namespace, name):
                yield _service_missing(ingress, name, [place for places in by_port.values() for place in places])
            continue
        reachable: list[str] = []
        for port, places in by_port.items():
            if _has_port(service, port):
                reachable += places
            else:
                yield _port_missing(ingress, service, port, places)
        if reachable and sends_nowhere(view, service):
            yield _no_ready_endpoints(view, ingress, service, reachable)


def _has_port(service: Service, port: str | int) -> bool:
    if not port or any(port in (each.name, each.port) for each in service.spec.ports):
        return True
    # An alias in DNS leads to whatever port is asked for.
    return service.spec.type == "ExternalName" and isinstance(port, int)


def _service_missing(ingress: Ingress, name: str, places: list[str]) -> Finding:
    return SERVICE_MISSING.finding(
        ingress,
        f"Service {name} does not exist; to it {_lead(places)}.",
        key=name,
        evidence=[(_path(place), name) for place in places[:10]],
        masked=(name, *_hosts(ingress)),
    )


def _port_missing(ingress: Ingress, service: Service, port: str | int, places: list[str]) -> Finding:
    known = joined(each.name or str(each.port) for each in service.spec.ports)
    return SERVICE_PORT_MISSING.finding(
        ingress,
        f"Service {service.name} has no port {port} (it has {known or 'none'}); to it {_lead(places)}.",
        key=f"{service.name}:{port}",
        evidence=[(_path(place), f"{service.name}:{port}") for place in places[:10]],
        masked=(service.name, *_hosts(ingress)),
    )


def _no_ready_endpoints(view: ClusterView, ingress: Ingress, service: Service, places: list[str]) -> Finding:
    # Somebody who scales to zero knows that the path is down, but not necessarily that it is there.
    idle = is_scaled_to_zero(view, service)
    why = "is scaled to zero" if idle else "has no ready endpoint"
    return NO_READY_ENDPOINTS.finding(
        ingress,
        f"Service {service.name} {why}; to it {_lead(places)}.",
        key=service.name,
        severity="info" if idle else None,
        evidence=[(_path(place), service.name) for place in places[:10]],
        because=[service],
        masked=_hosts(ingress),
    )


def _lead(places: list[str]) -> str:
    return f"{'leads' if len(places) == 1 else 'lead'} {joined(places, 4)}"


def _path(place: str) -> str:
    return "spec.defaultBackend" if place == _DEFAULT_BACKEND else f"spec.rules {place}"


def _routes(ingress: Ingress) -> Iterator[tuple[str, IngressBackend]]:
    if ingress.spec.default_backend is not None:
        yield _DEFAULT_BACKEND, ingress.spec.default_backend
    for rule in ingress.spec.rules:
        for path in rule.http.paths if rule.http else ():
            yield f"{rule.host or '*'}{path.path or '/'}", path.backend


def _hosts(ingress: Ingress) -> tuple[str, ...]:
    hosts = [rule.host for rule in ingress.spec.rules] + [host for each in ingress.spec.tls for host in each.hosts]
    return tuple(dict.fromkeys(host for host in hosts if host))


def _tls(view: ClusterView, ingress: Ingress) -> Iterator[Finding]:
    for name in dict.fromkeys(each.secret_name for each in ingress.spec.tls if each.secret_name):
        hosts = joined(host for each in ingress.spec.tls if each.secret_name == name for host in each.hosts)
        secret = view.get(Secret, ingress.namespace, name)
        if view.missing(Secret, ingress.namespace, name):
            yield TLS_SECRET_MISSING.finding(
                ingress,
                f"Secret {name}, with the certificate{f' for {hosts}' if hosts else ''}, does not exist.",
                key=name,
                evidence=[("spec.tls[].secretName", name)],
                masked=(name, *_hosts(ingress)),
            )
        # A dump may have lost the type; only a type that is there can be wrong.
        elif secret is not None and secret.type not in ("", "kubernetes.io/tls"):
            yield TLS_SECRET_WRONG_TYPE.finding(
                ingress,
                f"Secret {name} is of type {secret.type}, and kubernetes.io/tls is needed.",
                key=name,
                evidence=[("spec.tls[].secretName", name), ("Secret type", secret.type)],
                masked=(name,),
            )


def _conflicts(view: ClusterView, default: str) -> Iterator[Finding]:
    claims: defaultdict[tuple[str, str, str, str], list[Ingress]] = defaultdict(list)
    for ingress in view.all(Ingress):
        # A canary shares its host and path on purpose.
        if ingress.metadata.annotations.get(_CANARY) == "true" or ingress.metadata.deletion_timestamp:
            continue
        for rule in ingress.spec.rules:
            for path in rule.http.paths if rule.http else ():
                claims[_class_of(ingress, default), rule.host, path.path or "/", path.path_type].append(ingress)
    shared: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    pairs: dict[tuple[str, str], tuple[Ingress, list[Ingress]]] = {}
    for (_, host, url_path, _), claimants in claims.items():
        distinct = list({each.ref: each for each in claimants}.values())
        if len(distinct) < 2:
            continue
        distinct.sort(key=lambda each: (str(each.metadata.creation_timestamp or ""), each.namespace, each.name))
        # Controllers prefer the oldest, so the later ones are where it shows.
        for later in distinct[1:]:
            key = (str(later.ref), str(distinct[0].ref))
            shared[key].append(f"{host or '*'}{url_path}")
            pairs[key] = (later, distinct[:1])
    for key, claimed in shared.items():
        later, (first,) = pairs[key]
        yield CONFLICT.finding(
            later,
            f"Ingress {first.namespace}/{first.name} claims {joined(claimed, 3)} too.",
            key=f"{first.namespace}/{first.name}",
            evidence=[("spec.rules", place) for place in claimed[:10]],
            masked=(first.namespace, first.name, *_hosts(later)),
        )
