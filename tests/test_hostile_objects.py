"""Whatever a cluster holds, an analysis ends, and one broken object costs at most one error row."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.cluster.decode import decode_page, iterate_documents
from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.diagnose import diagnose

DEMO = Path(__file__).parent.parent / "k8sgpt_magic" / "data" / "demo"


def _demo_documents() -> list[dict[str, Any]]:
    def plain(value: datetime) -> str:
        return value.isoformat().replace("+00:00", "Z")

    parts = [part for path in sorted(DEMO.glob("*.yaml")) for part in yaml.safe_load_all(path.read_text())]
    documents = [document for part in parts for document in iterate_documents(part)]
    return [json.loads(json.dumps(document, default=plain)) for document in documents if document["kind"] in SAVED]


DOCUMENTS = _demo_documents()

JUNK: list[Any] = [
    None, 0, -1, 2**63, 1.5, True, "", "x", "a" * 70_000, "\x00\x1b[31m\u202e", "<img src=x onerror=alert(1)>", "{{x}}", "%s{0}",
    [], {}, [None], [[]], {"": None}, "2026-13-45T99:99:99Z", "1Gi", "-5", "NaN", "99999999999999999999",
]  # fmt: skip


def _diagnose(documents):
    pages: dict[str, list[Any]] = {}
    for document in documents:
        pages.setdefault(document["kind"], []).append(document)
    objects, undecodable = {}, []
    for kind, items in pages.items():
        body = json.dumps({"items": items}).encode(errors="replace")
        page = decode_page(SAVED[kind], body)
        objects[kind] = page.objects
        undecodable += page.undecodable
    view = ClusterView(objects, undecodable=undecodable, now=datetime(2026, 11, 2, 9, tzinfo=UTC))
    return diagnose(view, list(registered().values()))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path and path[0] not in ("kind", "apiVersion") else []
    if isinstance(value, dict):
        for key, each in value.items():
            found += _paths(each, (*path, key))
    elif isinstance(value, list):
        for position, each in enumerate(value):
            found += _paths(each, (*path, position))
    return found


def _changed(document: Any, path: tuple[Any, ...], value: Any, *, drop: bool) -> Any:
    copy = json.loads(json.dumps(document))
    holder = copy
    for step in path[:-1]:
        holder = holder[step]
    if drop:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return copy


@st.composite
def damaged_clusters(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The demo cluster with a few fields, anywhere in it, dropped or replaced by junk."""
    documents = list(DOCUMENTS)
    for _ in range(draw(st.integers(1, 8))):
        position = draw(st.integers(0, len(documents) - 1))
        paths = _paths(documents[position])
        if paths:
            path = draw(st.sampled_from(paths))
            documents[position] = _changed(
                documents[position], path, draw(st.sampled_from(JUNK)), drop=draw(st.booleans())
            )
    return documents


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged_clusters())
def test_damage_anywhere_costs_at_most_a_row_for_each_damaged_object(documents):
    diagnosis = _diagnose(documents)
    # What does not decode says at which path, even where the name is what is damaged; an analyzer that raised does not.
    raised = [error for error in diagnosis.errors if " - at `$" not in error.error]
    assert not raised, raised
    damaged = sum(document not in DOCUMENTS for document in documents)
    assert len(diagnosis.errors) <= damaged
    assert max(Counter(finding.id for finding in diagnosis.findings).values(), default=1) == 1


@pytest.mark.parametrize("kind", sorted({document["kind"] for document in DOCUMENTS}))
def test_objects_of_a_kind_without_status_spec_or_metadata_are_judged_without_a_crash(kind):
    one = next(document for document in DOCUMENTS if document["kind"] == kind)
    stripped = [
        {key: value for key, value in one.items() if key in ("kind", *kept)}
        for kept in ((), ("metadata",), ("metadata", "spec"), ("metadata", "status"), ("spec", "status"))
    ]
    for document in stripped:
        others = [other for other in DOCUMENTS if other is not one]
        assert not _diagnose([*others, document]).errors


@pytest.mark.parametrize("value", JUNK, ids=lambda value: repr(value)[:20])
def test_one_kind_of_junk_in_every_text_of_the_cluster(value):
    def everywhere(node: Any, key: str = "") -> Any:
        if isinstance(node, dict):
            return {name: everywhere(each, name) for name, each in node.items()}
        if isinstance(node, list):
            return [everywhere(each, key) for each in node]
        return value if key in ("message", "reason", "name", "image", "key") else node

    documents = [
        {**everywhere(document), "kind": document["kind"], "apiVersion": document["apiVersion"]}
        for document in DOCUMENTS
    ]
    diagnosis = _diagnose(documents)
    assert all("Expected" in error.error for error in diagnosis.errors), diagnosis.errors


def test_a_message_of_megabytes_stays_bounded_in_findings():
    documents = json.loads(json.dumps(DOCUMENTS).replace('"message": "', '"message": "' + "A" * 200_000))
    findings = _diagnose(documents).findings
    assert findings
    assert max(len(finding.message) for finding in findings) < 2_000
    assert max((len(fact.value) for finding in findings for fact in finding.evidence), default=0) < 5_000
