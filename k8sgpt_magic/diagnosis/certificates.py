"""Certificates in PEM: until when they are valid, and for which names. Only what is public is ever parsed.

The parsing is that of the package cryptography.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from cryptography import x509


class Certificate(Struct, frozen=True):
    """What a certificate says. ``names`` are the DNS names and IP addresses that it is valid for."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]


class NoCertificate(ValueError):
    """A text that holds no certificate; ``str()`` says what is wrong with it."""


def chain_of(pem: bytes) -> list[Certificate]:
    """The certificates in a PEM text, that of the server first. Raises ``NoCertificate``."""
    return [
        Certificate(
            each.subject.rfc4514_string(),
            each.issuer.rfc4514_string(),
            each.not_valid_before_utc,
            each.not_valid_after_utc,
            _names(each.extensions),
        )
        for each in _parsed(pem)
    ]


def _parsed(pem: bytes) -> list[x509.Certificate]:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise NoCertificate("it is not PEM with a certificate in it") from None


def _names(extensions: x509.Extensions) -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = extension.get_values_for_type(x509.IPAddress)
    return (*extension.get_values_for_type(x509.DNSName), *map(str, addresses))


def is_trusted(pem: bytes, bundle: bytes) -> bool:
    """Whether a certificate of a chain is in a bundle of CA certificates, or signed by one of those.

    Raises ``NoCertificate`` where either holds none.
    """
    chain, authorities = _parsed(pem), _parsed(bundle)
    return any(each == authority or _signed(each, authority) for each in chain for authority in authorities)


def _signed(each: x509.Certificate, authority: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        each.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def covers(names: Collection[str], host: str) -> bool:
    """Whether a certificate for ``names`` is valid for a host; ``*`` stands for one label, the first.

    Source: https://www.rfc-editor.org/rfc/rfc6125#section-6.4.3
    """
    wanted = host.lower()
    _, _, parent = wanted.partition(".")
    return any(name.lower() == wanted or (parent and name.lower() == f"*.{parent}") for name in names)
