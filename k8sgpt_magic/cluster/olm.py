"""The kinds of the Operator Lifecycle Manager, of its first generation and of OLM v1, as far as rules use them.

Source of the fields: https://olm.operatorframework.io/docs/ and https://operator-framework.github.io/operator-controller/
"""

from __future__ import annotations

from datetime import datetime

from msgspec import field

from k8sgpt_magic.cluster.resources import (
    AnnotatedMeta,
    Condition,
    Fields,
    LabelSelector,
    LocalReference,
    Resource,
    WorkloadMeta,
)

V1_GROUP = "olm.operatorframework.io"
GROUP = "operators.coreos.com"


class ImageSource(Fields, frozen=True):
    ref: str = ""
    poll_interval_minutes: int | None = None


class CatalogImage(Fields, frozen=True):
    type: str = ""
    image: ImageSource | None = None


class ClusterCatalogSpec(Fields, frozen=True):
    source: CatalogImage = CatalogImage()
    availability_mode: str = "Available"


class ClusterCatalogStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()
    resolved_source: CatalogImage | None = None
    last_unpacked: datetime | None = None


class ClusterCatalog(Resource, frozen=True):
    kind = "ClusterCatalog"
    group = V1_GROUP
    plural = "clustercatalogs"
    namespaced = False
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: ClusterCatalogSpec = ClusterCatalogSpec()
    status: ClusterCatalogStatus = ClusterCatalogStatus()


class CatalogFilter(Fields, frozen=True):
    package_name: str = ""
    version: str = ""
    upgrade_constraint_policy: str = ""


class ExtensionSource(Fields, frozen=True):
    source_type: str = ""
    catalog: CatalogFilter | None = None


class ClusterExtensionSpec(Fields, frozen=True):
    namespace: str = ""
    service_account: LocalReference = LocalReference()
    source: ExtensionSource = ExtensionSource()


class Bundle(Fields, frozen=True):
    name: str = ""
    version: str = ""


class ExtensionInstall(Fields, frozen=True):
    bundle: Bundle = Bundle()


class ClusterExtensionStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()
    install: ExtensionInstall | None = None


class ClusterExtension(Resource, frozen=True):
    kind = "ClusterExtension"
    group = V1_GROUP
    plural = "clusterextensions"
    namespaced = False
    optional = True
    metadata: WorkloadMeta = WorkloadMeta()
    spec: ClusterExtensionSpec = ClusterExtensionSpec()
    status: ClusterExtensionStatus = ClusterExtensionStatus()


class InstallDeployment(Fields, frozen=True):
    name: str = ""


class InstallStrategy(Fields, frozen=True):
    deployments: tuple[InstallDeployment, ...] = ()


class NamedInstallStrategy(Fields, frozen=True):
    spec: InstallStrategy = InstallStrategy()


class ClusterServiceVersionSpec(Fields, frozen=True):
    install: NamedInstallStrategy = NamedInstallStrategy()


class RequirementStatus(Fields, frozen=True):
    kind: str = ""
    name: str = ""
    status: str = ""
    message: str = ""


class ClusterServiceVersionStatus(Fields, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    requirement_status: tuple[RequirementStatus, ...] = ()


class ClusterServiceVersion(Resource, frozen=True):
    kind = "ClusterServiceVersion"
    group = GROUP
    version = "v1alpha1"
    plural = "clusterserviceversions"
    short_names = ("csv", "csvs")
    optional = True
    spec: ClusterServiceVersionSpec = ClusterServiceVersionSpec()
    status: ClusterServiceVersionStatus = ClusterServiceVersionStatus()


class SubscriptionSpec(Fields, frozen=True):
    name: str = ""
    source: str = ""
    source_namespace: str = ""
    install_plan_approval: str = ""


class SubscriptionStatus(Fields, frozen=True):
    state: str = ""
    conditions: tuple[Condition, ...] = ()
    install_plan_ref: LocalReference | None = None
    installed_csv: str = field(default="", name="installedCSV")
    current_csv: str = field(default="", name="currentCSV")
    last_updated: datetime | None = None


class Subscription(Resource, frozen=True):
    kind = "Subscription"
    group = GROUP
    version = "v1alpha1"
    plural = "subscriptions"
    short_names = ("sub", "subs")
    optional = True
    spec: SubscriptionSpec = SubscriptionSpec()
    status: SubscriptionStatus = SubscriptionStatus()


class InstallPlanSpec(Fields, frozen=True):
    approved: bool = False
    cluster_service_version_names: tuple[str, ...] = ()


class StepResource(Fields, frozen=True):
    kind: str = ""
    name: str = ""


class Step(Fields, frozen=True):
    status: str = ""
    resource: StepResource = StepResource()


class BundleLookup(Fields, frozen=True):
    identifier: str = ""
    conditions: tuple[Condition, ...] = ()


class InstallPlanStatus(Fields, frozen=True):
    phase: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    plan: tuple[Step, ...] = ()
    bundle_lookups: tuple[BundleLookup, ...] = ()


class InstallPlan(Resource, frozen=True):
    kind = "InstallPlan"
    group = GROUP
    version = "v1alpha1"
    plural = "installplans"
    short_names = ("ip",)
    optional = True
    spec: InstallPlanSpec = InstallPlanSpec()
    status: InstallPlanStatus = InstallPlanStatus()


class RegistryPoll(Fields, frozen=True):
    interval: str = ""


class UpdateStrategy(Fields, frozen=True):
    registry_poll: RegistryPoll | None = None


class CatalogSourceSpec(Fields, frozen=True):
    source_type: str = ""
    image: str = ""
    update_strategy: UpdateStrategy | None = None


class ConnectionState(Fields, frozen=True):
    address: str = ""
    last_connect: datetime | None = None
    last_observed_state: str = ""


class CatalogSourceStatus(Fields, frozen=True):
    reason: str = ""
    message: str = ""
    connection_state: ConnectionState | None = None


class CatalogSource(Resource, frozen=True):
    kind = "CatalogSource"
    group = GROUP
    version = "v1alpha1"
    plural = "catalogsources"
    short_names = ("catsrc",)
    optional = True
    spec: CatalogSourceSpec = CatalogSourceSpec()
    status: CatalogSourceStatus = CatalogSourceStatus()


class OperatorGroupSpec(Fields, frozen=True):
    target_namespaces: tuple[str, ...] = ()
    selector: LabelSelector | None = None


class OperatorGroupStatus(Fields, frozen=True):
    namespaces: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class OperatorGroup(Resource, frozen=True):
    kind = "OperatorGroup"
    group = GROUP
    plural = "operatorgroups"
    short_names = ("og",)
    optional = True
    metadata: AnnotatedMeta = AnnotatedMeta()
    spec: OperatorGroupSpec = OperatorGroupSpec()
    status: OperatorGroupStatus = OperatorGroupStatus()
