"""The Kubernetes objects that analyzers read, as msgspec structs.

Each struct holds only the fields that a rule uses, in the API's own names written the Python way
(``status.containerStatuses`` is ``status.container_statuses``); msgspec skips all others while decoding.
Every field has a default, so an object without a status is an object and not an error. Lists and maps are
empty where the API has none; an explicit ``null`` is taken for absence (see ``decode``).

Source of the fields: https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

import msgspec
from msgspec import Struct, field


class Fields(Struct, frozen=True, gc=False, rename="camel"):
    """A part of an object. API objects are trees, so the garbage collector need not look at them."""


class ObjectRef(Struct, frozen=True, gc=False, order=True):
    """What names one object in a cluster: its kind, namespace ("" for cluster-scoped kinds) and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


# --- parts that many kinds share -------------------------------------------------------------------------


class OwnerReference(Fields, frozen=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(Fields, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()


class AnnotatedMeta(ObjectMeta, frozen=True):
    """Metadata of the kinds whose rules rest on an annotation; the others do not keep theirs."""

    annotations: dict[str, str] = {}


class RemovedVersion(Enum):
    """The versions of APIs that Kubernetes has removed; all others are ``OTHER``, since none of their names is kept.

    Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/
    """

    OTHER = ""
    EXTENSIONS_V1BETA1 = "extensions/v1beta1"
    APPS_V1BETA1 = "apps/v1beta1"
    APPS_V1BETA2 = "apps/v1beta2"
    ADMISSION_V1BETA1 = "admissionregistration.k8s.io/v1beta1"
    DEFINITIONS_V1BETA1 = "apiextensions.k8s.io/v1beta1"
    NETWORKING_V1BETA1 = "networking.k8s.io/v1beta1"
    BATCH_V1BETA1 = "batch/v1beta1"
    POLICY_V1BETA1 = "policy/v1beta1"
    AUTOSCALING_V2BETA1 = "autoscaling/v2beta1"
    AUTOSCALING_V2BETA2 = "autoscaling/v2beta2"

    @classmethod
    def _missing_(cls, value: object) -> RemovedVersion:  # noqa: ARG003
        return cls.OTHER


class ManagedFieldsEntry(Fields, frozen=True):
    """When somebody last wrote an object, and in which version: its spec or, with a ``subresource``, its status."""

    time: datetime | None = None
    subresource: str = ""
    api_version: RemovedVersion = RemovedVersion.OTHER


class WorkloadMeta(AnnotatedMeta, frozen=True):
    """Metadata of the kinds for which it matters when they were changed, or in which version of their API."""

    managed_fields: tuple[ManagedFieldsEntry, ...] = ()


class Condition(Fields, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    observed_generation: int = 0


class LabelSelectorRequirement(Fields, frozen=True):
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class LabelSelector(Fields, frozen=True):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


Quantity = str | int | float
IntOrString = int | str


class LocalReference(Fields, frozen=True):
    name: str = ""


class KeyReference(Fields, frozen=True):
    """``configMapKeyRef``, ``secretKeyRef`` (with ``key``), ``configMapRef`` and ``secretRef`` (without)."""

    name: str = ""
    key: str = ""
    optional: bool = False


class Resource(Fields, kw_only=True, frozen=True):
    """Base of all objects. ``kind`` and the rest of the API identity are constants of the class."""

    kind: ClassVar[str]
    group: ClassVar[str] = ""
    version: ClassVar[str] = "v1"
    plural: ClassVar[str]
    namespaced: ClassVar[bool] = True
    short_names: ClassVar[tuple[str, ...]] = ()
    home: ClassVar[str] = ""
    """The one namespace that objects of this kind are read from, for kinds whose others do not matter."""
    optional: ClassVar[bool] = False
    """Whether a server may lack this kind, as those of CustomResourceDefinitions: it is read where it is served."""
    other_versions: ClassVar[tuple[str, ...]] = ()
    """Versions besides ``version`` that have the same fields here, the newest first, for kinds that are optional."""
    field_selector: ClassVar[str] = ""
    """What is listed of this kind, if not all of it, as ``kubectl get --field-selector`` takes it."""
    is_saved: ClassVar[bool] = True
    """Whether snapshots hold this kind."""

    metadata: ObjectMeta = ObjectMeta()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def uid(self) -> str:
        return self.metadata.uid

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.metadata.namespace, self.metadata.name)

    @classmethod
    def scopes(cls, namespaces: Sequence[str]) -> list[str]:
        """Where to list this kind when the user asks for these namespaces (none: all): namespaces, or "" for all."""
        if cls.home:
            return [cls.home]
        return list(namespaces) if cls.namespaced and namespaces else [""]

    @classmethod
    def api_path(cls, namespace: str = "", version: str = "") -> str:
        """The path of the list on an API server, such as ``/apis/apps/v1/namespaces/shop/deployments``."""
        version = version or cls.version
        prefix = f"/apis/{cls.group}/{version}" if cls.group else f"/api/{version}"
        scope = f"/namespaces/{namespace}" if namespace and cls.namespaced else ""
        return f"{prefix}{scope}/{cls.plural}"


# --- pods ------------------------------------------------------------------------------------------------


class EnvVarSource(Fields, frozen=True):
    config_map_key_ref: KeyReference | None = None
    secret_key_ref: KeyReference | None = None


class EnvVar(Fields, frozen=True):
    """An environment variable. Its literal value is not read: it may be a secret."""

    name: str = ""
    value_from: EnvVarSource | None = None


class EnvFromSource(Fields, frozen=True):
    config_map_ref: KeyReference | None = None
    secret_ref: KeyReference | None = None


class ResourceRequirements(Fields, frozen=True):
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}


class ContainerPort(Fields, frozen=True):
    name: str = ""
    container_port: int = 0
    host_port: int = 0
    protocol: str = "TCP"


class NetworkAction(Fields, frozen=True):
    """What a probe or hook calls. Without a host it is the pod itself."""

    host: str = ""


class Probe(Fields, frozen=True):
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3
    http_get: NetworkAction | None = None
    tcp_socket: NetworkAction | None = None


class LifecycleHandler(Fields, frozen=True):
    http_get: NetworkAction | None = None
    tcp_socket: NetworkAction | None = None


class Lifecycle(Fields, frozen=True):
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None


class Capabilities(Fields, frozen=True):
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SeccompProfile(Fields, frozen=True):
    type: str = ""


class AppArmorProfile(Fields, frozen=True):
    type: str = ""


class SELinuxOptions(Fields, frozen=True):
    type: str = ""
    user: str = ""
    role: str = ""


class WindowsOptions(Fields, frozen=True):
    host_process: bool = False


class SecurityContext(Fields, frozen=True):
    privileged: bool = False
    allow_privilege_escalation: bool | None = None
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    capabilities: Capabilities = Capabilities()
    seccomp_profile: SeccompProfile | None = None
    proc_mount: str = ""
    app_armor_profile: AppArmorProfile | None = None
    se_linux_options: SELinuxOptions | None = None
    windows_options: WindowsOptions | None = None


class Sysctl(Fields, frozen=True):
    name: str = ""


class PodSecurityContext(Fields, frozen=True):
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    seccomp_profile: SeccompProfile | None = None
    sysctls: tuple[Sysctl, ...] = ()
    app_armor_profile: AppArmorProfile | None = None
    se_linux_options: SELinuxOptions | None = None
    windows_options: WindowsOptions | None = None


class VolumeMount(Fields, frozen=True):
    """A mount of a part of a volume. Of one of a whole volume nothing is kept, so that containers stay alike."""

    name: str = ""
    sub_path: str = ""

    def __post_init__(self) -> None:
        if not self.sub_path and self.name:
            # Admission names the token's volume differently in every pod.
            msgspec.structs.force_setattr(self, "name", "")


class Container(Fields, frozen=True):
    name: str = ""
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    restart_policy: str = ""
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    security_context: SecurityContext | None = None


class KeyToPath(Fields, frozen=True):
    key: str = ""


class ConfigMapVolume(Fields, frozen=True):
    name: str = ""
    optional: bool = False
    items: tuple[KeyToPath, ...] = ()


class SecretVolume(Fields, frozen=True):
    secret_name: str = ""
    optional: bool = False
    items: tuple[KeyToPath, ...] = ()


class ProjectedSecret(Fields, frozen=True):
    name: str = ""
    optional: bool = False
    items: tuple[KeyToPath, ...] = ()


class VolumeProjection(Fields, frozen=True):
    config_map: ConfigMapVolume | None = None
    secret: ProjectedSecret | None = None


class ProjectedVolume(Fields, frozen=True):
    sources: tuple[VolumeProjection, ...] = ()


class PersistentVolumeClaimVolume(Fields, frozen=True):
    claim_name: str = ""


class EphemeralVolume(Fields, frozen=True):
    """A generic ephemeral volume: the claim is named ``<pod>-<volume>``."""


class OtherVolume(Fields, frozen=True):
    """A volume of which only the kind matters."""


class HostPathVolume(Fields, frozen=True):
    path: str = ""


class Volume(Fields, frozen=True):
    name: str = ""
    host_path: HostPathVolume | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    projected: ProjectedVolume | None = None
    persistent_volume_claim: PersistentVolumeClaimVolume | None = None
    ephemeral: EphemeralVolume | None = None
    empty_dir: OtherVolume | None = None
    csi: OtherVolume | None = None
    downward_api: OtherVolume | None = field(default=None, name="downwardAPI")
    image: OtherVolume | None = None


class Toleration(Fields, frozen=True):
    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class PodSchedulingGate(Fields, frozen=True):
    name: str = ""


class PodOS(Fields, frozen=True):
    name: str = ""


class PodSpec(Fields, frozen=True):
    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    image_pull_secrets: tuple[LocalReference, ...] = ()
    service_account_name: str = ""
    restart_policy: str = "Always"
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    scheduling_gates: tuple[PodSchedulingGate, ...] = ()
    termination_grace_period_seconds: int | None = None
    priority_class_name: str = ""
    host_network: bool = False
    host_pid: bool = field(default=False, name="hostPID")
    host_ipc: bool = field(default=False, name="hostIPC")
    host_users: bool = True
    os: PodOS | None = None
    security_context: PodSecurityContext | None = None
    automount_service_account_token: bool | None = None


class ContainerStateWaiting(Fields, frozen=True):
    reason: str = ""
    message: str = ""


class ContainerStateRunning(Fields, frozen=True):
    started_at: datetime | None = None


class ContainerStateTerminated(Fields, frozen=True):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(Fields, frozen=True):
    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(Fields, frozen=True):
    name: str = ""
    image: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(Fields, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: datetime | None = None
    nominated_node_name: str = ""
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Resource, frozen=True):
    kind = "Pod"
    plural = "pods"
    short_names = ("po",)
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodTemplateSpec(Fields, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()


# --- workloads -------------------------------------------------------------------------------------------


class RollingUpdate(Fields, frozen=True):
    max_unavailable: IntOrString | None = None
    max_surge: IntOrString | None = None
    partition: int | None = None


class UpdateStrategy(Fields, frozen=True):
    type: str = ""
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Fields, frozen=True):
    replicas: int | None = None
    paused: bool = False
    progress_deadline_seconds: int | None = None
    min_ready_seconds: int = 0
    selector: LabelSelector | None = None
    strategy: UpdateStrategy = UpdateStrategy()
    template: PodTemplateSpec = PodTemplateSpec()


class DeploymentCondition(Condition, frozen=True):
    """``last_update_time`` of Progressing moves with each step of a rollout, the transition time does not."""

    last_update_time: datetime | None = None


class DeploymentStatus(Fields, frozen=True):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    conditions: tuple[DeploymentCondition, ...] = ()


class Deployment(Resource, frozen=True):
    kind = "Deployment"
    group = "apps"
    plural = "deployments"
    short_names = ("deploy",)
    metadata: WorkloadMeta = WorkloadMeta()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class ReplicaSetSpec(Fields, frozen=True):
    replicas: int | None = None
    selector: LabelSelector | None = None


class ReplicaSetStatus(Fields, frozen=True):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class ReplicaSet(Resource, frozen=True):
    kind = "ReplicaSet"
    group = "apps"
    plural = "replicasets"
    short_names = ("rs",)
    metadata: AnnotatedMeta = AnnotatedMeta()
    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class ReplicationController(Resource, frozen=True):
    kind = "ReplicationController"
    plural = "replicationcontrollers"
    short_names = ("rc",)


class PersistentVolumeClaimSpec(Fields, frozen=True):
    storage_class_name: str | None = None
    volume_name: str = ""
    access_modes: tuple[str, ...] = ()
    volume_mode: str = ""
    resources: ResourceRequirements = ResourceRequirements()


class ClaimTemplate(Fields, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()


class StatefulSetOrdinals(Fields, frozen=True):
    start: int = 0


class StatefulSetSpec(Fields, frozen=True):
    replicas: int | None = None
    service_name: str = ""
    pod_management_policy: str = ""
    min_ready_seconds: int = 0
    ordinals: StatefulSetOrdinals | None = None
    selector: LabelSelector | None = None
    update_strategy: UpdateStrategy = UpdateStrategy()
    template: PodTemplateSpec = PodTemplateSpec()
    volume_claim_templates: tuple[ClaimTemplate, ...] = ()


class StatefulSetStatus(Fields, frozen=True):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    current_replicas: int = 0
    updated_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    conditions: tuple[Condition, ...] = ()


class StatefulSet(Resource, frozen=True):
    kind = "StatefulSet"
    group = "apps"
    plural = "statefulsets"
    short_names = ("sts",)
    metadata: WorkloadMeta = WorkloadMeta()
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class DaemonSetSpec(Fields, frozen=True):
    min_ready_seconds: int = 0
    selector: LabelSelector | None = None
    update_strategy: UpdateStrategy = UpdateStrategy()
    template: PodTemplateSpec = PodTemplateSpec()


class DaemonSetStatus(Fields, frozen=True):
    observed_generation: int = 0
    current_number_scheduled: int = 0
    desired_number_scheduled: int = 0
    number_available: int = 0
    number_misscheduled: int = 0
    number_ready: int = 0
    number_unavailable: int = 0
    updated_number_scheduled: int = 0
    conditions: tuple[Condition, ...] = ()


class DaemonSet(Resource, frozen=True):
    kind = "DaemonSet"
    group = "apps"
    plural = "daemonsets"
    short_names = ("ds",)
    metadata: WorkloadMeta = WorkloadMeta()
    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class JobSpec(Fields, frozen=True):
    parallelism: int | None = None
    completions: int | None = None
    active_deadline_seconds: int | None = None
    backoff_limit: int | None = None
    suspend: bool = False
    template: PodTemplateSpec = PodTemplateSpec()


class JobStatus(Fields, frozen=True):
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    ready: int | None = None
    failed_indexes: str | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()


class Job(Resource, frozen=True):
    kind = "Job"
    group = "batch"
    plural = "jobs"
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class JobTemplateSpec(Fields, frozen=True):
    spec: JobSpec = JobSpec()


class CronJobSpec(Fields, frozen=True):
    schedule: str = ""
    time_zone: str | None = None
    suspend: bool = False
    concurrency_policy: str = "Allow"
    starting_deadline_seconds: int | None = None
    job_template: JobTemplateSpec = JobTemplateSpec()


class EventObject(Fields, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    field_path: str = ""


class CronJobStatus(Fields, frozen=True):
    active: tuple[EventObject, ...] = ()
    last_schedule_time: datetime | None = None
    last_successful_time: datetime | None = None


class CronJob(Resource, frozen=True):
    kind = "CronJob"
    group = "batch"
    plural = "cronjobs"
    short_names = ("cj",)
    metadata: WorkloadMeta = WorkloadMeta()
    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()


# --- network ---------------------------------------------------------------------------------------------


class ServicePort(Fields, frozen=True):
    name: str = ""
    port: int = 0
    target_port: IntOrString | None = None
    protocol: str = "TCP"
    node_port: int = 0


class ServiceSpec(Fields, frozen=True):
    type: str = "ClusterIP"
    cluster_ip: str = field(default="", name="clusterIP")
    external_name: str = ""
    selector: dict[str, str] = {}
    ports: tuple[ServicePort, ...] = ()
    publish_not_ready_addresses: bool = False
    load_balancer_class: str | None = None


class LoadBalancerIngress(Fields, frozen=True):
    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(Fields, frozen=True):
    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Fields, frozen=True):
    load_balancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: tuple[Condition, ...] = ()


class Service(Resource, frozen=True):
    kind = "Service"
    plural = "services"
    short_names = ("svc",)
    metadata: AnnotatedMeta = AnnotatedMeta()
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class EndpointConditions(Fields, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(Fields, frozen=True):
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    target_ref: EventObject | None = None
    node_name: str | None = None


class EndpointPort(Fields, frozen=True):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class EndpointSlice(Resource, frozen=True):
    """Belongs to the Service that the label ``kubernetes.io/service-name`` names."""

    kind = "EndpointSlice"
    group = "discovery.k8s.io"
    plural = "endpointslices"
    address_type: str = ""
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class ServiceBackendPort(Fields, frozen=True):
    name: str = ""
    number: int = 0


class IngressServiceBackend(Fields, frozen=True):
    name: str = ""
    port: ServiceBackendPort = ServiceBackendPort()


class TypedReference(Fields, frozen=True):
    api_group: str | None = None
    api_version: str = ""
    kind: str = ""
    name: str = ""


class IngressBackend(Fields, frozen=True):
    service: IngressServiceBackend | None = None
    resource: TypedReference | None = None


class HTTPIngressPath(Fields, frozen=True):
    path: str = ""
    path_type: str = ""
    backend: IngressBackend = IngressBackend()


class HTTPIngressRule(Fields, frozen=True):
    paths: tuple[HTTPIngressPath, ...] = ()


class IngressRule(Fields, frozen=True):
    host: str = ""
    http: HTTPIngressRule | None = None


class IngressTLS(Fields, frozen=True):
    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Fields, frozen=True):
    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTLS, ...] = ()


class IngressStatus(Fields, frozen=True):
    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Ingress(Resource, frozen=True):
    kind = "Ingress"
    group = "networking.k8s.io"
    plural = "ingresses"
    short_names = ("ing",)
    metadata: WorkloadMeta = WorkloadMeta()
    spec: IngressSpec = IngressSpec()
    status: IngressStatus = IngressStatus()


class IngressClassSpec(Fields, frozen=True):
    controller: str = ""


class IngressClass(Resource, frozen=True):
    kind = "IngressClass"
    group = "networking.k8s.io"
    plural = "ingressclasses"
    namespaced = False
    metadata: WorkloadMeta = WorkloadMeta()
    spec: IngressClassSpec = IngressClassSpec()


class IPBlock(Fields, frozen=True):
    cidr: str = ""
    except_: tuple[str, ...] = field(default=(), name="except")


class NetworkPolicyPeer(Fields, frozen=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class NetworkPolicyPort(Fields, frozen=True):
    port: IntOrString | None = None
    end_port: int | None = None
    protocol: str | None = None


class NetworkPolicyIngressRule(Fields, frozen=True):
    from_: tuple[NetworkPolicyPeer, ...] = field(default=(), name="from")
    ports: tuple[NetworkPolicyPort, ...] = ()


class NetworkPolicyEgressRule(Fields, frozen=True):
    to: tuple[NetworkPolicyPeer, ...] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


class NetworkPolicySpec(Fields, frozen=True):
    pod_selector: LabelSelector | None = None
    ingress: tuple[NetworkPolicyIngressRule, ...] = ()
    egress: tuple[NetworkPolicyEgressRule, ...] = ()
    policy_types: tuple[str, ...] = ()


class NetworkPolicy(Resource, frozen=True):
    kind = "NetworkPolicy"
    group = "networking.k8s.io"
    plural = "networkpolicies"
    short_names = ("netpol",)
    metadata: WorkloadMeta = WorkloadMeta()
    spec: NetworkPolicySpec = NetworkPolicySpec()


# --- autoscaling and disruption --------------------------------------------------------------------------


class MetricTarget(Fields, frozen=True):
    type: str = ""
    average_utilization: int | None = None
    average_value: Quantity | None = None
    value: Quantity | None = None


class ResourceMetric(Fields, frozen=True):
    """``resource`` and ``containerResource`` (with ``container``) metric sources."""

    name: str = ""
    container: str = ""
    target: MetricTarget = MetricTarget()


class MetricSpec(Fields, frozen=True):
    type: str = ""
    resource: ResourceMetric | None = None
    container_resource: ResourceMetric | None = None


class HorizontalPodAutoscalerSpec(Fields, frozen=True):
    scale_target_ref: TypedReference = TypedReference()
    min_replicas: int | None = None
    max_replicas: int = 0
    metrics: tuple[MetricSpec, ...] = ()


class HorizontalPodAutoscalerStatus(Fields, frozen=True):
    observed_generation: int | None = None
    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()


class HorizontalPodAutoscaler(Resource, frozen=True):
    kind = "HorizontalPodAutoscaler"
    group = "autoscaling"
    version = "v2"
    plural = "horizontalpodautoscalers"
    short_names = ("hpa",)
    metadata: WorkloadMeta = WorkloadMeta()
    spec: HorizontalPodAutoscalerSpec = HorizontalPodAutoscalerSpec()
    status: HorizontalPodAutoscalerStatus = HorizontalPodAutoscalerStatus()


class PodDisruptionBudgetSpec(Fields, frozen=True):
    min_available: IntOrString | None = None
    max_unavailable: IntOrString | None = None
    selector: LabelSelector | None = None


class PodDisruptionBudgetStatus(Fields, frozen=True):
    observed_generation: int = 0
    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    conditions: tuple[Condition, ...] = ()


class PodDisruptionBudget(Resource, frozen=True):
    kind = "PodDisruptionBudget"
    group = "policy"
    plural = "poddisruptionbudgets"
    short_names = ("pdb",)
    metadata: WorkloadMeta = WorkloadMeta()
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()


# --- configuration ---------------------------------------------------------------------------------------


class ConfigMap(Resource, frozen=True):
    """A ConfigMap. ``data`` and ``binary_data`` become sizes at once: no rule needs the values.

    ``sizes`` maps each key to the bytes of its value, and ``written`` is when it was last changed.
    """

    kind = "ConfigMap"
    plural = "configmaps"
    short_names = ("cm",)
    metadata: WorkloadMeta = WorkloadMeta()
    data: dict[str, Any] = {}
    binary_data: dict[str, Any] = {}
    immutable: bool = False
    written: datetime | None = None

    def __post_init__(self) -> None:
        sizes = {key: _text_size(value) for key, value in self.data.items()}
        sizes |= {key: _base64_size(value) for key, value in self.binary_data.items()}
        msgspec.structs.force_setattr(self, "data", sizes)
        msgspec.structs.force_setattr(self, "binary_data", {})
        if self.metadata.managed_fields:
            written = max((each.time for each in self.metadata.managed_fields if each.time), default=None)
            msgspec.structs.force_setattr(self, "written", written)
            msgspec.structs.force_setattr(self.metadata, "managed_fields", ())

    @property
    def sizes(self) -> dict[str, int]:
        return self.data


def _text_size(value: Any) -> int:
    # A copy of the struct finds the sizes in place of the values, and keeps them.
    return value if isinstance(value, int) else len(str(value).encode(errors="replace"))


def _base64_size(value: Any) -> int:
    text = str(value)
    return len(text) * 3 // 4 - text.count("=", -2)


class Secret(Resource, frozen=True):
    """A Secret without its data: live sources ask the server for metadata alone, archives hold no values."""

    kind = "Secret"
    plural = "secrets"
    type: str = ""


class TLSData(Fields, frozen=True, rename=None):
    """Of the data of a Secret with a certificate, the certificate. The key beside it is passed over unread."""

    tls_crt: str = field(default="", name="tls.crt")


class TLSSecret(Resource, frozen=True):
    """A Secret with a certificate, read for the certificate alone, where a user asks for its analyzer."""

    kind = "TLSSecret"
    plural = "secrets"
    field_selector = "type=kubernetes.io/tls"
    is_saved = False
    type: str = ""
    data: TLSData = TLSData()


class ServiceAccount(Resource, frozen=True):
    kind = "ServiceAccount"
    plural = "serviceaccounts"
    short_names = ("sa",)
    automount_service_account_token: bool | None = None


class NamespaceSpec(Fields, frozen=True):
    finalizers: tuple[str, ...] = ()


class NamespaceStatus(Fields, frozen=True):
    phase: str = ""
    conditions: tuple[Condition, ...] = ()


class Namespace(Resource, frozen=True):
    kind = "Namespace"
    plural = "namespaces"
    namespaced = False
    short_names = ("ns",)
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class ResourceQuotaSpec(Fields, frozen=True):
    hard: dict[str, Quantity] = {}


class ResourceQuotaStatus(Fields, frozen=True):
    hard: dict[str, Quantity] = {}
    used: dict[str, Quantity] = {}


class ResourceQuota(Resource, frozen=True):
    kind = "ResourceQuota"
    plural = "resourcequotas"
    short_names = ("quota",)
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()


class LimitRangeItem(Fields, frozen=True):
    type: str = ""
    max: dict[str, Quantity] = {}
    min: dict[str, Quantity] = {}
    default: dict[str, Quantity] = {}
    default_request: dict[str, Quantity] = {}
    max_limit_request_ratio: dict[str, Quantity] = {}


class LimitRangeSpec(Fields, frozen=True):
    limits: tuple[LimitRangeItem, ...] = ()


class LimitRange(Resource, frozen=True):
    kind = "LimitRange"
    plural = "limitranges"
    short_names = ("limits",)
    spec: LimitRangeSpec = LimitRangeSpec()


# --- storage ---------------------------------------------------------------------------------------------


class PersistentVolumeClaimStatus(Fields, frozen=True):
    phase: str = ""
    capacity: dict[str, Quantity] = {}
    conditions: tuple[Condition, ...] = ()


class PersistentVolumeClaim(Resource, frozen=True):
    kind = "PersistentVolumeClaim"
    plural = "persistentvolumeclaims"
    short_names = ("pvc",)
    metadata: AnnotatedMeta = AnnotatedMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()


class NodeSelectorTerm(Fields, frozen=True):
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    match_fields: tuple[LabelSelectorRequirement, ...] = ()


class NodeSelector(Fields, frozen=True):
    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class VolumeNodeAffinity(Fields, frozen=True):
    required: NodeSelector | None = None


class PersistentVolumeSpec(Fields, frozen=True):
    storage_class_name: str = ""
    claim_ref: EventObject | None = None
    persistent_volume_reclaim_policy: str = ""
    capacity: dict[str, Quantity] = {}
    access_modes: tuple[str, ...] = ()
    node_affinity: VolumeNodeAffinity | None = None


class PersistentVolumeStatus(Fields, frozen=True):
    phase: str = ""
    last_phase_transition_time: datetime | None = None
    reason: str = ""
    message: str = ""


class PersistentVolume(Resource, frozen=True):
    kind = "PersistentVolume"
    plural = "persistentvolumes"
    namespaced = False
    short_names = ("pv",)
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()


class StorageClass(Resource, frozen=True):
    kind = "StorageClass"
    group = "storage.k8s.io"
    plural = "storageclasses"
    namespaced = False
    short_names = ("sc",)
    metadata: AnnotatedMeta = AnnotatedMeta()
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    allow_volume_expansion: bool = False


class CSIDriver(Resource, frozen=True):
    kind = "CSIDriver"
    group = "storage.k8s.io"
    plural = "csidrivers"
    namespaced = False


class VolumeAttachmentSource(Fields, frozen=True):
    persistent_volume_name: str = ""


class VolumeAttachmentSpec(Fields, frozen=True):
    attacher: str = ""
    node_name: str = ""
    source: VolumeAttachmentSource = VolumeAttachmentSource()


class VolumeError(Fields, frozen=True):
    time: datetime | None = None
    message: str = ""


class VolumeAttachmentStatus(Fields, frozen=True):
    attached: bool = False
    attach_error: VolumeError | None = None
    detach_error: VolumeError | None = None


class VolumeAttachment(Resource, frozen=True):
    kind = "VolumeAttachment"
    group = "storage.k8s.io"
    plural = "volumeattachments"
    namespaced = False
    spec: VolumeAttachmentSpec = VolumeAttachmentSpec()
    status: VolumeAttachmentStatus = VolumeAttachmentStatus()


# --- nodes -----------------------------------------------------------------------------------------------


class Taint(Fields, frozen=True):
    key: str = ""
    value: str = ""
    effect: str = ""
    time_added: datetime | None = None


class NodeSpec(Fields, frozen=True):
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeCondition(Fields, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    last_heartbeat_time: datetime | None = None


class NodeInfo(Fields, frozen=True):
    kubelet_version: str = ""


class NodeStatus(Fields, frozen=True):
    conditions: tuple[NodeCondition, ...] = ()
    allocatable: dict[str, Quantity] = {}
    capacity: dict[str, Quantity] = {}
    node_info: NodeInfo = NodeInfo()


class Node(Resource, frozen=True):
    kind = "Node"
    plural = "nodes"
    namespaced = False
    short_names = ("no",)
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class LeaseSpec(Fields, frozen=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: datetime | None = None


class Lease(Resource, frozen=True):
    """Read from ``kube-node-lease`` alone: one Lease a node, renewed by its kubelet as a heartbeat."""

    kind = "Lease"
    group = "coordination.k8s.io"
    plural = "leases"
    home = "kube-node-lease"
    spec: LeaseSpec = LeaseSpec()


# --- admission -------------------------------------------------------------------------------------------


class ServiceReference(Fields, frozen=True):
    namespace: str = ""
    name: str = ""
    path: str = ""
    port: int = 443


class WebhookClientConfig(Fields, frozen=True):
    url: str | None = None
    service: ServiceReference | None = None
    ca_bundle: str | None = None


class RuleWithOperations(Fields, frozen=True):
    api_groups: tuple[str, ...] = ()
    api_versions: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scope: str = "*"


class MatchCondition(Fields, frozen=True):
    """A CEL expression that narrows what a webhook is called for. Nothing here evaluates it."""

    name: str = ""


class Webhook(Fields, frozen=True):
    name: str = ""
    client_config: WebhookClientConfig = WebhookClientConfig()
    failure_policy: str = "Fail"
    timeout_seconds: int = 10
    rules: tuple[RuleWithOperations, ...] = ()
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    match_conditions: tuple[MatchCondition, ...] = ()


class MutatingWebhookConfiguration(Resource, frozen=True):
    kind = "MutatingWebhookConfiguration"
    group = "admissionregistration.k8s.io"
    plural = "mutatingwebhookconfigurations"
    namespaced = False
    metadata: WorkloadMeta = WorkloadMeta()
    webhooks: tuple[Webhook, ...] = ()


class ValidatingWebhookConfiguration(Resource, frozen=True):
    kind = "ValidatingWebhookConfiguration"
    group = "admissionregistration.k8s.io"
    plural = "validatingwebhookconfigurations"
    namespaced = False
    metadata: WorkloadMeta = WorkloadMeta()
    webhooks: tuple[Webhook, ...] = ()


# --- events ----------------------------------------------------------------------------------------------


class EventSeries(Fields, frozen=True):
    count: int = 0
    last_observed_time: datetime | None = None


class EventSource(Fields, frozen=True):
    component: str = ""
    host: str = ""


class Event(Resource, frozen=True):
    """An Event of the core API, which also serves what clients write through ``events.k8s.io``."""

    kind = "Event"
    plural = "events"
    short_names = ("ev",)
    involved_object: EventObject = EventObject()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int = 0
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: EventSeries | None = None
    source: EventSource = EventSource()
    reporting_component: str = ""

    @property
    def last_seen(self) -> datetime | None:
        """The newest of the times that the two event APIs keep in different fields."""
        if self.series is None and self.event_time is None and self.last_timestamp is not None:
            # The common case, and events come by the thousand.
            return self.last_timestamp
        times = (
            self.series.last_observed_time if self.series else None,
            self.last_timestamp,
            self.event_time,
            self.first_timestamp,
            self.metadata.creation_timestamp,
        )
        return max((time for time in times if time is not None), default=None)

    @property
    def first_seen(self) -> datetime | None:
        return self.first_timestamp or self.event_time or self.metadata.creation_timestamp

    @property
    def occurrences(self) -> int:
        return max(self.count, self.series.count if self.series else 0, 1)
