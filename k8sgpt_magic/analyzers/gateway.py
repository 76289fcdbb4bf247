"""Gateway: is it programmed, has it an address, and can its listeners serve?

Source: https://gateway-api.sigs.k8s.io/api-types/gateway/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.gateway import Gateway, GatewayClass, Listener, ListenerStatus, ReferenceGrant
from k8sgpt_magic.cluster.resources import ObjectRef, Secret
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, lasting, reported, unreconciled
from k8sgpt_magic.diagnosis.grants import is_refused
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, joined

_DOCS = "https://gateway-api.sigs.k8s.io/api-types/gateway/"
_SPEC = "https://gateway-api.sigs.k8s.io/reference/spec/"
_TLS = "https://gateway-api.sigs.k8s.io/guides/tls/"

CLASS_MISSING = Code(
    "GatewayClassMissing",
    "critical",
    "The Gateway names a GatewayClass that does not exist, so no controller serves it.",
    _DOCS,
)
NOT_ACCEPTED = Code(
    "GatewayNotAccepted", "critical", "The controller refuses the Gateway, so nothing listens for its routes.", _DOCS
)
NOT_PROGRAMMED = Code(
    "GatewayNotProgrammed",
    "critical",
    "The Gateway's configuration has not reached the data plane, so traffic may not arrive.",
    f"{_DOCS}#gateway-status",
)
NOT_RECONCILED = Code(
    "GatewayNotReconciled", "warning", "No controller has judged the Gateway or its last change.", _DOCS
)
LISTENER_INVALID = Code(
    "GatewayListenerInvalid",
    "critical",
    "The controller cannot serve one of the Gateway's listeners.",
    _SPEC,
)
LISTENER_CONFLICTED = Code(
    "GatewayListenerConflicted",
    "critical",
    "Listeners of the Gateway conflict in port, protocol or hostname.",
    _SPEC,
)
TLS_SECRET_MISSING = Code(
    "GatewayTLSSecretMissing",
    "critical",
    "A listener's certificate is to come from a Secret that does not exist, so it cannot serve TLS.",
    _TLS,
)
TLS_SECRET_WRONG_TYPE = Code(
    "GatewayTLSSecretWrongType", "critical", "The Secret of a listener is of a type that holds no certificate.", _TLS
)
REFERENCE_NOT_GRANTED = Code(
    "GatewayReferenceNotGranted",
    "critical",
    "A listener refers to a Secret of another namespace, and no ReferenceGrant there allows it.",
    "https://gateway-api.sigs.k8s.io/api-types/referencegrant/",
)
NO_ADDRESS = Code(
    "GatewayNoAddress", "warning", "The Gateway is accepted and has no address that clients could reach.", _DOCS
)
NO_ROUTES = Code("GatewayNoRoutes", "info", "No route is attached to any listener of the Gateway.", _DOCS)

# Load balancers take minutes; routes often come with an application that is deployed later.
ADDRESS_GRACE = 600
ROUTES_GRACE = 86_400


@analyzer(
    Gateway,
    reads=[GatewayClass, ReferenceGrant, Secret],
    codes=[
        CLASS_MISSING, NOT_ACCEPTED, NOT_PROGRAMMED, NOT_RECONCILED, LISTENER_INVALID, LISTENER_CONFLICTED,
        TLS_SECRET_MISSING, TLS_SECRET_WRONG_TYPE, REFERENCE_NOT_GRANTED, NO_ADDRESS, NO_ROUTES,
    ],
    default=False,
    group="GatewayAPI",
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Gateways that no controller serves, and listeners that cannot work."""
    for gateway in view.all(Gateway):
        if gateway.metadata.deletion_timestamp:
            continue
        name, conditions = gateway.spec.gateway_class_name, gateway.status.conditions
        by_class = [ObjectRef("GatewayClass", "", name)]
        if view.missing(GatewayClass, "", name) and view.older_than(changed(gateway), GRACE):
            known = sorted(each.name for each in view.all(GatewayClass))
            yield CLASS_MISSING.finding(
                gateway,
                f"GatewayClass {name} does not exist; there are {joined(known) or 'none'}.",
                evidence=[("spec.gatewayClassName", name)],
                masked=(name, *known),
            )
        else:
            yield from unreconciled(view, NOT_RECONCILED, gateway, conditions, "Accepted", because=by_class)
        listeners = [*_listeners(view, gateway)]
        yield from listeners
        refused = lasting(view, gateway, conditions, "Accepted")
        if refused:
            # ListenersNotValid: some of them still work, and they are reported one by one.
            yield reported(
                NOT_ACCEPTED,
                gateway,
                refused,
                "The Gateway is not accepted",
                because=by_class,
                severity="warning" if listeners and refused.reason == "ListenersNotValid" else None,
            )
        elif lasting(view, gateway, conditions, "Accepted", "True"):
            if unprogrammed := lasting(view, gateway, conditions, "Programmed", "False", "Unknown"):
                yield reported(
                    NOT_PROGRAMMED, gateway, unprogrammed, "The Gateway is not programmed", because=by_class
                )
            else:
                yield from _unused(view, gateway)


def _unused(view: ClusterView, gateway: Gateway) -> Iterator[Finding]:
    since = changed(gateway)
    if not gateway.status.addresses and view.older_than(since, ADDRESS_GRACE):
        yield NO_ADDRESS.finding(
            gateway,
            f"The Gateway has had no address for {ago(view.age(since))}.",
            since=since,
            evidence=[("status.addresses", "none")],
        )
    statuses = gateway.status.listeners
    if statuses and not any(each.attached_routes for each in statuses) and view.older_than(since, ROUTES_GRACE):
        yield NO_ROUTES.finding(
            gateway,
            "No route is attached to any of its listeners.",
            evidence=[(f"status.listeners[{each.name}].attachedRoutes", 0) for each in statuses],
        )


def _listeners(view: ClusterView, gateway: Gateway) -> Iterator[Finding]:
    statuses = {each.name: each for each in gateway.status.listeners}
    for listener in gateway.spec.listeners:
        references = [*_certificates(view, gateway, listener)]
        yield from references
        if status := statuses.get(listener.name):
            yield from _judged(view, gateway, listener, status, explained=bool(references))


def _judged(
    view: ClusterView, gateway: Gateway, listener: Listener, status: ListenerStatus, *, explained: bool
) -> Iterator[Finding]:
    where = f"status.listeners[{listener.name}]"
    what = f"{listener.name} ({listener.protocol} {listener.port})"
    if conflict := lasting(view, gateway, status.conditions, "Conflicted", "True"):
        yield reported(
            LISTENER_CONFLICTED,
            gateway,
            conflict,
            f"Listener {what} conflicts with another",
            key=listener.name,
            where=where,
            masked=(listener.name, listener.hostname),
        )
        return
    for named in ("Accepted", "ResolvedRefs", "Programmed"):
        failed = lasting(view, gateway, status.conditions, named)
        if failed is None or (explained and failed.reason in ("InvalidCertificateRef", "RefNotPermitted")):
            continue
        yield reported(
            LISTENER_INVALID,
            gateway,
            failed,
            f"Listener {what} has {named} False",
            key=listener.name,
            where=where,
            masked=(listener.name, listener.hostname),
        )
        # The others mostly follow from the first.
        return


def _certificates(view: ClusterView, gateway: Gateway, listener: Listener) -> Iterator[Finding]:
    if listener.tls is None or listener.tls.mode == "Passthrough" or not view.older_than(changed(gateway), GRACE):
        return
    place = f"spec.listeners[{listener.name}].tls.certificateRefs"
    for reference in listener.tls.certificate_refs:
        if (reference.group, reference.kind) != ("", "Secret"):
            continue
        namespace = reference.namespace or gateway.namespace
        target = ObjectRef("Secret", namespace, reference.name)
        key, evidence = f"{listener.name},{reference.name}", [(place, f"{namespace}/{reference.name}")]
        masked = (listener.name, namespace, reference.name)
        secret = view.get(Secret, namespace, reference.name)
        if is_refused(view, gateway, target):
            yield REFERENCE_NOT_GRANTED.finding(
                gateway,
                f"Listener {listener.name} needs {target}, and no ReferenceGrant in {namespace} allows "
                f"Gateways of {gateway.namespace} to refer to it.",
                key=key,
                evidence=evidence,
                masked=masked,
            )
        elif view.missing(Secret, namespace, reference.name):
            yield TLS_SECRET_MISSING.finding(
                gateway,
                f"{target}, with the certificate of listener {listener.name}, does not exist.",
                key=key,
                evidence=evidence,
                because=[target, ObjectRef("Certificate", namespace, reference.name)],
                masked=masked,
            )
        elif secret is not None and secret.type not in ("", "kubernetes.io/tls", "Opaque"):
            yield TLS_SECRET_WRONG_TYPE.finding(
                gateway,
                f"{target}, for listener {listener.name}, is of type {secret.type}.",
                key=key,
                evidence=[*evidence, ("Secret type", secret.type)],
                masked=masked,
            )
