"""ClusterCatalog: is the catalog unpacked and served?

Source: https://operator-framework.github.io/operator-controller/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.olm import ClusterCatalog
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, lasting, reported, unreconciled
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://operator-framework.github.io/operator-controller/api-reference/olmv1-api-reference/"
_TUTORIAL = "https://operator-framework.github.io/operator-controller/tutorials/add-catalog/"

NOT_SERVING = Code(
    "ClusterCatalogNotServing",
    "critical",
    "The catalog's content is not served, so nothing can be installed from it.",
    _TUTORIAL,
)
NOT_PROGRESSING = Code(
    "ClusterCatalogNotProgressing",
    "warning",
    "The catalog's image cannot be pulled or unpacked; what it served before may be old.",
    _TUTORIAL,
)
IMAGE_INVALID = Code(
    "ClusterCatalogImageInvalid", "critical", "The catalog names no image that could be pulled.", _DOCS
)
IMAGE_UNRESOLVED = Code(
    "ClusterCatalogImageUnresolved",
    "warning",
    "The catalog's image was not resolved to a digest, so it is unknown what is served.",
    _DOCS,
)
NOT_RECONCILED = Code(
    "ClusterCatalogNotReconciled", "warning", "No controller has judged the catalog or its last change.", _DOCS
)
UNAVAILABLE = Code(
    "ClusterCatalogUnavailable",
    "info",
    "The catalog is switched off: nothing is installed or upgraded from it.",
    _DOCS,
)

# Host, path, tag and digest, as https://github.com/distribution/reference writes them.
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"^(?:[a-zA-Z0-9][a-zA-Z0-9.-]*(?::\d+)?/|\[[0-9a-fA-F:]+\](?::\d+)?/)?{_PART}(?:/{_PART})*"
    r"(?::\w[\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$"
)
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@analyzer(
    ClusterCatalog,
    codes=[NOT_SERVING, NOT_PROGRESSING, IMAGE_INVALID, IMAGE_UNRESOLVED, NOT_RECONCILED, UNAVAILABLE],
    default=False,
    group="OLM",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """ClusterCatalogs that are not served or not kept up to date."""
    for catalog in view.all(ClusterCatalog):
        if catalog.metadata.deletion_timestamp:
            continue
        spec, conditions = catalog.spec, catalog.status.conditions
        image = spec.source.image.ref if spec.source.image else ""
        if spec.availability_mode == "Unavailable":
            yield UNAVAILABLE.finding(
                catalog,
                "The catalog's availabilityMode is Unavailable.",
                evidence=[("spec.availabilityMode", spec.availability_mode)],
            )
            continue
        if spec.source.type in ("", "Image") and not _IMAGE.match(image):
            yield IMAGE_INVALID.finding(
                catalog,
                f"{image or 'Nothing'!r} is no image that could be pulled.",
                evidence=[("spec.source.image.ref", image or "none")],
                masked=(image,),
            )
        yield from unreconciled(view, NOT_RECONCILED, catalog, conditions, "Progressing")
        progressing = condition(conditions, "Progressing")
        stuck = lasting(view, catalog, conditions, "Progressing", "True", "False")
        if stuck and stuck.reason != "Succeeded":
            yield reported(
                NOT_PROGRESSING,
                catalog,
                stuck,
                f"The catalog {'cannot be updated' if stuck.reason == 'Blocked' else 'is not up to date'}",
                evidence=[("spec.source.image.ref", image)],
                masked=(image,),
                severity="critical" if stuck.reason == "Blocked" else None,
            )
        if idle := lasting(view, catalog, conditions, "Serving", "False", "Unknown"):
            yield reported(NOT_SERVING, catalog, idle, "The catalog is not served")
        elif progressing and progressing.reason == "Succeeded" and view.older_than(changed(catalog), GRACE):
            yield from _resolved(catalog)


def _resolved(catalog: ClusterCatalog) -> Iterator[Finding]:
    source = catalog.status.resolved_source
    resolved = source.image.ref if source and source.image else ""
    if not _DIGEST.search(resolved):
        yield IMAGE_UNRESOLVED.finding(
            catalog,
            f"The image was resolved to {resolved or 'nothing'}, which has no sha256 digest.",
            evidence=[("status.resolvedSource.image.ref", resolved or "none")],
            masked=(resolved,),
        )
