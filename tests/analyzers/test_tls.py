"""TLS: certificates in Secrets, of which the key beside them is never read."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from k8sgpt_magic.cluster.decode import decode_page
from k8sgpt_magic.cluster.kinds import KINDS, SAVED
from k8sgpt_magic.cluster.resources import Ingress, TLSSecret
from k8sgpt_magic.cluster.view import ClusterView, ReadResult
from k8sgpt_magic.diagnosis.certificates import NoCertificate, chain_of, covers
from k8sgpt_magic.findings import Finding
from tests.views import NOW, findings, view_of

KEY = ec.generate_private_key(ec.SECP256R1())
KEY_TEXT = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def certificate(days: float, *names: str, begins: float = -90, subject: str = "shop") -> bytes:
    """A certificate that ends ``days`` from the time of the test views."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW + timedelta(days=begins))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(text)) if text[0].isdigit() else x509.DNSName(text)


def page(crt: bytes | str) -> bytes:
    """What an API server sends: the key is among it."""
    encoded = base64.b64encode(crt).decode() if isinstance(crt, bytes) else crt
    return msgspec.json.encode(
        {
            "kind": "SecretList",
            "apiVersion": "v1",
            "metadata": {},
            "items": [
                {
                    "metadata": {"name": "web-tls", "namespace": "shop"},
                    "type": "kubernetes.io/tls",
                    "data": {"tls.crt": encoded, "tls.key": base64.b64encode(KEY_TEXT.encode()).decode()},
                }
            ],
        }
    )


def judged(crt: bytes | str, *hosts: str) -> list[Finding]:
    ingress = {
        "items": [
            {
                "metadata": {"name": "front", "namespace": "shop"},
                "spec": {"tls": [{"secretName": "web-tls", "hosts": hosts}]},
            }
        ]
    }
    objects = {
        "TLSSecret": decode_page(TLSSecret, page(crt)).objects,
        "Ingress": decode_page(Ingress, msgspec.json.encode(ingress)).objects,
    }
    return findings("TLS", ClusterView(objects, [ReadResult(kind=kind) for kind in KINDS], now=NOW))


@pytest.mark.parametrize(
    ("pem", "code", "severity"),
    [
        (certificate(60), "", ""),
        (certificate(13), "TLSExpiresSoon", "warning"),
        (certificate(-1), "TLSExpired", "critical"),
        (certificate(60, begins=1), "TLSNotYetValid", "critical"),
        # The chain is as good as what ends first in it.
        (certificate(60) + certificate(-3, subject="issuer"), "TLSExpired", "critical"),
        (b"no certificate", "TLSUnreadable", "warning"),
        (b"", "TLSUnreadable", "warning"),
        ("not base64!", "TLSUnreadable", "warning"),
    ],
)
def test_validity(pem, code, severity):
    found = judged(pem)
    assert [(each.code, each.severity) for each in found] == ([(code, severity)] if code else [])
    assert all((each.kind, each.name) == ("Secret", "web-tls") for each in found)


def test_an_expired_one_says_since_when_and_which():
    [found] = judged(certificate(60) + certificate(-3, subject="issuer"))
    assert found.message == "The certificate of its issuer CN=issuer expired 3d ago, on 2026-10-30 09:00 UTC."
    assert found.since == datetime(2026, 10, 30, 9, 0, tzinfo=UTC)


def test_hosts_that_it_is_not_valid_for():
    pem = certificate(60, "shop.example", "*.shop.example", "10.0.0.1")
    assert judged(pem, "shop.example", "www.shop.example") == []
    [found] = judged(pem, "shop.example", "a.b.shop.example", "other.example")
    assert found.code == "TLSWrongHost"
    assert "a.b.shop.example and other.example" in found.message
    assert [str(each) for each in found.because] == ["Ingress shop/front"]


def issued(authority: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate for another key than its issuer's."""
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in ("guard", authority)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).serial_number(2)
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=60))
    own = ec.generate_private_key(ec.SECP256R1())
    return builder.public_key(own.public_key()).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("serving", "policy", "severity"),
    [
        (issued("ca", KEY), "Fail", ""),
        (certificate(300, subject="ca"), "Fail", ""),
        # The authority has a new key under its old name.
        (issued("ca", ec.generate_private_key(ec.SECP256R1())), "Fail", "critical"),
        (issued("other", KEY), "Ignore", "warning"),
    ],
)
@pytest.mark.parametrize("kind", ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"])
def test_a_webhook_whose_certificate_does_not_fit_its_ca_bundle(kind, serving, policy, severity):
    view = view_of(f"""
apiVersion: admissionregistration.k8s.io/v1
kind: {kind}
metadata: {{name: guard}}
webhooks:
- name: check.example.com
  failurePolicy: {policy}
  clientConfig:
    service: {{namespace: shop, name: guard}}
    caBundle: {base64.b64encode(certificate(-3, subject="old") + certificate(300, subject="ca")).decode()}
  rules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
---
{{apiVersion: v1, kind: Service, metadata: {{name: guard, namespace: shop}}, spec: {{selector: {{app: guard}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: guard-1, namespace: shop, labels: {{app: guard}}}}
spec: {{volumes: [{{name: tls, secret: {{secretName: web-tls}}}}]}}
status: {{phase: Running}}
""")
    objects = {name: tuple(view.all(KINDS[name])) for name in (kind, "Service", "Pod")}
    for crt, is_bad in ((serving, bool(severity)), (b"", False)):
        objects["TLSSecret"] = tuple(decode_page(TLSSecret, page(crt)).objects)
        found = findings("TLS", ClusterView(objects, [ReadResult(kind=kind) for kind in KINDS], now=NOW))
        found = [each for each in found if each.code == "TLSWebhookUntrusted"]
        assert [each.severity for each in found] == ([severity] if is_bad else [])
        assert all(each.name == "web-tls" and "check.example.com" in each.message for each in found)


def test_a_star_stands_for_one_label():
    assert covers(["*.a.example"], "x.a.example")
    assert not covers(["*.a.example"], "a.example")
    assert not covers(["*.a.example"], "y.x.a.example")
    assert covers(["A.Example"], "a.example")
    with pytest.raises(NoCertificate):
        chain_of(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def test_the_key_is_in_nothing_that_is_kept():
    [secret] = decode_page(TLSSecret, page(certificate(-1))).objects
    kept = str(msgspec.to_builtins(secret)) + repr(secret) + repr(judged(certificate(-1)))
    encoded = base64.b64encode(KEY_TEXT.encode()).decode()
    for part in (KEY_TEXT, encoded, encoded[100:140], "tls.key", "PRIVATE KEY"):
        assert part not in kept
    # Nor is it in a snapshot, which has no such kind.
    assert "TLSSecret" not in SAVED
