"""The ClusterRole in the README: enough for all that is read, and nothing more."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.session import Session
from tests.controlplane.controlplane import ControlPlane

README = Path(__file__).resolve().parents[1] / "README.md"
READER = "readme-reader"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: ended}
spec: {containers: [{name: app, image: example.com/app:1}]}
"""
BINDING = f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {READER}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: k8sgpt-magic-reader}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {READER}}}]
"""
Right = tuple[str, str, str]


def role() -> str:
    [found] = re.findall(r"```yaml\n(apiVersion: rbac.*?kind: ClusterRole\n.*?)```", README.read_text(), re.DOTALL)
    return str(found)


def granted() -> set[Right]:
    return {
        (group, resource, verb)
        for rule in yaml.safe_load(role())["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture
def reader(control_plane: ControlPlane, tmp_path: Path) -> Iterator[str]:
    """A kubeconfig of a user who has that role and nothing else."""
    control_plane.api.apply(role())
    control_plane.api.apply(BINDING)
    config: dict[str, Any] = yaml.safe_load(control_plane.kubeconfig("admin").read_text())
    config["users"][0]["user"]["as"] = READER
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    yield str(path)
    control_plane.api.delete("ClusterRoleBinding", READER)
    control_plane.api.delete("ClusterRole", "k8sgpt-magic-reader")


def used(control_plane: ControlPlane, mark: int) -> set[Right]:
    """What the user has asked for, by the audit log."""
    return {
        (
            ref.get("apiGroup", ""),
            "/".join(filter(None, (ref["resource"], ref.get("subresource", "")))),
            event["verb"],
        )
        for event in control_plane.audit_events(since=mark)
        if event.get("impersonatedUser", {}).get("username") == READER and (ref := event.get("objectRef"))
    }


def test_it_is_enough_and_no_more(control_plane: ControlPlane, reader: str, namespace: str, tmp_path: Path):
    api = control_plane.api
    api.apply(POD, namespace)
    api.wait_for(
        lambda: api.get("Pod", "ended", namespace)["status"].get("phase") == "Running", 30, what="a running pod"
    )
    failed = {"phase": "Failed", "containerStatuses": [
        {"name": "app", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": 1}}}
    ]}  # fmt: skip
    api.patch_status("Pod", "ended", failed, namespace)
    mark = control_plane.audit.mark()
    session = Session()
    try:
        found = session.analyze(kubeconfig=reader, filter="*")
        assert found.attrs["unreadable"] == []
        assert found.attrs["errors"] == []
        assert session.with_docs(found).doc.any()
        session.save_snapshot(str(tmp_path / "all.tar.gz"), kubeconfig=reader)
        core = {(kind.group, kind.plural) for kind in KINDS.values() if not kind.optional}
        with session.watch(kubeconfig=reader, filter="*"):
            deadline = time.monotonic() + 30
            while len({right for right in used(control_plane, mark) if right[2] == "watch"}) < len(core):
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        session.close()
    assert used(control_plane, mark) == {right for right in granted() if not _is_optional(right)}
    # What is not installed here cannot be asked for, so of that the role is compared with the kinds there are.
    optional = {(kind.group, kind.plural) for kind in KINDS.values() if kind.optional}
    assert {right for right in granted() if _is_optional(right)} == {
        (*each, verb) for each in optional for verb in ("list", "watch")
    }


def _is_optional(right: Right) -> bool:
    return any(kind.optional and kind.group == right[0] for kind in KINDS.values())
