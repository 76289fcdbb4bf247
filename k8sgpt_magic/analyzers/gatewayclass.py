"""GatewayClass: is there a controller for it, and does it take it?

Source: https://gateway-api.sigs.k8s.io/api-types/gatewayclass/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.gateway import GatewayClass
from k8sgpt_magic.cluster.resources import ConfigMap
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, lasting, reported, unreconciled
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://gateway-api.sigs.k8s.io/api-types/gatewayclass/"

NOT_ACCEPTED = Code(
    "GatewayClassNotAccepted",
    "critical",
    "The controller refuses the GatewayClass, so it serves none of its Gateways.",
    f"{_DOCS}#gatewayclass-status",
)
NO_CONTROLLER = Code(
    "GatewayClassNoController",
    "critical",
    "No controller has judged the GatewayClass, so probably none runs that would serve its Gateways.",
    f"{_DOCS}#gatewayclass-controller-selection",
)
UNSUPPORTED_VERSION = Code(
    "GatewayClassUnsupportedVersion",
    "warning",
    "The controller does not support the version of the Gateway API's CRDs that is installed.",
    "https://gateway-api.sigs.k8s.io/concepts/versioning/",
)
PARAMETERS_MISSING = Code(
    "GatewayClassParametersMissing",
    "critical",
    "The GatewayClass refers to parameters that do not exist.",
    f"{_DOCS}#gatewayclass-parameters",
)


@analyzer(
    GatewayClass,
    reads=[ConfigMap],
    codes=[NOT_ACCEPTED, NO_CONTROLLER, UNSUPPORTED_VERSION, PARAMETERS_MISSING],
    default=False,
    group="GatewayAPI",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """GatewayClasses that no controller accepts."""
    for each in view.all(GatewayClass):
        conditions = each.status.conditions
        if refused := lasting(view, each, conditions, "Accepted"):
            yield reported(
                NOT_ACCEPTED,
                each,
                refused,
                f"Controller {each.spec.controller_name} does not accept the class",
                evidence=[("spec.controllerName", each.spec.controller_name)],
            )
        yield from unreconciled(view, NO_CONTROLLER, each, conditions, "Accepted")
        if unsupported := lasting(view, each, conditions, "SupportedVersion"):
            yield reported(UNSUPPORTED_VERSION, each, unsupported, "The installed CRDs are not supported")
        parameters = each.spec.parameters_ref
        if (
            parameters
            and (parameters.group, parameters.kind) == ("", "ConfigMap")
            and view.missing(ConfigMap, parameters.namespace, parameters.name)
            and view.older_than(changed(each), GRACE)
        ):
            yield PARAMETERS_MISSING.finding(
                each,
                f"ConfigMap {parameters.namespace}/{parameters.name}, with the parameters, does not exist.",
                evidence=[("spec.parametersRef", f"ConfigMap {parameters.namespace}/{parameters.name}")],
                masked=(parameters.namespace, parameters.name),
            )
