"""What extends the API: custom resource definitions and aggregated API services.

Source: https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/
"""

from __future__ import annotations

from msgspec import field

from k8sgpt_magic.cluster.resources import Condition, Fields, Resource, WebhookClientConfig, WorkloadMeta


class CustomResourceDefinitionVersion(Fields, frozen=True):
    name: str = ""
    served: bool = False
    storage: bool = False
    deprecated: bool = False


class WebhookConversion(Fields, frozen=True):
    client_config: WebhookClientConfig | None = None


class CustomResourceConversion(Fields, frozen=True):
    strategy: str = ""
    webhook: WebhookConversion | None = None


class CustomResourceDefinitionSpec(Fields, frozen=True):
    group: str = ""
    versions: tuple[CustomResourceDefinitionVersion, ...] = ()
    conversion: CustomResourceConversion | None = None


class CustomResourceDefinitionStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()
    stored_versions: tuple[str, ...] = ()


class CustomResourceDefinition(Resource, frozen=True):
    kind = "CustomResourceDefinition"
    group = "apiextensions.k8s.io"
    plural = "customresourcedefinitions"
    namespaced = False
    short_names = ("crd", "crds")
    metadata: WorkloadMeta = WorkloadMeta()
    spec: CustomResourceDefinitionSpec = CustomResourceDefinitionSpec()
    status: CustomResourceDefinitionStatus = CustomResourceDefinitionStatus()


class ServiceOfAPI(Fields, frozen=True):
    namespace: str = ""
    name: str = ""
    port: int = 443


class APIServiceSpec(Fields, frozen=True):
    group: str = ""
    version: str = ""
    service: ServiceOfAPI | None = None
    insecure_skip_tls_verify: bool = field(default=False, name="insecureSkipTLSVerify")


class APIServiceStatus(Fields, frozen=True):
    conditions: tuple[Condition, ...] = ()


class APIService(Resource, frozen=True):
    kind = "APIService"
    group = "apiregistration.k8s.io"
    plural = "apiservices"
    namespaced = False
    spec: APIServiceSpec = APIServiceSpec()
    status: APIServiceStatus = APIServiceStatus()
