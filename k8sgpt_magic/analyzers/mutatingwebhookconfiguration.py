"""MutatingWebhookConfiguration: can the webhooks that change requests be reached, and are they set up safely?

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import (
    EndpointSlice,
    MutatingWebhookConfiguration,
    Namespace,
    Pod,
    Service,
)
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.webhooks import WebhookCodes, judge
from k8sgpt_magic.findings import Finding

CODES = WebhookCodes.of("MutatingWebhookConfiguration", "changes objects before they are stored")


@analyzer(
    MutatingWebhookConfiguration,
    reads=[Service, EndpointSlice, Pod, Namespace],
    codes=CODES.all(),
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Mutating webhooks that cannot be reached or verified, or that can lock the cluster out."""
    yield from judge(view, view.all(MutatingWebhookConfiguration), CODES)
