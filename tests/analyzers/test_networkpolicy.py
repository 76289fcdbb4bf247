from __future__ import annotations

import pytest

from tests.analyzers.test_pod import LONG_AGO
from tests.analyzers.test_service import HEALTHY
from tests.views import codes, findings

NAMESPACE = "\n---\n{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}"
DNS = "{ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}"


def policy(spec: str, name: str = "p") -> str:
    return f"""
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{LONG_AGO}'}}
spec: {{{spec}}}
"""


def of(*policies: str, **options: object) -> list[str]:
    return codes("NetworkPolicy", HEALTHY + NAMESPACE + "".join(policies), **options)


@pytest.mark.parametrize(
    "spec",
    [
        "podSelector: {}, policyTypes: [Ingress]",
        "podSelector: {}",
        "podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]",
        f"podSelector: {{}}, policyTypes: [Egress], egress: [{DNS}]",
        "podSelector: {}, policyTypes: [Egress], egress: [{}]",
        "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]}]",
        "podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]",
        "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]",
    ],
)
def test_usual_policies_are_no_problem_and_a_denial_is_not_called_open(spec):
    assert of(policy(spec)) == []


@pytest.mark.parametrize(
    "selector",
    [
        "{matchLabels: {app: api}}",
        "{matchExpressions: [{key: app, operator: In, values: [api]}]}",
        "{matchExpressions: [{key: app, operator: DoesNotExist}]}",
    ],
)
def test_a_selector_that_matches_nothing_is_worth_knowing(selector):
    [finding] = findings("NetworkPolicy", HEALTHY + NAMESPACE + policy(f"podSelector: {selector}"))
    assert (finding.code, finding.severity) == ("NetworkPolicySelectsNothing", "info")


def test_pods_that_may_reach_something_but_no_name_server_are_reported():
    database = "egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 5432}]}]"
    [finding] = findings(
        "NetworkPolicy", HEALTHY + NAMESPACE + policy(f"podSelector: {{}}, policyTypes: [Egress], {database}")
    )
    assert (finding.code, finding.severity) == ("NetworkPolicyNoDNS", "warning")
    assert "web-1" in finding.message


def test_policies_are_judged_together():
    database = policy(
        "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 5432}]}]", "database"
    )
    names = policy(f"podSelector: {{}}, policyTypes: [Egress], egress: [{DNS}]", "names")
    assert of(database) == ["NetworkPolicyNoDNS"]
    assert of(database, names) == []


def test_pods_that_may_reach_nothing_at_all_are_meant_to():
    [finding] = findings("NetworkPolicy", HEALTHY + NAMESPACE + policy("podSelector: {}, policyTypes: [Egress]"))
    assert (finding.code, finding.severity) == ("NetworkPolicyNoDNS", "info")


NAME_SERVER = """
---
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}
---
apiVersion: v1
kind: Pod
metadata: {name: coredns-1, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: coredns, ports: [{name: dns, containerPort: 53, protocol: UDP}]}]}
status: {phase: Running}
"""


@pytest.mark.parametrize(
    ("peer", "reaches"),
    [
        ("{podSelector: {matchLabels: {app: web}}}", False),
        ("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}", False),
        ("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}", True),
        ("{namespaceSelector: {}}", True),
        ("{ipBlock: {cidr: 10.0.0.0/8}}", True),
    ],
)
def test_a_rule_for_all_ports_of_others_allows_no_name_server(peer, reaches):
    manifest = policy(f"podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{peer}]}}]")
    assert ("NetworkPolicyNoDNS" in of(manifest, NAME_SERVER)) == (not reaches)
    # Where no pod serves names, nobody knows who does.
    assert "NetworkPolicyNoDNS" not in of(manifest)
    assert "NetworkPolicyNoDNS" not in of(manifest, NAME_SERVER, forbidden=["Namespace"])


def test_a_range_of_ports_may_hold_the_name_servers():
    assert (
        of(
            policy(
                "podSelector: {}, policyTypes: [Egress], egress: [{ports: [{protocol: UDP, port: 1, endPort: 100}]}]"
            )
        )
        == []
    )


@pytest.mark.parametrize(
    "peer",
    [
        "{podSelector: {matchLabels: {app: api}}}",
        "{namespaceSelector: {matchLabels: {team: b}}}",
        "{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: api}}}",
    ],
)
def test_a_peer_that_does_not_exist_is_worth_knowing_where_everything_was_read(peer):
    manifest = policy(f"podSelector: {{}}, ingress: [{{from: [{peer}]}}]")
    assert of(manifest) == ["NetworkPolicyPeerMatchesNothing"]
    assert of(manifest, forbidden=["Namespace"]) == []


def test_a_named_port_must_be_one_of_the_selected_pods():
    assert of(policy("podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: metrics}]}]")) == [
        "NetworkPolicyPortMissing"
    ]
    ported = HEALTHY.replace("resources:", "ports: [{name: metrics, containerPort: 9090}], resources:")
    named = policy("podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: metrics}]}]")
    assert codes("NetworkPolicy", ported + NAMESPACE + named) == []


@pytest.mark.parametrize(
    "rule", ["{}", "{from: []}", "{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}", "{from: [{ipBlock: {cidr: '::/0'}}]}"]
)
def test_a_rule_for_everybody_is_worth_knowing(rule):
    [finding] = findings("NetworkPolicy", HEALTHY + NAMESPACE + policy(f"podSelector: {{}}, ingress: [{rule}]"))
    assert (finding.code, finding.severity) == ("NetworkPolicyOpenToAll", "info")


def test_nothing_is_said_where_pods_are_not_readable():
    assert of(policy("podSelector: {matchLabels: {app: api}}"), forbidden=["Pod"]) == []


@pytest.mark.parametrize(
    "spec",
    [
        "podSelector: {matchLabels: {app: secret}}",
        "podSelector: {matchExpressions: [{key: app, operator: In, values: [secret]}]}",
        "podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: secret}}}]}]",
        "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: secret}}}]}]",
    ],
)
def test_values_of_selectors_can_be_masked(spec):
    [finding] = findings("NetworkPolicy", HEALTHY + NAMESPACE + policy(spec))
    assert "secret" in finding.message
    assert "secret" in finding.masked


def test_a_named_port_of_a_sidecar_is_there():
    sidecar = (
        "initContainers: [{name: s, restartPolicy: Always, ports: [{name: metrics, containerPort: 1}]}], containers:"
    )
    named = policy("podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: metrics}]}]")
    assert codes("NetworkPolicy", HEALTHY.replace("containers:", sidecar, 1) + NAMESPACE + named) == []


def test_rules_for_a_direction_that_the_policy_is_not_for_are_left_alone():
    nobody = "[{podSelector: {matchLabels: {app: none}}}]"
    assert of(policy(f"podSelector: {{}}, policyTypes: [Ingress], egress: [{{to: {nobody}}}]")) == []
    only_out = f"podSelector: {{}}, policyTypes: [Egress], egress: [{DNS}], ingress: [{{from: {nobody}, ports: [{{port: x}}]}}]"
    assert of(policy(only_out)) == []


def test_only_pods_that_may_reach_something_are_surprised_that_names_do_not_resolve():
    other = "\n---\n" + HEALTHY.replace("web-1", "api-1").replace("app: web", "app: api")
    deny = policy("podSelector: {}, policyTypes: [Egress]", "deny")
    rule = "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: %d}]}]"
    [finding] = findings("NetworkPolicy", HEALTHY + other + NAMESPACE + deny + policy(rule % 53))
    assert finding.severity == "info"
    assert "api-1" in finding.message
    [finding] = findings("NetworkPolicy", HEALTHY + other + NAMESPACE + deny + policy(rule % 5432))
    assert finding.severity == "warning"
    assert "web-1" in finding.message
    assert "api-1" not in finding.message


def test_a_policy_for_pods_that_have_ended_still_has_its_pods():
    ended = HEALTHY.replace("phase: Running", "phase: Succeeded")
    assert codes("NetworkPolicy", ended + NAMESPACE + policy("podSelector: {matchLabels: {app: web}}")) == []


CRON_JOB = "\n---\n{apiVersion: batch/v1, kind: CronJob, metadata: {name: backup, namespace: shop}, spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: backup, tier: x}}}}}}}"


@pytest.mark.parametrize(
    "spec",
    [
        "podSelector: {matchLabels: {app: backup}}",
        "podSelector: {matchExpressions: [{key: app, operator: In, values: [backup]}]}",
        "podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: backup}}}]}]",
        "podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: backup}}}]}]",
    ],
)
def test_pods_of_a_cron_job_between_two_runs_are_meant_all_the_same(spec):
    assert codes("NetworkPolicy", HEALTHY + NAMESPACE + CRON_JOB + policy(spec)) == []
    elsewhere = CRON_JOB.replace("namespace: shop", "namespace: other")
    assert len(codes("NetworkPolicy", HEALTHY + NAMESPACE + elsewhere + policy(spec))) == 1


def test_a_peer_that_several_rules_repeat_is_one_finding():
    peer = "{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: %d}]}"
    spec = f"podSelector: {{}}, ingress: [{peer % 80}, {peer % 81}]"
    [finding] = findings("NetworkPolicy", HEALTHY + NAMESPACE + policy(spec))
    assert "Ingress rules 1 and 2 allow pods with app=api" in finding.message
    other = "{from: [{podSelector: {matchLabels: {app: db}}}]}"
    found = findings(
        "NetworkPolicy", HEALTHY + NAMESPACE + policy(f"podSelector: {{}}, ingress: [{peer % 80}, {other}]")
    )
    assert len({finding.id for finding in found}) == 2


def test_names_of_ports_that_are_open_to_all_can_be_masked():
    ported = HEALTHY.replace("resources:", "ports: [{name: secret, containerPort: 9090}], resources:")
    [finding] = findings(
        "NetworkPolicy", ported + NAMESPACE + policy("podSelector: {}, ingress: [{ports: [{port: secret}]}]")
    )
    assert finding.code == "NetworkPolicyOpenToAll"
    assert "secret" in finding.masked
