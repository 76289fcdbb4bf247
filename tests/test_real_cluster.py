"""Failures as clusters make them: controllers create the pods, kwok plays the kubelet, quotas really deny."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

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
