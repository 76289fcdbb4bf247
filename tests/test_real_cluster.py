"""Failures as clusters make them: controllers create the pods, kwok plays the kubelet, quotas really deny."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from k8sgpt_magic import completion
from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.frame import Findings
from k8sgpt_magic.session import Session
from tests.controlplane.controlplane import ControlPlane

BROKEN = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout}
spec:
  replicas: 2
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout, k8sgpt-magic.test/state: image-pull-backoff}}
    spec: {containers: [{name: app, image: "registry.example.com/checkout:2.4.1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: checkout}
spec: {selector: {app: checkout}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front}
spec:
  ingressClassName: none-such
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: checkout, port: {number: 80}}}}]}}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: compute}
spec: {hard: {count/pods: "4"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: healthy}
spec:
  replicas: 1
  selector: {matchLabels: {app: healthy}}
  template:
    metadata: {labels: {app: healthy}}
    spec: {containers: [{name: app, image: "registry.example.com/healthy:1"}]}
"""

REFUSED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: report-builder}
spec:
  replicas: 5
  selector: {matchLabels: {app: report-builder}}
  template:
    metadata: {labels: {app: report-builder}}
    spec: {containers: [{name: app, image: "registry.example.com/report-builder:1"}]}
"""


@pytest.fixture
def broken(control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Findings:
    api = control_plane.api
    api.apply(BROKEN, namespace)
    api.wait_for(
        lambda: (
            sum(
                status.get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff"
                for pod in api.list_objects("Pod", namespace, labels="app=checkout")
                for status in pod.get("status", {}).get("containerStatuses", [])
            )
            == 2
        ),
        what="two pods in ImagePullBackOff",
    )
    api.apply(REFUSED, namespace)
    api.wait_for(
        lambda: any(
            condition["type"] == "ReplicaFailure"
            for replica_set in api.list_objects("ReplicaSet", namespace)
            for condition in replica_set.get("status", {}).get("conditions", [])
        ),
        what="a ReplicaSet that the quota denies pods",
    )
    # Grace periods are over, and the events of a minute ago are still fresh.
    monkeypatch.setattr(LiveSource, "now", lambda _: datetime.now(UTC) + timedelta(minutes=15))
    session = Session()
    try:
        return session.analyze(namespace, kubeconfig=str(control_plane.kubeconfig("admin")))
    finally:
        session.close()


def test_what_real_controllers_report_is_found_and_traced_to_its_root(broken):
    found = {(row.kind, row.name): row for row in broken.itertuples()}
    pulls = broken[broken.code == "PodImagePullBackOff"]
    assert len(pulls) == 2
    assert set(pulls.parent) == {"Deployment/checkout"}
    root = pulls.iloc[0]["id"]
    assert found["Deployment", "checkout"].cause == root
    assert found["Service", "checkout"].cause == root
    assert {row.cause for row in broken.itertuples() if row.code == "IngressNoReadyEndpoints"} == {root}
    assert "IngressClassMissing" in set(broken.code)
    [refused] = broken[broken.code == "ReplicaSetQuotaExceeded"].itertuples()
    assert "compute" in refused.message
    assert found["Deployment", "report-builder"].cause == refused.id


def test_what_is_healthy_is_not_reported(broken):
    assert not [row.id for row in broken.itertuples() if row.name.startswith("healthy")]
    assert broken.attrs["errors"] == []


def test_tab_offers_the_namespaces_of_a_cluster_after_one_request_for_all_presses(control_plane, namespace):
    session, shell = Session(), InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    completion.load(shell, session)
    mark = control_plane.audit.mark()

    def offered() -> list[str]:
        line = f"%k8sgpt analyze --kubeconfig {control_plane.kubeconfig('viewer')} -n test-"
        with provisionalcompleter():
            return [each.text for each in shell.Completer.completions(line, len(line))]

    try:
        assert namespace in control_plane.api.wait_for(offered, what="namespaces to complete")
        assert namespace in offered()
    finally:
        session.close()
    [request] = control_plane.requests("viewer", since=mark)
    assert request.verb == "list"
    assert request.uri.startswith("/api/v1/namespaces?")


# --- a failure of every kind --------------------------------------------------------------------------------------

FAILURES = Path(__file__).with_name("failures.yaml")

NO_PODS = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-pods"},
    "spec": {"hard": {"count/pods": "0"}},
}

# What is to be said of failures.yaml, by object, or by the workload where it is a workload's pod or ReplicaSet.
EXPECTED = {
    ("ConfigMap/none-such", "ConfigMapMissing"),
    ("CronJob/no-such-day", "CronJobInvalidSchedule"),
    ("CronJob/runs-fail", "CronJobRunsFailing"),
    ("CronJob/short-deadline", "CronJobShortDeadline"),
    ("CronJob/suspended", "CronJobSuspended"),
    ("DaemonSet/no-such-nodes", "DaemonSetNoNodeMatches"),
    ("DaemonSet/quota", "DaemonSetCreateFailed"),
    ("Deployment/no-service-account", "DeploymentReplicaFailure"),
    ("Deployment/no-service-account", "ReplicaSetServiceAccountMissing"),
    ("Deployment/not-ready", "DeploymentNotReady"),
    ("Deployment/not-ready", "PodProbeFailing"),
    ("Deployment/root", "DeploymentReplicaFailure"),
    ("Deployment/root", "ReplicaSetPodSecurityViolated"),
    ("Deployment/webhook-away", "DeploymentReplicaFailure"),
    ("Deployment/webhook-away", "ReplicaSetWebhookFailed"),
    ("HorizontalPodAutoscaler/no-metrics", "HorizontalPodAutoscalerMetricsUnavailable"),
    ("HorizontalPodAutoscaler/no-target", "HorizontalPodAutoscalerTargetMissing"),
    ("Ingress/no-port", "IngressServicePortMissing"),
    ("Ingress/no-service", "IngressServiceMissing"),
    ("Ingress/no-service", "IngressTLSSecretMissing"),
    ("Job/keeps-failing", "JobFailed"),
    ("Job/keeps-failing", "PodContainerFailed"),
    ("Job/quota", "JobStuck"),
    ("Job/too-slow", "JobFailed"),
    ("MutatingWebhookConfiguration/no-ready-pods", "MutatingWebhookConfigurationCABundleEmpty"),
    ("MutatingWebhookConfiguration/no-ready-pods", "MutatingWebhookConfigurationNoReadyEndpoints"),
    ("NetworkPolicy/no-dns", "NetworkPolicyNoDNS"),
    ("NetworkPolicy/no-pods", "NetworkPolicySelectsNothing"),
    ("Node/cordoned", "NodeCordoned"),
    ("Node/not-ready", "NodeNotReady"),
    ("PersistentVolumeClaim/data-no-storage-class-0", "PersistentVolumeClaimStorageClassMissing"),
    ("PersistentVolumeClaim/no-class", "PersistentVolumeClaimNoStorageClass"),
    ("PersistentVolumeClaim/no-such-class", "PersistentVolumeClaimStorageClassMissing"),
    ("PersistentVolumeClaim/no-such-volume", "PersistentVolumeClaimVolumeMissing"),
    ("PersistentVolumeClaim/none-such", "PersistentVolumeClaimMissing"),
    ("PersistentVolumeClaim/volume-lost", "PersistentVolumeClaimLost"),
    ("Pod/crashes", "PodCrashLoopBackOff"),
    ("Pod/gated", "PodSchedulingGated"),
    ("Pod/no-claim", "PodUnschedulable"),
    ("Pod/no-config-map", "PodConfigError"),
    ("Pod/no-secret", "PodConfigError"),
    ("Pod/no-such-node", "PodUnschedulable"),
    ("PodDisruptionBudget/blocked", "PodDisruptionBudgetBlocked"),
    ("PodDisruptionBudget/never-allows", "PodDisruptionBudgetNeverAllows"),
    ("PodDisruptionBudget/no-pods", "PodDisruptionBudgetSelectsNothing"),
    ("ReplicationController/quota", "EventWarning"),
    ("Secret/none-such", "SecretMissing"),
    ("Service/no-balancer", "ServiceLoadBalancerPending"),
    ("Service/no-pods", "ServiceSelectsNoPods"),
    ("Service/no-ready-pods", "ServiceNoReadyEndpoints"),
    ("Service/quota", "ServiceSelectsNoPods"),
    ("StatefulSet/no-headless-service", "StatefulSetServiceMissing"),
    ("StatefulSet/no-storage-class", "PodUnschedulable"),
    ("StatefulSet/no-storage-class", "StatefulSetNotReady"),
    ("StatefulSet/no-storage-class", "StatefulSetStorageClassMissing"),
    ("StatefulSet/quota", "StatefulSetCreateFailed"),
    ("ValidatingWebhookConfiguration/no-service", "ValidatingWebhookConfigurationCABundleEmpty"),
    ("ValidatingWebhookConfiguration/no-service", "ValidatingWebhookConfigurationServiceMissing"),
}

# What follows from what.
CAUSES = {
    ("CronJob/runs-fail", "CronJobRunsFailing"): "PodContainerFailed",
    ("Deployment/no-service-account", "DeploymentReplicaFailure"): "ReplicaSetServiceAccountMissing",
    ("Deployment/root", "DeploymentReplicaFailure"): "ReplicaSetPodSecurityViolated",
    ("Deployment/webhook-away", "DeploymentReplicaFailure"): "ValidatingWebhookConfigurationServiceMissing",
    ("Job/keeps-failing", "JobFailed"): "PodContainerFailed",
    ("MutatingWebhookConfiguration/no-ready-pods", "MutatingWebhookConfigurationNoReadyEndpoints"): "PodProbeFailing",
    ("Pod/no-claim", "PodUnschedulable"): "PersistentVolumeClaimMissing",
    ("Pod/no-config-map", "PodConfigError"): "ConfigMapMissing",
    ("Pod/no-secret", "PodConfigError"): "SecretMissing",
    ("PodDisruptionBudget/blocked", "PodDisruptionBudgetBlocked"): "PodProbeFailing",
    ("Service/no-ready-pods", "ServiceNoReadyEndpoints"): "PodProbeFailing",
    ("Service/quota", "ServiceSelectsNoPods"): "StatefulSetCreateFailed",
    ("StatefulSet/no-storage-class", "StatefulSetNotReady"): "PersistentVolumeClaimStorageClassMissing",
}


class Failures:
    """failures.yaml in a real cluster: each analysis sees what the controllers have made of it so far."""

    def __init__(self, plane: ControlPlane, name: str) -> None:
        self._plane = plane
        self._session = Session()
        self.name = name
        self.namespaces = [name, f"{name}-quota", f"{name}-restricted"]
        config = yaml.safe_load(plane.kubeconfig("admin").read_text())
        certificate = config["clusters"][0]["cluster"]["certificate-authority-data"]
        text = FAILURES.read_text().replace("NAMESPACE", name).replace("CERTIFICATE", certificate)
        self.manifests = list(yaml.safe_load_all(text))

    def make(self) -> None:
        api, name = self._plane.api, self.name
        for namespace in self.namespaces:
            is_restricted = namespace.endswith("-restricted")
            api.namespace(
                namespace, labels={"pod-security.kubernetes.io/enforce": "restricted"} if is_restricted else {}
            )
        api.apply(NO_PODS, f"{name}-quota")
        api.wait_for(
            lambda: api.get("ResourceQuota", "no-pods", f"{name}-quota").get("status", {}).get("hard"),
            what="a quota that is enforced",
        )
        api.apply(self.manifests, name)
        self._start_a_run("runs-fail")
        # The volume of a bound claim is deleted, which its protection would only do after the claim.
        api.wait_for(lambda: self._phase("volume-lost") == "Bound", what="a bound claim")
        api.delete("PersistentVolume", name)
        api.patch("PersistentVolume", name, {"metadata": {"finalizers": None}})

    def _phase(self, claim: str) -> str:
        return str(self._plane.api.get("PersistentVolumeClaim", claim, self.name)["status"].get("phase"))

    def _start_a_run(self, cron_job: str) -> None:
        """As ``kubectl create job --from`` does; the run is the CronJob's own."""
        api = self._plane.api
        owner = api.get("CronJob", cron_job, self.name)
        template = {
            "metadata": {"labels": {"k8sgpt-magic.test/state": "failed"}},
            "spec": owner["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        }
        metadata = {
            "name": f"{cron_job}-1",
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "CronJob", "name": cron_job, "uid": owner["metadata"]["uid"],
                 "controller": True}
            ],
        }  # fmt: skip
        spec = {"backoffLimit": 0, "template": template}
        api.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}, self.name)

    def analyze(self) -> Findings:
        kubeconfig = str(self._plane.kubeconfig("admin"))
        return self._session.analyze(self.namespaces, kubeconfig=kubeconfig, refresh=True)

    def said(self, findings: Findings) -> set[tuple[str, str]]:
        return {(self.subject(row), row.code) for row in findings.itertuples() if self._is_ours(row)}

    def subject(self, row: Any) -> str:
        of = row.parent or f"{row.kind}/{row.name}"
        return str(of).replace(f"/{self.name}-", "/")

    def _is_ours(self, row: Any) -> bool:
        return row.namespace in self.namespaces or self.name in row.name

    def remove(self) -> None:
        self._session.close()
        api = self._plane.api
        for manifest in self.manifests:
            if manifest["metadata"]["name"].startswith(self.name):
                api.delete(manifest["kind"], manifest["metadata"]["name"])
        for namespace in self.namespaces:
            api.delete_namespace(namespace, wait=False)


@pytest.fixture(scope="module")
def failures(control_plane: ControlPlane) -> Iterator[Failures]:
    failures = Failures(control_plane, f"test-{uuid.uuid4().hex[:8]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiveSource, "now", lambda _: datetime.now(UTC) + timedelta(minutes=15))
        try:
            failures.make()
            yield failures
        finally:
            failures.remove()


@pytest.fixture(scope="module")
def found(failures: Failures) -> Findings:
    """The findings once the controllers are through; an autoscaler's first look alone takes some fifteen seconds."""
    deadline = time.monotonic() + 45
    while True:
        findings = failures.analyze()
        if failures.said(findings) >= EXPECTED or time.monotonic() > deadline:
            return findings
        time.sleep(0.5)


def test_each_failure_that_real_controllers_made_is_found(failures, found):
    assert EXPECTED - failures.said(found) == set()
    assert found.attrs["errors"] == []


def test_nothing_else_is_found_but_events_of_what_is_gone(failures, found):
    gone = found[(found.code == "EventWarning") & (found.severity == "info")]
    more = failures.said(found) - failures.said(gone) - EXPECTED
    # The finding of a run stands beside that of its CronJob.
    assert more <= {("CronJob/runs-fail", "JobFailed"), ("CronJob/runs-fail", "PodContainerFailed")}
    assert not [row.id for row in found.itertuples() if "fine-" in row.name]


@pytest.mark.parametrize(("subject", "code"), CAUSES)
def test_what_follows_from_another_failure_names_it(failures, found, subject, code):
    codes = dict(zip(found["id"], found.code, strict=True))
    causes = {
        codes.get(row.cause) for row in found.itertuples() if (failures.subject(row), row.code) == (subject, code)
    }
    assert causes == {CAUSES[subject, code]}
