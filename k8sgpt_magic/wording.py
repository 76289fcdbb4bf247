"""Words for messages: quantities, counts and times as people read them, and bounds on what others wrote."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal, InvalidOperation, Overflow

MESSAGE_LIMIT = 300
EVIDENCE_LIMIT = 2000


def quote(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Somebody else's words on one line and no longer than ``limit`` characters."""
    if len(text) <= limit and text.isprintable() and "  " not in text:
        return text.strip()
    # Most of a message of megabytes is not even looked at.
    line = " ".join(text[: 4 * limit].split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def sentence(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Somebody else's words as above, with a full stop unless they end with a mark of their own."""
    line = quote(text, limit)
    return line if line.endswith((".", "!", "?", "…")) else f"{line}."


def count(number: int, noun: str) -> str:
    """``1 pod``, ``3 pods``, ``2 replicas``."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch')) else 's'}"


def joined(names: Iterable[str], limit: int = 5) -> str:
    """``a, b and c``; past ``limit`` names ``a, b, c and 9 more``."""
    listed = list(names)
    if len(listed) > limit:
        return f"{', '.join(listed[:limit])} and {len(listed) - limit:,} more"
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} and {listed[-1]}"


def ago(age: timedelta) -> str:
    """An age with the unit that kubectl would show: ``45s``, ``12m``, ``3h``, ``2d``."""
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size or (unit == "d" and seconds >= size):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


_SUFFIXES: dict[str, Decimal | int] = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def quantity(text: str | int | float) -> Decimal | None:
    """A Kubernetes quantity (``500m``, ``1Gi``) as a number, or None where it is not one.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    written = str(text).strip()
    for length in (2, 1):
        if (factor := _SUFFIXES.get(written[-length:])) is not None and len(written) > length:
            written, scale = written[:-length], Decimal(factor)
            break
    else:
        scale = Decimal(1)
    try:
        number = Decimal(written) * scale
    except (InvalidOperation, Overflow):
        return None
    return number if number.is_finite() else None
