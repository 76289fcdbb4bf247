"""Root causes: which finding explains which.

Analyzers name the objects that could explain a finding (``because``): a Deployment names its pods, a Service the
pods it selects, an Ingress its Services. Here those names become ``cause``, the id of the finding at the end of the
chain, so that everything that fails because of one thing points at that one thing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter

import msgspec

from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.findings import SEVERITIES, Finding

_RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}


def correlate(findings: Iterable[Finding]) -> list[Finding]:
    """Give each finding its ``cause`` and its number of ``consequences``, and sort them.

    The order is severity, root causes before consequences, kind, namespace, name, code, container: the same
    findings give the same list, of copies. A finding that comes twice is kept once.
    """
    distinct = {finding.id: finding for finding in findings}
    best: dict[ObjectRef, tuple[Finding, str]] = {}
    for key, finding in distinct.items():
        if finding.explains:
            ref, found = finding.ref, (finding, key)
            if (other := best.get(ref)) is None or _order_on_object(found) < _order_on_object(other):
                best[ref] = found
    explains = {
        key: explanation
        for key, finding in distinct.items()
        if finding.because and (explanation := _explanation(finding, best))
    }
    causes = {key: cause for key in explains if (cause := _root(key, explains))}
    consequences = Counter(causes.values())
    explained = [
        # All of them are copies, so that what asked for this may go on to fill them.
        msgspec.structs.replace(finding, cause=causes.get(key, ""), consequences=consequences.get(key, 0))
        for key, finding in distinct.items()
    ]
    return ordered(explained)


def _explanation(finding: Finding, best: Mapping[ObjectRef, tuple[Finding, str]]) -> str:
    """The id of the finding that explains this one best: the worst, and among equals of the kind named first.

    Among objects of one kind the first by name is chosen, so that everything a group of pods breaks points at the
    same one of them.
    """
    kinds: dict[str, int] = {}
    candidates = []
    for ref in finding.because:
        position = kinds.setdefault(ref.kind, len(kinds))
        if (found := best.get(ref)) is not None and found[0].severity != "info" and ref != finding.ref:
            candidates.append((_RANK[found[0].severity], position, found[1]))
    return min(candidates)[2] if candidates else ""


def _root(start: str, explains: Mapping[str, str]) -> str:
    """Follow the chain to its end; a circle (two objects that blame each other) ends where it closes."""
    seen = {start}
    current = start
    while (further := explains.get(current, "")) and further not in seen:
        seen.add(further)
        current = further
    return current if current != start else ""


def _order_on_object(found: tuple[Finding, str]) -> tuple[int, str, str, str]:
    finding = found[0]
    return (_RANK[finding.severity], finding.code, finding.container, finding.key)


_PLACE = attrgetter("kind", "namespace", "name", "code", "container", "key", "cluster")


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by severity, root causes before consequences, and then by where they are."""
    # Analyzers report a kind in the order of its list, so that the first of the two sorts has little to do.
    return sorted(sorted(findings, key=_PLACE), key=lambda each: (_RANK[each.severity], bool(each.cause)))
