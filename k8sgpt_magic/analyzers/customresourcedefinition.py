"""CustomResourceDefinition: is each kind that it defines served, and can its objects be read and written?

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.extension import CustomResourceDefinition
from k8sgpt_magic.cluster.resources import ObjectRef, Service
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, joined, sentence

_DOCS = "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/"
_VERSIONS = (
    "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/"
)

NOT_ESTABLISHED = Code(
    "CustomResourceDefinitionNotEstablished",
    "critical",
    "The kind is not served: its names are taken, or something else in the definition was not accepted.",
    _DOCS,
)
NON_STRUCTURAL = Code(
    "CustomResourceDefinitionNonStructuralSchema",
    "warning",
    "The schema is not structural, so unknown fields are kept unchecked and newer features do not work.",
    f"{_DOCS}#specifying-a-structural-schema",
)
STUCK = Code(
    "CustomResourceDefinitionTerminating",
    "warning",
    "The definition is being deleted and objects of its kind are held by finalizers that nobody removes.",
    f"{_DOCS}#finalizers",
)
STORED_VERSION = Code(
    "CustomResourceDefinitionStoredVersion",
    "warning",
    "Objects may still be stored in a version that the definition no longer has, and could not be read then.",
    f"{_VERSIONS}#upgrade-existing-objects-to-a-new-stored-version",
)
CONVERSION_SERVICE = Code(
    "CustomResourceDefinitionConversionServiceMissing",
    "critical",
    "The Service of the webhook that converts between versions does not exist, so objects cannot be read or written.",
    f"{_VERSIONS}#webhook-conversion",
)

GRACE = 60
STUCK_AFTER = 600


@analyzer(
    CustomResourceDefinition,
    reads=[Service],
    codes=[NOT_ESTABLISHED, NON_STRUCTURAL, STUCK, STORED_VERSION, CONVERSION_SERVICE],
    default=False,
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """CustomResourceDefinitions whose kind is not served, or cannot be read any more."""
    for definition in view.all(CustomResourceDefinition):
        conditions = definition.status.conditions
        yield from _not_established(view, definition)
        structural = condition(conditions, "NonStructuralSchema")
        if structural is not None and structural.status == "True":
            yield NON_STRUCTURAL.finding(
                definition,
                f"Its schema is not structural: {sentence(structural.message)}",
                since=structural.last_transition_time,
                evidence=[("status.conditions[NonStructuralSchema]", structural.message)],
            )
        deleted = definition.metadata.deletion_timestamp
        if view.older_than(deleted, STUCK_AFTER):
            terminating = condition(conditions, "Terminating")
            message = terminating.message if terminating is not None else "nothing says what holds it"
            yield STUCK.finding(
                definition,
                f"It has been terminating for {ago(view.age(deleted))}: {sentence(message)}",
                since=deleted,
                evidence=[
                    ("status.conditions[Terminating]", message),
                    ("metadata.finalizers", joined(definition.metadata.finalizers)),
                ],
            )
        versions = {each.name for each in definition.spec.versions}
        if gone := [each for each in definition.status.stored_versions if each not in versions]:
            yield STORED_VERSION.finding(
                definition,
                f"Objects may be stored as {joined(gone)}, which the definition no longer has.",
                evidence=[
                    ("status.storedVersions", joined(definition.status.stored_versions, 20)),
                    ("spec.versions", joined(sorted(versions), 20)),
                ],
            )
        yield from _conversion(view, definition)


def _not_established(view: ClusterView, definition: CustomResourceDefinition) -> Iterator[Finding]:
    conditions = definition.status.conditions
    if definition.metadata.deletion_timestamp is not None or not view.older_than(
        definition.metadata.creation_timestamp, GRACE
    ):
        return
    for name in ("NamesAccepted", "Established"):
        found = condition(conditions, name)
        if found is not None and found.status == "False":
            yield NOT_ESTABLISHED.finding(
                definition,
                f"The kind is not served as defined: {sentence(found.message or found.reason or 'no reason given')}",
                since=found.last_transition_time,
                evidence=[(f"status.conditions[{name}]", f"{found.reason}: {found.message}")],
            )
            return


def _conversion(view: ClusterView, definition: CustomResourceDefinition) -> Iterator[Finding]:
    conversion = definition.spec.conversion
    webhook = conversion.webhook if conversion is not None and conversion.strategy == "Webhook" else None
    service = webhook.client_config.service if webhook is not None and webhook.client_config is not None else None
    # With one version there is nothing to convert.
    if service is None or len(definition.spec.versions) < 2:
        return
    if view.missing(Service, service.namespace, service.name):
        place = f"{service.namespace}/{service.name}"
        yield CONVERSION_SERVICE.finding(
            definition,
            f"Its objects are converted by the Service {place}, which does not exist.",
            evidence=[("spec.conversion.webhook.clientConfig.service", place)],
            because=[ObjectRef("Service", service.namespace, service.name)],
            masked=[service.namespace, service.name],
        )
