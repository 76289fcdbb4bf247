"""Each analyzer of a kind that a CustomResourceDefinition adds: what it finds in broken objects and in healthy ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
import yaml

from k8sgpt_magic.analyzers import codes, registered
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.diagnosis.diagnose import diagnose
from tests.custom import PROJECTS, causes, expected, manifests
from tests.views import NOW, findings, view_of

GROUPS = ("GatewayAPI", "OLM", "Integrations")
KINDS_OF = {
    project: sorted({each["kind"] for each in manifests(project, NOW)} & set(registered())) for project in PROJECTS
}
# What no CRD that the tests install has fields for.
ELSEWHERE = {"PodMonitorRejected", "PrometheusRuleRejected"}


def objects(project: str) -> list[dict]:
    found = manifests(project, NOW)
    for each in found:
        created = f"{NOW - timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"
        each["metadata"] = {"creationTimestamp": created, "generation": 1, **each["metadata"]}
    return found


def found_in(project: str, kind: str) -> dict[tuple[str, str, str], set[str]]:
    found: dict[tuple[str, str, str], set[str]] = {}
    for each in findings(kind, yaml.safe_dump_all(objects(project))):
        found.setdefault((each.kind, each.namespace, each.name), set()).add(each.code)
    return found


@pytest.mark.parametrize(
    ("project", "kind"),
    [(project, kind) for project, kinds in KINDS_OF.items() for kind in kinds if registered()[kind].group in GROUPS],
)
def test_the_broken_ones_are_reported_and_no_others(project, kind):
    assert found_in(project, kind) == expected(objects(project), kind)


@pytest.mark.parametrize("project", PROJECTS)
def test_what_explains_a_finding_is_named(project):
    wanted = causes(objects(project))
    view = view_of(yaml.safe_dump_all(objects(project)))
    named: dict[tuple[str, str, str], set[str]] = {}
    for each in diagnose(view, list(registered().values())).findings:
        named.setdefault((each.kind, each.namespace, each.name), set()).update(map(str, each.because))
    assert {ref: because for ref, because in wanted.items() if because not in named.get(ref, ())} == {}


def test_every_code_has_an_object_that_shows_it():
    ours = {name for name, each in registered().items() if each.group in GROUPS}
    shown = {code for project in PROJECTS for each in expected(objects(project)).values() for code in each}
    assert set(codes(ours)) - shown == ELSEWHERE


@pytest.mark.parametrize("project", PROJECTS)
def test_what_is_new_is_given_time(project):
    young = manifests(project, NOW)
    for each in young:
        each["metadata"] = {
            "creationTimestamp": f"{NOW - timedelta(seconds=20):%Y-%m-%dT%H:%M:%SZ}",
            **each["metadata"],
        }
        if "status" in each and "Report" not in each["kind"]:
            del each["status"]
    view = view_of(yaml.safe_dump_all(young))
    ours = [each for each in registered().values() if each.group in GROUPS]
    found = {each.code for each in diagnose(view, ours).findings}
    # What is wrong by itself is wrong at once.
    at_once = {
        "CatalogSourceNeverPolled", "ClusterCatalogImageInvalid", "ClusterCatalogUnavailable",
        "ClusterExtensionSourceInvalid", "ClusterPolicyReportErrored", "ClusterPolicyReportFailed",
        "HelmReleaseSuspended", "KustomizationSuspended", "OperatorGroupSeveral", "PolicyReportErrored",
        "PolicyReportFailed", "PrometheusPaused", "ScaledObjectPaused", "ScaledObjectRequestsMissing",
        "ScaledObjectTargetShared",
    }  # fmt: skip
    assert found <= at_once


@pytest.mark.parametrize("kind", ["PodMonitor", "PrometheusRule"])
def test_what_a_prometheus_refuses_is_reported(kind):
    status = {
        "bindings": [
            {
                "resource": "prometheuses",
                "namespace": "monitoring",
                "name": "good",
                "conditions": [{"type": "Accepted", "status": "False", "reason": "Invalid", "message": "bad"}],
            }
        ]
    }
    broken = [
        {**each, "status": status}
        for each in objects("prometheus")
        if each["kind"] == kind and each["metadata"]["name"] == "good"
    ]
    [finding] = [each for each in findings(kind, yaml.safe_dump_all(broken)) if each.code == f"{kind}Rejected"]
    assert "prometheuses monitoring/good does not take it: Invalid: bad." in finding.message


def test_a_condition_of_an_earlier_generation_is_not_believed_but_soon_missed():
    [route] = [each for each in objects("gateway") if each["metadata"]["name"] == "judged"]
    gateways = [each for each in objects("gateway") if each["kind"] in ("Gateway", "Namespace")]
    route["metadata"]["generation"] = 2
    [finding] = findings("HTTPRoute", yaml.safe_dump_all([*gateways, route]))
    assert finding.code == "HTTPRouteNotReconciled"
    assert "generation 2, and the controller has seen 1" in finding.message
    changed = {
        "manager": "kubectl",
        "operation": "Update",
        "time": f"{NOW - timedelta(seconds=9):%Y-%m-%dT%H:%M:%SZ}",
    }
    route["metadata"]["managedFields"] = [changed]
    assert findings("HTTPRoute", yaml.safe_dump_all([*gateways, route])) == []


def test_what_could_not_be_read_is_not_called_missing():
    text = yaml.safe_dump_all(objects("gateway"))
    for kind, hidden in (
        ("HTTPRoute", {"Gateway", "Service", "ReferenceGrant", "EndpointSlice"}),
        ("Gateway", {"GatewayClass", "Secret", "ReferenceGrant"}),
    ):
        found = {each.code for each in findings(kind, text, forbidden=hidden)}
        assert not {code for code in found if "Missing" in code or "NotGranted" in code}, found
    rules = findings("PrometheusRule", yaml.safe_dump_all(objects("prometheus")), forbidden={"Prometheus"})
    assert rules == []


def test_reports_of_one_rule_are_one_finding_with_the_number_and_the_severity_of_the_results():
    text = yaml.safe_dump_all(objects("policies"))
    [failed] = [each for each in findings("PolicyReport", text) if each.code == "PolicyReportFailed"]
    assert failed.message.startswith("Pod web-1 and Pod api-1 break require-labels/team")
    assert (failed.name, failed.key, failed.severity) == ("a-web", "require-labels/team", "warning")
    [failed] = [each for each in findings("ClusterPolicyReport", text) if each.code == "ClusterPolicyReportFailed"]
    assert failed.severity == "info"


def test_a_failing_workload_explains_what_deployed_it():
    pull = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "flux", "labels": {"app": "web"}, "creationTimestamp": "2026-10-01T00:00:00Z",
                     "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": True}]},
        "spec": {"containers": [{"name": "app", "image": "nginx"}]},
        "status": {"phase": "Pending", "containerStatuses": [{"name": "app", "image": "nginx", "state": pull}]},
    }  # fmt: skip
    deployment = next(each for each in objects("flux") if each["kind"] == "Deployment")
    deployment["status"] = {
        "observedGeneration": 1, "replicas": 1, "unavailableReplicas": 1,
        "conditions": [{"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "lastTransitionTime": "2026-11-01T00:00:00Z"}],
    }  # fmt: skip
    others = [each for each in objects("flux") if each["kind"] == "Kustomization"]
    view = view_of(yaml.safe_dump_all([pod, deployment, *others]))
    default = [each for each in registered().values() if each.default]
    found = {(each.kind, each.name): each for each in diagnose(view, default).findings}
    root = found["Pod", "web-1"].id
    assert found["Kustomization", "failing"].cause == root
    assert found["Kustomization", "dependent"].cause == root


def test_kinds_are_optional_and_their_groups_can_be_named():
    for name, each in registered().items():
        if each.group in GROUPS:
            assert KINDS[each.kind].optional, name
            assert each.default == (each.group == "Integrations"), name
