"""Namespace, APIService and CustomResourceDefinition: what holds a cluster up rather than what runs in it."""

from __future__ import annotations

import pytest

from tests.views import codes, diagnose_all, findings


def namespace(deleted: str, conditions: str = "[]", finalizers: str = "[kubernetes]") -> str:
    return f"""
apiVersion: v1
kind: Namespace
metadata: {{name: old{f", deletionTimestamp: '{deleted}'" if deleted else ""}}}
spec: {{finalizers: {finalizers}}}
status: {{phase: Terminating, conditions: {conditions}}}
"""


REMAINING = "[{type: NamespaceFinalizersRemaining, status: 'True', message: 'Some content has finalizers remaining: example.com/f in 1 resource'}]"


@pytest.mark.parametrize(
    ("manifest", "severity"),
    [
        (namespace(""), None),
        (namespace("2026-11-02T08:58:00Z", REMAINING), None),
        (namespace("2026-11-02T08:30:00Z", REMAINING), "warning"),
        (namespace("2026-11-01T08:30:00Z", REMAINING), "critical"),
    ],
)
def test_a_namespace_that_stays(manifest, severity):
    found = findings("Namespace", manifest)
    assert [each.severity for each in found] == ([severity] if severity else [])


def test_a_namespace_says_what_holds_it():
    [found] = findings("Namespace", namespace("2026-11-02T08:30:00Z", REMAINING))
    assert "example.com/f" in found.message
    [own] = findings("Namespace", namespace("2026-11-02T08:30:00Z", finalizers="[kubernetes, example.com/own]"))
    assert "example.com/own" in own.message
    [silent] = findings("Namespace", namespace("2026-11-02T08:30:00Z"))
    assert "Nothing says" in silent.message


def api(status: str, since: str = "2026-11-02T08:00:00Z", more: str = "") -> str:
    return f"""---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {{name: v1.metrics.example.com}}
spec: {{group: metrics.example.com, version: v1, service: {{namespace: monitoring, name: metrics}}{more}}}
status: {{conditions: [{{type: Available, status: '{status}', reason: MissingEndpoints, message: no endpoints, lastTransitionTime: '{since}'}}]}}
"""


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        (api("True"), []),
        (api("False"), ["APIServiceUnavailable"]),
        (api("Unknown"), ["APIServiceUnavailable"]),
        (api("False", since="2026-11-02T08:59:30Z"), []),
        (api("True", more=", insecureSkipTLSVerify: true"), ["APIServiceInsecure"]),
        (api("False").replace(", service: {namespace: monitoring, name: metrics}", ""), []),
    ],
)
def test_api_services(manifest, found):
    assert codes("APIService", manifest) == found


def test_an_api_that_is_down_is_why_a_namespace_stays():
    held = "[{type: NamespaceDeletionDiscoveryFailure, status: 'True', message: 'metrics.example.com/v1: stale'}]"
    found = {each.code: each for each in diagnose_all(namespace("2026-11-01T08:00:00Z", held) + api("False"))}
    assert found["NamespaceStuck"].cause == found["APIServiceUnavailable"].id


def definition(conditions: str, *, stored: str = "[v1]", more: str = "", meta: str = "") -> str:
    return f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: geese.farm.example.com, creationTimestamp: '2026-01-01T00:00:00Z'{meta}}}
spec:
  group: farm.example.com
  versions: [{{name: v1, served: true, storage: true}}, {{name: v2, served: true}}]
  {more}
status: {{conditions: {conditions}, storedVersions: {stored}}}
"""


FINE = "[{type: NamesAccepted, status: 'True'}, {type: Established, status: 'True'}]"
HOOK = "conversion: {strategy: Webhook, webhook: {clientConfig: {service: {namespace: farm, name: convert}}}}"


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        (definition(FINE), []),
        (definition("[{type: NamesAccepted, status: 'False', reason: PluralConflict, message: taken}, {type: Established, status: 'False'}]"), ["NotEstablished"]),
        (definition("[{type: NonStructuralSchema, status: 'True', message: 'spec.x: Required'}]"), ["NonStructuralSchema"]),
        (definition(FINE, stored="[v1alpha1, v1]"), ["StoredVersion"]),
        (definition(FINE, more=HOOK), ["ConversionServiceMissing"]),
        (definition(FINE, more=HOOK) + "---\n{apiVersion: v1, kind: Service, metadata: {name: convert, namespace: farm}}", []),
        (definition("[{type: Terminating, status: 'True', message: CustomResource deletion is in progress}]", meta=", deletionTimestamp: '2026-11-01T00:00:00Z'"), ["Terminating"]),
    ],
)  # fmt: skip
def test_definitions(manifest, found):
    assert codes("CustomResourceDefinition", manifest) == [f"CustomResourceDefinition{each}" for each in found]
