"""CertificateRequest (cert-manager): was it approved and signed?

Source: https://cert-manager.io/docs/usage/certificaterequest/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import Certificate, CertificateRequest
from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.conditions import changed, fact, is_current, lasting, reported
from k8sgpt_magic.diagnosis.workloads import for_long
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://cert-manager.io/docs/usage/certificaterequest/"
_CONDITIONS = f"{_DOCS}#conditions"

DENIED = Code("CertificateRequestDenied", "warning", "The request for a certificate was denied.", f"{_DOCS}#approval")
FAILED = Code("CertificateRequestFailed", "warning", "The issuer could not sign the request.", _CONDITIONS)
PENDING = Code(
    "CertificateRequestPending", "warning", "The request has been waiting for long to be signed.", _CONDITIONS
)

PENDING_GRACE = 900
_BAD = {"Failed", "Denied"}


@analyzer(CertificateRequest, reads=[Certificate], codes=[DENIED, FAILED, PENDING], group="Integrations")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Requests for certificates that are not signed. Those of certificates that are ready are history."""
    for each in view.all(CertificateRequest):
        conditions = each.status.conditions
        ready = condition(conditions, "Ready")
        if each.metadata.deletion_timestamp or (ready and ready.status == "True") or _is_past(view, each):
            continue
        issuer = each.spec.issuer_ref
        kind = issuer.kind or "Issuer"
        because = [ObjectRef(kind, "" if kind == "ClusterIssuer" else each.namespace, issuer.name)]
        denied, invalid = condition(conditions, "Denied"), condition(conditions, "InvalidRequest")
        if denied and denied.status == "True":
            yield reported(DENIED, each, denied, "The request was denied")
        elif invalid and invalid.status == "True":
            yield reported(FAILED, each, invalid, "The request is invalid")
        elif ready and ready.reason in _BAD and is_current(each, ready):
            yield reported(FAILED, each, ready, "The request failed", because=because)
        elif waiting := lasting(view, each, conditions, "Ready", "False", "Unknown", grace=PENDING_GRACE):
            yield reported(PENDING, each, waiting, "The request has not been signed", because=because)
        elif ready is None and view.older_than(changed(each), PENDING_GRACE):
            approved = condition(conditions, "Approved")
            yield PENDING.finding(
                each,
                f"The request has been waiting{for_long(view, changed(each))}: it is "
                f"{'approved, and no issuer has taken it' if approved else 'not approved'}.",
                since=changed(each),
                evidence=[fact(approved)] if approved else [("status.conditions[Approved]", "none")],
                because=because,
            )


def _is_past(view: ClusterView, each: CertificateRequest) -> bool:
    """Whether the Certificate that it was for has been issued all the same, or by a later request."""
    for owner in each.metadata.owner_references:
        if owner.kind == "Certificate" and (found := view.get(Certificate, each.namespace, owner.name)):
            ready, issuing = (condition(found.status.conditions, named) for named in ("Ready", "Issuing"))
            if ready and ready.status == "True" and not (issuing and issuing.status == "True"):
                return True
            later = view.owned_by(found, CertificateRequest)
            return any(_created(other) > _created(each) for other in later)
    return False


def _created(each: CertificateRequest) -> str:
    return str(each.metadata.creation_timestamp or "")
