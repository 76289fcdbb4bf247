"""Root causes: which finding explains which.

Analyzers name the objects that could explain a finding (``because``): a Deployment names its pods, a Service the
pods it selects, an Ingress its Services. Here those names become ``cause``, the id of the finding at the end of the
chain, so that everything that fails because of one thing points at that one thing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.findings import SEVERITIES, Finding

_RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}

WARNING_EVENT = "EventWarning"


def correlate(findings: Iterable[Finding]) -> list[Finding]:
    """Give each finding its ``cause`` and its number of ``consequences``, and sort them.

    The order is severity, root causes before consequences, kind, namespace, name, code, container: the same
    findings give the same list. A finding that comes twice is kept once, and a bare warning event on an object
    with a finding of its own becomes evidence of that finding.
    """
    distinct = list({finding.id: finding for finding in findings}.values())
    distinct = _fold_events(distinct)
    by_object: defaultdict[ObjectRef, list[Finding]] = defaultdict(list)
    for finding in distinct:
        by_object[finding.ref].append(finding)
    for found in by_object.values():
        found.sort(key=_order_on_object)
    explains = {finding.id: _explanation(finding, by_object) for finding in distinct}
    causes = {finding.id: _root(finding.id, explains) for finding in distinct}
    consequences = Counter(cause for cause in causes.values() if cause)
    explained = [
        msgspec.structs.replace(finding, cause=causes[finding.id], consequences=consequences[finding.id])
        if causes[finding.id] or consequences[finding.id]
        else finding
        for finding in distinct
    ]
    return sorted(explained, key=_order)


def _explanation(finding: Finding, by_object: Mapping[ObjectRef, Sequence[Finding]]) -> str:
    """The id of the finding that explains this one best: the worst, and among equals of the kind named first.

    Among objects of one kind the first by name is chosen, so that everything a group of pods breaks points at the
    same one of them.
    """
    kinds = list(dict.fromkeys(ref.kind for ref in finding.because))
    candidates = [
        (_RANK[found[0].severity], kinds.index(ref.kind), found[0].id)
        for ref in finding.because
        if ref != finding.ref and (found := by_object.get(ref)) and found[0].severity != "info"
    ]
    return min(candidates)[2] if candidates else ""


def _root(start: str, explains: Mapping[str, str]) -> str:
    """Follow the chain to its end; a circle (two objects that blame each other) ends where it closes."""
    seen = {start}
    current = start
    while (further := explains[current]) and further not in seen:
        seen.add(further)
        current = further
    return current if current != start else ""


def _fold_events(findings: list[Finding]) -> list[Finding]:
    bare: defaultdict[ObjectRef, list[Finding]] = defaultdict(list)
    others: list[Finding] = []
    for finding in findings:
        if finding.code == WARNING_EVENT:
            bare[finding.ref].append(finding)
        else:
            others.append(finding)
    if not bare:
        return findings
    kept: list[Finding] = []
    for finding in others:
        for event in bare.pop(finding.ref, ()) if finding.severity != "info" else ():
            known = {fact.value for fact in finding.evidence}
            fresh = tuple(fact for fact in event.evidence if fact.value not in known)
            finding = msgspec.structs.replace(finding, evidence=finding.evidence + fresh)
        kept.append(finding)
    return kept + [event for events in bare.values() for event in events]


def _order_on_object(finding: Finding) -> tuple[int, str, str, str]:
    return (_RANK[finding.severity], finding.code, finding.container, finding.key)


def _order(finding: Finding) -> tuple[int, bool, str, str, str, str, str, str]:
    return (
        _RANK[finding.severity],
        bool(finding.cause),
        finding.kind,
        finding.namespace,
        finding.name,
        finding.code,
        finding.container,
        finding.key,
    )
