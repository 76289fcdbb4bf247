"""Kinds of CustomResourceDefinitions on a real control plane, with the projects' own CRDs and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.cluster import gateway, integrations, olm
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.session import Session
from tests.controlplane.controlplane import ControlPlane
from tests.controlplane.crds import definitions
from tests.custom import PROJECTS, expected, manifests

GROUPS = ("GatewayAPI", "OLM", "Integrations")
OURS = sorted(name for name, each in registered().items() if each.group in GROUPS)
DEFINED = [
    kind for kind in KINDS.values() if kind.__module__ in (gateway.__name__, olm.__name__, integrations.__name__)
]
PLURALS = {kind.plural for kind in DEFINED}
# What is made is judged as it will be the day after, when every grace period is over.
LATER = timedelta(hours=30)


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def paths(plane: ControlPlane, mark: int) -> list[str]:
    """What was asked of the server since, without the versions that are asked for on connecting."""
    found = [each.uri.partition("?")[0] for each in plane.requests("admin", since=mark, user_agent="k8sgpt-magic/")]
    return [each for each in found if each == "/apis" or each.count("/") > 2]


def about_crds(asked: list[str]) -> list[str]:
    return [path for path in asked if path.rpartition("/")[2] in PLURALS]


# --- before there are any --------------------------------------------------------------------------------


def test_kinds_that_are_not_served_cost_one_request_for_all_of_them(control_plane, session):
    mark = control_plane.audit.mark()
    session.analyze(kubeconfig=str(control_plane.kubeconfig("admin")))
    asked = paths(control_plane, mark)
    assert about_crds(asked) == []
    assert asked.count("/apis") == 1


def test_what_was_asked_for_and_is_not_served_is_said_in_one_line(control_plane, session):
    mark = control_plane.audit.mark()
    findings = session.analyze(kubeconfig=str(control_plane.kubeconfig("admin")), filter="gateway")
    assert about_crds(paths(control_plane, mark)) == []
    assert len(findings) == 0
    assert findings.attrs["notes"] == ["Not served by admin: gateways.gateway.networking.k8s.io."]
    assert findings.attrs["unreadable"] == []


def test_kinds_are_named_and_served_as_their_projects_have_them():
    by_name = {f"{each['spec']['names']['plural']}.{each['spec']['group']}": each["spec"] for each in definitions()}
    assert len(DEFINED) == len(by_name)
    for kind in DEFINED:
        assert kind.optional
        spec = by_name[f"{kind.plural}.{kind.group}"]
        assert (spec["names"]["kind"], spec["scope"] == "Namespaced") == (kind.kind, kind.namespaced)
        assert kind.version in {each["name"] for each in spec["versions"] if each["served"]}
        if kind.group not in ("operators.coreos.com", "olm.operatorframework.io"):
            assert set(kind.short_names) == set(spec["names"].get("shortNames", ())), kind.kind


# --- with them -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane with all the CRDs and all objects of ``tests/analyzers/custom``; without them afterwards."""
    api = control_plane.api
    made = definitions()
    names = [each["metadata"]["name"] for each in made]
    try:
        api.create_many(made, concurrency=4)
        for name in names:
            api.wait_for(lambda name=name: _is_established(api.get("CustomResourceDefinition", name)), what=name)
        objects = [each for project in PROJECTS for each in manifests(project, datetime.now(UTC) + LATER)]
        for each in objects:
            if each["kind"] == "Namespace":
                api.namespace(each["metadata"]["name"], labels=each["metadata"].get("labels"))
        # What names an owner that does not exist would be collected as left over. The server checks all the others
        # against the schemas of their CRDs, and their statuses too.
        others = [
            each for each in objects if each["kind"] != "Namespace" and "ownerReferences" not in each["metadata"]
        ]
        api.create_many(others, concurrency=8)
        yield control_plane
    finally:
        namespaces = {
            each["metadata"]["name"]
            for project in PROJECTS
            for each in manifests(project, datetime.now(UTC))
            if each["kind"] == "Namespace"
        }
        for name in sorted(namespaces):
            api.delete_namespace(name, wait=False)
        for name in names:
            api.delete("CustomResourceDefinition", name)
        api.wait_for(
            lambda: (
                not {each["metadata"]["name"] for each in api.list_objects("CustomResourceDefinition")} & {*names}
            ),
            what="the CRDs to be gone",
        )
        api.wait_for(
            lambda: not {each["metadata"]["name"] for each in api.list_objects("Namespace")} & namespaces,
            what="the namespaces to be gone",
        )
        # What was discovered is remembered, and not all of it is served any more.
        api._resources = []


def _is_established(definition: dict) -> bool:
    return any(
        each["type"] == "Established" and each["status"] == "True"
        for each in definition.get("status", {}).get("conditions") or ()
    )


@pytest.fixture
def later(monkeypatch) -> None:
    monkeypatch.setattr(LiveSource, "now", lambda self: datetime.now(UTC) + LATER)


def test_every_analyzer_finds_in_a_real_cluster_what_it_should(served, session, later):
    mark = served.audit.mark()
    findings = session.analyze(kubeconfig=str(served.kubeconfig("admin")), filter=OURS)
    assert findings.attrs["errors"] == []
    assert findings.attrs["unreadable"] == []
    assert findings.attrs["notes"] == []
    found: dict[tuple[str, str, str], set[str]] = {}
    for row in findings.itertuples():
        found.setdefault((row.kind, row.namespace, row.name), set()).add(row.code)
    wanted = {}
    for project in PROJECTS:
        wanted |= expected(manifests(project, datetime.now(UTC)))
    assert found == wanted
    asked = paths(served, mark)
    # Some are read for the sake of built-in kinds alone.
    read = {KINDS[kind].plural for name in OURS for kind in registered()[name].reads} & PLURALS
    assert len(about_crds(asked)) == len(set(about_crds(asked))) == len(read)
    assert asked.count("/apis") == 1


def test_the_default_analyzers_take_the_integrations_in_and_leave_the_others_out(served, session, later):
    mark = served.audit.mark()
    findings = session.analyze(kubeconfig=str(served.kubeconfig("admin")))
    groups = {registered()[kind].group for kind in set(findings["kind"]) if kind in registered()}
    assert "Integrations" in groups
    assert not groups & {"GatewayAPI", "OLM"}
    asked = {path.rpartition("/")[2] for path in paths(served, mark)}
    assert "certificates" in asked
    assert not asked & {"gateways", "subscriptions"}


def test_a_filter_reads_one_namespace_and_nothing_else(served, session, later):
    findings = session.analyze("certs", kubeconfig=str(served.kubeconfig("admin")), filter="cert")
    assert set(findings["kind"]) == {"Certificate"}
    assert set(findings["namespace"]) == {"certs"}


def test_they_are_saved_in_an_archive_and_read_from_a_dump_of_kubectl(served, session, later, tmp_path):
    live = session.analyze(kubeconfig=str(served.kubeconfig("admin")), filter=OURS)
    archive = tmp_path / "cluster.tar.gz"
    session.save_snapshot(str(archive), kubeconfig=str(served.kubeconfig("admin")))
    saved = session.analyze(source=str(archive), filter=OURS)
    # Some grace periods are not over for what was saved just now.
    assert set(saved["kind"]) == set(live["kind"])
    assert set(saved["id"]) <= set(live["id"])
    items = [
        each
        for kind in ("Certificate", "Issuer", "ClusterIssuer", "CertificateRequest")
        for each in served.api.list_objects(kind)
    ]
    for each in items:
        each.setdefault("kind", "")
    dump = tmp_path / "dump.yaml"
    dump.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}))
    assert all(each["kind"] for each in items)
    read = session.analyze(source=str(dump), filter=["cert", "iss", "ciss", "certificaterequest"])
    assert "CertificateNotReady" in set(read["code"])
    assert set(read["code"]) <= set(live["code"])
