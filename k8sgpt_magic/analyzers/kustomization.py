"""Kustomization (Flux): is what it should apply applied and healthy?

Source: https://fluxcd.io/flux/components/kustomize/kustomizations/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import Kustomization
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.flux import WORKLOADS, Codes, judged
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://fluxcd.io/flux/components/kustomize/kustomizations/"

NOT_READY = Code(
    "KustomizationNotReady",
    "warning",
    "Flux could not apply the Kustomization, or what it applied does not get healthy.",
    f"{_DOCS}#conditions",
)
STALLED = Code("KustomizationStalled", "critical", "Flux has given the Kustomization up.", f"{_DOCS}#conditions")
NOT_RECONCILED = Code(
    "KustomizationNotReconciled",
    "warning",
    "Flux has not judged the Kustomization or its last change.",
    f"{_DOCS}#conditions",
)
SUSPENDED = Code(
    "KustomizationSuspended",
    "info",
    "Flux does not apply the Kustomization until somebody resumes it.",
    f"{_DOCS}#suspend",
)

_CODES = Codes(NOT_READY, STALLED, NOT_RECONCILED, SUSPENDED)


@analyzer(
    Kustomization,
    reads=WORKLOADS,
    codes=[NOT_READY, STALLED, NOT_RECONCILED, SUSPENDED],
    group="Integrations",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Kustomizations of Flux that are not applied."""
    for each in view.all(Kustomization):
        yield from judged(view, each, _CODES)
