"""Cluster views for tests of single rules, written as manifests, as ``kubectl get -o yaml`` prints them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import yaml

from k8sgpt_magic.analyzers import Analyzer, registered
from k8sgpt_magic.cluster.decode import iterate_documents
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.manifests import objects_of
from k8sgpt_magic.cluster.view import ClusterView, ReadResult
from k8sgpt_magic.diagnosis.diagnose import diagnose
from k8sgpt_magic.findings import Finding

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def view_of(
    manifests: str, *, now: datetime = NOW, forbidden: Collection[str] = (), namespaces: Collection[str] = ()
) -> ClusterView:
    """A view of just these objects: every kind counts as read in full, apart from the forbidden ones."""
    documents = [document for part in yaml.safe_load_all(manifests) for document in iterate_documents(part)]
    found = objects_of(documents)
    assert not found.undecodable, found.undecodable
    reads = [
        ReadResult(
            kind=kind,
            status="forbidden" if kind in forbidden else "read",
            objects=len(found.objects.get(kind, ())),
        )
        for kind in KINDS
    ]
    objects = {kind: each for kind, each in found.objects.items() if kind not in forbidden}
    return ClusterView(objects, reads, now=now, namespaces=namespaces)


def findings(kind: str, manifests: str | ClusterView, **options: object) -> list[Finding]:
    """What one analyzer says of some manifests. An analyzer that raises fails the test."""
    view = manifests if isinstance(manifests, ClusterView) else view_of(manifests, **options)  # type: ignore[arg-type]
    diagnosis = diagnose(view, [registered()[kind]])
    assert not diagnosis.errors, diagnosis.errors
    return diagnosis.findings


def codes(kind: str, manifests: str | ClusterView, **options: object) -> list[str]:
    return [finding.code for finding in findings(kind, manifests, **options)]


def diagnose_all(manifests: str | ClusterView, *, also: Collection[str] = (), **options: object) -> list[Finding]:
    """What all analyzers together say that run by default or judge custom resources, with causes."""
    view = manifests if isinstance(manifests, ClusterView) else view_of(manifests, **options)  # type: ignore[arg-type]
    analyzers = [each for each in registered().values() if each.default or each.name in also or _is_optional(each)]
    diagnosis = diagnose(view, analyzers)
    assert not diagnosis.errors, diagnosis.errors
    return diagnosis.findings


def _is_optional(analyzer: Analyzer) -> bool:
    return bool(analyzer.kind) and KINDS[analyzer.kind].optional
