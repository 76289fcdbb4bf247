"""Kinds of projects that many clusters run: KEDA, VPA, policy reports, cert-manager, Argo CD, Flux, the Prometheus
Operator.

Only the fields that rules use. Their sources are the API references of these projects: https://keda.sh/docs/,
https://github.com/kubernetes/autoscaler/tree/master/vertical-pod-autoscaler,
https://github.com/kubernetes-sigs/wg-policy-prototypes, https://cert-manager.io/docs/reference/api-docs/,
https://argo-cd.readthedocs.io/, https://fluxcd.io/flux/ and https://prometheus-operator.dev/docs/api-reference/api/.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import field

from k8sgpt_magic.cluster.resources import (
    Condition,
    EventObject,
    Fields,
    IntOrString,
    LabelSelector,
    Resource,
    TypedReference,
    WorkloadMeta,
)

# --- KEDA ------------------------------------------------------------------------------------------------


class ScaleTarget(Fields, frozen=True):
    api_version: str = ""
    kind: str = "Deployment"
    name: str = ""


class ScaleTrigger(Fields, frozen=True):
    """A trigger without its metadata, which may hold addresses and queries."""

    type: str = ""
    metric_type: str = ""


class ScaledObjectSpec(Fields, frozen=True):
    scale_target_ref: ScaleTarget = ScaleTarget()
    triggers: tuple[ScaleTrigger, ...] = ()


class TriggerHealth(Fields, frozen=True):
    number_of_failures: int = 0
    status: str = ""


class ScaledObjectStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()
    health: dict[str, TriggerHealth] = field(default_factory=dict)
    hpa_name: str = ""


class ScaledObject(Resource, frozen=True):
    kind = "ScaledObject"
    group = "keda.sh"
    version = "v1alpha1"
    plural = "scaledobjects"
    short_names = ("so",)
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: ScaledObjectSpec = ScaledObjectSpec()
    status: ScaledObjectStatus = ScaledObjectStatus()


# --- Vertical Pod Autoscaler -----------------------------------------------------------------------------


class PodUpdatePolicy(Fields, frozen=True):
    update_mode: str = ""


class ContainerResourcePolicy(Fields, frozen=True):
    container_name: str = ""
    mode: str = ""
    controlled_resources: tuple[str, ...] = ("cpu", "memory")


class PodResourcePolicy(Fields, frozen=True):
    container_policies: tuple[ContainerResourcePolicy, ...] = ()


class VerticalPodAutoscalerSpec(Fields, frozen=True):
    target_ref: TypedReference = TypedReference()
    update_policy: PodUpdatePolicy = PodUpdatePolicy()
    resource_policy: PodResourcePolicy = PodResourcePolicy()


class VerticalPodAutoscaler(Resource, frozen=True):
    kind = "VerticalPodAutoscaler"
    group = "autoscaling.k8s.io"
    version = "v1"
    plural = "verticalpodautoscalers"
    short_names = ("vpa",)
    optional = True
    spec: VerticalPodAutoscalerSpec = VerticalPodAutoscalerSpec()


# --- policy reports --------------------------------------------------------------------------------------


class PolicyResult(Fields, frozen=True):
    policy: str = ""
    rule: str = ""
    result: str = ""
    severity: str = ""
    message: str = ""
    source: str = ""
    resources: tuple[EventObject, ...] = ()


class PolicyReport(Resource, frozen=True):
    kind = "PolicyReport"
    group = "wgpolicyk8s.io"
    version = "v1alpha2"
    plural = "policyreports"
    short_names = ("polr",)
    optional = True
    scope: EventObject | None = None
    results: tuple[PolicyResult, ...] = ()


class ClusterPolicyReport(Resource, frozen=True):
    kind = "ClusterPolicyReport"
    group = "wgpolicyk8s.io"
    version = "v1alpha2"
    plural = "clusterpolicyreports"
    namespaced = False
    short_names = ("cpolr",)
    optional = True
    scope: EventObject | None = None
    results: tuple[PolicyResult, ...] = ()


# --- cert-manager ----------------------------------------------------------------------------------------


class IssuerReference(Fields, frozen=True):
    group: str = ""
    kind: str = "Issuer"
    name: str = ""


class CertificateSpec(Fields, frozen=True):
    secret_name: str = ""
    issuer_ref: IssuerReference = IssuerReference()


class CertificateStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    renewal_time: datetime | None = None
    last_failure_time: datetime | None = None
    failed_issuance_attempts: int = 0


class Certificate(Resource, frozen=True):
    kind = "Certificate"
    group = "cert-manager.io"
    plural = "certificates"
    short_names = ("cert", "certs")
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: CertificateSpec = CertificateSpec()
    status: CertificateStatus = CertificateStatus()


class CertificateRequestSpec(Fields, frozen=True):
    issuer_ref: IssuerReference = IssuerReference()


class ConditionsStatus(Fields, frozen=True):
    """The status of kinds of which only the conditions matter."""

    conditions: tuple[Condition, ...] = ()


class CertificateRequest(Resource, frozen=True):
    kind = "CertificateRequest"
    group = "cert-manager.io"
    plural = "certificaterequests"
    short_names = ("cr", "crs")
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: CertificateRequestSpec = CertificateRequestSpec()
    status: ConditionsStatus = ConditionsStatus()


class Issuer(Resource, frozen=True):
    kind = "Issuer"
    group = "cert-manager.io"
    plural = "issuers"
    short_names = ("iss",)
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    status: ConditionsStatus = ConditionsStatus()


class ClusterIssuer(Resource, frozen=True):
    kind = "ClusterIssuer"
    group = "cert-manager.io"
    plural = "clusterissuers"
    namespaced = False
    short_names = ("ciss",)
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    status: ConditionsStatus = ConditionsStatus()


# --- Argo CD ---------------------------------------------------------------------------------------------


class Destination(Fields, frozen=True):
    server: str = ""
    name: str = ""
    namespace: str = ""


class Automated(Fields, frozen=True):
    enabled: bool | None = None


class SyncPolicy(Fields, frozen=True):
    automated: Automated | None = None


class ApplicationSpec(Fields, frozen=True):
    destination: Destination = Destination()
    sync_policy: SyncPolicy | None = None


class Health(Fields, frozen=True):
    status: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Sync(Fields, frozen=True):
    status: str = ""


class OperationState(Fields, frozen=True):
    phase: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ApplicationCondition(Fields, frozen=True):
    """A condition that holds as long as it is there."""

    type: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class ApplicationResource(Fields, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    status: str = ""
    health: Health | None = None


class ApplicationStatus(Fields, frozen=True):
    health: Health = Health()
    sync: Sync = Sync()
    operation_state: OperationState | None = None
    conditions: tuple[ApplicationCondition, ...] = ()
    resources: tuple[ApplicationResource, ...] = ()


class Application(Resource, frozen=True):
    """Its controller writes the whole object, so when its spec was written last is not known."""

    kind = "Application"
    group = "argoproj.io"
    version = "v1alpha1"
    plural = "applications"
    short_names = ("app", "apps")
    optional = True
    spec: ApplicationSpec = ApplicationSpec()
    status: ApplicationStatus = ApplicationStatus()


# --- Flux ------------------------------------------------------------------------------------------------


class NamespacedReference(Fields, frozen=True):
    namespace: str = ""
    name: str = ""


class FluxSpec(Fields, frozen=True):
    suspend: bool = False
    depends_on: tuple[NamespacedReference, ...] = ()


class FluxStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0


class Kustomization(Resource, frozen=True):
    kind = "Kustomization"
    group = "kustomize.toolkit.fluxcd.io"
    plural = "kustomizations"
    short_names = ("ks",)
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: FluxSpec = FluxSpec()
    status: FluxStatus = FluxStatus()


class HelmRelease(Resource, frozen=True):
    kind = "HelmRelease"
    group = "helm.toolkit.fluxcd.io"
    version = "v2"
    other_versions = ("v2beta2",)
    plural = "helmreleases"
    short_names = ("hr",)
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: FluxSpec = FluxSpec()
    status: FluxStatus = FluxStatus()


# --- Prometheus Operator ---------------------------------------------------------------------------------


class Selecting(Fields, frozen=True):
    """What a Prometheus, PrometheusAgent or ThanosRuler picks. No selector picks nothing, an empty one everything."""

    service_monitor_selector: LabelSelector | None = None
    service_monitor_namespace_selector: LabelSelector | None = None
    pod_monitor_selector: LabelSelector | None = None
    pod_monitor_namespace_selector: LabelSelector | None = None
    rule_selector: LabelSelector | None = None
    rule_namespace_selector: LabelSelector | None = None
    paused: bool = False


class PrometheusStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()


class Prometheus(Resource, frozen=True):
    kind = "Prometheus"
    group = "monitoring.coreos.com"
    plural = "prometheuses"
    short_names = ("prom",)
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: Selecting = Selecting()
    status: PrometheusStatus = PrometheusStatus()


class PrometheusAgent(Resource, frozen=True):
    kind = "PrometheusAgent"
    group = "monitoring.coreos.com"
    version = "v1alpha1"
    plural = "prometheusagents"
    short_names = ("promagent",)
    optional = True
    spec: Selecting = Selecting()


class ThanosRuler(Resource, frozen=True):
    kind = "ThanosRuler"
    group = "monitoring.coreos.com"
    plural = "thanosrulers"
    short_names = ("ruler",)
    optional = True
    spec: Selecting = Selecting()


class Binding(Fields, frozen=True):
    """What one Prometheus says of a monitor or of rules that it picks."""

    resource: str = ""
    namespace: str = ""
    name: str = ""
    conditions: tuple[Condition, ...] = ()


class BindingsStatus(Fields, frozen=True):
    bindings: tuple[Binding, ...] = ()


class NamespaceSelector(Fields, frozen=True):
    any: bool = False
    match_names: tuple[str, ...] = ()


class MonitorEndpoint(Fields, frozen=True):
    port: str = ""
    target_port: IntOrString | None = None


class ServiceMonitorSpec(Fields, frozen=True):
    selector: LabelSelector = LabelSelector()
    namespace_selector: NamespaceSelector = NamespaceSelector()
    endpoints: tuple[MonitorEndpoint, ...] = ()


class ServiceMonitor(Resource, frozen=True):
    kind = "ServiceMonitor"
    group = "monitoring.coreos.com"
    plural = "servicemonitors"
    short_names = ("smon",)
    optional = True
    spec: ServiceMonitorSpec = ServiceMonitorSpec()
    status: BindingsStatus = BindingsStatus()


class PodMonitorSpec(Fields, frozen=True):
    selector: LabelSelector = LabelSelector()
    namespace_selector: NamespaceSelector = NamespaceSelector()


class PodMonitor(Resource, frozen=True):
    kind = "PodMonitor"
    group = "monitoring.coreos.com"
    plural = "podmonitors"
    short_names = ("pmon",)
    optional = True
    spec: PodMonitorSpec = PodMonitorSpec()
    status: BindingsStatus = BindingsStatus()


class RuleGroup(Fields, frozen=True):
    """A group of rules, without the rules."""

    name: str = ""


class PrometheusRuleSpec(Fields, frozen=True):
    groups: tuple[RuleGroup, ...] = ()


class PrometheusRule(Resource, frozen=True):
    kind = "PrometheusRule"
    group = "monitoring.coreos.com"
    plural = "prometheusrules"
    short_names = ("promrule",)
    optional = True
    spec: PrometheusRuleSpec = PrometheusRuleSpec()
    status: BindingsStatus = BindingsStatus()
