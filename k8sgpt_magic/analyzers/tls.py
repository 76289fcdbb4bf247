"""TLS: until when are the certificates in Secrets valid, and for the hosts that they are used for?

Of a Secret only ``tls.crt`` is read, which is public: the key beside it is passed over.

Source: https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import (
    Ingress,
    MutatingWebhookConfiguration,
    ObjectRef,
    Pod,
    Service,
    TLSSecret,
    ValidatingWebhookConfiguration,
)
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.certificates import Certificate, NoCertificate, chain_of, covers, is_trusted
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, joined

_DOCS = "https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets"
_INGRESS = "https://kubernetes.io/docs/concepts/services-networking/ingress/#tls"

EXPIRED = Code(
    "TLSExpired", "critical", "The certificate has expired, so clients that check it refuse to connect.", _DOCS
)
EXPIRES_SOON = Code("TLSExpiresSoon", "warning", "The certificate expires within two weeks.", _DOCS)
NOT_YET_VALID = Code("TLSNotYetValid", "critical", "The certificate is not valid yet, so clients refuse it.", _DOCS)
UNREADABLE = Code(
    "TLSUnreadable", "warning", "A Secret of the type for TLS holds no certificate that could be parsed.", _DOCS
)
WRONG_HOST = Code(
    "TLSWrongHost",
    "warning",
    "An Ingress uses the certificate for a host that it is not valid for, so clients refuse it there.",
    _INGRESS,
)
WEBHOOK_UNTRUSTED = Code(
    "TLSWebhookUntrusted",
    "critical",
    "The pods of an admission webhook serve with this certificate, and the API server's CA bundle does not fit it.",
    "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook",
)

SOON = 14 * 24 * 3600


@analyzer(
    TLSSecret,
    reads=[Ingress, Pod, Service, MutatingWebhookConfiguration, ValidatingWebhookConfiguration],
    codes=[EXPIRED, EXPIRES_SOON, NOT_YET_VALID, UNREADABLE, WRONG_HOST, WEBHOOK_UNTRUSTED],
    default=False,
    name="TLS",
    group="Security",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Certificates in Secrets: expired, about to expire, or used where they are not valid or not trusted."""
    hosts = _hosts(view)
    for secret in view.all(TLSSecret):
        ref = ObjectRef("Secret", secret.namespace, secret.name)
        try:
            chain = chain_of(base64.b64decode(secret.data.tls_crt))
        except ValueError as error:
            reason = str(error) if isinstance(error, NoCertificate) else "it is not base64"
            yield UNREADABLE.finding(
                ref,
                f"tls.crt holds no certificate: {reason if secret.data.tls_crt else 'it is empty'}.",
                since=secret.metadata.creation_timestamp,
                evidence=[("data[tls.crt]", f"{len(secret.data.tls_crt)} characters")],
            )
            continue
        yield from _validity(view, ref, chain)
        yield from _wrong_hosts(ref, chain[0], hosts.get((secret.namespace, secret.name), {}))
    yield from _webhooks_untrusted(view)


def _validity(view: ClusterView, ref: ObjectRef, chain: list[Certificate]) -> Iterator[Finding]:
    """One finding at most: of the certificate in the chain that ends first."""
    first = min(chain, key=lambda each: each.not_after)
    which = "It" if first is chain[0] else f"The certificate of its issuer {first.subject}"
    evidence = [
        ("subject", first.subject),
        ("issuer", first.issuer),
        ("not after", _day(first.not_after)),
        *([("names", joined(chain[0].names, 10))] if chain[0].names else []),
    ]
    masked = [first.subject, first.issuer, *chain[0].names]
    left = (first.not_after - view.now).total_seconds()
    if left <= 0:
        yield EXPIRED.finding(
            ref,
            f"{which} expired {ago(view.age(first.not_after))} ago, on {_day(first.not_after)}.",
            since=first.not_after,
            evidence=evidence,
            masked=masked,
        )
    elif left <= SOON:
        yield EXPIRES_SOON.finding(
            ref,
            f"{which} expires in {ago(first.not_after - view.now)}, on {_day(first.not_after)}.",
            evidence=evidence,
            masked=masked,
        )
    latest = max(chain, key=lambda each: each.not_before)
    if latest.not_before > view.now:
        yield NOT_YET_VALID.finding(
            ref,
            f"It is valid from {_day(latest.not_before)} on, not yet.",
            evidence=[("not before", _day(latest.not_before)), *evidence],
            masked=masked,
        )


def _wrong_hosts(ref: ObjectRef, certificate: Certificate, hosts: dict[str, str]) -> Iterator[Finding]:
    wrong = {host: ingress for host, ingress in hosts.items() if not covers(certificate.names, host)}
    if wrong:
        yield WRONG_HOST.finding(
            ref,
            f"It is used for {joined(sorted(wrong), 3)}, and is valid for "
            f"{joined(certificate.names, 3) or 'no name'}.",
            evidence=[(f"Ingress {ingress} spec.tls", host) for host, ingress in sorted(wrong.items())],
            because=[ObjectRef("Ingress", ref.namespace, ingress) for ingress in sorted(set(wrong.values()))],
            masked=[*wrong, *certificate.names],
        )


def _hosts(view: ClusterView) -> dict[tuple[str, str], dict[str, str]]:
    """The hosts that each Secret is used for, and by which Ingress."""
    found: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for ingress in view.all(Ingress):
        for tls in ingress.spec.tls:
            for host in tls.hosts:
                found[ingress.namespace, tls.secret_name][host] = ingress.name
    return found


def _webhooks_untrusted(view: ClusterView) -> Iterator[Finding]:
    """Certificates that the pods behind webhooks mount, and that the webhooks' CA bundles do not fit."""
    secrets = {(each.namespace, each.name): each for each in view.all(TLSSecret)}
    configurations: tuple[MutatingWebhookConfiguration | ValidatingWebhookConfiguration, ...] = (
        *view.all(MutatingWebhookConfiguration),
        *view.all(ValidatingWebhookConfiguration),
    )
    for configuration in configurations:
        for webhook in configuration.webhooks:
            target, bundle = webhook.client_config.service, webhook.client_config.ca_bundle
            service = view.get(Service, target.namespace, target.name) if target and webhook.rules else None
            if service is None or not bundle:
                continue
            names = _mounted(view, service)
            mounted = [secret for name in names if (secret := secrets.get((service.namespace, name)))]
            # A pod may mount certificates for other ends, so one that fits is enough.
            if not mounted or any(_fits(secret, bundle) for secret in mounted):
                continue
            yield WEBHOOK_UNTRUSTED.finding(
                ObjectRef("Secret", mounted[0].namespace, mounted[0].name),
                f"Neither it nor its issuer is in the caBundle of webhook {webhook.name} ({configuration.ref}), so "
                f"the API server refuses to talk to Service {service.namespace}/{service.name}.",
                key=f"{configuration.kind} {configuration.name} {webhook.name}",
                severity="warning" if webhook.failure_policy == "Ignore" else None,
                evidence=[
                    (f"{configuration.ref} webhooks[{webhook.name}].clientConfig.caBundle", "does not fit"),
                    (f"Pod spec.volumes behind Service {service.namespace}/{service.name}", joined(names)),
                ],
                masked=[webhook.name, configuration.name, service.namespace, service.name, *names],
            )


def _mounted(view: ClusterView, service: Service) -> list[str]:
    """The Secrets that the pods behind a Service mount."""
    pods = view.pods_matching(service.namespace, service.spec.selector) if service.spec.selector else []
    running = [pod for pod in pods if pod.status.phase == "Running"]
    volumes = (volume.secret for pod in running for volume in pod.spec.volumes)
    return sorted({volume.secret_name for volume in volumes if volume is not None and volume.secret_name})


def _fits(secret: TLSSecret, bundle: str) -> bool:
    try:
        return is_trusted(base64.b64decode(secret.data.tls_crt), base64.b64decode(bundle))
    except ValueError:
        # What holds no certificate is told elsewhere.
        return True


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
