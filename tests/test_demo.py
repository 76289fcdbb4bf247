"""The packaged demo shows all that can be found, and how findings hang together."""

from __future__ import annotations

from pathlib import Path

import pytest

import k8sgpt_magic
from k8sgpt_magic.analyzers import codes, registered
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.frame import Findings
from k8sgpt_magic.session import Session

DEMO = Path(k8sgpt_magic.__file__).parent / "data" / "demo"


@pytest.fixture(scope="module")
def demo() -> Findings:
    session = Session()
    try:
        return session.analyze(source="demo")
    finally:
        session.close()


def test_every_code_of_every_analyzer_is_in_the_demo(demo):
    default = [name for name, each in registered().items() if each.default and not KINDS[each.kind].optional]
    assert sorted(set(codes(default)) - set(demo["code"])) == []
    assert demo.attrs["errors"] == []
    assert demo.attrs["unreadable"] == []


def test_the_demo_is_small_and_has_healthy_neighbours(demo):
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 200_000
    broken = {(row.kind, row.namespace, row.name) for row in demo.itertuples()}
    assert demo.attrs["objects"] - len(broken) > 100
    assert ("Deployment", "shop", "web") not in broken


def test_a_pull_failure_explains_the_workload_the_service_the_ingress_and_the_autoscaler(demo):
    by_object = {(row.kind, row.name): row for row in demo.itertuples()}
    pulls = demo[(demo.code == "PodImagePullBackOff") & demo.name.str.startswith("checkout-")]
    root = pulls.iloc[0]["id"]
    for kind in ("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"):
        assert by_object[kind, "checkout"].cause == root, kind
    assert by_object["Ingress", "storefront"].cause == root
    assert pulls.iloc[0]["consequences"] >= 5


@pytest.mark.parametrize(
    ("cause", "kinds"),
    [
        ("Node/node-d/NodeNotReady", {"Pod", "DaemonSet"}),
        ("PersistentVolumeClaim/data/data-postgres-0/PersistentVolumeClaimProvisioningFailed", {"Pod", "StatefulSet", "Service"}),
        ("Secret/payments/stripe-api-key/SecretMissing", {"Pod", "Deployment", "Service"}),
        ("ConfigMap/shop/feature-flags/ConfigMapMissing", {"Pod"}),
        ("ReplicaSet/batch/report-builder-6d4f8b9c75/ReplicaSetQuotaExceeded", {"Deployment"}),
        ("Pod/platform/policy-guard-7c9d5b6f48-b8w4n/PodCrashLoopBackOff/policy", {"ValidatingWebhookConfiguration", "ReplicaSet", "Deployment"}),
    ],
)  # fmt: skip
def test_root_causes_have_their_consequences(demo, cause, kinds):
    assert cause in set(demo["id"])
    assert kinds <= set(demo.loc[demo["cause"] == cause, "kind"])


def test_a_run_of_a_cron_job_has_the_cron_job_as_its_parent(demo):
    runs = demo[demo["name"].str.startswith("invoices-29375640")]
    assert set(runs["parent"]) == {"CronJob/invoices"}


def test_every_analyzer_reads_known_kinds_and_every_code_is_named_after_its_kind_and_documented():
    for name, analyzer in registered().items():
        assert set(analyzer.reads) <= set(KINDS)
        assert analyzer.meaning
        for code in analyzer.codes:
            assert code.name.startswith((name, analyzer.kind))
            assert code.meaning.endswith(".")
            assert code.docs.startswith("https://kubernetes.io/" if not KINDS[analyzer.kind].optional else "https://")
