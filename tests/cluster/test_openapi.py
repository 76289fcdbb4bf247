"""Documentation of fields, as a real API server serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.cluster.openapi import Documentation, Group, field_of
from k8sgpt_magic.commands import Commands
from k8sgpt_magic.engine import Engine
from k8sgpt_magic.findings import Evidence, Finding
from k8sgpt_magic.session import Session
from k8sgpt_magic.views import rows
from tests.controlplane.controlplane import ControlPlane


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.stop()


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def finding(kind: str, *sources: str) -> Finding:
    evidence = tuple(Evidence(source, "x") for source in sources)
    return Finding(
        code="X", severity="warning", kind=kind, namespace="a", name=sources[0], message="", evidence=evidence
    )


def documented(engine: Engine, kubeconfig: Path, *findings: Finding) -> tuple[list[str], str]:
    async def ask() -> tuple[dict[str, str], str]:
        source = LiveSource(kubeconfig=str(kubeconfig))
        try:
            return await Documentation().of(source, findings)
        finally:
            await source.close()

    found, note = engine.run(ask())
    return [found.get(each.id, "") for each in findings], note


def test_fields_are_documented_as_the_cluster_does(engine, control_plane):
    said, note = documented(
        engine,
        control_plane.kubeconfig("admin"),
        finding("Pod", "event BackOff x3", "status.containerStatuses[web.1].state.waiting.reason"),
        finding("Pod", "spec.containers[web].livenessProbe"),
        finding("Deployment", "status.conditions[Progressing].reason"),
        finding("Deployment", "spec.template.spec.containers[a].resources.limits.memory"),
        finding("Node", "status.allocatable.cpu"),
        finding("Deployment", "spec.thereIsNoSuchField.at.all"),
        finding("Ingress", "spec.rules shop.example.com"),
        finding("ConfigMap", "event Failed"),
    )
    assert not note
    assert said[0].startswith("Pod status.containerStatuses.state.waiting.reason: ")
    assert "reason the container is not yet running" in said[0]
    assert "liveness" in said[1]
    assert "reason for the condition" in said[2]
    assert "Limits" in said[3]
    assert "resources of a node" in said[4]
    assert said[5] == ""
    assert said[6].startswith("Ingress spec.rules: ")
    assert said[7] == ""
    assert all(len(each) < 600 for each in said)


def asked_for(plane: ControlPlane, mark: int) -> list[str]:
    return [each.uri for each in plane.requests("admin", since=mark) if each.uri.startswith("/openapi")]


def test_only_groups_with_findings_are_read_and_only_once(control_plane, engine):
    documentation = Documentation()
    mark = control_plane.audit.mark()

    async def ask(*findings: Finding) -> dict[str, str]:
        source = LiveSource(kubeconfig=str(control_plane.kubeconfig("admin")))
        try:
            return (await documentation.of(source, findings))[0]
        finally:
            await source.close()

    deployment = finding("Deployment", "status.replicas")
    assert engine.run(ask(deployment)) == engine.run(ask(deployment, finding("Deployment", "spec.nothing")))
    uris = asked_for(control_plane, mark)
    assert [uri.partition("?")[0] for uri in uris] == ["/openapi/v3", "/openapi/v3/apis/apps/v1"]
    assert not control_plane.writes("admin", since=mark)


def test_where_reading_it_is_forbidden_a_note_says_so(control_plane, engine, tmp_path):
    # Everybody who is known may read it; who is not known may not.
    config = yaml.safe_load(control_plane.kubeconfig("admin").read_text())
    config["users"][0]["user"]["as"] = "system:anonymous"
    stranger = tmp_path / "config"
    stranger.write_text(yaml.safe_dump(config))
    said, note = documented(engine, stranger, finding("Pod", "status.phase"))
    assert said == [""]
    assert note.startswith("No docs: ")
    assert "forbidden" in note


def test_analyze_with_doc_has_a_column_in_every_form(control_plane, session, namespace):
    control_plane.api.apply(
        """
        apiVersion: batch/v1
        kind: CronJob
        metadata: {name: nightly}
        spec:
          schedule: "0 3 * * *"
          suspend: true
          jobTemplate:
            spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: "a:1"}]}}}
        """,
        namespace,
    )
    words = ["analyze", "--kubeconfig", str(control_plane.kubeconfig("admin")), "-n", namespace, "-f", "cj", "-q"]
    commands = Commands(session)
    frame = commands.run([*words, "--with-doc"])
    [said] = frame.loc[frame["code"] == "CronJobSuspended", "doc"]
    assert said.startswith("CronJob spec.suspend: ")
    assert "suspend subsequent executions" in said
    assert said in repr(frame)
    assert "suspend subsequent executions" in commands.run([*words, "--with-doc", "-o", "markdown"])
    assert said in rows.columns(frame)["doc"]
    assert "doc" not in commands.run(words).columns
    assert not [note for note in frame.attrs["notes"] if "docs" in note]


def test_a_snapshot_or_the_demo_has_a_note_and_no_docs(session):
    frame = Commands(session).run(["analyze", "--source", "demo", "--with-doc", "-q"])
    assert set(frame["doc"]) == {""}
    assert "No docs: they come from a live cluster, and this is none." in repr(frame)


def test_schemas_that_refer_to_themselves_come_to_an_end():
    group = msgspec.json.decode(
        b"""{"components": {"schemas": {
            "A": {"allOf": [{"$ref": "#/components/schemas/A"}], "description": "",
                  "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "A"}],
                  "properties": {"list": {"type": "array", "items": {"$ref": "#/components/schemas/B"}}}},
            "B": {"properties": {"of": {"description": "of B", "allOf": [{"$ref": "#/components/schemas/A"}]}}}
        }}}""",
        type=Group,
    )
    assert group.describe("", "v1", "A", ("list", "of")) == "of B"
    assert group.describe("", "v1", "A", ("list", "of", "list", "of")) == "of B"
    assert group.describe("", "v1", "A", ("nothing",)) == ""
    assert group.describe("apps", "v1", "A", ("list",)) == ""


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("status.containerStatuses[0].state.waiting.reason", "status containerStatuses state waiting reason"),
        ("status.conditions[my.own/Gate]", "status conditions"),
        ("spec.tls[].secretName", "spec tls secretName"),
        ("spec.rules shop.example.com", "spec rules"),
        ("<b>", ""),
        ("event x", ""),
    ],
)
def test_the_field_of_a_finding(source, path):
    assert field_of(finding("Pod", source)) == tuple(path.split())
