"""ValidatingWebhookConfiguration: can the webhooks that refuse requests be reached, and are they set up safely?

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import (
    EndpointSlice,
    Namespace,
    Pod,
    Service,
    ValidatingWebhookConfiguration,
)
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.webhooks import WebhookCodes, judge
from k8sgpt_magic.findings import Finding

CODES = WebhookCodes.of("ValidatingWebhookConfiguration", "accepts or refuses changes to objects")


@analyzer(
    ValidatingWebhookConfiguration,
    reads=[Service, EndpointSlice, Pod, Namespace],
    codes=CODES.all(),
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Validating webhooks that cannot be reached or verified, or that can lock the cluster out."""
    yield from judge(view, view.all(ValidatingWebhookConfiguration), CODES)
