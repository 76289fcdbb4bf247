"""Ingress: does a controller serve it, and do its paths lead to something that answers?

Source: https://kubernetes.io/docs/concepts/services-networking/ingress/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.analyzers.service import down_since, is_scaled_to_zero, sends_nowhere
from k8sgpt_magic.cluster.resources import (
    DaemonSet,
    Deployment,
    EndpointSlice,
    Event,
    Ingress,
    IngressBackend,
    IngressClass,
    Pod,
    Secret,
    Service,
    StatefulSet,
)
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.workloads import is_past
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, joined, sentence

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
    "No controller has given the Ingress an address, so none seems to serve it.",
    f"{_DOCS}#prerequisites",
)
HOST_WITHOUT_TLS = Code(
    "IngressHostWithoutTLS",
    "info",
    "The Ingress has certificates, but for other hosts than this one of its rules.",
    f"{_DOCS}#tls",
)

LEGACY_CLASS = "kubernetes.io/ingress.class"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
# GKE's controller serves these without an IngressClass object.
_CLASSES_WITHOUT_OBJECT = {"gce", "gce-internal"}
_CANARY = "nginx.ingress.kubernetes.io/canary"
_DEFAULT_BACKEND = "the default backend"
# The AWS controller's port name for a backend that names an action in an annotation and no Service.
_ACTION_PORT = "use-annotation"
# These controllers set up a load balancer for each Ingress, unless they are told to share one.
_OWN_LOAD_BALANCER = {"ingress.k8s.aws/alb", "eks.amazonaws.com/alb", "k8s.io/ingress-gce"}
_OWN_LOAD_BALANCER_CLASSES = {"alb", *_CLASSES_WITHOUT_OBJECT}
_CERTIFICATE_REQUESTS = {"cert-manager.io/cluster-issuer", "cert-manager.io/issuer", "kubernetes.io/tls-acme"}
# Types that cannot hold a certificate under the keys that controllers look for.
_NO_CERTIFICATE = "kubernetes.io/"

# What is applied together is there within seconds; a certificate authority takes minutes, and so do clouds.
CREATION_GRACE = 30
CERTIFICATE_GRACE = 600
ADDRESS_GRACE = 600


@analyzer(
    Ingress,
    reads=[IngressClass, Service, EndpointSlice, Secret, Pod, Deployment, StatefulSet, DaemonSet, Event],
    codes=[
        NO_CLASS, CLASS_MISSING, SERVICE_MISSING, SERVICE_PORT_MISSING, NO_READY_ENDPOINTS, TLS_SECRET_MISSING,
        TLS_SECRET_WRONG_TYPE, HOST_WITHOUT_TLS, CONFLICT, NO_ADDRESS,
    ],
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Ingresses that nothing serves, and paths that lead nowhere."""
    default = _default_class(view)
    served_classes = {_class_of(each, default) for each in view.all(Ingress) if each.status.load_balancer.ingress}
    for ingress in view.all(Ingress):
        if ingress.metadata.deletion_timestamp:
            continue
        is_served = _class_of(ingress, default) in served_classes
        if wrong_class := _class(view, ingress, default, is_served):
            yield wrong_class
        elif not ingress.status.load_balancer.ingress:
            yield from _no_address(view, ingress, is_served)
        yield from _backends(view, ingress)
        yield from _tls(view, ingress)
        yield from _hosts_without_tls(ingress)
    yield from _conflicts(view, default)


def _default_class(view: ClusterView) -> str:
    marked = (each for each in view.all(IngressClass) if each.metadata.annotations.get(DEFAULT_CLASS) == "true")
    return next((each.name for each in marked), "")


def _class_of(ingress: Ingress, default: str) -> str:
    return ingress.spec.ingress_class_name or ingress.metadata.annotations.get(LEGACY_CLASS) or default


def _class(view: ClusterView, ingress: Ingress, default: str, is_served: bool) -> Finding | None:
    """``is_served``: a controller gave Ingresses of this class (or without any) addresses, so it knows them."""
    named = ingress.spec.ingress_class_name
    if named:
        if named in _CLASSES_WITHOUT_OBJECT or not view.missing(IngressClass, "", named):
            return None
        known = sorted(each.name for each in view.all(IngressClass))
        has = "; yet a controller has given it an address" if ingress.status.load_balancer.ingress else ""
        return CLASS_MISSING.finding(
            ingress,
            f"IngressClass {named} does not exist; there are {joined(known) or 'none'}{has}.",
            # Some controllers go by the name alone, and others forget what has lost its class.
            severity="warning" if has else None,
            evidence=[("spec.ingressClassName", named)],
            masked=(named, *known[:20]),
        )
    # Controllers that go by the old annotation need no IngressClass object, and some take what has no class.
    if default or is_served or LEGACY_CLASS in ingress.metadata.annotations or not view.readable(IngressClass):
        return None
    return NO_CLASS.finding(
        ingress,
        "The Ingress names no class, and no IngressClass is marked as the default.",
        evidence=[("spec.ingressClassName", "none")],
    )


def _no_address(view: ClusterView, ingress: Ingress, is_served: bool) -> Iterator[Finding]:
    """Many controllers never write addresses; so others of the class must have one, or an event tell why not."""
    created = ingress.metadata.creation_timestamp
    if not view.older_than(created, ADDRESS_GRACE):
        return
    events = view.events(ingress)
    if not is_served and not events:
        return
    why = f": {sentence(events[0].message)}" if events else "; others of its class have one."
    yield NO_ADDRESS.finding(
        ingress,
        f"The Ingress has had no address for {ago(view.age(created))}{why}",
        since=created,
        evidence=[("status.loadBalancer.ingress", "none"), *events],
        masked=_hosts(ingress),
    )


def _backends(view: ClusterView, ingress: Ingress) -> Iterator[Finding]:
    """One finding for each Service in trouble, with all the paths that lead to it."""
    paths: defaultdict[str, defaultdict[str | int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for where, backend in _routes(ingress):
        if backend.service is not None and backend.service.name and backend.service.port.name != _ACTION_PORT:
            paths[backend.service.name][backend.service.port.name or backend.service.port.number].append(where)
    created = ingress.metadata.creation_timestamp
    for name, by_port in paths.items():
        service = view.get(Service, ingress.namespace, name)
        if service is None:
            if view.missing(Service, ingress.namespace, name) and is_past(view, created, CREATION_GRACE):
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
        since=down_since(view, service),
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
    annotations = ingress.metadata.annotations
    requested = next((key for key in annotations if key in _CERTIFICATE_REQUESTS), "")
    grace = CERTIFICATE_GRACE if requested else CREATION_GRACE
    for name in dict.fromkeys(each.secret_name for each in ingress.spec.tls if each.secret_name):
        hosts = joined(host for each in ingress.spec.tls if each.secret_name == name for host in each.hosts)
        secret = view.get(Secret, ingress.namespace, name)
        if view.missing(Secret, ingress.namespace, name):
            if not is_past(view, ingress.metadata.creation_timestamp, grace):
                continue
            evidence = [("spec.tls[].secretName", name)]
            # tls-acme is true or false; the others name an issuer.
            issuer = annotations[requested] if requested.endswith("issuer") else ""
            if requested:
                evidence.append((f"metadata.annotations[{requested}]", annotations[requested]))
            yield TLS_SECRET_MISSING.finding(
                ingress,
                f"Secret {name}, with the certificate{f' for {hosts}' if hosts else ''}, does not exist"
                f"{'; cert-manager, which is to make it, has not' if requested else ''}.",
                key=name,
                evidence=evidence,
                masked=(name, issuer, *_hosts(ingress)),
            )
        # A dump may have lost the type; only a type that is there can be wrong.
        elif secret is not None and secret.type not in ("", "kubernetes.io/tls"):
            # Many controllers look for the keys alone, which a type of one's own or Opaque may well have.
            is_other = secret.type.startswith(_NO_CERTIFICATE)
            yield TLS_SECRET_WRONG_TYPE.finding(
                ingress,
                f"Secret {name} is of type {secret.type}, and "
                f"{'kubernetes.io/tls is needed' if is_other else 'some controllers take kubernetes.io/tls only'}.",
                key=name,
                severity=None if is_other else "info",
                evidence=[("spec.tls[].secretName", name), ("Secret type", secret.type)],
                masked=(name,),
            )


def _hosts_without_tls(ingress: Ingress) -> Iterator[Finding]:
    if not ingress.spec.tls or not all(each.hosts for each in ingress.spec.tls):
        # A certificate without hosts is for all of them.
        return
    covered = dict.fromkeys(host for each in ingress.spec.tls for host in each.hosts)
    bare = [
        host
        for host in dict.fromkeys(rule.host for rule in ingress.spec.rules if rule.host)
        if host not in covered and f"*.{host.partition('.')[2]}" not in covered
    ]
    if bare:
        yield HOST_WITHOUT_TLS.finding(
            ingress,
            f"No entry of spec.tls is for {joined(bare, 3)}; they are for {joined(covered, 3)}.",
            evidence=[("spec.rules[].host", joined(bare, 10)), ("spec.tls[].hosts", joined(covered, 10))],
            masked=_hosts(ingress),
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
    pairs: dict[tuple[str, str], tuple[Ingress, Ingress]] = {}
    for (class_name, host, url_path, _), claimants in claims.items():
        distinct = list({each.ref: each for each in claimants}.values()) if len(claimants) > 1 else claimants
        if len(distinct) < 2:
            continue
        # Controllers prefer the oldest, so the later ones are where it shows.
        distinct.sort(key=lambda each: (str(each.metadata.creation_timestamp or ""), each.namespace, each.name))
        for later, earlier in _same_load_balancer(distinct, _has_own_load_balancers(view, class_name)):
            key = (str(later.ref), str(earlier.ref))
            shared[key].append(f"{host or '*'}{url_path}")
            pairs[key] = (later, earlier)
    for key, claimed in shared.items():
        later, first = pairs[key]
        yield CONFLICT.finding(
            later,
            f"Ingress {first.namespace}/{first.name} claims {joined(claimed, 3)} too.",
            key=f"{first.namespace}/{first.name}",
            evidence=[("spec.rules", place) for place in claimed[:10]],
            masked=(first.namespace, first.name, *_hosts(later)),
        )


def _has_own_load_balancers(view: ClusterView, class_name: str) -> bool:
    found = view.get(IngressClass, "", class_name)
    if found is not None and found.spec.controller:
        return found.spec.controller in _OWN_LOAD_BALANCER
    return class_name in _OWN_LOAD_BALANCER_CLASSES


def _same_load_balancer(claimants: list[Ingress], own_load_balancers: bool) -> Iterator[tuple[Ingress, Ingress]]:
    """Each Ingress with the first before it that takes the same requests: what comes to the same address."""
    holders: dict[str, Ingress] = {}
    for each in claimants:
        # Without an address, as some controllers leave it, all of a class are behind the same.
        addresses = [point.ip or point.hostname for point in each.status.load_balancer.ingress]
        if not addresses and own_load_balancers:
            continue
        candidates = [holders.get(address) for address in (*addresses, "")] if addresses else list(holders.values())
        earlier = next((holder for holder in candidates if holder is not None), None)
        if earlier is not None:
            yield each, earlier
        for address in addresses or ("",):
            holders.setdefault(address, each)
