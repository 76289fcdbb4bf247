"""The kinds of the Gateway API, as far as rules use them.

Source of the fields: https://gateway-api.sigs.k8s.io/reference/spec/
"""

from __future__ import annotations

from k8sgpt_magic.cluster.resources import Condition, Fields, LabelSelector, Resource, WorkloadMeta

GROUP = "gateway.networking.k8s.io"


class Reference(Fields, frozen=True):
    """``parametersRef`` and ``certificateRefs``; where a group is left out it is the core's."""

    group: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""


class GatewayClassSpec(Fields, frozen=True):
    controller_name: str = ""
    parameters_ref: Reference | None = None


class GatewayClassStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()


class GatewayClass(Resource, frozen=True):
    kind = "GatewayClass"
    group = GROUP
    other_versions = ("v1beta1",)
    plural = "gatewayclasses"
    namespaced = False
    short_names = ("gc",)
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: GatewayClassSpec = GatewayClassSpec()
    status: GatewayClassStatus = GatewayClassStatus()


class RouteNamespaces(Fields, frozen=True):
    from_: str = "Same"
    selector: LabelSelector | None = None


class RouteKind(Fields, frozen=True):
    group: str = GROUP
    kind: str = ""


class AllowedRoutes(Fields, frozen=True):
    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: tuple[RouteKind, ...] = ()


class SecretReference(Fields, frozen=True):
    group: str = ""
    kind: str = "Secret"
    namespace: str = ""
    name: str = ""


class ListenerTLS(Fields, frozen=True):
    mode: str = "Terminate"
    certificate_refs: tuple[SecretReference, ...] = ()


class Listener(Fields, frozen=True):
    name: str = ""
    hostname: str = ""
    port: int = 0
    protocol: str = ""
    tls: ListenerTLS | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


class GatewaySpec(Fields, frozen=True):
    gateway_class_name: str = ""
    listeners: tuple[Listener, ...] = ()


class GatewayAddress(Fields, frozen=True):
    value: str = ""


class ListenerStatus(Fields, frozen=True):
    name: str = ""
    attached_routes: int = 0
    conditions: tuple[Condition, ...] = ()


class GatewayStatus(Fields, frozen=True):
    addresses: tuple[GatewayAddress, ...] = ()
    conditions: tuple[Condition, ...] = ()
    listeners: tuple[ListenerStatus, ...] = ()


class Gateway(Resource, frozen=True):
    kind = "Gateway"
    group = GROUP
    other_versions = ("v1beta1",)
    plural = "gateways"
    short_names = ("gtw",)
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: GatewaySpec = GatewaySpec()
    status: GatewayStatus = GatewayStatus()


class ParentReference(Fields, frozen=True):
    group: str = GROUP
    kind: str = "Gateway"
    namespace: str = ""
    name: str = ""
    section_name: str = ""
    port: int | None = None


class BackendReference(Fields, frozen=True):
    group: str = ""
    kind: str = "Service"
    namespace: str = ""
    name: str = ""
    port: int | None = None
    weight: int = 1


class HTTPRouteRule(Fields, frozen=True):
    backend_refs: tuple[BackendReference, ...] = ()


class HTTPRouteSpec(Fields, frozen=True):
    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRouteRule, ...] = ()


class RouteParentStatus(Fields, frozen=True):
    parent_ref: ParentReference = ParentReference()
    controller_name: str = ""
    conditions: tuple[Condition, ...] = ()


class HTTPRouteStatus(Fields, frozen=True):
    parents: tuple[RouteParentStatus, ...] = ()


class HTTPRoute(Resource, frozen=True):
    kind = "HTTPRoute"
    group = GROUP
    other_versions = ("v1beta1",)
    plural = "httproutes"
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: HTTPRouteSpec = HTTPRouteSpec()
    status: HTTPRouteStatus = HTTPRouteStatus()


class GrantFrom(Fields, frozen=True):
    group: str = ""
    kind: str = ""
    namespace: str = ""


class GrantTo(Fields, frozen=True):
    group: str = ""
    kind: str = ""
    name: str = ""


class ReferenceGrantSpec(Fields, frozen=True):
    from_: tuple[GrantFrom, ...] = ()
    to: tuple[GrantTo, ...] = ()


class ReferenceGrant(Resource, frozen=True):
    kind = "ReferenceGrant"
    group = GROUP
    version = "v1beta1"
    other_versions = ("v1",)
    plural = "referencegrants"
    short_names = ("refgrant",)
    optional = True
    spec: ReferenceGrantSpec = ReferenceGrantSpec()
