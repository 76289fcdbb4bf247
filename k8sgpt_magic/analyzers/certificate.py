"""Certificate (cert-manager): has it been issued, and is it renewed in time?

Source: https://cert-manager.io/docs/usage/certificate/
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import Certificate, CertificateRequest, ClusterIssuer, Issuer
from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, fact, lasting, reported, said, unreconciled
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, count

_DOCS = "https://cert-manager.io/docs/usage/certificate/"
_TROUBLE = "https://cert-manager.io/docs/troubleshooting/"

NOT_READY = Code(
    "CertificateNotReady", "critical", "The certificate has not been issued as its spec asks for.", _TROUBLE
)
EXPIRED = Code(
    "CertificateExpired",
    "critical",
    "The certificate has expired, so clients refuse what is served with it.",
    _TROUBLE,
)
EXPIRING = Code(
    "CertificateExpiring", "warning", "The certificate expires soon, and no renewal is on its way.", _DOCS
)
RENEWAL_OVERDUE = Code(
    "CertificateRenewalOverdue", "warning", "The time to renew the certificate has passed, and it was not.", _DOCS
)
ISSUANCE_FAILING = Code(
    "CertificateIssuanceFailing", "warning", "The last tries to issue the certificate have failed.", _TROUBLE
)
ISSUER_MISSING = Code(
    "CertificateIssuerMissing",
    "critical",
    "The certificate names an issuer that does not exist.",
    "https://cert-manager.io/docs/configuration/issuers/",
)
NOT_RECONCILED = Code(
    "CertificateNotReconciled", "warning", "cert-manager has not judged the certificate or its last change.", _TROUBLE
)

# Authorities take minutes, challenges in DNS longer.
ISSUING_GRACE = 900
RENEWAL_GRACE = timedelta(hours=1)
EXPIRY_NEAR = timedelta(days=7)
_GROUPS = ("", "cert-manager.io")


@analyzer(
    Certificate,
    reads=[Issuer, ClusterIssuer, CertificateRequest],
    codes=[
        NOT_READY, EXPIRED, EXPIRING, RENEWAL_OVERDUE, ISSUANCE_FAILING, ISSUER_MISSING, NOT_RECONCILED,
    ],
    group="Integrations",
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Certificates of cert-manager that are not issued, not renewed or expired."""
    for each in view.all(Certificate):
        if each.metadata.deletion_timestamp:
            continue
        issuer = _issuer(each)
        because: list[ObjectRef] = [request.ref for request in view.owned_by(each, CertificateRequest)]
        if issuer is not None:
            because.append(issuer)
            kind = Issuer if issuer.kind == "Issuer" else ClusterIssuer
            if view.missing(kind, issuer.namespace, issuer.name) and view.older_than(changed(each), GRACE):
                yield ISSUER_MISSING.finding(
                    each,
                    f"{issuer} does not exist.",
                    evidence=[("spec.issuerRef", f"{issuer.kind} {issuer.name}")],
                    severity="warning" if _is_valid(view, each) else None,
                    masked=(issuer.name,),
                )
        yield from unreconciled(view, NOT_RECONCILED, each, each.status.conditions, "Ready")
        yield from _validity(view, each, because)


def _issuer(each: Certificate) -> ObjectRef | None:
    reference = each.spec.issuer_ref
    if reference.group not in _GROUPS or reference.kind not in ("", "Issuer", "ClusterIssuer"):
        return None
    is_local = reference.kind != "ClusterIssuer"
    return ObjectRef(reference.kind or "Issuer", each.namespace if is_local else "", reference.name)


def _is_valid(view: ClusterView, each: Certificate) -> bool:
    return each.status.not_after is not None and each.status.not_after > view.now


def _validity(view: ClusterView, each: Certificate, because: list[ObjectRef]) -> Iterator[Finding]:
    status = each.status
    evidence: list[tuple[str, object]] = [("status.notAfter", status.not_after or "none")]
    if status.renewal_time:
        evidence.append(("status.renewalTime", status.renewal_time))
    masked = (each.spec.secret_name, each.spec.issuer_ref.name)
    if status.not_after and not _is_valid(view, each):
        yield EXPIRED.finding(
            each,
            f"The certificate expired {ago(view.age(status.not_after))} ago.{_failure(each)}",
            since=status.not_after,
            evidence=[*evidence, *_issuing(each)],
            because=because,
            masked=masked,
        )
        return
    if unready := lasting(view, each, status.conditions, "Ready", grace=ISSUING_GRACE):
        yield reported(
            NOT_READY,
            each,
            unready,
            "The certificate is not ready",
            evidence=[*evidence, *_issuing(each)],
            because=because,
            # What was issued before still serves.
            severity="warning" if _is_valid(view, each) else None,
            masked=masked,
        )
    elif status.failed_issuance_attempts:
        yield ISSUANCE_FAILING.finding(
            each,
            f"{count(status.failed_issuance_attempts, 'try')} to issue the certificate anew failed.{_failure(each)}",
            since=status.last_failure_time,
            evidence=[
                ("status.failedIssuanceAttempts", status.failed_issuance_attempts), *_issuing(each), *evidence,
            ],
            because=because,
            masked=masked,
        )  # fmt: skip
    if status.not_after is None:
        return
    left, renewal = status.not_after - view.now, status.renewal_time
    # Short-lived certificates are renewed within minutes.
    lifetime = status.not_after - (status.not_before or status.not_after)
    grace = min(RENEWAL_GRACE, lifetime / 20) if lifetime else RENEWAL_GRACE
    if renewal and view.now - renewal > grace:
        yield RENEWAL_OVERDUE.finding(
            each,
            f"The certificate was to be renewed {ago(view.age(renewal))} ago and expires in {ago(left)}.",
            since=renewal,
            evidence=evidence,
            because=because,
            severity="critical" if left < min(timedelta(days=1), lifetime / 20) else None,
            masked=masked,
        )
    elif renewal is None and left < EXPIRY_NEAR:
        yield EXPIRING.finding(
            each, f"The certificate expires in {ago(left)}.", evidence=evidence, because=because, masked=masked
        )


def _issuing(each: Certificate) -> list[tuple[str, object]]:
    found = condition(each.status.conditions, "Issuing")
    return [fact(found)] if found else []


def _failure(each: Certificate) -> str:
    found = condition(each.status.conditions, "Issuing")
    return f" {said(found)}" if found and found.status == "False" else ""
