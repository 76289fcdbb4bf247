"""Issuer (cert-manager): can it sign certificates?

Source: https://cert-manager.io/docs/configuration/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import Issuer
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import lasting, reported, unreconciled
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://cert-manager.io/docs/configuration/"

NOT_READY = Code(
    "IssuerNotReady", "critical", "The issuer cannot sign, so its certificates are neither issued nor renewed.", _DOCS
)
NOT_RECONCILED = Code(
    "IssuerNotReconciled",
    "warning",
    "cert-manager has not judged the issuer or its last change.",
    "https://cert-manager.io/docs/troubleshooting/",
)


@analyzer(Issuer, codes=[NOT_READY, NOT_RECONCILED], group="Integrations")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Issuers of cert-manager that cannot sign certificates."""
    for each in view.all(Issuer):
        if unready := lasting(view, each, each.status.conditions, "Ready"):
            yield reported(NOT_READY, each, unready, "The issuer is not ready")
        yield from unreconciled(view, NOT_RECONCILED, each, each.status.conditions, "Ready")
