"""What opt-in analyzers look at, as a real API server and its controllers make it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8sgpt_magic.analyzers import apiservice, customresourcedefinition, namespace, persistentvolume
from k8sgpt_magic.session import Session
from tests.analyzers.test_tls import KEY_TEXT, certificate
from tests.controlplane.controlplane import ControlPlane

SHOP = "opt-in"
TLS_KEY = base64.b64encode(KEY_TEXT.encode()).decode()
IN_NAMESPACE = f"""
apiVersion: v1
kind: ResourceQuota
metadata: {{name: compute}}
spec: {{hard: {{configmaps: "1"}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: web-tls}}
type: kubernetes.io/tls
data:
  tls.crt: {base64.b64encode(certificate(-1000, begins=-2000)).decode()}
  tls.key: {TLS_KEY}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: everything}}
rules: [{{verbs: ["*"], apiGroups: ["*"], resources: ["*"]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: to-nothing}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: nothing}}
subjects: [{{kind: ServiceAccount, name: nobody, namespace: {SHOP}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: agent}}
spec:
  hostPID: true
  containers: [{{name: app, image: example.com/agent:1, securityContext: {{privileged: true}}}}]
"""
OF_THE_CLUSTER = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: opt-in-left}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: /tmp/nothing}
  claimRef: {kind: PersistentVolumeClaim, namespace: opt-in, name: gone, uid: 11111111-1111-1111-1111-111111111111}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: opt-in-old}
provisioner: kubernetes.io/glusterfs
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.optin.example.com}
spec:
  group: optin.example.com
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {namespace: opt-in, name: nowhere}
"""


def definition(plural: str) -> str:
    return f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.optin-farm.example.com}}
spec:
  group: optin-farm.example.com
  scope: Namespaced
  names: {{kind: Goose, plural: {plural}, singular: {plural}}}
  versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object}}}}}}]
"""


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


@pytest.fixture(scope="module")
def broken(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    api = control_plane.api
    api.namespace(SHOP)
    api.wait_for_default_service_account(SHOP)
    api.apply(IN_NAMESPACE, SHOP)
    api.apply(OF_THE_CLUSTER)
    api.apply(definition("geese"))
    condition = {"type": "Established", "status": "True"}
    api.wait_for(
        lambda: condition["type"] in _true(api.get("CustomResourceDefinition", "geese.optin-farm.example.com")),
        30,
        what="geese",
    )
    api.apply(definition("ganders"))
    # Nothing removes this finalizer, and so the namespace stays.
    api.namespace("opt-in-stuck")
    api.apply(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.com/never]}}", "opt-in-stuck"
    )
    api.delete("Namespace", "opt-in-stuck")
    api.wait_for(
        lambda: "NamespaceFinalizersRemaining" in _true(api.get("Namespace", "opt-in-stuck")),
        60,
        what="a stuck namespace",
    )
    api.wait_for(
        lambda: api.get("PersistentVolume", "opt-in-left")["status"].get("phase") == "Released",
        60,
        what="a released volume",
    )
    api.wait_for(
        lambda: api.get("ResourceQuota", "compute", SHOP).get("status", {}).get("used", {}).get("configmaps") == "1",
        60,
        what="a used quota",
    )
    yield control_plane
    api.patch("ConfigMap", "held", {"metadata": {"finalizers": None}}, "opt-in-stuck")
    for kind, name in (
        ("APIService", "v1.optin.example.com"),
        ("CustomResourceDefinition", "ganders.optin-farm.example.com"),
        ("CustomResourceDefinition", "geese.optin-farm.example.com"),
        ("StorageClass", "opt-in-old"),
        ("PersistentVolume", "opt-in-left"),
    ):
        api.delete(kind, name)
    api.delete_namespace(SHOP, wait=False)


def _true(found: dict) -> set[str]:
    return {each["type"] for each in found.get("status", {}).get("conditions", []) if each["status"] == "True"}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has just been broken counts as if it had been for long."""
    for module in (apiservice, customresourcedefinition, namespace, persistentvolume):
        monkeypatch.setattr(module, "GRACE", -60)


@pytest.mark.parametrize(
    ("name", "code", "about"),
    [
        ("quota", "ResourceQuotaExhausted", f"ResourceQuota/{SHOP}/compute"),
        ("TLS", "TLSExpired", f"Secret/{SHOP}/web-tls"),
        ("role", "RoleWildcard", f"Role/{SHOP}/everything"),
        ("rolebinding", "RoleBindingRoleMissing", f"RoleBinding/{SHOP}/to-nothing"),
        ("PodSecurity", "PodSecurityPrivileged", f"Pod/{SHOP}/agent"),
        ("pv", "PersistentVolumeReleased", "PersistentVolume/opt-in-left"),
        ("sc", "StorageClassProvisionerRemoved", "StorageClass/opt-in-old"),
        ("apiservice", "APIServiceUnavailable", "APIService/v1.optin.example.com"),
        ("crd", "CustomResourceDefinitionNotEstablished", "CustomResourceDefinition/ganders.optin-farm.example.com"),
        ("ns", "NamespaceStuck", "Namespace/opt-in-stuck"),
    ],
)
def test_each_is_found(broken, session, at_once, name, code, about):
    found = session.analyze(kubeconfig=str(broken.kubeconfig("admin")), filter=name)
    assert f"{about}/{code}" in set(found.id)
    assert found.attrs["errors"] == []
    assert found.attrs["unreadable"] == []


def test_all_together_write_nothing_and_keep_no_key(broken, session, at_once, tmp_path: Path):
    mark = broken.audit.mark()
    admin = str(broken.kubeconfig("admin"))
    found = session.analyze(kubeconfig=admin, filter="*")
    assert found.attrs["errors"] == []
    assert broken.requests(since=mark, user_agent="k8sgpt-magic/")
    assert broken.writes(since=mark, user_agent="k8sgpt-magic/") == []
    assert TLS_KEY not in found.to_string() + repr(found.attrs)

    # A snapshot says the same of all that it holds, and certificates are not among that.
    path = tmp_path / "all.tar.gz"
    session.save_snapshot(str(path), kubeconfig=admin)
    again = session.analyze(source=str(path), filter="Storage,Security,quota,crd,ns,apiservice")
    here = {
        each for each in found.id if each.split("/")[0] in ("Role", "RoleBinding", "StorageClass", "ResourceQuota")
    }
    assert here <= set(again.id)
    assert not again.code.str.startswith("TLS").any()


def test_who_may_not_read_roles_is_told_so(broken, session):
    found = session.analyze("team-a", kubeconfig=str(broken.kubeconfig("reader")), filter="Security")
    assert any("clusterroles" in line and "forbidden" in line for line in found.attrs["unreadable"])
    assert not found.code.str.endswith("RoleMissing").any()
