"""The lines above and below a table of findings, the same in every form of output."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from k8sgpt_magic.findings import SEVERITIES
from k8sgpt_magic.wording import count, joined

if TYPE_CHECKING:
    from k8sgpt_magic.frame import Findings, Summary


def headline(findings: Findings, summary: Summary) -> str:
    """What was found, in what: ``3 critical, 5 warning in 213 objects of demo (demo cluster)``."""
    where = (
        f"{count(summary.objects, 'object')} of {count(summary.kinds, 'kind')} in {summary.context or 'the cluster'}"
    )
    if summary.namespaces:
        where += f", {'namespace' if len(summary.namespaces) == 1 else 'namespaces'} {joined(summary.namespaces)}"
    numbers = findings["severity"].value_counts()
    found = ", ".join(f"{numbers[severity]:,} {severity}" for severity in SEVERITIES if numbers.get(severity))
    roots = int((findings["consequences"] > 0).sum())
    if roots:
        found += f"; {count(roots, 'root cause')}"
    nothing = (
        "No problems found in what could be read" if summary.unreadable or summary.errors else "No problems found"
    )
    # Pasted text is of no cluster that anybody has read.
    return f"{found or nothing} — {where}, {timing(summary)}" if summary.kinds else found or nothing


def beyond_message(explanation: str, message: str) -> str:
    """An explanation without the message of its row, which stands above it, where it begins with that."""
    return explanation.removeprefix(message).lstrip() or explanation


def cluster(row: Mapping[Any, Any]) -> str:
    """The context of a row and a colon, where several clusters were analyzed together; otherwise nothing."""
    context = str(row["context"])
    return f"{context}: " if context and str(row["id"]).startswith(f"{context}:") else ""


def demo(summary: Summary) -> str:
    """Says that nothing of this is the user's, where it is not."""
    return "This is the packaged demo cluster, not one of yours." if summary.is_demo else ""


def timing(summary: Summary) -> str:
    took = f"{summary.seconds:.1f} s" if summary.seconds >= 0.05 else f"{summary.seconds * 1000:.0f} ms"
    return f"{took}, lists from {summary.age:.0f} s ago" if summary.age >= 1 else took


def notes(summary: Summary) -> list[str]:
    """What limits the result: what could not be read, what could not be judged."""
    lines = []
    if summary.unreadable:
        lines.append(f"Not readable: {'; '.join(summary.unreadable)}.")
    if summary.errors:
        shown = [f"{error['analyzer']} {error['namespace']}/{error['name']}".strip(" /") for error in summary.errors]
        lines.append(f"Not judged: {count(len(summary.errors), 'error')} ({joined(shown, 3)}), see .attrs['errors'].")
    return [printable(line) for line in [*lines, *summary.notes]]


# Characters that end, hide or reorder text on a terminal or page.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    """Text of the cluster's with what could drive a terminal or reverse a line made visible (``\\x1b``)."""
    if text.isprintable():
        return text
    return "".join(
        character if unicodedata.category(character) not in _HIDDEN else character.encode("unicode_escape").decode()
        for character in text.replace("\n", " ")
    )
